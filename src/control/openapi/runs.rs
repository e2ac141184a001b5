//! Runs and tasks.

use utoipa::openapi::{
    ComponentsBuilder, Content, HttpMethod, Object, ObjectBuilder, Paths, Ref, Required, ResponseBuilder,
    path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
    schema::{AdditionalProperties, AnyOfBuilder, SchemaType, Type},
};

use super::{json, json_body, problem, with_bearer};
use crate::{
    control::{
        runs::{FaultAnswer, RunAnswer, RunsAnswer},
        tasks::{TaskAnswer, TasksAnswer},
    },
    run::{Job, RunStatus},
};

/// Adds the paths.
pub(super) fn describe(paths: &mut Paths) {
    let run = || Ref::from_schema_name("Run");
    let status =
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(STATUSES.map(RunStatus::as_str)));
    let list = operation("list_runs", "Runs, the newest first")
        .parameter(query("storage", "Of this storage.", integer()))
        .parameter(query("status", "In this state.", status.build()))
        .parameter(query("before", "With smaller numbers: `next` of the page before.", integer()))
        .parameter(query("limit", "The most of a page: 1 to 1000.", integer()))
        .response("200", json("A page.", Ref::from_schema_name("Runs")))
        .response("422", problem("A parameter is malformed."));
    let storage = AnyOfBuilder::new().item(integer()).item(Object::with_type(Type::String));
    let jobs = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([Job::Sync, Job::Export].map(Job::as_str)))
        .description(Some("What is meant; a storage of the other direction is refused then."));
    let body = ObjectBuilder::new()
        .property("storage", storage)
        .property("job", AnyOfBuilder::new().item(jobs).item(Object::with_type(Type::Null)))
        .required("storage")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build();
    let start = operation("start_run", "Sync or export a storage, by its number or name")
        .request_body(Some(json_body(body)))
        .response("200", json("The run that is open already.", run()))
        .response("201", json("The run.", run()))
        .response("404", problem("No such storage."))
        .response("422", problem("The storage cannot be synced; the answer says why."));
    let get = operation("get_run", "A run, and what was refused in it")
        .parameter(query("faults", "The most refusals to answer: 0 to 1000.", integer()))
        .response("200", json("The run.", run()))
        .response("404", problem("No such run."))
        .response("422", problem("A parameter is malformed."));
    let changed = |name, summary, refused| {
        operation(name, summary)
            .response("200", json("The run.", run()))
            .response("404", problem("No such run."))
            .response("409", problem(refused))
    };
    let cancel = changed("cancel_run", "Stop a run", "It has ended.");
    let retry = changed(
        "retry_run",
        "Take a run up again; one that failed or was cancelled goes on where it stopped",
        "The storage has another open run.",
    );
    let events = operation("follow_run", "A run as it goes on: events `progress`, then `end`")
        .response("200", events())
        .response("404", problem("No such run."));
    for (path, method, operation, is_one) in [
        ("/api/runs", HttpMethod::Get, list, false),
        ("/api/runs", HttpMethod::Post, start, false),
        ("/api/runs/{id}", HttpMethod::Get, get, true),
        ("/api/runs/{id}/events", HttpMethod::Get, events, true),
        ("/api/runs/{id}/cancel", HttpMethod::Post, cancel, true),
        ("/api/runs/{id}/retry", HttpMethod::Post, retry, true),
        ("/api/tasks", HttpMethod::Get, tasks(), false),
        ("/api/tasks/{id}", HttpMethod::Get, task(), true),
    ] {
        let operation = if is_one { operation.parameter(id()) } else { operation };
        let operation = operation.response("503", problem("The database does not answer; ask again."));
        paths.add_path_operation(path, vec![method], with_bearer(operation));
    }
}

/// Adds the schemas.
pub(super) fn components(components: ComponentsBuilder) -> ComponentsBuilder {
    components
        .schema_from::<RunAnswer>()
        .schema_from::<RunsAnswer>()
        .schema_from::<FaultAnswer>()
        .schema_from::<TaskAnswer>()
        .schema_from::<TasksAnswer>()
}

fn tasks() -> OperationBuilder {
    let word = |words: &'static [&'static str]| {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())).build()
    };
    let lines = Content::new(Some(Ref::from_schema_name("Task")));
    let page = ResponseBuilder::new()
        .description("A page; with format=ndjson all tasks, a line each.")
        .content("application/json", Content::new(Some(Ref::from_schema_name("Tasks"))))
        .content("application/x-ndjson", lines)
        .build();
    let operation = operation("list_tasks", "The tasks that syncs made")
        .parameter(query("project", "Of this project.", text()))
        .parameter(query("storage", "Made by syncs of this storage.", integer()))
        .parameter(query("after", "Behind this task: `next` of the page before.", integer()))
        .parameter(query("limit", "The most of a page: 1 to 1000.", integer()))
        .parameter(query("format", "A page, or all of them as lines.", word(&["json", "ndjson"])));
    forms(operation, word(&["s3", "media", "token"])).response("200", page)
}

fn task() -> OperationBuilder {
    let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["s3", "media", "token"]));
    forms(operation("get_task", "One task"), word.build())
        .response("200", json("The task.", Ref::from_schema_name("Task")))
        .response("404", problem("No such task."))
}

/// What both may be asked for.
fn forms(operation: OperationBuilder, urls: Object) -> OperationBuilder {
    operation
        .parameter(query("urls", "What stands in the place of s3:// URIs in data.", urls))
        .parameter(query("base", "What media URLs begin with: the gateway as browsers know it.", text()))
        .parameter(query("ttl", "How long tokens live, such as 15m.", text()))
        .parameter(query("subject", "Whom tokens are for: their sub claim.", text()))
        .response("422", problem("A parameter is malformed, or no token can be minted."))
}

fn events() -> utoipa::openapi::Response {
    let kinds = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["progress", "end"]));
    let event = ObjectBuilder::new()
        .property("event", kinds)
        .property("data", text())
        .required("event")
        .required("data")
        .description(Some("One event; its data is a Run."));
    ResponseBuilder::new()
        .description("Server-sent events, each as the schema says.")
        .content("text/event-stream", Content::new(Some(event)))
        .build()
}

fn operation(id: &str, summary: &str) -> OperationBuilder {
    let tag = if id.ends_with("task") || id.ends_with("tasks") { "tasks" } else { "runs" };
    OperationBuilder::new().operation_id(Some(id)).summary(Some(summary)).tag(tag)
}

fn query(name: &str, description: &str, schema: Object) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

fn id() -> Parameter {
    ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build()))
        .build()
}

fn integer() -> Object {
    Object::with_type(SchemaType::Type(Type::Integer))
}

fn text() -> Object {
    Object::with_type(SchemaType::Type(Type::String))
}

const STATUSES: [RunStatus; 6] = [
    RunStatus::Queued,
    RunStatus::InProgress,
    RunStatus::Completed,
    RunStatus::CompletedWithErrors,
    RunStatus::Failed,
    RunStatus::Cancelled,
];
