//! `/api/runs`: syncs and exports as they are asked for, followed, stopped and taken up again.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Control, Number, Problem, time};
use crate::{
    id::{RunId, StorageId},
    run::{Counters, Fault, Job, Run, RunStatus, Trigger},
    storage::{Direction, Storage},
    store::{self, Enqueued, RunFilter},
};

/// A run as it is answered.
#[derive(Serialize, ToSchema)]
#[schema(as = Run)]
pub(super) struct RunAnswer {
    id: i64,
    storage: i64,
    /// `sync` or `export`.
    job: &'static str,
    /// `api`, `schedule` or `terminal`.
    trigger: &'static str,
    /// `queued`, `in_progress`, `completed`, `completed_with_errors`, `failed` or `cancelled`.
    status: &'static str,
    /// Whether it has been asked to stop.
    cancelling: bool,
    /// How often a sidecar took it up.
    claims: i64,
    #[schema(value_type = Object)]
    counters: Counters,
    /// Why it failed.
    error: Option<String>,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(format = "date-time")]
    started_at: Option<String>,
    #[schema(format = "date-time")]
    last_ping: Option<String>,
    #[schema(format = "date-time")]
    ended_at: Option<String>,
    /// What was refused: the first ones, where one run is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    faults: Option<Vec<FaultAnswer>>,
}

/// Something that was refused.
#[derive(Serialize, ToSchema)]
#[schema(as = Fault)]
pub(super) struct FaultAnswer {
    key: String,
    /// Which item of the object, from 0.
    row: Option<i64>,
    /// The line that the item starts on, from 1.
    line: Option<i64>,
    reason: String,
}

/// A page of runs.
#[derive(Serialize, ToSchema)]
#[schema(as = Runs)]
pub(super) struct RunsAnswer {
    /// The newest first.
    #[schema(inline)]
    runs: Vec<RunAnswer>,
    /// `before` of the next page; absent on the last one.
    next: Option<i64>,
}

/// Which runs to list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    storage: Option<i64>,
    status: Option<RunStatus>,
    before: Option<i64>,
    limit: Option<i64>,
}

/// How much of a run to answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneQuery {
    faults: Option<i64>,
}

/// What to run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StartRequest {
    storage: StorageRef,
    /// What is meant, so that a storage of the other direction is refused; absent: what the storage is for.
    job: Option<Job>,
}

/// A storage by its number, or by its name.
#[derive(Deserialize)]
#[serde(untagged)]
enum StorageRef {
    Number(i64),
    Name(String),
}

/// Runs, the newest first.
pub(super) async fn list(
    State(control): State<Control>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<RunsAnswer>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::invalid(rejection.body_text()))?;
    let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    let filter = RunFilter {
        storage: query.storage.map(StorageId),
        status: query.status,
        before: query.before.map(RunId),
        limit,
    };
    let runs = control.store.runs(&filter).await.map_err(Problem::store)?;
    let is_full = i64::try_from(runs.len()).is_ok_and(|count| count == limit);
    let next = runs.last().filter(|_| is_full).map(|run| run.id.0);
    Ok(Json(RunsAnswer { runs: runs.into_iter().map(|run| RunAnswer::new(run, None)).collect(), next }))
}

/// One run and what was refused in it.
pub(super) async fn get(
    State(control): State<Control>,
    Number(id): Number,
    query: Result<Query<OneQuery>, QueryRejection>,
) -> Result<Json<RunAnswer>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::invalid(rejection.body_text()))?;
    let run = find(&control, RunId(id)).await?;
    let limit = query.faults.unwrap_or(DEFAULT_FAULTS).clamp(0, MAX_FAULTS);
    let faults = control.store.faults(run.id, limit).await.map_err(Problem::store)?;
    Ok(Json(RunAnswer::new(run, Some(faults))))
}

/// Asks for a run of a storage; answers 200 with the one that is open where there is one.
pub(super) async fn start(
    State(control): State<Control>,
    request: Result<Json<StartRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<RunAnswer>), Problem> {
    let Json(request) = request.map_err(|rejection| Problem::invalid(rejection.body_text()))?;
    let storage = request.storage.find(&control, request.job).await?;
    if !storage.settings.synchronizable || storage.settings.bucket.is_none() {
        return Err(Problem::invalid(format!(
            "the storage {} cannot be synced: it needs a bucket, and synchronizable (of a storage of the configuration \
             file: import = \"files\" or \"tasks\")",
            storage.name()
        )));
    }
    let job = job_of(&storage);
    let enqueued = control.store.enqueue_run(storage.id, job, Trigger::Api).await.map_err(Problem::store)?;
    let Enqueued { run, is_new } = enqueued;
    control.process.run_queued();
    audit("run.start", run.id);
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(RunAnswer::new(run, None))))
}

