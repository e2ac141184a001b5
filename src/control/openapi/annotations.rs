//! Annotations: what comes in, and what waits.

use utoipa::openapi::{
    Array, ComponentsBuilder, HttpMethod, Object, ObjectBuilder, Paths, Ref, Required, ResponseBuilder,
    path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
    schema::{AnyOfBuilder, SchemaType, Type},
    security::SecurityRequirement,
};

use super::{json, json_body, problem, with_bearer};
use crate::{
    control::{
        annotations::{AcceptedAnswer, ItemAnswer, MAX_LIMIT, OutboxAnswer, RetriedAnswer},
        hooks,
    },
    id::MAX_ID_LEN,
};

/// Adds the paths.
pub(super) fn describe(paths: &mut Paths) {
    let annotation = || Ref::from_schema_name("Annotation");
    let accepted = || json("They are on the disk.", Ref::from_schema_name("Accepted"));
    let several = AnyOfBuilder::new().item(annotation()).item(Array::new(annotation()));
    let post = operation("send_annotations", "Accept an annotation or a list of them: all, or none")
        .request_body(Some(json_body(utoipa::openapi::Schema::AnyOf(several.build()))))
        .response("200", accepted());
    let put = operation("put_annotation", "Accept an annotation under the id of the path")
        .parameter(id())
        .request_body(Some(json_body(ObjectBuilder::new().schema_type(Type::Object).build())))
        .response("200", accepted());
    let delete = operation("delete_annotation", "Accept that an annotation is gone")
        .parameter(id())
        .response("204", ResponseBuilder::new().description("It is on the disk."));
    let list = operation("list_outbox", "Objects that are not in their target")
        .parameter(query("storage", "For this target.", integer()))
        .parameter(query("state", "Those that wait, or those that were given up.", states()))
        .parameter(query("after", "Behind this number: `next` of the page before.", integer()))
        .parameter(query("limit", "The most of a page.", limit()))
        .response("200", json("A page.", Ref::from_schema_name("Outbox")));
    let retry =
        operation("retry_annotation", "Try an object again that was given up, by what the list calls item")
            .parameter(id())
            .response("200", json("In how many targets.", Ref::from_schema_name("Retried")))
            .response("404", problem("It was given up nowhere."));
    for (path, method, operation, has_body) in [
        ("/api/annotations", HttpMethod::Post, post, true),
        ("/api/annotations", HttpMethod::Get, list, false),
        ("/api/annotations/{id}", HttpMethod::Put, put, true),
        ("/api/annotations/{id}", HttpMethod::Delete, delete, false),
        ("/api/annotations/{id}/retry", HttpMethod::Post, retry, false),
    ] {
        paths.add_path_operation(path, vec![method], with_bearer(refused(operation, has_body)));
    }
    paths.add_path_operation("/hooks/label-studio", vec![HttpMethod::Post], refused(hook(), true));
}

/// Adds the schemas.
pub(super) fn components(components: ComponentsBuilder) -> ComponentsBuilder {
    components
        .schema("Annotation", utoipa::openapi::Schema::from(annotation()))
        .schema_from::<AcceptedAnswer>()
        .schema_from::<OutboxAnswer>()
        .schema_from::<ItemAnswer>()
        .schema_from::<RetriedAnswer>()
}

fn hook() -> OperationBuilder {
    let secret = ParameterBuilder::new()
        .name(hooks::HEADER)
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some("hooks.secret of the configuration."))
        .schema(Some(Object::with_type(Type::String)));
    let event = ObjectBuilder::new()
        .description(Some("An event as Label Studio sends it, with its payload."))
        .property("action", Object::with_type(Type::String))
        .required("action");
    operation("label_studio_event", "Accept an event of Label Studio")
        .security(SecurityRequirement::default())
        .parameter(secret)
        .request_body(Some(json_body(event.build())))
        .response("204", ResponseBuilder::new().description("It is on the disk, or means nothing here."))
        .response("401", problem("No secret, or another."))
        .response("404", problem("No secret is configured."))
}

/// Other keys are kept, and written behind those of Label Studio.
fn annotation() -> Object {
    let id = || {
        let number = ObjectBuilder::new().schema_type(Type::Integer);
        AnyOfBuilder::new().item(number).item(ids())
    };
    let task = ObjectBuilder::new().property("id", id()).required("id").property("data", Object::new());
    let time = || {
        let time = SchemaType::Array(vec![Type::String, Type::Null]);
        ObjectBuilder::new().schema_type(time).description(Some("RFC 3339. Absent: now."))
    };
    ObjectBuilder::new()
        .property("id", id())
        .required("id")
        .property("task", id().item(task))
        .required("task")
        .property(
            "result",
            AnyOfBuilder::new().item(Object::with_type(Type::Array)).item(Object::with_type(Type::Object)),
        )
        .required("result")
        .property("project", id().item(Object::with_type(Type::Null)))
        .property("created_at", time())
        .property("updated_at", time())
        .build()
}

fn refused(operation: OperationBuilder, has_body: bool) -> OperationBuilder {
    let operation = operation
        .response("422", problem("What is wrong, and with which item."))
        .response("503", problem("The database does not answer, and nothing was kept; ask again."));
    if has_body {
        operation.response("413", problem("The body is longer than admin.max_annotations_body."))
    } else {
        operation
    }
}

fn operation(id: &str, summary: &str) -> OperationBuilder {
    OperationBuilder::new().operation_id(Some(id)).summary(Some(summary)).tag("annotations")
}

fn id() -> Parameter {
    let id = ParameterBuilder::new().name("id").parameter_in(ParameterIn::Path).required(Required::True);
    id.schema(Some(ids())).build()
}

fn ids() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(MAX_ID_LEN))
        .pattern(Some("^[^\\u0000-\\u001f\\u007f-\\u009f]+$"))
        .build()
}

fn query(name: &str, about: &str, schema: Object) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

fn integer() -> Object {
    Object::with_type(Type::Integer)
}

fn limit() -> Object {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(MAX_LIMIT)).build()
}

fn states() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["due", "dead"])).build()
}
