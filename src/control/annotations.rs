//! Annotations of any frontend: told here, kept until they are in their targets.

use std::time::SystemTime;

use axum::{
    Json,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Control, Problem, time};
use crate::{
    annotation::{Annotation, Beside, Change},
    id::{AnnotationId, StorageId},
    store::{OutboxEntry, OutboxFilter, OutboxState},
};

/// How many were accepted.
#[derive(Serialize, ToSchema)]
#[schema(as = Accepted)]
pub(super) struct AcceptedAnswer {
    accepted: usize,
}

/// Which objects to list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    storage: Option<i64>,
    #[serde(default)]
    state: Listed,
    #[serde(default)]
    after: i64,
    limit: Option<i64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Listed {
    #[default]
    Due,
    Dead,
}

/// Objects that are not in their target.
#[derive(Serialize, ToSchema)]
#[schema(as = Outbox)]
pub(super) struct OutboxAnswer {
    items: Vec<ItemAnswer>,
    /// To be sent as `after`; absent on the last page.
    next: Option<i64>,
}

/// One object.
#[derive(Serialize, ToSchema)]
#[schema(as = OutboxItem)]
pub(super) struct ItemAnswer {
    storage: i64,
    /// `annotation` or `task`.
    unit: &'static str,
    /// The id of the annotation, or of the task.
    item: String,
    /// How often in a row it failed.
    attempts: i64,
    /// Why it failed last.
    reason: Option<String>,
    /// Since when the target lacks something.
    #[schema(format = "date-time")]
    waiting_since: String,
    /// When it is tried next, where it waits.
    #[schema(format = "date-time")]
    due_at: String,
}

/// In how many targets something is tried again.
#[derive(Serialize, ToSchema)]
#[schema(as = Retried)]
pub(super) struct RetriedAnswer {
    retried: u64,
}

/// Accepts one annotation, or a list of them: all, or none.
pub(super) async fn post(
    State(control): State<Control>,
    request: Request,
) -> Result<Json<AcceptedAnswer>, Problem> {
    let taken = control.intake.read(request).await?;
    let now = (control.clock)();
    let changes = match json::<Sent>(&taken.bytes)? {
        Sent::One(body) => vec![read(body, Beside::default(), now).map_err(Problem::invalid)?],
        Sent::Many(bodies) => {
            let one = |(at, body): (usize, &RawValue)| {
                read(body, Beside::default(), now)
                    .map_err(|why| Problem::invalid(format!("annotation {at}: {why}")))
            };
            bodies.into_iter().enumerate().map(one).collect::<Result<_, _>>()?
        }
    };
    let accepted = changes.len();
    control.intake.accept(changes, taken).await?;
    Ok(Json(AcceptedAnswer { accepted }))
}

/// Accepts one annotation under the id of the path.
pub(super) async fn put(
    State(control): State<Control>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<AcceptedAnswer>, Problem> {
    let id = annotation_id(&id)?;
    let taken = control.intake.read(request).await?;
    let body = json::<&RawValue>(&taken.bytes)?;
    let beside = Beside { id: Some(&id), ..Beside::default() };
    let change = read(body, beside, (control.clock)()).map_err(Problem::invalid)?;
    control.intake.accept(vec![change], taken).await?;
    Ok(Json(AcceptedAnswer { accepted: 1 }))
}

/// Accepts that an annotation is gone.
pub(super) async fn delete(
    State(control): State<Control>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = annotation_id(&id)?;
    control.intake.commit(vec![Change::Delete(id, (control.clock)())]).await?;
    tracing::info!(target: "mediagate::audit", who = "admin", action = "annotation.delete", "annotation deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// Lists objects that wait, or were given up.
pub(super) async fn list(
    State(control): State<Control>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<OutboxAnswer>, Problem> {
    let Query(parameters) = parameters.map_err(|rejection| Problem::invalid(rejection.body_text()))?;
    let limit = parameters.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid(format!("limit is 1 to {MAX_LIMIT}")));
    }
    let filter = OutboxFilter {
        storage: parameters.storage.map(StorageId),
        state: match parameters.state {
            Listed::Due => OutboxState::Due,
            Listed::Dead => OutboxState::Dead,
        },
        after: parameters.after,
        limit,
    };
    let entries = control.store.outbox(&filter).await.map_err(Problem::store)?;
    let is_full = usize::try_from(limit).is_ok_and(|limit| entries.len() == limit);
    let next = entries.last().filter(|_| is_full).map(|entry| entry.number);
    Ok(Json(OutboxAnswer { items: entries.into_iter().map(ItemAnswer::new).collect(), next }))
}

/// Tries an object again that was given up, in every target.
pub(super) async fn retry(
    State(control): State<Control>,
    Path(id): Path<String>,
) -> Result<Json<RetriedAnswer>, Problem> {
    let retried = control.store.retry_dead(&id).await.map_err(Problem::store)?;
    if retried == 0 {
        return Err(Problem::NOT_FOUND);
    }
    tracing::info!(target: "mediagate::audit", who = "admin", action = "annotation.retry", retried, "tried again");
    Ok(Json(RetriedAnswer { retried }))
}

/// One annotation or several.
enum Sent<'a> {
    One(&'a RawValue),
    Many(Vec<&'a RawValue>),
}

impl<'a> Deserialize<'a> for Sent<'a> {
    fn deserialize<D: serde::Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let whole = <&RawValue>::deserialize(deserializer)?;
        if whole.get().starts_with('[') {
            serde_json::from_str(whole.get()).map(Self::Many).map_err(serde::de::Error::custom)
        } else {
            Ok(Self::One(whole))
        }
    }
}

impl ItemAnswer {
    fn new(entry: OutboxEntry) -> Self {
        Self {
            storage: entry.storage.0,
            unit: entry.unit.as_str(),
            item: entry.item,
            attempts: entry.attempts,
            reason: entry.reason,
            waiting_since: time(entry.waiting_since),
            due_at: time(entry.due_at),
        }
    }
}

/// Reads JSON that refers to the bytes.
pub(super) fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::invalid(format!("the body is not as it should be: {error}")))
}

fn read(body: &RawValue, beside: Beside<'_>, now: SystemTime) -> Result<Change, String> {
    let annotation = Annotation::read(body, beside, now).map_err(|fault| fault.to_string())?;
    Ok(Change::Put(Box::new(annotation)))
}

fn annotation_id(text: &str) -> Result<AnnotationId, Problem> {
    AnnotationId::parse(text).map_err(|error| Problem::invalid(format!("the id in the path: {error}")))
}

const DEFAULT_LIMIT: i64 = 100;
pub(super) const MAX_LIMIT: i64 = 1000;
