//! A Label Studio that keeps annotations, webhooks and people, and fails where a test wants it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use aws_smithy_types::date_time::{DateTime, Format};
use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State as Shared},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::clock;

pub(super) const SECRET: &str = "a-secret-of-the-hooks";

#[derive(Clone, Default)]
pub(super) struct World(Arc<Mutex<(State, Vec<String>)>>);

#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) tasks: BTreeMap<i64, Task>,
    hooks: BTreeMap<i64, Value>,
    pub(super) users: Vec<Value>,
    last_hook: i64,
    /// How many more requests are answered 429.
    pub(super) busy: u32,
    pub(super) refuses_hooks: bool,
    /// What goes wrong; projects count no annotations then, so that there is something to compare.
    pub(super) fails: Option<Failure>,
    asked_for_one: bool,
    /// A task that is deleted when another is asked for by itself.
    pub(super) goes_along: Option<i64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// Lists say that there is more than they hold.
    ShortLists,
    /// Lists are answered 500.
    NoLists,
    /// The token sees nothing any more.
    NoProject,
    /// It sees nothing any more from the moment when one thing is asked for by itself.
    NoProjectSoon,
    /// Lists are empty, and what stands before Label Studio answers 404 to all else.
    Proxy,
    /// Lists lack all tasks.
    NoTasks,
    /// Lists lack all annotations.
    NoAnnotations,
}

#[derive(Clone)]
pub(super) struct Task {
    project: i64,
    updated_at: String,
    annotations: BTreeMap<i64, Value>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn routes(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap().0);
    }

    /// How many requests there were that begin so.
    pub(super) fn count(&self, beginning: &str) -> usize {
        self.0.lock().unwrap().1.iter().filter(|seen| seen.starts_with(beginning)).count()
    }

    /// Puts an annotation, and touches its task.
    pub(super) fn annotate(&self, project: i64, task: i64, id: i64, text: &str) {
        self.set(|state| {
            let at = now();
            let task = state.tasks.entry(task).or_insert_with(|| Task {
                project,
                updated_at: String::new(),
                annotations: BTreeMap::new(),
            });
            task.updated_at.clone_from(&at);
            task.annotations.insert(id, json!({ "result": [{ "value": text }], "updated_at": at }));
        });
    }

    pub(super) fn delete_annotation(&self, id: i64) {
        self.set(|state| {
            for task in state.tasks.values_mut() {
                if task.annotations.remove(&id).is_some() {
                    task.updated_at = now();
                }
            }
        });
    }

    pub(super) fn delete_task(&self, id: i64) {
        self.set(|state| drop(state.tasks.remove(&id)));
    }

    pub(super) fn add_user(&self, id: i64, first: &str, last: &str) {
        let user = json!({
            "id": id, "first_name": first, "last_name": last, "email": format!("{id}@example.com"), "initials": "x",
        });
        self.set(|state| state.users.push(user));
    }

    pub(super) fn hooks(&self) -> Vec<(i64, Value)> {
        self.0.lock().unwrap().0.hooks.clone().into_iter().collect()
    }

    pub(super) fn change_hook(&self, id: i64, key: &str, value: Value) {
        self.set(|state| state.hooks.get_mut(&id).unwrap()[key] = value);
    }

    pub(super) fn add_hook(&self, hook: &Value) -> i64 {
        let mut id = 0;
        self.set(|state| id = state.add_hook(hook));
        id
    }

    /// Makes an annotation and returns what the webhook says of it.
    pub(super) fn event(&self, project: i64, task: i64, id: i64, text: &str) -> Value {
        self.annotate(project, task, id, text);
        let state = self.0.lock().unwrap().0.clone();
        let one = &state.tasks[&task];
        json!({
            "action": "ANNOTATION_CREATED", "annotation": annotation(one, task, id, &one.annotations[&id]),
            "task": row(task, one), "project": { "id": project, "token": "not to be kept" },
        })
    }
}

impl State {
    /// Nothing fails any more.
    pub(super) fn recover(&mut self) {
        *self = Self { tasks: std::mem::take(&mut self.tasks), ..Self::default() };
    }

    fn is(&self, failure: Failure) -> bool {
        self.fails == Some(failure)
    }

