//! The table of runs: asked for, claimed, renewed, ended.
//!
//! Whoever works on a run holds a claim, which is a number and a lease. A lease that ran out lets another sidecar claim
//! the run under the next number; every write of a run's work names its number, and one that is no longer the newest is
//! refused with [`Error::ClaimLost`]. So two sidecars never both write, whatever their clocks and pauses.

use std::time::Duration;

use super::{
    Error, Store, length, on,
    run_row::{RunRow, run_query},
    without_nul,
};
use crate::{
    id::{RunId, StorageId},
    run::{Claim, Ending, Fault, Job, Run, RunStatus, Trigger},
};

/// A run that was asked for.
#[derive(Clone, Debug)]
pub struct Enqueued {
    /// It, or the open one that the storage had already.
    pub run: Run,
    /// Whether it was made now.
    pub is_new: bool,
}

/// A run that was claimed.
#[derive(Clone, Copy, Debug)]
pub struct Claimed {
    /// The right to work on it.
    pub claim: Claim,
    /// Its storage.
    pub storage: StorageId,
    /// What to do.
    pub job: Job,
}

/// Which runs to list.
#[derive(Clone, Copy, Debug)]
pub struct RunFilter {
    /// Of this storage; absent: of all.
    pub storage: Option<StorageId>,
    /// In this state; absent: in any.
    pub status: Option<RunStatus>,
    /// With smaller numbers than this; absent: from the newest on.
    pub before: Option<RunId>,
    /// The most to return.
    pub limit: i64,
}

impl Store {
    /// Asks for a run. A storage has one open run: where there is one it is returned.
    pub async fn enqueue_run(
        &self,
        storage: StorageId,
        job: Job,
        trigger: Trigger,
    ) -> Result<Enqueued, Error> {
        // Twice, since the open run that was in the way may have ended when we look for it.
        for _ in 0..2 {
            if let Some(id) = self.insert_run(storage, job, trigger, None).await? {
                return Ok(Enqueued { run: self.expect_run(id).await?, is_new: true });
            }
            if let Some(run) = self.open_run(storage).await? {
                return Ok(Enqueued { run, is_new: false });
            }
        }
        Err(Error::StorageUnknown(storage))
    }

    /// Asks for a run where the storage has an open one neither now nor had any since `every` ago.
    pub async fn enqueue_due_run(
        &self,
        storage: StorageId,
        job: Job,
        every: Duration,
    ) -> Result<Option<RunId>, Error> {
        self.insert_run(storage, job, Trigger::Schedule, Some(every)).await
    }

    /// Claims the oldest run that waits for somebody, or the given one if it does.
    pub async fn claim_run(
        &self,
        claimant: &str,
        lease: Duration,
        only: Option<RunId>,
    ) -> Result<Option<Claimed>, Error> {
        let now = self.now();
        let row: Option<(i64, i64, String, i64)> = self
            .bounded(async {
                let text = match &self.0.pool {
                    super::pool::Pool::Sqlite(_) => CLAIM_SQLITE,
                    super::pool::Pool::Postgres(_) => CLAIM_POSTGRES,
                };
                let row = on!(&self.0.pool, pool => {
                    sqlx::query_as(text)
                        .bind(claimant)
                        .bind(now + length(lease))
                        .bind(now)
                        .bind(only.map(|run| run.0))
                        .fetch_optional(pool)
                        .await
                })?;
                Ok(row)
            })
            .await?;
        let claimed = row.map(|(run, storage, job, number)| Claimed {
            claim: Claim { run: RunId(run), number },
            storage: StorageId(storage),
            job: if job == Job::Export.as_str() { Job::Export } else { Job::Sync },
        });
        Ok(claimed)
    }

    /// Renews a claim; returns whether the run has been asked to stop.
    pub async fn renew_claim(&self, claim: Claim, lease: Duration) -> Result<bool, Error> {
        let now = self.now();
        let row: Option<(bool,)> = self
            .bounded(async {
                let row = on!(&self.0.pool, pool => {
                    sqlx::query_as(RENEW)
                        .bind(claim.run.0)
                        .bind(claim.number)
                        .bind(now + length(lease))
                        .bind(now)
                        .fetch_optional(pool)
                        .await
                })?;
                Ok(row)
            })
            .await?;
        row.map(|(is_cancelling,)| is_cancelling).ok_or(Error::ClaimLost)
    }

    /// Gives a claim back, so that another sidecar may go on at once.
    pub async fn release_claim(&self, claim: Claim) -> Result<(), Error> {
        self.of_claim(claim, RELEASE, None).await
    }

    /// Ends a run.
    pub async fn end_run(&self, claim: Claim, ending: &Ending) -> Result<(), Error> {
        let (text, reason) = match ending {
            Ending::Completed => (COMPLETE, None),
            Ending::Cancelled => (END_CANCELLED, None),
            Ending::Failed(reason) => (FAIL, Some(without_nul(reason))),
        };
        self.of_claim(claim, text, reason).await
    }

