//! The requests of an import, and what their answers mean for what was sent.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::error::SinkFault;
use crate::{
    egress::retry_after,
    label_studio::{Answer, Client, ClientError},
};

/// Label Studio's API of one project.
#[derive(Debug)]
pub(super) struct Api {
    client: Arc<Client>,
    project: u64,
    longest_call: Duration,
}

/// Why tasks were not taken, or may not have been.
#[derive(Debug)]
pub(super) enum ImportFault {
    /// All of them were refused because of these, by their positions, in order.
    Items(Vec<(usize, String)>),
    /// All of them were refused, because of some.
    Batch(String),
    /// It failed within itself and is done with it, one way or the other.
    Broken(String),
    /// None was taken; it asks to wait.
    Busy(Duration),
    /// None was taken.
    Unsent(SinkFault),
    /// They may have been taken, or be just now.
    Lost(SinkFault),
}

/// A task of the project, as it is listed.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) id: i64,
    #[serde(default)]
    pub(super) meta: Option<Box<RawValue>>,
}

/// What people have made of a task.
#[derive(Debug, Deserialize)]
struct Work {
    #[serde(default)]
    annotations: Vec<Value>,
    #[serde(default)]
    drafts: Vec<Value>,
}

impl Api {
    pub(super) fn new(client: Arc<Client>, project: u64, timeout: Duration) -> Self {
        Self { client, project, longest_call: timeout * 2 }
    }

    /// After which no request of ours is under way any more: an access token may be fetched before it.
    pub(super) fn longest_call(&self) -> Duration {
        self.longest_call
    }

    /// Imports tasks and returns their numbers, in their order.
    pub(super) async fn import(&self, body: Bytes, count: usize) -> Result<Vec<i64>, ImportFault> {
        #[derive(Deserialize)]
        struct Imported {
            #[serde(default)]
            task_ids: Vec<i64>,
        }
        let path = format!("/api/projects/{}/import?return_task_ids=true", self.project);
        let answer = self.send(Method::POST, &path, body).await?;
        if !answer.status.is_success() {
            return Err(self.fault(&answer, count));
        }
        match answer.json::<Imported>("the numbers of tasks") {
            Ok(Imported { task_ids }) if task_ids.len() == count => Ok(task_ids),
            // As Label Studio Enterprise, which imports behind its answer.
            Ok(_) => Err(ImportFault::Lost(SinkFault::Later)),
            Err(error) => Err(ImportFault::Lost(error.into())),
        }
    }

