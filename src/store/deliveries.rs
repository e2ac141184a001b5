//! Tasks that live in another application: which it has, which it lacks, and which may be on their way.
//!
//! The other application takes no part in our transactions, so each task goes through states. What is due is claimed for one
//! request before that is sent; whoever gets the answer puts down the numbers. Where no answer came, the tasks stay as they
//! are until enough time has passed that they can be looked for there, and only what is not found is due again.
//!
//! Claims are fenced by the run like its steps; what is known of tasks there is put down by whoever learns it, since it is
//! true whoever has the run by then.

mod settle;

use std::time::Duration;

use serde_json::json;
use sqlx::{ColumnIndex, Decode, FromRow, Type};

pub use self::settle::Lost;
use super::{
    Error, Store, length, on,
    pool::Tx,
    steps::{SourceId, fence, keep_fault},
    tasks::{TaskRow, task_columns},
};
use crate::{
    id::TaskNumber,
    run::{Claim, Fault},
    task::Task,
};

/// How far a task's delivery is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeliveryState {
    /// It is to be sent.
    Due,
    /// It was sent, or is just being sent.
    Sending,
    /// The application has it as it is here.
    Done,
    /// The application does not take it; the next run tries again.
    Refused,
}

/// What is known of a task in the other application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// The task.
    pub task: TaskNumber,
    /// The key of its object.
    pub key: String,
    /// Which item of the object, from 0; -1: the object.
    pub row: i64,
    /// How far it is.
    pub state: DeliveryState,
    /// Its number there.
    pub remote: Option<i64>,
    /// The request that made it, or was to.
    pub batch: Option<String>,
}

/// How much goes into one request at most, and how long until what became of it can be looked for.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Tasks.
    pub tasks: usize,
    /// Bytes of items, about; one item may have more.
    pub bytes: i64,
    /// From the claim.
    pub settle: Duration,
}

/// Tasks that were claimed for one request.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Its name, which no other has.
    pub id: String,
    /// What it has.
    pub parcels: Vec<Parcel>,
}

/// A task on its way.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The task.
    pub task: Task,
    /// The line that its item starts on, where it has lines.
    pub line: Option<i64>,
    /// Its number there, where it only changes.
    pub remote: Option<i64>,
    /// The request that made it there, or is to.
    pub batch: String,
}

impl Store {
    /// Claims tasks that the application lacks, the oldest first.
    pub async fn claim_batch(
        &self,
        claim: Claim,
        source: SourceId,
        bounds: Bounds,
    ) -> Result<Option<Batch>, Error> {
        let tasks = self.due(source, bounds).await?;
        self.claimed(claim, tasks, bounds.settle, CLAIM_NEW).await
    }

    /// Claims one task that the application has, and that has changed.
    pub async fn claim_change(
        &self,
        claim: Claim,
        source: SourceId,
        settle: Duration,
    ) -> Result<Option<Batch>, Error> {
        let row: Option<(i64,)> = self
            .bounded(async {
                let row = on!(&self.0.pool, pool => {
                    sqlx::query_as(DUE_CHANGE).bind(source.0).fetch_optional(pool).await
                })?;
                Ok(row)
            })
            .await?;
        self.claimed(claim, row.into_iter().map(|(task,)| task).collect(), settle, CLAIM_CHANGE).await
    }

    /// Gives what was claimed for a request some more time, since it is only sent now, or another limit, since its end is
    /// known better.
    pub async fn keep_batch(&self, batch: &str, settle: Duration) -> Result<(), Error> {
        let until = self.now() + length(settle);
        self.of_batch(KEEP, batch, until).await
    }

    /// Makes due again what was claimed for a request that the application has certainly not carried out.
    pub async fn return_batch(&self, batch: &str) -> Result<(), Error> {
        self.of_batch(RETURN, batch, 0).await
    }

