//! The fields of a body, for the API's description. A test holds it against what is really read.

use utoipa::{
    PartialSchema as _,
    openapi::{
        Object, ObjectBuilder, RefOr, Schema,
        schema::{AnyOfBuilder, Array, ArrayBuilder, SchemaFormat, SchemaType, Type},
    },
};

use super::{
    answer::{
        Rule, addressing_schema, delivery_schema, on_changed_schema, on_vanished_schema, project_schema,
    },
    examine::MAX_LIMIT,
    fields::{MAX_DESCRIPTION, MAX_PREFIX, MAX_TITLE},
};
use crate::storage::{Direction, Kind, MAX_PRESIGN_MINUTES};

/// The fields of a collection, none of them required.
pub(in crate::control) fn fields(direction: Direction, kind: Kind) -> Object {
    let mut object = common(ObjectBuilder::new());
    object = match direction {
        Direction::Import => import(object),
        Direction::Export => export(object),
    };
    match kind {
        Kind::S3 => object.build(),
        Kind::S3s => role(object).build(),
    }
}

/// What a new storage needs.
pub(in crate::control) fn required_to_create(direction: Direction, kind: Kind) -> Object {
    let object = required(kind);
    match direction {
        Direction::Import => object.build(),
        Direction::Export => {
            object.required("bucket").property("bucket", Object::with_type(Type::String)).build()
        }
    }
}

/// What PUT needs.
pub(in crate::control) fn required_to_replace(kind: Kind) -> Object {
    required(kind).build()
}

/// What tests and previews take besides.
pub(in crate::control) fn stored_id() -> Object {
    let id = ObjectBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::Integer, Type::Null]))
        .description(Some("A stored storage: what the body does not name is taken from it, secrets too."));
    ObjectBuilder::new().schema_type(Type::Object).property("id", id).build()
}

/// What previews take besides.
pub(in crate::control) fn limit() -> Object {
    let limit = ObjectBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::Integer, Type::Null]))
        .minimum(Some(1))
        .maximum(Some(MAX_LIMIT));
    ObjectBuilder::new().schema_type(Type::Object).property("limit", limit).build()
}

fn required(kind: Kind) -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::Object).required("project");
    match kind {
        Kind::S3 => object,
        Kind::S3s => object.required("role_arn"),
    }
}

fn common(object: ObjectBuilder) -> ObjectBuilder {
    object
        .property("project", project_schema())
        .property("title", text(MAX_TITLE))
        .property("description", text(MAX_DESCRIPTION))
        .property("bucket", pattern("^\\s*[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]\\s*$"))
        .property("prefix", text(MAX_PREFIX))
        .property("regex_filter", nullable(Type::String))
        .property("use_blob_urls", Object::with_type(Type::Boolean))
        .property("synchronizable", Object::with_type(Type::Boolean))
        .property("region_name", pattern("^\\s*[A-Za-z0-9._-]{0,64}\\s*$"))
        .property("s3_endpoint", endpoint())
        .property("public_endpoint", endpoint())
        .property("addressing", addressing_schema())
        .property("aws_access_key_id", secret())
        .property("aws_secret_access_key", secret())
        .property("aws_session_token", secret())
        .property("aws_sse_kms_key_id", nullable(Type::String))
}

fn import(object: ObjectBuilder) -> ObjectBuilder {
    object
        .property("recursive_scan", Object::with_type(Type::Boolean))
        .property("presign", Object::with_type(Type::Boolean))
        .property("presign_ttl", presign_ttl())
        .property("delivery", delivery_schema())
        .property("rules", list(Rule::schema()))
        .property("allow", list(Object::with_type(Type::String)))
        .property("deny", list(Object::with_type(Type::String)))
        .property("sync_every", sync_every())
        .property("on_changed", on_changed_schema())
        .property("on_vanished", on_vanished_schema())
        .property("duplicates", Object::with_type(Type::Boolean))
        .property("inventory", pattern("^\\s*s3://[^/]+/(.*/)?(manifest\\.json)?\\s*$"))
}

fn export(object: ObjectBuilder) -> ObjectBuilder {
    let about_layout =
        "annotation, annotation.json, task, or a template such as {project}/{task}/{annotation}.json.";
    let text = SchemaType::Array(vec![Type::String, Type::Null]);
    let layout = ObjectBuilder::new().schema_type(text).max_length(Some(256)).description(Some(about_layout));
    let about_overlap = "Saves a target that lies inside a source of the same bucket and project.";
    let types = SchemaType::Array(vec![Type::Boolean, Type::Null]);
    let overlap = ObjectBuilder::new().schema_type(types).write_only(true).description(Some(about_overlap));
    object
        .property("can_delete_objects", nullable(Type::Boolean))
        .property("layout", layout)
        .property("sse_s3", Object::with_type(Type::Boolean))
        .property("confirm_overlap", overlap)
}

fn role(object: ObjectBuilder) -> ObjectBuilder {
    object
        .property("role_arn", pattern("^arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]*[!-.0-~]$"))
        .property("external_id", pattern("^[A-Za-z0-9_+=,.@:/-]{2,1224}$"))
        .property("legacy_auth", nullable(Type::Boolean))
        .property("sts_endpoint", endpoint())
}

fn nullable(of: Type) -> Object {
    Object::with_type(SchemaType::Array(vec![of, Type::Null]))
}

fn pattern(pattern: &str) -> Object {
    let text = SchemaType::Array(vec![Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(text).pattern(Some(pattern)).build()
}

fn endpoint() -> Object {
    let text = SchemaType::Array(vec![Type::String, Type::Null]);
    let description = "https://host[:port], without a path.";
    ObjectBuilder::new()
        .schema_type(text)
        .format(Some(SchemaFormat::Custom("uri".to_owned())))
        .description(Some(description))
        .build()
}

fn text(max: usize) -> Object {
    let text = SchemaType::Array(vec![Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(text).max_length(Some(max)).build()
}

fn secret() -> Object {
    let text = SchemaType::Array(vec![Type::String, Type::Null]);
    let description = "Never answered. Blank keeps what is stored, null clears it.";
    ObjectBuilder::new().schema_type(text).write_only(true).description(Some(description)).build()
}

fn presign_ttl() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::Integer, Type::Null]))
        .minimum(Some(1))
        .maximum(Some(MAX_PRESIGN_MINUTES))
        .description(Some("Minutes."))
        .build()
}

fn sync_every() -> Object {
    let text = SchemaType::Array(vec![Type::String, Type::Null]);
    let description = "At least 10s, such as 15m; null: only when asked.";
    ObjectBuilder::new()
        .schema_type(text)
        .pattern(Some("^\\s*[1-9][0-9]{0,3}(m|h|days)\\s*$"))
        .description(Some(description))
        .build()
}

fn list(items: impl Into<RefOr<Schema>>) -> Schema {
    let list: Array = ArrayBuilder::new().items(items.into()).build();
    AnyOfBuilder::new().item(list).item(Object::with_type(Type::Null)).build().into()
}
