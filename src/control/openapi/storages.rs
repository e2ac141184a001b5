//! Label Studio's paths: the same operations for each of the four collections.

use utoipa::openapi::{
    AllOfBuilder, ComponentsBuilder, Content, HttpMethod, Object, ObjectBuilder, Paths, Ref, Required,
    Response, ResponseBuilder, Schema,
    path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
    request_body::{RequestBody, RequestBodyBuilder},
    schema::{AnyOfBuilder, Array, Type},
};

use super::json;
use crate::{
    control::storages::{
        self, COLLECTIONS, ExportStorage, FilesAnswer, ImportStorage, RoleFields, TypeAnswer, schema,
    },
    id::MAX_ID_LEN,
    storage::{Direction, Kind},
};

/// One collection while it is described.
#[derive(Clone, Copy)]
struct Collection {
    direction: Direction,
    kind: Kind,
}

/// What a body is for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Change,
    Create,
    Replace,
    Validate,
    Files,
}

/// Adds the paths.
pub(super) fn describe(paths: &mut Paths) {
    for direction in [Direction::Import, Direction::Export] {
        let (base, word) = (storages::base(direction), direction.as_str());
        let types = operation(&format!("{word}_types"), "Types of storages that are offered")
            .response("200", json("The types.", Array::new(Ref::from_schema_name("StorageType"))));
        paths.add_path_operation(format!("{base}/types"), vec![HttpMethod::Get], types);
        let items = AnyOfBuilder::new()
            .item(Ref::from_schema_name(name(direction, Kind::S3)))
            .item(Ref::from_schema_name(name(direction, Kind::S3s)));
        let list = operation(&format!("{word}_all_list"), "Storages of all types; without a project, none")
            .parameter(project_parameter(Required::False))
            .response("200", json("The storages.", Array::new(items)))
            .response("400", refusal("The project is malformed."));
        paths.add_path_operation(base, vec![HttpMethod::Get], with_store(list));
    }
    for (direction, kind) in COLLECTIONS {
        Collection { direction, kind }.describe(paths);
    }
}

/// Adds the schemas.
pub(super) fn components(components: ComponentsBuilder) -> ComponentsBuilder {
    let mut components = components
        .schema_from::<ImportStorage>()
        .schema_from::<ExportStorage>()
        .schema_from::<RoleFields>()
        .schema_from::<FilesAnswer>()
        .schema_from::<TypeAnswer>();
    for (direction, kind) in COLLECTIONS {
        if kind == Kind::S3s {
            let both = AllOfBuilder::new()
                .item(Ref::from_schema_name(name(direction, Kind::S3)))
                .item(Ref::from_schema_name("Role"));
            components = components.schema(name(direction, kind), Schema::from(both.build()));
        }
        components = Collection { direction, kind }.bodies(components);
    }
    components
}

impl Collection {
    fn describe(self, paths: &mut Paths) {
        let path = storages::path(self.direction, self.kind);
        let one = format!("{path}/{{id}}");
        for (path, method, operation) in [
            (path.clone(), HttpMethod::Get, self.list()),
            (path.clone(), HttpMethod::Post, self.create()),
            (one.clone(), HttpMethod::Get, with_id(self.answered("get", "Get a storage"))),
            (one.clone(), HttpMethod::Patch, self.change("update", "Change what is named", Purpose::Change)),
            (one.clone(), HttpMethod::Put, self.change("replace", "Change what is named", Purpose::Replace)),
            (one.clone(), HttpMethod::Delete, self.delete()),
            (format!("{one}/sync"), HttpMethod::Post, self.sync()),
            (format!("{path}/validate"), HttpMethod::Post, self.validate()),
            (format!("{path}/files"), HttpMethod::Post, self.files()),
            (format!("{path}/form"), HttpMethod::Get, self.form()),
        ] {
            paths.add_path_operation(path, vec![method], operation);
        }
    }

    fn list(self) -> OperationBuilder {
        let storages = Array::new(Ref::from_schema_name(name(self.direction, self.kind)));
        let operation = self
            .operation("list", "Storages of a project")
            .parameter(project_parameter(Required::True))
            .response("200", json("The storages.", storages))
            .response("400", refusal("No project, or a malformed one."));
        with_store(operation)
    }

    fn create(self) -> OperationBuilder {
        let operation = self
            .operation("create", "Make a storage; where it names a bucket, its connection is tested first")
            .request_body(Some(self.body(Purpose::Create)))
            .response("201", json("The storage.", Ref::from_schema_name(name(self.direction, self.kind))));
        with_store(with_body(operation))
    }

    fn change(self, word: &str, summary: &str, purpose: Purpose) -> OperationBuilder {
        let operation = self.answered(word, summary).request_body(Some(self.body(purpose)));
        with_id(with_body(operation)).response("403", refusal("It stands in the configuration file."))
    }

    fn delete(self) -> OperationBuilder {
        let operation = self
            .operation("delete", "Remove a storage; its objects and the tasks made of them stay")
            .response("204", ResponseBuilder::new().description("Removed."))
            .response("403", refusal("It stands in the configuration file."));
        with_store(with_id(operation))
    }