    /// Stops a run: at once where it waits, and as soon as its sidecar hears of it otherwise. `None` where it is not open.
    pub async fn cancel_run(&self, id: RunId) -> Result<Option<Run>, Error> {
        self.change_run(id, CANCEL).await
    }

    /// Opens a run again that failed or was cancelled: it goes on where it stopped. `None` where it did neither,
    /// [`Error::Conflict`] where the storage has another open one.
    pub async fn reopen_run(&self, id: RunId) -> Result<Option<Run>, Error> {
        self.change_run(id, REOPEN).await
    }

    /// One run.
    pub async fn run(&self, id: RunId) -> Result<Option<Run>, Error> {
        let text = run_query!("WHERE runs.id = $1");
        let row: Option<RunRow> = self
            .bounded(async {
                Ok(on!(&self.0.pool, pool => sqlx::query_as(text).bind(id.0).fetch_optional(pool).await)?)
            })
            .await?;
        row.map(RunRow::into_run).transpose()
    }

    /// Runs, the newest first.
    pub async fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>, Error> {
        let text = run_query!(
            "WHERE ($1 IS NULL OR storage = $1) AND ($2 IS NULL OR status = $2) AND ($3 IS NULL OR runs.id < $3) \
             ORDER BY runs.id DESC LIMIT $4"
        );
        let rows: Vec<RunRow> = self
            .bounded(async {
                let rows = on!(&self.0.pool, pool => {
                    sqlx::query_as(text)
                        .bind(filter.storage.map(|storage| storage.0))
                        .bind(filter.status.map(RunStatus::as_str))
                        .bind(filter.before.map(|run| run.0))
                        .bind(filter.limit)
                        .fetch_all(pool)
                        .await
                })?;
                Ok(rows)
            })
            .await?;
        rows.into_iter().map(RunRow::into_run).collect()
    }

    /// What was refused in a run, by key; the first ones.
    pub async fn faults(&self, run: RunId, limit: i64) -> Result<Vec<Fault>, Error> {
        let rows: Vec<(String, i64, Option<i64>, String)> = self
            .bounded(async {
                let rows = on!(&self.0.pool, pool => {
                    sqlx::query_as(FAULTS).bind(run.0).bind(limit).fetch_all(pool).await
                })?;
                Ok(rows)
            })
            .await?;
        let fault =
            |(key, row, line, reason)| Fault { key, row: Some(row).filter(|row| *row >= 0), line, reason };
        Ok(rows.into_iter().map(fault).collect())
    }

