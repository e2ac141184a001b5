//! Exports through a whole gateway: from what was acknowledged to what is in the bucket.

mod faults;
mod kept;
mod killed;
mod runs;
mod shared;

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::{
    gateway::{ADMIN, Answer, Gateway},
    s3::{ACCESS_KEY_ID, S3Server, SECRET_ACCESS_KEY},
};

const BUCKET: &str = "annotations";
const TARGETS: &str = "/api/storages/export/s3";
const ANNOTATIONS: &str = "/api/annotations";

/// A gateway and the S3 that it exports to.
struct Export {
    s3: S3Server,
    gateway: Gateway,
}

impl Export {
    async fn start() -> Self {
        let s3 = S3Server::start().await;
        s3.bucket(BUCKET);
        let gateway = Gateway::start("[egress]\nallow = [\"127.0.0.0/8\"]\n").await;
        Self { s3, gateway }
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        ask(self.gateway.admin, method, path, body).await.unwrap()
    }

    /// The same, which has to succeed.
    async fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.ask(method, path, body).await;
        assert!(answer.status < 300, "{method} {path} {body}: {} {}", answer.status, answer.text());
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
    }

    /// Makes a target of project 1 under `out`, with changes, and waits for its first run.
    async fn target(&self, changes: &Value) -> i64 {
        let id = self.done("POST", TARGETS, &fields(&self.s3, changes)).await["id"].as_i64().unwrap();
        self.until_it_ended(id).await;
        id
    }

    /// The storage when its last run has ended.
    async fn until_it_ended(&self, id: i64) -> Value {
        let path = format!("{TARGETS}/{id}");
        until("the run ends", async || {
            let storage = self.done("GET", &path, &Value::Null).await;
            let status = storage["status"].as_str().unwrap().to_owned();
            (!["queued", "in_progress"].contains(&status.as_str())).then_some(storage)
        })
        .await
    }

    /// Waits until nothing is due.
    async fn until_written(&self) {
        until("all is written", async || {
            let page = self.done("GET", ANNOTATIONS, &Value::Null).await;
            page["items"].as_array().unwrap().is_empty().then_some(())
        })
        .await;
    }

    /// The objects under a prefix by their keys.
    fn objects(&self) -> BTreeMap<String, String> {
        objects(&self.s3.bucket(BUCKET))
    }
}

pub(crate) fn objects(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.file_name().unwrap().to_str().unwrap().starts_with('.') {
                let key = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                // It may be deleted meanwhile.
                if let Ok(text) = fs::read_to_string(&path) {
                    found.insert(key, text);
                }
            }
        }
    }
    found
}

fn fields(s3: &S3Server, changes: &Value) -> Value {
    let mut fields = json!({
        "project": 1, "title": "out", "bucket": BUCKET, "prefix": "out", "s3_endpoint": s3.url(),
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY,
    });
    fields.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    fields
}

/// A request of the admin; an error where nobody answers.
pub(crate) async fn ask(
    address: std::net::SocketAddr,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let socket = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("content-type", "application/json");
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let (parts, body) = sender.send_request(request.body(Full::new(body))?).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}

/// Asks until there is an answer; the test's own time limit is a minute.
pub(crate) async fn until<T>(what: &str, mut asked: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = asked().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    let answered = tokio::time::timeout(Duration::from_mins(1), asking).await;
    answered.unwrap_or_else(|_| panic!("not within a minute: {what}"))
}

/// An annotation of task 5 with its task.
fn annotation(id: i64, second: u32, text: &str) -> Value {
    json!({
        "id": id, "result": [{ "value": text }], "project": 1,
        "task": { "id": 5, "data": { "image": "s3://media/a.jpg" }, "project": 1 },
        "updated_at": format!("2026-11-24T10:00:{second:02}.000001Z"),
    })
}

/// What an object says.
fn value(object: &str) -> String {
    let object: Value = serde_json::from_str(object).unwrap();
    object["result"][0]["value"].as_str().unwrap().to_owned()
}
