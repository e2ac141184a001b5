//! What the last sync or export left on its storage, read from the run that it was.

use std::{collections::HashMap, time::SystemTime};

use serde_json::{Map, Value, json};

use super::{
    Error, Store, on,
    run_row::{RunRow, run_query},
};
use crate::{
    id::StorageId,
    run::{Job, Run, RunStatus},
    storage::{Status, SyncState},
};

impl Store {
    /// The states of these storages; one that was never synced has none.
    pub async fn sync_states(&self, storages: &[StorageId]) -> Result<HashMap<StorageId, SyncState>, Error> {
        let mut states = HashMap::with_capacity(storages.len());
        for storage in storages {
            if let Some(run) = self.last_run(*storage).await? {
                states.insert(*storage, self.state_of(&run).await?);
            }
        }
        Ok(states)
    }

    /// The state of one storage.
    pub async fn sync_state(&self, storage: StorageId) -> Result<SyncState, Error> {
        Ok(self.sync_states(&[storage]).await?.remove(&storage).unwrap_or_default())
    }

    async fn last_run(&self, storage: StorageId) -> Result<Option<Run>, Error> {
        let text = run_query!("WHERE storage = $1 ORDER BY runs.id DESC LIMIT 1");
        let row: Option<RunRow> = self
            .bounded(async {
                let row =
                    on!(&self.0.pool, pool => sqlx::query_as(text).bind(storage.0).fetch_optional(pool).await)?;
                Ok(row)
            })
            .await?;
        row.map(RunRow::into_run).transpose()
    }

    async fn state_of(&self, run: &Run) -> Result<SyncState, Error> {
        let faults = match run.counters.failed {
            0 => Vec::new(),
            _ => self.faults(run.id, SHOWN).await?,
        };
        let mut sentences: Vec<String> = run.error.iter().cloned().collect();
        sentences.extend(faults.iter().map(ToString::to_string));
        let unseen = run.counters.failed - i64::try_from(faults.len()).unwrap_or_default();
        if unseen > 0 {
            sentences.push(format!("and {unseen} more; see /api/runs/{}", run.id));
        }
        if run.status == RunStatus::Cancelled {
            sentences.push("The run was cancelled; a retry goes on where it stopped.".to_owned());
        }
        let is_complete = matches!(run.status, RunStatus::Completed | RunStatus::CompletedWithErrors);
        Ok(SyncState {
            status: status(run.status),
            last_sync: run.ended_at.filter(|_| is_complete),
            last_sync_count: run.started_at.map(|_| run.counters.created),
            last_sync_job: Some(run.id.to_string()),
            traceback: (!sentences.is_empty()).then(|| sentences.join("\n")),
            meta: meta(run, is_complete),
        })
    }
}

/// Label Studio's keys, and our counters beside them.
fn meta(run: &Run, is_complete: bool) -> Map<String, Value> {
    let counters = run.counters;
    let mut meta = Map::new();
    let mut set = |key: &str, value: Value| meta.insert(key.to_owned(), value);
    set("attempts", json!(run.attempt));
    set("time_queued", time(Some(run.created_at)));
    if let Some(started_at) = run.started_at {
        let until = run.ended_at.or(run.last_ping).unwrap_or(started_at);
        set("time_in_progress", time(Some(started_at)));
        set("time_last_ping", time(run.last_ping));
        set("duration", json!(until.duration_since(started_at).unwrap_or_default().as_secs_f64()));
        match run.job {
            Job::Sync => set("tasks_existed", json!(counters.existed)),
            Job::Export => set("total_annotations", json!(counters.listed)),
        };
    }
    if is_complete {
        set("time_completed", time(run.ended_at));
    } else if run.status.is_ended() {
        set("time_failure", time(run.ended_at));
    }
    if counters.failed > 0 && run.job == Job::Sync {
        set("tasks_failed_validation", json!(counters.failed));
    }
    set("counters", json!(counters));
    meta
}

/// Label Studio knows no cancelled sync.
fn status(status: RunStatus) -> Status {
    match status {
        RunStatus::Queued => Status::Queued,
        RunStatus::InProgress => Status::InProgress,
        RunStatus::Completed => Status::Completed,
        RunStatus::CompletedWithErrors => Status::CompletedWithErrors,
        RunStatus::Failed | RunStatus::Cancelled => Status::Failed,
    }
}

/// As Python prints a time: Label Studio's `meta` has texts of that form.
fn time(time: Option<SystemTime>) -> Value {
    time.map_or(Value::Null, |time| {
        let text = humantime::format_rfc3339_micros(time).to_string();
        Value::String(text.replace('T', " ").replace('Z', "+00:00"))
    })
}

/// Of what was refused, as many as a person reads in a list of storages.
const SHOWN: i64 = 20;