    /// Drops all but the newest of a storage's runs that have ended.
    pub async fn drop_old_runs(&self, storage: StorageId, kept: i64) -> Result<(), Error> {
        self.bounded(async {
            let mut tx = self.0.pool.begin().await?;
            // The runs themselves last, since the others are found by them.
            for text in [DROP_OLD_PARTS, DROP_OLD_FAULTS, DROP_OLD_RUNS] {
                on!(&mut tx, tx => {
                    sqlx::query(text).bind(storage.0).bind(kept).execute(&mut **tx).await.map(drop)
                })?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn of_claim(&self, claim: Claim, text: &'static str, reason: Option<String>) -> Result<(), Error> {
        let affected = self
            .bounded(async {
                let affected = on!(&self.0.pool, pool => {
                    sqlx::query(text)
                        .bind(claim.run.0)
                        .bind(claim.number)
                        .bind(self.now())
                        .bind(reason)
                        .execute(pool)
                        .await
                        .map(|done| done.rows_affected())
                })?;
                Ok(affected)
            })
            .await?;
        if affected == 0 { Err(Error::ClaimLost) } else { Ok(()) }
    }

    async fn insert_run(
        &self,
        storage: StorageId,
        job: Job,
        trigger: Trigger,
        every: Option<Duration>,
    ) -> Result<Option<RunId>, Error> {
        let now = self.now();
        // Nothing is younger than the end of time.
        let cutoff = every.map_or(i64::MAX, |every| now - length(every));
        let row: Option<(i64,)> = self
            .bounded(async {
                let row = on!(&self.0.pool, pool => {
                    sqlx::query_as(ENQUEUE)
                        .bind(storage.0)
                        .bind(job.as_str())
                        .bind(trigger.as_str())
                        .bind(now)
                        .bind(cutoff)
                        .fetch_optional(pool)
                        .await
                })?;
                Ok(row)
            })
            .await?;
        Ok(row.map(|(id,)| RunId(id)))
    }

    async fn open_run(&self, storage: StorageId) -> Result<Option<Run>, Error> {
        let text = run_query!("WHERE storage = $1 AND status IN ('queued', 'in_progress')");
        let row: Option<RunRow> = self
            .bounded(async {
                let row =
                    on!(&self.0.pool, pool => sqlx::query_as(text).bind(storage.0).fetch_optional(pool).await)?;
                Ok(row)
            })
            .await?;
        row.map(RunRow::into_run).transpose()
    }

    async fn expect_run(&self, id: RunId) -> Result<Run, Error> {
        self.run(id).await?.ok_or(Error::RunUnknown(id))
    }

    async fn change_run(&self, id: RunId, text: &'static str) -> Result<Option<Run>, Error> {
        let affected = self
            .bounded(async {
                let affected = on!(&self.0.pool, pool => {
                    let done = sqlx::query(text).bind(id.0).bind(self.now()).execute(pool).await;
                    done.map(|done| done.rows_affected())
                })?;
                Ok(affected)
            })
            .await?;
        if affected == 0 { Ok(None) } else { self.run(id).await }
    }
}

impl RunFilter {
    /// The newest runs.
    pub fn newest(limit: i64) -> Self {
        Self { storage: None, status: None, before: None, limit }
    }
}

const ENQUEUE: &str = "INSERT INTO runs (storage, job, asked_by, status, created_at, attempt) \
                       SELECT id, $2, $3, 'queued', $4, \
                       COALESCE((SELECT MAX(attempt) FROM runs WHERE storage = $1), 0) + 1 FROM storages WHERE id = $1 AND NOT absent \
                       AND NOT EXISTS (SELECT 1 FROM runs WHERE storage = $1 AND job = $2 AND created_at > $5) \
                       ON CONFLICT (storage) WHERE status IN ('queued', 'in_progress') DO NOTHING RETURNING id";
/// The run that waits longest, of those that nobody holds.
macro_rules! claim {
    ($lock:literal) => {
        concat!(
            "UPDATE runs SET status = 'in_progress', claims = claims + 1, claimed_by = $1, lease_until = $2, \
             last_ping = $3, started_at = COALESCE(started_at, $3) WHERE id = (\
             SELECT id FROM runs WHERE status IN ('queued', 'in_progress') \
             AND (status = 'queued' OR lease_until < $3) AND ($4 IS NULL OR id = $4) ORDER BY id LIMIT 1",
            $lock,
            ") RETURNING id, storage, job, claims"
        )
    };
}
const CLAIM_SQLITE: &str = claim!("");
const CLAIM_POSTGRES: &str = claim!(" FOR UPDATE SKIP LOCKED");
const RENEW: &str = "UPDATE runs SET lease_until = $3, last_ping = $4 \
                     WHERE id = $1 AND claims = $2 AND status = 'in_progress' RETURNING cancelling";
const RELEASE: &str = "UPDATE runs SET lease_until = $3 - 1, error = $4 \
                       WHERE id = $1 AND claims = $2 AND status = 'in_progress'";
const COMPLETE: &str = "UPDATE runs SET status = CASE WHEN \
                        (SELECT SUM(failed) FROM run_parts WHERE run = $1) > 0 \
                        THEN 'completed_with_errors' ELSE 'completed' END, error = $4, ended_at = $3, \
                        last_ping = $3, lease_until = NULL WHERE id = $1 AND claims = $2 AND status = 'in_progress'";
const END_CANCELLED: &str = "UPDATE runs SET status = 'cancelled', error = $4, ended_at = $3, lease_until = NULL \
                             WHERE id = $1 AND claims = $2 AND status = 'in_progress'";
const FAIL: &str = "UPDATE runs SET status = 'failed', error = $4, ended_at = $3, lease_until = NULL \
                    WHERE id = $1 AND claims = $2 AND status = 'in_progress'";
const CANCEL: &str = "UPDATE runs SET cancelling = TRUE, \
                      ended_at = CASE WHEN status = 'queued' THEN $2 ELSE ended_at END, \
                      status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END \
                      WHERE id = $1 AND status IN ('queued', 'in_progress')";
const REOPEN: &str = "UPDATE runs SET status = 'queued', cancelling = FALSE, error = NULL, ended_at = NULL, \
                      last_ping = $2 WHERE id = $1 AND status IN ('failed', 'cancelled')";
macro_rules! old_runs {
    ($statement:literal) => {
        concat!(
            $statement,
            " (SELECT id FROM runs WHERE storage = $1 AND ended_at IS NOT NULL \
             AND id <= (SELECT id FROM runs WHERE storage = $1 ORDER BY id DESC LIMIT 1 OFFSET $2))"
        )
    };
}
const DROP_OLD_PARTS: &str = old_runs!("DELETE FROM run_parts WHERE run IN");
const DROP_OLD_FAULTS: &str = old_runs!("DELETE FROM run_faults WHERE run IN");
const DROP_OLD_RUNS: &str = old_runs!("DELETE FROM runs WHERE id IN");
const FAULTS: &str = "SELECT key, row_index, line, reason FROM run_faults WHERE run = $1 \
                      ORDER BY key, row_index LIMIT $2";