    /// Puts down the numbers that tasks got in the application, and counts them as made by the run. A number that another
    /// task had is the number of one that is gone: some databases give the highest ones again.
    pub async fn put_down_delivered(
        &self,
        claim: Claim,
        batch: &str,
        numbers: &[(TaskNumber, i64)],
    ) -> Result<(), Error> {
        self.bounded(async {
            let mut tx = self.0.pool.begin().await?;
            over_pairs(&mut tx, (TAKE_OVER_SQLITE, TAKE_OVER_POSTGRES), batch, numbers).await?;
            let made = over_pairs(&mut tx, (DELIVERED_SQLITE, DELIVERED_POSTGRES), batch, numbers).await?;
            count(&mut tx, claim, Tally { created: made, ..Tally::default() }).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Puts down that the application has a task as it is here, and counts it as brought up to date by the run, unless
    /// the application had it no more.
    pub async fn put_down_changed(
        &self,
        claim: Claim,
        task: TaskNumber,
        is_there: bool,
    ) -> Result<(), Error> {
        self.bounded(async {
            let mut tx = self.0.pool.begin().await?;
            on!(&mut tx, tx => sqlx::query(CHANGED).bind(task.0).execute(&mut **tx).await.map(drop))?;
            count(&mut tx, claim, Tally { updated: i64::from(is_there), ..Tally::default() }).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Puts down that the application does not take a task, with a fault of the run.
    pub async fn put_down_refused(&self, claim: Claim, parcel: &Parcel, reason: String) -> Result<(), Error> {
        let Parcel { task, line, .. } = parcel;
        let fault = Fault { key: task.key.clone(), row: task.row, line: *line, reason };
        self.bounded(async {
            let mut tx = self.0.pool.begin().await?;
            fence(&mut tx, claim).await?;
            on!(&mut tx, tx => sqlx::query(REFUSED).bind(task.number.0).execute(&mut **tx).await.map(drop))?;
            let failed = keep_fault(&mut tx, claim, &fault).await?;
            count(&mut tx, claim, Tally { failed, ..Tally::default() }).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// The tasks that are due, as many as fit into a request.
    async fn due(&self, source: SourceId, bounds: Bounds) -> Result<Vec<i64>, Error> {
        let limit = i64::try_from(bounds.tasks).unwrap_or(i64::MAX);
        let rows: Vec<(i64, i64)> = self
            .bounded(async {
                let rows = on!(&self.0.pool, pool => {
                    sqlx::query_as(DUE).bind(source.0).bind(limit).fetch_all(pool).await
                })?;
                Ok(rows)
            })
            .await?;
        let mut bytes = 0;
        let fits = |(index, (_, size)): &(usize, (i64, i64))| {
            bytes += size;
            *index == 0 || bytes <= bounds.bytes
        };
        Ok(rows.into_iter().enumerate().take_while(fits).map(|(_, (task, _))| task).collect())
    }

    async fn claimed(
        &self,
        claim: Claim,
        tasks: Vec<i64>,
        settle: Duration,
        (sqlite, postgres): (&'static str, &'static str),
    ) -> Result<Option<Batch>, Error> {
        if tasks.is_empty() {
            return Ok(None);
        }
        let (id, until) = (format!("{:016x}", fastrand::u64(..)), self.now() + length(settle));
        let rows: Vec<ParcelRow> = self
            .bounded(async {
                let mut tx = self.0.pool.begin().await?;
                fence(&mut tx, claim).await?;
                let rows = match &mut tx {
                    Tx::Sqlite(tx) => {
                        let tasks = json!(tasks).to_string();
                        let claimed: Vec<(i64,)> = sqlx::query_as(sqlite)
                            .bind(&id)
                            .bind(until)
                            .bind(tasks)
                            .fetch_all(&mut **tx)
                            .await?;
                        let claimed: Vec<i64> = claimed.into_iter().map(|(task,)| task).collect();
                        sqlx::query_as(READ_SQLITE)
                            .bind(json!(claimed).to_string())
                            .fetch_all(&mut **tx)
                            .await?
                    }
                    Tx::Postgres(tx) => {
                        let claimed: Vec<(i64,)> = sqlx::query_as(postgres)
                            .bind(&id)
                            .bind(until)
                            .bind(&tasks)
                            .fetch_all(&mut **tx)
                            .await?;
                        let claimed: Vec<i64> = claimed.into_iter().map(|(task,)| task).collect();
                        sqlx::query_as(READ_POSTGRES).bind(claimed).fetch_all(&mut **tx).await?
                    }
                };
                tx.commit().await?;
                Ok(rows)
            })
            .await?;
        let parcels = rows.into_iter().map(ParcelRow::into_parcel).collect::<Result<Vec<_>, _>>()?;
        // Somebody else may have claimed them all in between.
        Ok(Some(Batch { id, parcels }))
    }

    async fn of_batch(&self, text: &'static str, batch: &str, until: i64) -> Result<(), Error> {
        self.bounded(async {
            on!(&self.0.pool, pool => {
                sqlx::query(text).bind(batch).bind(until).execute(pool).await.map(drop)
            })?;
            Ok(())
        })
        .await
    }
}

impl DeliveryState {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "due" => Some(Self::Due),
            "sending" => Some(Self::Sending),
            "done" => Some(Self::Done),
            "refused" => Some(Self::Refused),
            _ => None,
        }
    }
}

/// A row of what was claimed.
struct ParcelRow {
    task: TaskRow,
    line: Option<i64>,
    remote: Option<i64>,
    batch: Option<String>,
}

impl ParcelRow {
    fn into_parcel(self) -> Result<Parcel, Error> {
        let batch = self.batch.unwrap_or_default();
        Ok(Parcel { task: self.task.into_task()?, line: self.line, remote: self.remote, batch })
    }
}

impl<'r, R> FromRow<'r, R> for ParcelRow
where
    R: sqlx::Row,
    TaskRow: FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let task = TaskRow::from_row(row)?;
        let (line, remote) = (row.try_get("line")?, row.try_get("remote")?);
        Ok(Self { task, line, remote, batch: row.try_get("batch")? })
    }
}

/// What a run's part of deliveries gets added.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    created: i64,
    updated: i64,
    failed: i64,
}

/// Adds to the counters of the run, whoever has it by now. Its deliveries are a part of their own, which nobody goes
/// through.
async fn count(tx: &mut Tx, claim: Claim, tally: Tally) -> Result<(), Error> {
    let Tally { created, updated, failed } = tally;
    on!(tx, tx => {
        sqlx::query(COUNT)
            .bind(claim.run.0)
            .bind(created)
            .bind(updated)
            .bind(failed)
            .execute(&mut **tx)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// A statement over tasks and their numbers there: SQLite takes them as a list in JSON, PostgreSQL as arrays.
async fn over_pairs(
    tx: &mut Tx,
    (sqlite, postgres): (&'static str, &'static str),
    batch: &str,
    pairs: &[(TaskNumber, i64)],
) -> Result<i64, Error> {
    let affected = match tx {
        Tx::Sqlite(tx) => {
            let pairs: Vec<_> = pairs.iter().map(|(task, remote)| json!([task.0, remote])).collect();
            sqlx::query(sqlite)
                .bind(batch)
                .bind(json!(pairs).to_string())
                .execute(&mut **tx)
                .await?
                .rows_affected()
        }
        Tx::Postgres(tx) => {
            let (tasks, remotes): (Vec<i64>, Vec<i64>) =
                pairs.iter().map(|(task, remote)| (task.0, *remote)).unzip();
            sqlx::query(postgres)
                .bind(batch)
                .bind(tasks)
                .bind(remotes)
                .execute(&mut **tx)
                .await?
                .rows_affected()
        }
    };
    Ok(i64::try_from(affected).unwrap_or_default())
}

const DUE: &str = "SELECT deliveries.task, CAST(COALESCE(LENGTH(data), 0) + COALESCE(LENGTH(annotations), 0) \
                   + COALESCE(LENGTH(predictions), 0) + COALESCE(LENGTH(meta), 0) AS BIGINT) \
                   FROM deliveries LEFT JOIN tasks ON tasks.task = deliveries.task \
                   WHERE source = $1 AND state = 'due' AND state <> 'done' AND remote IS NULL \
                   ORDER BY deliveries.task LIMIT $2";
const DUE_CHANGE: &str = "SELECT task FROM deliveries WHERE source = $1 AND state = 'due' AND state <> 'done' \
                          AND remote IS NOT NULL ORDER BY task LIMIT 1";
macro_rules! claim_new {
    ($tasks:literal, $lock:literal) => {
        concat!(
            "UPDATE deliveries SET state = 'sending', batch = $1, settle_at = $2, stale = FALSE, after_remote = \
             (SELECT MAX(remote) FROM deliveries known WHERE known.source = deliveries.source \
             AND known.remote IS NOT NULL) \
             WHERE task IN (SELECT task FROM deliveries WHERE task ",
            $tasks,
            " AND state = 'due' AND remote IS NULL ORDER BY task",
            $lock,
            ") RETURNING task"
        )
    };
}
const CLAIM_NEW: (&str, &str) = (
    claim_new!("IN (SELECT value FROM json_each($3))", ""),
    claim_new!("= ANY($3)", " FOR UPDATE SKIP LOCKED"),
);
/// The batch stays the one that made the task.
macro_rules! claim_change {
    ($tasks:literal) => {
        concat!(
            "UPDATE deliveries SET state = 'sending', settle_at = $2, stale = FALSE \
             WHERE $1 = $1 AND state = 'due' AND remote IS NOT NULL AND task ",
            $tasks,
            " RETURNING task"
        )
    };
}
const CLAIM_CHANGE: (&str, &str) =
    (claim_change!("IN (SELECT value FROM json_each($3))"), claim_change!("= ANY($3)"));
macro_rules! read {
    ($tasks:literal) => {
        concat!(
            "SELECT ",
            task_columns!(),
            ", line, remote, batch FROM deliveries JOIN links ON links.task = deliveries.task \
             JOIN sources ON sources.id = links.source LEFT JOIN tasks ON tasks.task = links.task \
             WHERE deliveries.task ",
            $tasks,
            " ORDER BY deliveries.task"
        )
    };
}
const READ_SQLITE: &str = read!("IN (SELECT value FROM json_each($1))");
const READ_POSTGRES: &str = read!("= ANY($1)");
const KEEP: &str =
    "UPDATE deliveries SET settle_at = $2 WHERE batch = $1 AND state = 'sending' AND state <> 'done'";
const RETURN: &str = "UPDATE deliveries SET state = 'due', settle_at = NULL \
                      WHERE batch = $1 AND state = 'sending' AND state <> 'done' AND remote IS NULL AND $2 = $2";
macro_rules! take_over {
    ($remotes:literal, $tasks:literal) => {
        concat!(
            "UPDATE deliveries SET state = 'due', remote = NULL, stale = FALSE WHERE $1 = $1 AND remote IN (",
            $remotes,
            ") AND task NOT IN (",
            $tasks,
            ")"
        )
    };
}
const TAKE_OVER_SQLITE: &str =
    take_over!("SELECT value ->> 1 FROM json_each($2)", "SELECT value ->> 0 FROM json_each($2)");
const TAKE_OVER_POSTGRES: &str = take_over!("SELECT UNNEST($3::bigint[])", "SELECT UNNEST($2::bigint[])");
macro_rules! delivered {
    ($pairs:literal, $task:literal, $remote:literal) => {
        concat!(
            "UPDATE deliveries SET remote = ",
            $remote,
            ", batch = $1, state = CASE WHEN stale THEN 'due' ELSE 'done' END, stale = FALSE, settle_at = NULL FROM ",
            $pairs,
            " WHERE deliveries.task = ",
            $task,
            " AND deliveries.remote IS NULL"
        )
    };
}
const DELIVERED_SQLITE: &str = delivered!("json_each($2) AS new", "new.value ->> 0", "new.value ->> 1");
const DELIVERED_POSTGRES: &str =
    delivered!("UNNEST($2::bigint[], $3::bigint[]) AS new (task, number)", "new.task", "new.number");
const CHANGED: &str = "UPDATE deliveries SET state = CASE WHEN stale THEN 'due' ELSE 'done' END, stale = FALSE, \
                       settle_at = NULL WHERE task = $1 AND state = 'sending'";
const REFUSED: &str =
    "UPDATE deliveries SET state = 'refused', settle_at = NULL WHERE task = $1 AND state = 'sending'";
/// The number of no other part.
const COUNT: &str = "INSERT INTO run_parts (run, part, after_key, done, created, updated, failed) \
                     SELECT id, -1, '', TRUE, $2, $3, $4 FROM runs \
                     WHERE id = $1 AND status = 'in_progress' \
                     ON CONFLICT (run, part) DO UPDATE SET created = run_parts.created + excluded.created, \
                     updated = run_parts.updated + excluded.updated, failed = run_parts.failed + excluded.failed";