    /// Changes a task; returns whether it is still there.
    pub(super) async fn change(&self, task: i64, body: Bytes) -> Result<bool, ImportFault> {
        let answer = self.send(Method::PATCH, &format!("/api/tasks/{task}/"), body).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(self.fault(&answer, 1)),
        }
    }

    /// The newest tasks, or those older than one; the newest first.
    pub(super) async fn list(&self, before: Option<i64>) -> Result<Vec<Listed>, SinkFault> {
        let mut query = json!({ "ordering": ["-tasks:id"] });
        if let Some(before) = before {
            query["filters"] = filter("id", "less", "Number", &json!(before));
        }
        let page: Page = self.tasks("id,meta", LISTED, &query).await?;
        let is_older = |task: &Listed| before.is_none_or(|before| task.id < before);
        // Or it would be gone through for ever.
        if page.tasks.iter().all(is_older) { Ok(page.tasks) } else { Err(SinkFault::Unordered) }
    }

    /// How many tasks have a text in their `meta`.
    pub(super) async fn count(&self, text: &str) -> Result<i64, SinkFault> {
        let query = json!({ "filters": filter("meta", "contains", "String", &json!(text)) });
        Ok(self.tasks("id", 1, &query).await?.total)
    }

    /// Whether nobody has worked on a task; `None` where it is gone.
    pub(super) async fn is_untouched(&self, task: i64) -> Result<Option<bool>, SinkFault> {
        let path = format!("/api/tasks/{task}/?resolve_uri=false");
        let answer = self.client.ask(Method::GET, &path, Bytes::new()).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let work: Work = self.read(&answer, "a task")?;
        Ok(Some(work.annotations.is_empty() && work.drafts.is_empty()))
    }

    pub(super) async fn delete(&self, task: i64) -> Result<(), SinkFault> {
        let answer = self.client.ask(Method::DELETE, &format!("/api/tasks/{task}/"), Bytes::new()).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(()),
            status if status.is_success() => Ok(()),
            status => Err(self.judge(status)),
        }
    }

    async fn tasks(&self, include: &str, size: usize, query: &Value) -> Result<Page, SinkFault> {
        let query = query.to_string();
        let query = percent_encoding::utf8_percent_encode(&query, percent_encoding::NON_ALPHANUMERIC);
        let path = format!(
            "/api/tasks?project={}&page=1&page_size={size}&fields=task_only&resolve_uri=false&include={include}&query={query}",
            self.project
        );
        let answer = self.client.ask(Method::GET, &path, Bytes::new()).await?;
        self.read(&answer, "a list of tasks")
    }

    fn read<'a, T: Deserialize<'a>>(&self, answer: &'a Answer, wanted: &'static str) -> Result<T, SinkFault> {
        if answer.status.is_success() { Ok(answer.json(wanted)?) } else { Err(self.judge(answer.status)) }
    }

    /// Sends what must not be under way for longer than is said.
    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, ImportFault> {
        let call = tokio::time::timeout(self.longest_call, self.client.ask(method, path, body));
        let answer = call.await.unwrap_or(Err(ClientError::Timeout));
        answer.map_err(|error| {
            if error.is_unsent() {
                ImportFault::Unsent(error.into())
            } else {
                ImportFault::Lost(error.into())
            }
        })
    }

    fn fault(&self, answer: &Answer, count: usize) -> ImportFault {
        match answer.status {
            StatusCode::BAD_REQUEST => refusals(&answer.body, count),
            StatusCode::PAYLOAD_TOO_LARGE => ImportFault::Batch(
                "it is larger than Label Studio, or a proxy before it, takes in one request (413); raise \
                 DATA_UPLOAD_MAX_MEMORY_SIZE there, or client_max_body_size of nginx"
                    .to_owned(),
            ),
            StatusCode::TOO_MANY_REQUESTS => ImportFault::Busy(pause(answer).unwrap_or(A_MOMENT)),
            // With a time to come back it was not passed on.
            StatusCode::SERVICE_UNAVAILABLE if pause(answer).is_some() => {
                ImportFault::Busy(pause(answer).unwrap_or(A_MOMENT))
            }
            StatusCode::INTERNAL_SERVER_ERROR => ImportFault::Broken(sentence(&answer.body)),
            status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                ImportFault::Lost(SinkFault::Failing(status))
            }
            status => ImportFault::Unsent(self.judge(status)),
        }
    }

    fn judge(&self, status: StatusCode) -> SinkFault {
        match status {
            StatusCode::UNAUTHORIZED => ClientError::TokenRefused(status).into(),
            StatusCode::FORBIDDEN => SinkFault::Forbidden(self.project),
            StatusCode::NOT_FOUND => SinkFault::ProjectMissing(self.project),
            StatusCode::TOO_MANY_REQUESTS => SinkFault::Busy,
            status if status.is_server_error() => SinkFault::Failing(status),
            status => SinkFault::Unexpected(status),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Page {
    total: i64,
    tasks: Vec<Listed>,
}

fn filter(column: &str, operator: &str, kind: &str, value: &Value) -> Value {
    let item = json!({
        "filter": format!("filter:tasks:{column}"), "operator": operator, "type": kind, "value": value
    });
    json!({ "conjunction": "and", "items": [item] })
}

/// What `Retry-After` says, within reason.
fn pause(answer: &Answer) -> Option<Duration> {
    retry_after(&answer.headers).map(|pause| pause.clamp(A_MOMENT, LONGEST_PAUSE))
}

/// What a validation error names: `Error at item 3: why :: the item`, a hundred of them at most.
fn refusals(body: &[u8], count: usize) -> ImportFault {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut items: Vec<(usize, String)> = Vec::new();
    for text in texts(&answer["validation_errors"]) {
        if let Some((index, reason)) = refusal(text)
            && index < count
            && items.last().is_none_or(|(last, _)| *last < index)
        {
            items.push((index, shortened(reason)));
        }
    }
    if items.is_empty() { ImportFault::Batch(sentence(body)) } else { ImportFault::Items(items) }
}

fn refusal(text: &str) -> Option<(usize, &str)> {
    let (before, rest) = text.split_once(" at item ")?;
    let (index, reason) = rest.split_once(": ")?;
    let reason = reason.split(" :: {").next()?;
    before.starts_with("Error").then_some((index.parse().ok()?, reason))
}

/// What the answer says, for a person.
fn sentence(body: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut said = texts(&answer["validation_errors"]);
    if said.is_empty() {
        said = texts(&answer["detail"]);
    }
    if said.is_empty() { "it does not say why".to_owned() } else { shortened(&said.join("; ")) }
}

/// The texts of a value, in their order.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(members) => members.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= SENTENCE {
        text.to_owned()
    } else {
        text.chars().take(SENTENCE).chain("…".chars()).collect()
    }
}

/// Tasks that are listed at once.
const LISTED: usize = 1000;
/// Where Label Studio does not say how long to wait.
const A_MOMENT: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(2);
/// The most characters of what Label Studio says: it repeats the data.
const SENTENCE: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_items_are_named_by_their_positions() {
        let body = |errors: &str| {
            format!(
                r#"{{"status_code": 400, "detail": "Validation error", "validation_errors": {{"non_field_errors": [{errors}]}}}}"#
            )
        };
        for (errors, want) in [
            (
                r#"{}, "Error at item 1: \"image\" key is expected :: {'data': {'other': 1}}", {}, "Errors ['a'] at item 3: x, y :: {}""#,
                &[(1, "\"image\" key is expected"), (3, "x, y")][..],
            ),
            (
                r#""Error required at item 0: data[' at item 9: ']=5 :: {}", "...""#,
                &[(0, "data[' at item 9: ']=5")],
            ),
            (r#""Error at item 7: beyond :: {}""#, &[]),
            (r#""Unknown annotator's email no@x""#, &[]),
        ] {
            let fault = refusals(body(errors).as_bytes(), 4);
            match fault {
                ImportFault::Items(items) => {
                    let items: Vec<_> =
                        items.iter().map(|(index, reason)| (*index, reason.as_str())).collect();
                    assert_eq!(items, want, "{errors}");
                }
                ImportFault::Batch(reason) => {
                    assert!(want.is_empty(), "{errors}");
                    assert!(errors.contains(&reason), "{reason}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(
            matches!(refusals(b"<html>", 4), ImportFault::Batch(reason) if reason == "it does not say why")
        );
    }
}
