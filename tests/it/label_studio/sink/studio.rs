//! A Label Studio that keeps tasks, as the one of 1.23.2 does, and can be told to fail.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use crate::support::label_studio::FakeLabelStudio;

/// A running one that takes the token `t`. Projects 5 and 7 have all of its tasks together, and their label config wants
/// `image`.
pub(super) struct Studio {
    pub(super) server: FakeLabelStudio,
    world: World,
}

type World = Arc<Mutex<Inner>>;

#[derive(Default)]
struct Inner {
    tasks: BTreeMap<i64, Value>,
    /// What befalls the next imports, in this order; the last one first.
    script: Vec<Fault>,
    /// Of a thousand imports, how many meet a fault by chance.
    luck: u32,
    /// Imports whose answer is gone and whose commit is still to come.
    uncommitted: Vec<Vec<Value>>,
    /// How many tasks each import had.
    imports: Vec<usize>,
    listings: usize,
    changes: usize,
    /// More tasks than this in one request are 413.
    limit: Option<usize>,
    /// SQLite gives the number of a task that was the newest again.
    last: i64,
}

/// What befalls an import.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// It comes to nothing and the connection breaks.
    RequestLost,
    /// It is done and the connection breaks.
    AnswerLost,
    /// The connection breaks, and it is done when [`Studio::commit`] says so.
    Late,
    /// It comes to nothing, with a 500.
    Broken,
    /// It is done, and something behind it fails with a 500.
    BrokenBehind,
    /// A proxy's answer.
    BadGateway,
    /// 429.
    Throttled,
    /// As Label Studio Enterprise: no numbers.
    NoNumbers,
}

impl Studio {
    pub(super) async fn start() -> Self {
        let world = World::default();
        let routes = Router::new()
            .route("/api/projects/{project}/import", post(import))
            .route("/api/tasks", get(list))
            .route("/api/tasks/{task}/", get(show).patch(change).delete(remove))
            .with_state(Arc::clone(&world));
        Self { server: FakeLabelStudio::start(routes).await, world }
    }

    fn world(&self) -> MutexGuard<'_, Inner> {
        self.world.lock().unwrap()
    }

    /// What befalls the next imports.
    pub(super) fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut script: Vec<_> = faults.into_iter().collect();
        script.reverse();
        self.world().script = script;
    }

    pub(super) fn fail_by_chance(&self, of_a_thousand: u32) {
        self.world().luck = of_a_thousand;
    }

    pub(super) fn take_at_most(&self, tasks: usize) {
        self.world().limit = Some(tasks);
    }

    /// Does what is late; returns how much it was.
    pub(super) fn commit(&self) -> usize {
        let mut world = self.world();
        let late = std::mem::take(&mut world.uncommitted);
        for tasks in &late {
            world.add(tasks);
        }
        late.len()
    }

    pub(super) fn tasks(&self) -> Vec<(i64, Value)> {
        self.world().tasks.iter().map(|(id, task)| (*id, task.clone())).collect()
    }

    /// The keys that tasks carry, in order, with the rows.
    pub(super) fn keys(&self) -> Vec<(String, Option<i64>)> {
        let of = |(_, task): (i64, Value)| {
            let marker = &task["meta"]["mediagate"];
            (marker["key"].as_str().unwrap_or_default().to_owned(), marker["row"].as_i64())
        };
        let mut keys: Vec<_> = self.tasks().into_iter().map(of).collect();
        keys.sort_unstable();
        keys
    }

    pub(super) fn imports(&self) -> Vec<usize> {
        std::mem::take(&mut self.world().imports)
    }

    pub(super) fn listings(&self) -> usize {
        std::mem::take(&mut self.world().listings)
    }

    pub(super) fn changes(&self) -> usize {
        std::mem::take(&mut self.world().changes)
    }

    pub(super) fn delete(&self, id: i64) {
        self.world().tasks.remove(&id);
    }

    /// Adds a task as a person does, and returns its number.
    pub(super) fn add(&self, task: Value) -> i64 {
        self.world().add(&[task])[0]
    }

    pub(super) fn annotate(&self, id: i64) {
        self.world().tasks.get_mut(&id).unwrap()["annotations"] = json!([{ "result": [] }]);
    }
}

impl Inner {
    fn add(&mut self, tasks: &[Value]) -> Vec<i64> {
        let mut numbers = Vec::new();
        for task in tasks {
            self.last = self.tasks.keys().next_back().copied().unwrap_or_default() + 1;
            let mut task = task.clone();
            if let Some(uri) = task["data"].as_object_mut().unwrap().remove("$undefined$") {
                task["data"]["image"] = uri;
            }
            self.tasks.insert(self.last, task);
            numbers.push(self.last);
        }
        numbers
    }

    fn fault(&mut self) -> Option<Fault> {
        let by_chance = fastrand::u32(0..1000) < self.luck;
        self.script.pop().or_else(|| by_chance.then(|| BY_CHANCE[fastrand::usize(0..BY_CHANCE.len())]))
    }
}