    fn sync(self) -> OperationBuilder {
        let either = AnyOfBuilder::new()
            .item(Ref::from_schema_name("MessageAnswer"))
            .item(Ref::from_schema_name("LabelStudioError"));
        let message = json("It is not synchronizable.", Schema::AnyOf(either.build()));
        with_id(self.answered("sync", "Sync")).response("400", message)
    }

    fn validate(self) -> OperationBuilder {
        let operation = self
            .operation("validate", "Test a connection; saves nothing")
            .request_body(Some(self.body(Purpose::Validate)))
            .response("200", ResponseBuilder::new().description("It works."))
            .response("404", refusal("No storage has the id."));
        with_store(with_body(operation))
    }

    fn files(self) -> OperationBuilder {
        let operation = self
            .operation("files", "Preview what a sync would take; saves nothing")
            .request_body(Some(self.body(Purpose::Files)))
            .response("200", json("The objects.", Ref::from_schema_name("StorageFiles")))
            .response("404", refusal("No storage has the id."));
        with_store(with_body(operation))
    }

    fn form(self) -> OperationBuilder {
        let rows = Array::new(Object::with_type(Type::Object));
        self.operation("form", "The layout of Label Studio's old form")
            .response("200", json("Rows of fields.", rows))
    }

    fn answered(self, word: &str, summary: &str) -> OperationBuilder {
        let storage = Ref::from_schema_name(name(self.direction, self.kind));
        with_store(self.operation(word, summary).response("200", json("The storage.", storage)))
    }

    fn operation(self, word: &str, summary: &str) -> OperationBuilder {
        operation(&format!("{}_{}_{word}", self.direction.as_str(), self.kind.as_str()), summary)
    }

    fn body(self, purpose: Purpose) -> RequestBody {
        let content = Content::new(Some(Ref::from_schema_name(self.body_name(purpose))));
        let required = match purpose {
            Purpose::Change => Required::False,
            Purpose::Create | Purpose::Replace | Purpose::Validate | Purpose::Files => Required::True,
        };
        RequestBodyBuilder::new()
            .required(Some(required))
            .content("application/json", content.clone())
            .content("application/x-www-form-urlencoded", content.clone())
            .content("multipart/form-data", content)
            .build()
    }

    /// Every body is that of a change with more required or more to name.
    fn bodies(self, components: ComponentsBuilder) -> ComponentsBuilder {
        let Self { direction, kind } = self;
        let with = |purpose: Purpose, more: Object| {
            Schema::from(
                AllOfBuilder::new().item(Ref::from_schema_name(self.body_name(purpose))).item(more).build(),
            )
        };
        components
            .schema(self.body_name(Purpose::Change), Schema::from(schema::fields(direction, kind)))
            .schema(
                self.body_name(Purpose::Create),
                with(Purpose::Change, schema::required_to_create(direction, kind)),
            )
            .schema(
                self.body_name(Purpose::Replace),
                with(Purpose::Change, schema::required_to_replace(kind)),
            )
            .schema(self.body_name(Purpose::Validate), with(Purpose::Change, schema::stored_id()))
            .schema(self.body_name(Purpose::Files), with(Purpose::Validate, schema::limit()))
    }

    fn body_name(self, purpose: Purpose) -> String {
        format!("{}{purpose:?}", name(self.direction, self.kind))
    }
}

fn name(direction: Direction, kind: Kind) -> &'static str {
    match (direction, kind) {
        (Direction::Import, Kind::S3) => "ImportStorage",
        (Direction::Import, Kind::S3s) => "ImportRoleStorage",
        (Direction::Export, Kind::S3) => "ExportStorage",
        (Direction::Export, Kind::S3s) => "ExportRoleStorage",
    }
}

fn operation(id: &str, summary: &str) -> OperationBuilder {
    OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(summary))
        .tag("storages")
        .response("401", refusal("No admin token, or another."))
}

fn with_id(operation: OperationBuilder) -> OperationBuilder {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let id = ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(schema));
    operation.parameter(id).response("404", refusal("There is no such storage."))
}

fn with_body(operation: OperationBuilder) -> OperationBuilder {
    operation
        .response("400", refusal("What is wrong with the fields, or what came of testing them."))
        .response("413", refusal("The body is larger than 1 MiB."))
        .response("415", refusal("The body is neither JSON, a form nor multipart."))
}

fn with_store(operation: OperationBuilder) -> OperationBuilder {
    operation
        .response("503", refusal("The store cannot be reached, or others change the storage; ask again."))
}

fn project_parameter(required: Required) -> Parameter {
    let least = usize::from(required == Required::True);
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(least))
        .max_length(Some(MAX_ID_LEN))
        .pattern(Some("^[^\\u0000-\\u001f\\u007f-\\u009f]*$"));
    ParameterBuilder::new()
        .name("project")
        .parameter_in(ParameterIn::Query)
        .required(required)
        .schema(Some(schema))
        .build()
}

fn refusal(description: &str) -> Response {
    json(description, Ref::from_schema_name("LabelStudioError"))
}
