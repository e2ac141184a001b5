//! `/api/tasks`: the tasks that syncs made, one by one, by pages, or all of them as they come.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::{Uri, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Control, Number, Problem, time};
use crate::{
    access::mint::{MintedToken, Minter, TokenRequest},
    id::{ProjectId, StorageId, TaskNumber},
    object::ObjectUri,
    store::TaskFilter,
    task::{self, Task, mentions},
};

/// Which tasks, and in which form.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskQuery {
    project: Option<String>,
    storage: Option<i64>,
    after: Option<i64>,
    limit: Option<i64>,
    #[serde(default)]
    format: Format,
    #[serde(default)]
    urls: Urls,
    /// Put before the path of media URLs: the address of the gateway as browsers know it.
    #[serde(default)]
    base: String,
    /// How long tokens live.
    ttl: Option<String>,
    /// The `sub` claim of tokens.
    subject: Option<String>,
}

/// How a list is answered.
#[derive(Clone, Copy, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// A page.
    #[default]
    Json,
    /// All of them, a line each.
    Ndjson,
}

/// What stands in the place of `s3://` URIs.
#[derive(Clone, Copy, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Urls {
    /// They stay.
    #[default]
    S3,
    /// Media URLs of the gateway, for clients that have a token.
    Media,
    /// Media URLs with a token of that task in them.
    Token,
}

/// A task as it is answered.
#[derive(Serialize, ToSchema)]
#[schema(as = Task)]
pub(super) struct TaskAnswer {
    id: i64,
    #[schema(value_type = Option<String>)]
    project: Option<ProjectId>,
    #[schema(value_type = Object)]
    data: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<Object>, required = false)]
    annotations: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<Object>, required = false)]
    predictions: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, required = false)]
    meta: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    allow_skip: Option<bool>,
    /// The storage whose sync made it.
    storage: i64,
    /// Label Studio's name for the key.
    storage_filename: String,
    /// Which item of the object, from 0; absent where the task stands for the object.
    row: Option<i64>,
    etag: Option<String>,
    #[schema(format = "date-time")]
    created_at: String,
    /// When a changed object last changed it.
    #[schema(format = "date-time")]
    updated_at: Option<String>,
    /// When its object was found missing.
    #[schema(format = "date-time")]
    vanished_at: Option<String>,
}

/// A page of tasks.
#[derive(Serialize, ToSchema)]
#[schema(as = Tasks)]
pub(super) struct TasksAnswer {
    #[schema(inline)]
    tasks: Vec<TaskAnswer>,
    /// `after` of the next page; absent on the last one.
    next: Option<i64>,
}

/// Makes answers of tasks.
#[derive(Clone)]
struct Writer {
    urls: Urls,
    base: Arc<str>,
    minter: Arc<Minter>,
    request: TokenRequest,
    control: Control,
}

/// Tasks, in the order of their numbers.
pub(super) async fn list(
    State(control): State<Control>,
    query: Result<Query<TaskQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::invalid(rejection.body_text()))?;
    let writer = Writer::new(&control, &query)?;
    let project = query.project.as_deref().map(ProjectId::parse).transpose();
    let filter = TaskFilter {
        project: project.map_err(|error| Problem::invalid(format!("project: {error}")))?,
        storage: query.storage.map(StorageId),
        after: query.after.map(TaskNumber),
        limit: query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE),
    };
    match query.format {
        Format::Json => page(&control, &filter, &writer).await,
        Format::Ndjson => {
            // The first page now, so that a refusal is one.
            let first = lines(&control, &filter, &writer).await?;
            Ok(all(control, filter, writer, first))
        }
    }
}

/// One task.
pub(super) async fn get(
    State(control): State<Control>,
    Number(id): Number,
    query: Result<Query<TaskQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::invalid(rejection.body_text()))?;
    let writer = Writer::new(&control, &query)?;
    let task = control.store.task(TaskNumber(id)).await.map_err(Problem::store)?;
    let answer = writer.answer(task.ok_or(Problem::TASK_UNKNOWN)?)?;
    Ok(([NO_STORE], Json(answer)).into_response())
}

async fn page(control: &Control, filter: &TaskFilter, writer: &Writer) -> Result<Response, Problem> {
    let found = control.store.tasks(filter).await.map_err(Problem::store)?;
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count == filter.limit);
    let next = found.last().filter(|_| is_full).map(|task| task.number.0);
    let tasks = found.into_iter().map(|task| writer.answer(task)).collect::<Result<_, _>>()?;
    Ok(([NO_STORE], Json(TasksAnswer { tasks, next })).into_response())
}