    fn add_hook(&mut self, hook: &Value) -> i64 {
        self.last_hook += 1;
        let mut whole = json!({
            "project": null, "url": "", "headers": {}, "send_payload": true, "send_for_all_actions": true,
            "is_active": true, "actions": [],
        });
        whole.as_object_mut().unwrap().extend(hook.as_object().unwrap().clone());
        self.hooks.insert(self.last_hook, whole);
        self.last_hook
    }

    fn answer(
        &mut self,
        method: &str,
        path: &str,
        query: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Response {
        if self.busy > 0 {
            self.busy -= 1;
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response();
        }
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            ("GET", ["api", "projects", id]) => self.project(id.parse().unwrap()),
            ("GET", ["api", "tasks"]) => self.list(query),
            (_, ["api", "webhooks", ..]) => self.webhooks(method, &parts[2..], body),
            ("GET", ["api", "users"]) => json(StatusCode::OK, &json!(self.users)),
            ("GET", ["api", kind, id]) => self.one(kind, id.parse().unwrap()),
            _ => unreachable!("{method} {path}"),
        }
    }

    fn project(&self, id: i64) -> Response {
        if self.is(Failure::NoProject) || (self.is(Failure::NoProjectSoon) && self.asked_for_one) {
            return gone();
        }
        let tasks = self.tasks.values().filter(|task| task.project == id);
        let count = if self.fails.is_some() { 0 } else { tasks.map(|task| task.annotations.len()).sum() };
        json(
            StatusCode::OK,
            &json!({
                "id": id, "total_annotations_number": count, "skipped_annotations_number": 0,
            }),
        )
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Response {
        if self.is(Failure::NoLists) {
            return json(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "detail": "no" }));
        }
        if self.is(Failure::NoProject) {
            return gone();
        }
        let project: i64 = query["project"].parse().unwrap();
        let size: usize = query["page_size"].parse().unwrap();
        let wanted: Value = serde_json::from_str(&query["query"]).unwrap();
        let hides = [Failure::Proxy, Failure::NoTasks, Failure::NoProjectSoon]
            .map(|one| self.is(one))
            .contains(&true);
        let found: Vec<_> = self
            .tasks
            .iter()
            .filter(|(id, task)| !hides && task.project == project && fits(**id, task, &wanted))
            .collect();
        let names: Vec<&str> = query["include"].split(',').collect();
        let rows: Vec<Value> = found
            .iter()
            .take(size)
            .map(|(id, task)| {
                let mut row = row(**id, task);
                row["updated_by"] = json!([{ "user_id": 3 }]);
                if query.get("fields").is_some_and(|fields| fields == "all") {
                    let annotations = task.annotations.iter().filter(|_| !self.is(Failure::NoAnnotations));
                    let annotations =
                        annotations.map(|(id, one)| annotation(task, row["id"].as_i64().unwrap(), *id, one));
                    row["annotations"] = annotations.map(|one| only(one, &names)).collect();
                }
                only(row, &names)
            })
            .collect();
        let more = usize::from(self.is(Failure::ShortLists));
        json(StatusCode::OK, &json!({ "total": found.len() + more, "tasks": rows }))
    }

    fn webhooks(&mut self, method: &str, parts: &[&str], body: &[u8]) -> Response {
        if method == "GET" {
            let hooks = self.hooks.iter().map(|(id, hook)| {
                let mut hook = hook.clone();
                hook["id"] = json!(id);
                hook
            });
            return json(StatusCode::OK, &hooks.collect());
        }
        if method == "DELETE" {
            self.hooks.remove(&parts[0].parse().unwrap());
            return StatusCode::NO_CONTENT.into_response();
        }
        if self.refuses_hooks {
            let detail = "URL resolves to a reserved network address (block: 127.0.0.0/8)";
            return json(StatusCode::FORBIDDEN, &json!({ "detail": detail }));
        }
        let sent: Value = serde_json::from_slice(body).unwrap();
        if method == "POST" {
            self.add_hook(&sent);
            return json(StatusCode::CREATED, &sent);
        }
        let hook = self.hooks.get_mut(&parts[0].parse().unwrap()).unwrap();
        hook.as_object_mut().unwrap().extend(sent.as_object().unwrap().clone());
        json(StatusCode::OK, hook)
    }

    fn one(&mut self, kind: &str, id: i64) -> Response {
        let is_there = match kind {
            "tasks" => self.tasks.contains_key(&id),
            "annotations" => self.tasks.values().any(|task| task.annotations.contains_key(&id)),
            _ => false,
        };
        if let Some(user) = self.users.iter().find(|user| kind == "users" && user["id"] == id) {
            return json(StatusCode::OK, user);
        }
        self.asked_for_one = true;
        if let Some(along) = self.goes_along.take() {
            self.tasks.remove(&along);
        }
        if self.is(Failure::NoProjectSoon) {
            return gone();
        }
        if self.is(Failure::Proxy) {
            return (StatusCode::NOT_FOUND, "<h1>Not found</h1>").into_response();
        }
        if is_there && !self.is(Failure::NoProject) {
            json(StatusCode::OK, &json!({ "id": id }))
        } else {
            gone()
        }
    }
}

