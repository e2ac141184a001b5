//! A Label Studio of two people, whose answers a test changes, and which writes down what it was asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::label_studio::FakeLabelStudio;

/// Label Studio in the place where the gateway asks.
pub(super) struct Studio {
    pub(super) fake: FakeLabelStudio,
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    /// Whether answers come at all.
    open: watch::Sender<bool>,
    asked: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    /// Tasks by number: the project and the data.
    tasks: HashMap<u64, (u64, Value)>,
    removed: Vec<String>,
    broken: Option<StatusCode>,
    seen: Vec<Seen>,
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) target: String,
    pub(super) headers: HeaderMap,
}

impl Studio {
    /// Task 7 of project 1 mentions `s3://media/img/a`, task 8 of project 2 `s3://media/img/b`.
    pub(super) async fn start() -> Self {
        Self::start_under("").await
    }

    /// The same under a script name.
    pub(super) async fn start_under(prefix: &'static str) -> Self {
        let inner = Arc::new(Inner {
            state: Mutex::default(),
            open: watch::Sender::new(true),
            asked: watch::Sender::new(0),
        });
        let asked = Arc::clone(&inner);
        let routes = Router::new().fallback(move |request: Request| {
            let inner = Arc::clone(&asked);
            async move { inner.answer(prefix, request).await }
        });
        let studio = Self { fake: FakeLabelStudio::start(routes).await, inner };
        studio.task(7, 1, json!({ "image": "s3://media/img/a" }));
        studio.task(8, 2, json!({ "image": "s3://media/img/b" }));
        studio
    }

    pub(super) fn task(&self, number: u64, project: u64, data: Value) {
        self.inner.state.lock().unwrap().tasks.insert(number, (project, data));
    }

    /// Takes a person out of the organization.
    pub(super) fn remove(&self, person: &str) {
        self.inner.state.lock().unwrap().removed.push(person.to_owned());
    }

    /// Answers everything with this status, or as it should.
    pub(super) fn break_with(&self, status: Option<u16>) {
        let status = status.map(|status| StatusCode::from_u16(status).unwrap());
        self.inner.state.lock().unwrap().broken = status;
    }

    /// Lets answers wait, or come.
    pub(super) fn open(&self, open: bool) {
        self.inner.open.send_replace(open);
    }

    /// Waits until it was asked this often.
    pub(super) async fn asked(&self, count: usize) {
        self.inner.asked.subscribe().wait_for(|asked| *asked >= count).await.unwrap();
    }

    /// What it was asked since the last time.
    pub(super) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.inner.state.lock().unwrap().seen)
    }

    /// How often it was asked since the last time.
    pub(super) fn calls(&self) -> usize {
        self.take().len()
    }
}

impl Inner {
    async fn answer(&self, prefix: &str, request: Request) -> Response {
        let target = request.uri().to_string();
        let number = {
            let mut state = self.state.lock().unwrap();
            state.seen.push(Seen { target, headers: request.headers().clone() });
            state.seen.len()
        };
        self.asked.send_modify(|asked| *asked += 1);
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        let mut answer = self.judge(prefix, &request);
        // As Label Studio does on every answer.
        let session = format!("sessionid=reissued.{number}; HttpOnly; Path=/");
        answer.headers_mut().insert(header::SET_COOKIE, session.parse().unwrap());
        answer
    }

    fn judge(&self, prefix: &str, request: &Request) -> Response {
        let state = self.state.lock().unwrap();
        if let Some(status) = state.broken {
            return (status, "<html>not what was asked for</html>").into_response();
        }
        let Some(person) = person(request.headers()) else { return StatusCode::UNAUTHORIZED.into_response() };
        let Some(path) = request.uri().path().strip_prefix(prefix) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        if path == "/api/current-user/whoami" {
            return json_of(&json!({ "id": 5, "email": format!("{person}@example.org") }));
        }
        let found = match path.trim_matches('/').split('/').collect::<Vec<_>>()[..] {
            ["api", "tasks", id] => id.parse().ok().and_then(|id: u64| {
                let (project, data) = state.tasks.get(&id)?;
                assert!(request.uri().query().unwrap().contains("resolve_uri=false"));
                Some(json!({ "id": id, "project": project, "data": data, "annotations": [] }))
            }),
            ["api", "projects", id] => {
                id.parse().ok().filter(|id: &u64| *id < 3).map(|id| json!({ "id": id }))
            }
            _ => return "forwarded".into_response(),
        };
        match found {
            None => StatusCode::NOT_FOUND.into_response(),
            Some(_) if state.removed.contains(&person) => StatusCode::FORBIDDEN.into_response(),
            Some(found) => json_of(&found),
        }
    }
}

/// Sessions are `ann.N` and `bob.N`, tokens `ann` and `bob`.
fn person(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let session = text(header::COOKIE).split("; ").find_map(|pair| pair.strip_prefix("sessionid="));
    let token = text(header::AUTHORIZATION).split_once(' ').map(|(_, token)| token);
    let name = token.or(session)?.split('.').next()?;
    ["ann", "bob", "service"].contains(&name).then(|| name.to_owned())
}

fn json_of(value: &Value) -> Response {
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(value.to_string()))
        .unwrap()
}

/// The path by which a page asks for an object of a task or project.
pub(super) fn resolve(owner: &str, uri: &str) -> String {
    format!("/{owner}/resolve/?fileuri={}", URL_SAFE.encode(uri))
}
