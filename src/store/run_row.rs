//! A row of the table of runs with the sums of its parts, and the noun that it stands for.

use sqlx::{ColumnIndex, Decode, FromRow, Type};

use super::{Error, from_micros, row::word};
use crate::{
    id::{RunId, StorageId},
    run::{Counters, Run},
};

/// A statement that reads runs, by what follows `FROM`.
macro_rules! run_query {
    ($condition:literal) => {
        concat!(
            "SELECT runs.id, storage, job, asked_by, status, cancelling, claims, attempt, error, created_at, started_at, \
             last_ping, ended_at, COALESCE(listed, 0) AS listed, COALESCE(matched, 0) AS matched, \
             COALESCE(existed, 0) AS existed, COALESCE(created, 0) AS created, COALESCE(updated, 0) AS updated, \
             COALESCE(changed, 0) AS changed, COALESCE(vanished, 0) AS vanished, COALESCE(failed, 0) AS failed \
             FROM runs LEFT JOIN (SELECT run, CAST(SUM(listed) AS BIGINT) AS listed, \
             CAST(SUM(matched) AS BIGINT) AS matched, CAST(SUM(existed) AS BIGINT) AS existed, \
             CAST(SUM(created) AS BIGINT) AS created, CAST(SUM(updated) AS BIGINT) AS updated, \
             CAST(SUM(changed) AS BIGINT) AS changed, CAST(SUM(vanished) AS BIGINT) AS vanished, \
             CAST(SUM(failed) AS BIGINT) AS failed FROM run_parts GROUP BY run) sums ON sums.run = runs.id ",
            $condition
        )
    };
}
pub(super) use run_query;

/// A row as it is stored.
pub(super) struct RunRow {
    id: i64,
    storage: i64,
    job: String,
    asked_by: String,
    status: String,
    cancelling: bool,
    claims: i64,
    attempt: i64,
    error: Option<String>,
    created_at: i64,
    started_at: Option<i64>,
    last_ping: Option<i64>,
    ended_at: Option<i64>,
    counters: Counters,
}

impl RunRow {
    /// Parses the row.
    pub(super) fn into_run(self) -> Result<Run, Error> {
        let id = RunId(self.id);
        let malformed = |column| Error::RunMalformed { run: id, column };
        Ok(Run {
            id,
            storage: StorageId(self.storage),
            job: word(&self.job).ok_or(malformed("job"))?,
            trigger: word(&self.asked_by).ok_or(malformed("asked_by"))?,
            status: word(&self.status).ok_or(malformed("status"))?,
            is_cancelling: self.cancelling,
            claims: self.claims,
            attempt: self.attempt,
            counters: self.counters,
            error: self.error,
            created_at: from_micros(self.created_at),
            started_at: self.started_at.map(from_micros),
            last_ping: self.last_ping.map(from_micros),
            ended_at: self.ended_at.map(from_micros),
        })
    }
}

/// What the derive of sqlx would write, which comes with all of its macros.
impl<'r, R> FromRow<'r, R> for RunRow
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            storage: row.try_get("storage")?,
            job: row.try_get("job")?,
            asked_by: row.try_get("asked_by")?,
            status: row.try_get("status")?,
            cancelling: row.try_get("cancelling")?,
            claims: row.try_get("claims")?,
            attempt: row.try_get("attempt")?,
            error: row.try_get("error")?,
            created_at: row.try_get("created_at")?,
            started_at: row.try_get("started_at")?,
            last_ping: row.try_get("last_ping")?,
            ended_at: row.try_get("ended_at")?,
            counters: Counters {
                listed: row.try_get("listed")?,
                matched: row.try_get("matched")?,
                existed: row.try_get("existed")?,
                created: row.try_get("created")?,
                updated: row.try_get("updated")?,
                changed: row.try_get("changed")?,
                vanished: row.try_get("vanished")?,
                failed: row.try_get("failed")?,
            },
        })
    }
}