async fn answer(Shared(world): Shared<World>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let authorization = parts.headers.get("authorization").unwrap().to_str().unwrap();
    assert_eq!(authorization, format!("Token {}", "5".repeat(40)));
    let method = parts.method.as_str();
    let query = parts.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let query = query.map(|(name, value)| (name.to_owned(), decoded(value))).collect();
    let mut world = world.0.lock().unwrap();
    world.1.push(format!("{method} {}", parts.uri));
    world.0.answer(method, parts.uri.path(), &query, &body)
}

/// Whether a task is one of those that are asked for, by Label Studio's filters.
fn fits(id: i64, task: &Task, wanted: &Value) -> bool {
    if let Some(selected) = wanted["selectedItems"]["included"].as_array() {
        return selected.contains(&json!(id));
    }
    assert_eq!(wanted["ordering"], json!(["tasks:id"]));
    wanted["filters"]["items"].as_array().unwrap().iter().all(|item| {
        assert_eq!(item["operator"], "greater");
        match item["filter"].as_str().unwrap() {
            "filter:tasks:id" => id > item["value"].as_i64().unwrap(),
            "filter:tasks:updated_at" => {
                let since = item["value"].as_str().unwrap();
                assert!(since.contains(".000Z"), "Label Studio answers 500 to {since}");
                task.updated_at.as_str() > since
            }
            other => unreachable!("{other}"),
        }
    })
}

fn row(id: i64, task: &Task) -> Value {
    json!({
        "id": id, "data": { "image": format!("s3://media/{id}.jpg") }, "project": task.project, "meta": {},
        "updated_at": task.updated_at, "updated_by": 3, "total_annotations": task.annotations.len(),
        "cancelled_annotations": 0,
    })
}

fn annotation(task: &Task, of: i64, id: i64, one: &Value) -> Value {
    let mut whole = json!({
        "id": id, "task": of, "project": task.project, "completed_by": 3, "created_ago": "0 minutes",
    });
    whole.as_object_mut().unwrap().extend(one.as_object().unwrap().clone());
    whole
}

/// `include` goes for what is nested, too.
fn only(mut row: Value, names: &[&str]) -> Value {
    row.as_object_mut().unwrap().retain(|name, _| names.contains(&name.as_str()));
    row
}

fn json(status: StatusCode, body: &Value) -> Response {
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

fn gone() -> Response {
    json(StatusCode::NOT_FOUND, &json!({ "status_code": 404, "detail": "No Task matches the given query." }))
}

/// Each time a later one, as Label Studio writes it.
fn now() -> String {
    static LAST: Mutex<i128> = Mutex::new(0);
    let mut last = LAST.lock().unwrap();
    let now = DateTime::from(clock()).as_nanos() / 1000;
    *last = now.max(*last + 1);
    let time = DateTime::from_nanos(*last * 1000).unwrap();
    let text = time.fmt(Format::DateTime).unwrap();
    let (seconds, fraction) =
        text.trim_end_matches('Z').split_once('.').unwrap_or((text.trim_end_matches('Z'), ""));
    format!("{seconds}.{fraction:0<6}Z")
}

/// Posts as Label Studio does.
pub(super) async fn post(to: SocketAddr, path: &str, headers: &[(&str, &str)], body: String) -> u16 {
    let socket = TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let mut request = http::Request::builder().method("POST").uri(path).header("host", to.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap().status().as_u16()
}