/// All pages from the given one on, asked for as they are read. An error in the middle cuts the answer off, which the
/// client sees.
fn all(control: Control, filter: TaskFilter, writer: Writer, first: (Bytes, Option<TaskNumber>)) -> Response {
    let (bytes, next) = first;
    let rest =
        stream::try_unfold((control, filter, writer, next), |(control, filter, writer, next)| async move {
            let Some(after) = next else { return Ok::<_, ProblemError>(None) };
            let filter = TaskFilter { after: Some(after), ..filter };
            let (bytes, next) = lines(&control, &filter, &writer).await.map_err(|_| ProblemError)?;
            Ok(Some((bytes, (control, filter, writer, next))))
        });
    let first = stream::once(std::future::ready(Ok(bytes)));
    let body = Body::from_stream(futures_util::StreamExt::chain(first, rest));
    ([(header::CONTENT_TYPE, "application/x-ndjson"), NO_STORE], body).into_response()
}

/// The store failed in the middle of an answer; the log says why.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
struct ProblemError;

/// The lines of one page, and behind which task the next begins.
async fn lines(
    control: &Control,
    filter: &TaskFilter,
    writer: &Writer,
) -> Result<(Bytes, Option<TaskNumber>), Problem> {
    let filter = TaskFilter { limit: LINES, ..filter.clone() };
    let found = control.store.tasks(&filter).await.map_err(Problem::store)?;
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count == LINES);
    let next = found.last().filter(|_| is_full).map(|task| task.number);
    let mut text = Vec::new();
    for task in found {
        let answer = writer.answer(task)?;
        serde_json::to_writer(&mut text, &answer).map_err(|error| Problem::invalid(error.to_string()))?;
        text.push(b'\n');
    }
    Ok((text.into(), next))
}

impl Writer {
    fn new(control: &Control, query: &TaskQuery) -> Result<Self, Problem> {
        let mut request = TokenRequest { subject: query.subject.clone(), ..TokenRequest::default() };
        if let Some(text) = &query.ttl {
            request.ttl =
                humantime::parse_duration(text).map_err(|error| Problem::invalid(format!("ttl: {error}")))?;
        }
        if !query.base.is_empty() && !is_origin(&query.base) {
            return Err(Problem::invalid(
                "base is the gateway's address as browsers know it, such as https://media.example.com"
                    .to_owned(),
            ));
        }
        let base = query.base.trim_end_matches('/').into();
        Ok(Self {
            urls: query.urls,
            base,
            minter: control.process.minter(),
            request,
            control: control.clone(),
        })
    }

    fn answer(&self, task: Task) -> Result<TaskAnswer, Problem> {
        let data = match self.urls {
            Urls::S3 => task.item.data,
            Urls::Media => self.rewritten(&task, None),
            Urls::Token => {
                let token = self.token(&task)?;
                self.rewritten(&task, Some(&token))
            }
        };
        Ok(TaskAnswer {
            id: task.number.0,
            project: task.project,
            data,
            annotations: task.item.annotations,
            predictions: task.item.predictions,
            meta: task.item.meta,
            allow_skip: task.item.allow_skip,
            storage: task.storage.0,
            storage_filename: task.key,
            row: task.row,
            etag: task.etag,
            created_at: time(task.created_at),
            updated_at: task.updated_at.map(time),
            vanished_at: task.vanished_at.map(time),
        })
    }

    /// The data with media URLs in place of the URIs.
    fn rewritten(&self, task: &Task, token: Option<&str>) -> Box<RawValue> {
        let data = task.item.data.get();
        let replaced = task::rewrite(data, |text| {
            let mut found = mentions(text).into_iter().peekable();
            found.peek()?;
            let (mut out, mut copied) = (String::with_capacity(text.len()), 0);
            for mention in found {
                out.push_str(text.get(copied..mention.place.start).unwrap_or_default());
                out.push_str(&self.url(task.number, &mention.object, token));
                copied = mention.place.end;
            }
            out.push_str(text.get(copied..).unwrap_or_default());
            Some(out)
        });
        // What was valid JSON stays so: texts are replaced by texts.
        RawValue::from_string(replaced.into_owned()).unwrap_or_else(|_| task.item.data.clone())
    }

    /// Label Studio's form of a media URL, which is bound to a task by its path.
    fn url(&self, task: TaskNumber, object: &ObjectUri, token: Option<&str>) -> String {
        let uri = URL_SAFE.encode(object.to_string());
        let mut url = format!("{}/tasks/{task}/resolve/?fileuri={uri}", self.base);
        if let Some(token) = token {
            url.push_str("&token=");
            url.push_str(token);
        }
        url
    }

    fn token(&self, task: &Task) -> Result<String, Problem> {
        let request = TokenRequest {
            task: Some(task.number.to_string()),
            project: task.project.as_ref().map(ToString::to_string),
            ..self.request.clone()
        };
        let minted = self.minter.mint(&request, (self.control.clock)());
        minted.map(MintedToken::into_token).map_err(|error| Problem::invalid(error.to_string()))
    }
}

fn is_origin(base: &str) -> bool {
    base.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none() && uri.host().is_some()
    })
}

const NO_STORE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");
const DEFAULT_PAGE: i64 = 100;
const MAX_PAGE: i64 = 1000;
const LINES: i64 = 500;
