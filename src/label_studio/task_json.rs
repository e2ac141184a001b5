//! Media URLs in the place of `s3://` URIs, in the answers in which Label Studio would put them itself.
//!
//! Where the gateway has the storages, Label Studio knows no bucket and leaves URIs as they are. Four answers go to those
//! who look at tasks: a task, a list of tasks, the next task, and the data manager's next task. In them the `data` of each
//! task is gone through, in any depth and within texts; a URI that a storage of the task's project serves becomes the
//! gateway's URL for that task. Everything else stays to the byte. Exports, webhooks and storages' answers keep URIs.

use std::{ops::Range, pin::Pin, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use http::{Method, Uri};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Client, Credentials, account::Account};
use crate::{
    access::mint::{Minter, TokenRequest},
    annotation::read_id,
    gateway::{
        locate::Storages,
        rewrite::{AnswerRewriter, Asked},
    },
    id::ProjectId,
    object::ObjectUri,
    task::{self, mentions},
};

/// Replaces URIs in Label Studio's answers.
#[derive(Debug)]
pub struct TaskJson {
    client: Arc<Client>,
    tokens: Option<UrlTokens>,
    clock: fn() -> std::time::SystemTime,
}

/// What the tokens in media URLs are made with.
#[derive(Debug)]
pub struct UrlTokens {
    /// Signs them.
    pub minter: Arc<Minter>,
    /// How long each lives.
    pub ttl: Duration,
}

/// Where a task of an answer lies in it, and whose it is.
struct TaskPlace<'a> {
    id: String,
    project: Option<ProjectId>,
    data: &'a RawValue,
}

/// The members of a task that matter here.
#[derive(Deserialize)]
struct TaskParts<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    project: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ListParts<'a> {
    #[serde(borrow)]
    tasks: Option<Vec<&'a RawValue>>,
}

impl TaskJson {
    /// With `tokens`, each media URL carries one.
    pub fn new(client: Arc<Client>, tokens: Option<UrlTokens>, clock: fn() -> std::time::SystemTime) -> Self {
        Self { client, tokens, clock }
    }

    fn media_url(&self, task: &TaskPlace<'_>, object: &ObjectUri, subject: Option<&str>) -> String {
        let (prefix, id) = (self.client.prefix(), &task.id);
        let mut url = format!("{prefix}/tasks/{id}/resolve/?fileuri={}", URL_SAFE.encode(object.to_string()));
        if let Some(token) = self.token(task, object, subject) {
            url.push_str("&token=");
            url.push_str(&token);
        }
        url
    }

    fn token(&self, task: &TaskPlace<'_>, object: &ObjectUri, subject: Option<&str>) -> Option<String> {
        let tokens = self.tokens.as_ref()?;
        let object = object.to_string();
        // It would be read as a prefix.
        if object.ends_with('*') {
            return None;
        }
        let request = TokenRequest {
            subject: subject.map(str::to_owned),
            task: Some(task.id.clone()),
            project: task.project.as_ref().map(ToString::to_string),
            objects: vec![object],
            ttl: tokens.ttl,
            ..TokenRequest::default()
        };
        match tokens.minter.mint(&request, (self.clock)()) {
            Ok(token) => Some(token.into_token()),
            Err(error) => {
                tracing::warn!(%error, "media URLs of tasks carry no token");
                None
            }
        }
    }

    /// The e-mail of whoever asked: the subject of the tokens in the answer.
    async fn subject(&self, asked: &Asked) -> Option<String> {
        self.tokens.as_ref()?;
        let asked = Account::ask(&self.client, &Credentials::of(&asked.headers)).await;
        let account = asked.and_then(|answer| Account::read(&answer));
        let account =
            account.inspect_err(|error| tracing::debug!(%error, "tokens in media URLs name nobody")).ok()?;
        account.email().map(str::to_owned)
    }

    /// The data of a task with media URLs; `None` where nothing of it is served.
    fn data(&self, task: &TaskPlace<'_>, storages: &Storages, subject: Option<&str>) -> Option<String> {
        let replace = |text: &str| {
            let mut written = String::new();
            let mut copied = 0;
            for mention in mentions(text) {
                if storages.locate_own(&mention.object, task.project.as_ref()).is_none() {
                    continue;
                }
                written.push_str(text.get(copied..mention.place.start)?);
                written.push_str(&self.media_url(task, &mention.object, subject));
                copied = mention.place.end;
            }
            (copied > 0).then(|| written + text.get(copied..).unwrap_or_default())
        };
        match task::rewrite(task.data.get(), replace) {
            std::borrow::Cow::Borrowed(_) => None,
            std::borrow::Cow::Owned(data) => Some(data),
        }
    }
}