/// Stops a run.
pub(super) async fn cancel(
    State(control): State<Control>,
    Number(id): Number,
) -> Result<Json<RunAnswer>, Problem> {
    let run = find(&control, RunId(id)).await?;
    let cancelled = control.store.cancel_run(run.id).await.map_err(Problem::store)?;
    let run = cancelled.ok_or(Problem::RUN_ENDED)?;
    audit("run.cancel", run.id);
    Ok(Json(RunAnswer::new(run, None)))
}

/// Takes a run up again: one that failed or was cancelled goes on where it stopped, another one begins anew.
pub(super) async fn retry(
    State(control): State<Control>,
    Number(id): Number,
) -> Result<Json<RunAnswer>, Problem> {
    let run = find(&control, RunId(id)).await?;
    let again = match control.store.reopen_run(run.id).await {
        Ok(Some(run)) => run,
        Ok(None) if !run.status.is_ended() => run,
        Ok(None) => {
            control.store.enqueue_run(run.storage, run.job, Trigger::Api).await.map_err(Problem::store)?.run
        }
        Err(store::Error::Conflict) => return Err(Problem::RUN_OPEN),
        Err(error) => return Err(Problem::store(error)),
    };
    control.process.run_queued();
    audit("run.retry", again.id);
    Ok(Json(RunAnswer::new(again, None)))
}

/// A run as it goes on, as server-sent events: `progress` whenever something is new, and `end`.
pub(super) async fn events(
    State(control): State<Control>,
    Number(id): Number,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let first = find(&control, RunId(id)).await?;
    let follow = Follow { control, id: first.id, told: None, next: Some(first) };
    let events = stream::unfold(follow, |mut follow| async move {
        let event = follow.event().await?;
        Some((Ok(event), follow))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// Somebody who follows a run.
struct Follow {
    control: Control,
    id: RunId,
    /// What was told last.
    told: Option<String>,
    /// What is not told yet.
    next: Option<Run>,
}

impl Follow {
    /// The next event; `None` behind the last.
    async fn event(&mut self) -> Option<Event> {
        loop {
            let run = match self.next.take() {
                Some(run) => run,
                None if self.told.is_none() => return None,
                None => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    // A database that is away for a while ends nothing; a run that is gone does.
                    match self.control.store.run(self.id).await {
                        Ok(run) => run?,
                        Err(_) => continue,
                    }
                }
            };
            let is_ended = run.status.is_ended();
            let answer = RunAnswer::new(run, None);
            let text = serde_json::to_string(&answer).ok()?;
            if is_ended {
                self.told = None;
                return Some(Event::default().event("end").data(text));
            }
            if self.told.as_ref() != Some(&text) {
                self.told = Some(text.clone());
                return Some(Event::default().event("progress").data(text));
            }
        }
    }
}

impl RunAnswer {
    fn new(run: Run, faults: Option<Vec<Fault>>) -> Self {
        let faults = faults.map(|faults| faults.into_iter().map(FaultAnswer::from).collect());
        Self {
            id: run.id.0,
            storage: run.storage.0,
            job: run.job.as_str(),
            trigger: run.trigger.as_str(),
            status: run.status.as_str(),
            cancelling: run.is_cancelling && !run.status.is_ended(),
            claims: run.claims,
            counters: run.counters,
            error: run.error,
            created_at: time(run.created_at),
            started_at: run.started_at.map(time),
            last_ping: run.last_ping.map(time),
            ended_at: run.ended_at.map(time),
            faults,
        }
    }
}

impl From<Fault> for FaultAnswer {
    fn from(fault: Fault) -> Self {
        let Fault { key, row, line, reason } = fault;
        Self { key, row, line, reason }
    }
}

impl StorageRef {
    async fn find(&self, control: &Control, job: Option<Job>) -> Result<Storage, Problem> {
        let mut all = control.store.storages().await.map_err(Problem::store)?;
        all.retain(|storage| job.is_none_or(|job| job == job_of(storage)));
        match all.iter().position(|storage| self.is_meant(storage)) {
            Some(at) => Ok(all.swap_remove(at)),
            None => Err(Problem::storage_unknown(&all)),
        }
    }

    fn is_meant(&self, storage: &Storage) -> bool {
        match self {
            Self::Number(id) => storage.id == StorageId(*id),
            Self::Name(name) => storage.name().as_str() == name || storage.id.to_string() == *name,
        }
    }
}

/// Tasks come from the one, and annotations go to the other.
fn job_of(storage: &Storage) -> Job {
    match storage.direction {
        Direction::Import => Job::Sync,
        Direction::Export => Job::Export,
    }
}

async fn find(control: &Control, id: RunId) -> Result<Run, Problem> {
    control.store.run(id).await.map_err(Problem::store)?.ok_or(Problem::RUN_UNKNOWN)
}

fn audit(action: &'static str, run: RunId) {
    tracing::info!(target: "mediagate::audit", who = "admin", action, run.id = run.0, "run changed");
}

const DEFAULT_PAGE: i64 = 50;
const MAX_PAGE: i64 = 1000;
const DEFAULT_FAULTS: i64 = 100;
const MAX_FAULTS: i64 = 1000;
/// How often a run that is followed is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