async fn import(
    State(world): State<World>,
    Path(project): Path<String>,
    headers: HeaderMap,
    Json(tasks): Json<Vec<Value>>,
) -> Response {
    if let Some(refused) = refused(&headers, &project) {
        return refused;
    }
    let mut world = world.lock().unwrap();
    world.imports.push(tasks.len());
    if world.limit.is_some_and(|limit| tasks.len() > limit) {
        return (StatusCode::PAYLOAD_TOO_LARGE, "<html>nginx</html>").into_response();
    }
    if tasks.iter().any(|task| task["data"]["crash"] == true) {
        return broken();
    }
    let errors: Vec<Value> = tasks.iter().enumerate().map(|(index, task)| error(index, task)).collect();
    if errors.iter().any(Value::is_string) {
        return validation_error(&json!(errors));
    }
    if tasks.iter().any(|task| task["annotations"][0]["completed_by"]["email"] == "nobody@example.com") {
        return validation_error(&json!(["Unknown annotator's email nobody@example.com"]));
    }
    match world.fault() {
        None => {
            let numbers = world.add(&tasks);
            let body = json!({ "task_count": numbers.len(), "task_ids": numbers });
            (StatusCode::CREATED, Json(body)).into_response()
        }
        Some(Fault::RequestLost) => cut(),
        Some(Fault::AnswerLost) => {
            world.add(&tasks);
            cut()
        }
        Some(Fault::Late) => {
            world.uncommitted.push(tasks);
            cut()
        }
        Some(Fault::Broken) => broken(),
        Some(Fault::BrokenBehind) => {
            world.add(&tasks);
            broken()
        }
        Some(Fault::BadGateway) => StatusCode::BAD_GATEWAY.into_response(),
        Some(Fault::Throttled) => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response(),
        Some(Fault::NoNumbers) => {
            world.add(&tasks);
            (StatusCode::CREATED, Json(json!({ "import": 7 }))).into_response()
        }
    }
}

/// The newest first, or those that match.
async fn list(State(world): State<World>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let mut world = world.lock().unwrap();
    world.listings += 1;
    let asked: Value = serde_json::from_str(&query["query"]).unwrap();
    let filter = &asked["filters"]["items"][0];
    let matches = |(id, task): &(&i64, &Value)| match filter["filter"].as_str() {
        Some("filter:tasks:id") => (**id) < filter["value"].as_i64().unwrap(),
        Some("filter:tasks:meta") => task["meta"].to_string().contains(filter["value"].as_str().unwrap()),
        _ => true,
    };
    let all: Vec<(&i64, &Value)> = world.tasks.iter().rev().filter(matches).collect();
    let size: usize = query["page_size"].parse().unwrap();
    // It may have a limit of its own.
    let page: Vec<Value> =
        all.iter().take(size.min(300)).map(|(id, task)| json!({ "id": id, "meta": task["meta"] })).collect();
    Json(json!({ "total": all.len(), "tasks": page })).into_response()
}

async fn show(State(world): State<World>, Path(task): Path<i64>) -> Response {
    match world.lock().unwrap().tasks.get(&task) {
        Some(shown) => {
            let annotations =
                if shown["annotations"].is_array() { shown["annotations"].clone() } else { json!([]) };
            Json(json!({ "id": task, "annotations": annotations, "drafts": [] })).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn change(State(world): State<World>, Path(task): Path<i64>, Json(change): Json<Value>) -> Response {
    let mut world = world.lock().unwrap();
    world.changes += 1;
    let Some(changed) = world.tasks.get_mut(&task) else { return StatusCode::NOT_FOUND.into_response() };
    for (name, value) in change.as_object().unwrap() {
        changed[name] = value.clone();
    }
    Json(changed.clone()).into_response()
}

async fn remove(State(world): State<World>, Path(task): Path<i64>) -> StatusCode {
    match world.lock().unwrap().tasks.remove(&task) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

fn refused(headers: &HeaderMap, project: &str) -> Option<Response> {
    let status = match (headers.get("authorization").map(http::HeaderValue::as_bytes), project) {
        (Some(b"Token t"), "5" | "7") => return None,
        (Some(b"Token t"), "6") => StatusCode::FORBIDDEN,
        (Some(b"Token t"), _) => StatusCode::NOT_FOUND,
        _ => StatusCode::UNAUTHORIZED,
    };
    Some(status.into_response())
}

fn error(index: usize, task: &Value) -> Value {
    if task["data"].get("$undefined$").is_some() || task["data"]["image"].is_string() {
        return json!({});
    }
    let why = "\"image\" key is expected in task data [assume: item[\"data\"] = task root with values]";
    json!(format!("Error at item {index}: {why} :: {{'data': {{}}}}"))
}

fn validation_error(errors: &Value) -> Response {
    let body = json!({
        "status_code": 400, "version": "1.23.2", "detail": "Validation error",
        "validation_errors": { "non_field_errors": errors }
    });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

fn broken() -> Response {
    let body = json!({ "status_code": 500, "detail": "database is locked" });
    (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
}

/// An answer that breaks off.
fn cut() -> Response {
    let end = futures_util::stream::iter([Err::<bytes::Bytes, _>(io::Error::other("cut"))]);
    Response::new(Body::from_stream(end))
}

const BY_CHANCE: [Fault; 6] = [
    Fault::RequestLost,
    Fault::AnswerLost,
    Fault::BadGateway,
    Fault::BrokenBehind,
    Fault::Throttled,
    Fault::NoNumbers,
];