impl AnswerRewriter for TaskJson {
    fn concerns(&self, method: &Method, target: &Uri) -> bool {
        let path = target.path().strip_prefix(self.client.prefix()).unwrap_or_default();
        let query = target.query().unwrap_or_default();
        shows_tasks(method, path, query)
    }

    fn rewrite<'a>(
        &'a self,
        asked: &'a Asked,
        answer: &'a str,
        storages: &'a Storages,
    ) -> Pin<Box<dyn Future<Output = Option<String>> + Send + 'a>> {
        Box::pin(async move {
            let of_query = value_of(asked.target.query().unwrap_or_default(), "project");
            let of_query = of_query.and_then(|project| ProjectId::parse(project).ok());
            let tasks = tasks_in(answer, of_query.as_ref());
            if tasks.is_empty() {
                return None;
            }
            let subject = self.subject(asked).await;
            let mut written = String::new();
            let (mut copied, mut rested) = (0, 0);
            for task in &tasks {
                let Some(data) = self.data(task, storages, subject.as_deref()) else { continue };
                let place = place_in(answer, task.data.get())?;
                written.push_str(answer.get(copied..place.start)?);
                written.push_str(&data);
                copied = place.end;
                // The thread has other connections to see to.
                if copied - rested > AT_A_TIME {
                    rested = copied;
                    tokio::task::yield_now().await;
                }
            }
            (copied > 0).then(|| written + answer.get(copied..).unwrap_or_default())
        })
    }
}

/// Whether Label Studio would resolve URIs in the answer.
fn shows_tasks(method: &Method, path: &str, query: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match (method, segments.as_slice()) {
        (&Method::GET, ["api", "tasks"]) => resolves(query),
        (&Method::GET, ["api", "tasks", id]) => is_number(id) && resolves(query),
        (&Method::GET, ["api", "projects", id, "next"]) => is_number(id),
        (&Method::POST, ["api", "dm", "actions"]) => value_of(query, "id") == Some("next_task"),
        _ => false,
    }
}

/// Label Studio's `resolve_uri`: on, unless it is said to be off.
fn resolves(query: &str) -> bool {
    let value = value_of(query, "resolve_uri").unwrap_or("true").to_ascii_lowercase();
    !matches!(value.as_str(), "0" | "false" | "no" | "off" | "n" | "f")
}

/// The value of a parameter, the last one where there are several, as Django reads it; not decoded.
fn value_of<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(own, _)| *own == name).map(|(_, value)| value).next_back()
}

/// The tasks of an answer, in its order: it is one, a list of them, or an object with `tasks`.
fn tasks_in<'a>(answer: &'a str, project: Option<&ProjectId>) -> Vec<TaskPlace<'a>> {
    let listed: Option<Vec<&RawValue>> = if answer.trim_start().starts_with('[') {
        serde_json::from_str(answer).ok()
    } else {
        serde_json::from_str::<ListParts<'a>>(answer).ok().and_then(|list| list.tasks)
    };
    match listed {
        Some(tasks) => tasks.into_iter().filter_map(|task| TaskPlace::of(task.get(), project)).collect(),
        None => TaskPlace::of(answer, project).into_iter().collect(),
    }
}

impl<'a> TaskPlace<'a> {
    fn of(body: &'a str, project: Option<&ProjectId>) -> Option<Self> {
        let parts: TaskParts<'a> = serde_json::from_str(body).ok()?;
        let id = read_id(parts.id?).ok()?;
        let own = parts.project.and_then(|project| ProjectId::parse(&read_id(project).ok()?).ok());
        Some(Self { id, project: own.or_else(|| project.cloned()), data: parts.data? })
    }
}

/// Where a part that was borrowed from a text lies in it.
fn place_in(text: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let end = start + part.len();
    (end <= text.len()).then_some(start..end)
}

/// How many bytes of an answer are gone through before others have their turn: a millisecond's work, about.
const AT_A_TIME: usize = 64 * 1024;

#[cfg(test)]
mod tests;
