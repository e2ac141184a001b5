//! What became of tasks whose delivery is in doubt, and of those that somebody has deleted there since.

use std::{collections::HashMap, time::Duration};

use serde_json::json;

use super::{Delivery, DeliveryState};
use crate::{
    id::{ProjectId, TaskNumber},
    run::Claim,
    store::{Error, SourceId, Store, length, on, pool::Pool, steps::fence},
};

/// A task that was sent, and whose answer got lost long enough ago that it can be looked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lost {
    /// The task.
    pub task: TaskNumber,
    /// The request that it was sent with.
    pub batch: String,
    /// The newest of the source's tasks there when it was sent.
    pub after: Option<i64>,
}

impl Store {
    /// Brings the deliveries of a source up to its links, at the beginning of a run: links that were made before there was
    /// an application are due, and what was refused is tried again.
    pub async fn begin_deliveries(&self, claim: Claim, source: SourceId) -> Result<(), Error> {
        self.bounded(async {
            let mut tx = self.0.pool.begin().await?;
            fence(&mut tx, claim).await?;
            for text in [ADOPT, TRY_AGAIN] {
                on!(&mut tx, tx => sqlx::query(text).bind(source.0).execute(&mut **tx).await.map(drop))?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    /// How long until something of a source has to be done for its deliveries; `None` where all of them are settled.
    pub async fn next_delivery(&self, source: SourceId) -> Result<Option<Duration>, Error> {
        let (at,): (Option<i64>,) = self
            .bounded(async {
                Ok(on!(&self.0.pool, pool => {
                    sqlx::query_as(NEXT).bind(source.0).fetch_one(pool).await
                })?)
            })
            .await?;
        let from_now = |at: i64| Duration::from_micros(u64::try_from(at - self.now()).unwrap_or_default());
        Ok(at.map(from_now))
    }

    /// The tasks that can be looked for now. They are left to whoever asked for `hold`, and given to the next one behind it.
    pub async fn lost_deliveries(
        &self,
        claim: Claim,
        source: SourceId,
        hold: Duration,
    ) -> Result<Vec<Lost>, Error> {
        let now = self.now();
        let rows: Vec<(i64, String, Option<i64>)> = self
            .bounded(async {
                let mut tx = self.0.pool.begin().await?;
                fence(&mut tx, claim).await?;
                // A change that is sent twice does no harm.
                on!(&mut tx, tx => {
                    sqlx::query(CHANGE_AGAIN).bind(source.0).bind(now).execute(&mut **tx).await.map(drop)
                })?;
                let rows = on!(&mut tx, tx => {
                    sqlx::query_as(LOST)
                        .bind(source.0)
                        .bind(now)
                        .bind(now + length(hold))
                        .fetch_all(&mut **tx)
                        .await
                })?;
                tx.commit().await?;
                Ok(rows)
            })
            .await?;
        let lost = |(task, batch, after)| Lost { task: TaskNumber(task), batch, after };
        Ok(rows.into_iter().map(lost).collect())
    }

    /// Makes due again what was looked for and is not there.
    pub async fn resend(&self, lost: &[Lost]) -> Result<(), Error> {
        self.bounded(async {
            let mut tx = self.0.pool.begin().await?;
            for Lost { task, batch, .. } in lost {
                on!(&mut tx, tx => {
                    sqlx::query(RESEND).bind(task.0).bind(batch).execute(&mut **tx).await.map(drop)
                })?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    /// What is known of these tasks, as far as they are of the project: what is told of a task there may name any of ours.
    pub async fn deliveries(
        &self,
        project: &ProjectId,
        tasks: &[TaskNumber],
    ) -> Result<HashMap<TaskNumber, Delivery>, Error> {
        let tasks: Vec<i64> = tasks.iter().map(|task| task.0).collect();
        let rows: Vec<DeliveryRow> = self
            .bounded(async {
                Ok(match &self.0.pool {
                    Pool::Sqlite(pool) => {
                        let query = sqlx::query_as(THESE_SQLITE).bind(json!(tasks).to_string());
                        query.bind(project.as_str()).fetch_all(pool).await?
                    }
                    Pool::Postgres(pool) => {
                        let query = sqlx::query_as(THESE_POSTGRES).bind(tasks);
                        query.bind(project.as_str()).fetch_all(pool).await?
                    }
                })
            })
            .await?;
        let delivery = |(task, key, row, state, remote, batch): (_, _, _, String, _, _)| {
            let task = TaskNumber(task);
            let state = DeliveryState::parse(&state)
                .ok_or(Error::TaskMalformed { task, column: "deliveries.state" })?;
            Ok((task, Delivery { task, key, row, state, remote, batch }))
        };
        rows.into_iter().map(delivery).collect()
    }

    /// How many tasks of a project the application should have, the highest of their numbers there, and whether some may
    /// be there twice.
    pub async fn delivered(&self, project: &ProjectId) -> Result<(i64, Option<i64>, bool), Error> {
        self.bounded(async {
            let (count, newest, resent): (i64, Option<i64>, i64) = on!(&self.0.pool, pool => {
                sqlx::query_as(COUNT).bind(project.as_str()).fetch_one(pool).await
            })?;
            Ok((count, newest, resent > 0))
        })
        .await
    }

    /// Forgets that the application had tasks of a project with numbers of the range, but for these: they are gone, and due
    /// again. Returns how many.
    pub async fn forget_deliveries(
        &self,
        project: &ProjectId,
        range: std::ops::RangeInclusive<i64>,
        there: &[i64],
    ) -> Result<u64, Error> {
        self.bounded(async {
            let mut tx = self.0.pool.begin().await?;
            let mut forgotten = 0;
            for (sqlite, postgres) in [(DROP_SQLITE, DROP_POSTGRES), (FORGET_SQLITE, FORGET_POSTGRES)] {
                let (from, to, project) = (*range.start(), *range.end(), project.as_str());
                forgotten = match &mut tx {
                    super::Tx::Sqlite(tx) => {
                        let query = sqlx::query(sqlite).bind(project).bind(from).bind(to);
                        query.bind(json!(there).to_string()).execute(&mut **tx).await?.rows_affected()
                    }
                    super::Tx::Postgres(tx) => {
                        let query = sqlx::query(postgres).bind(project).bind(from).bind(to);
                        query.bind(there).execute(&mut **tx).await?.rows_affected()
                    }
                };
            }
            tx.commit().await?;
            Ok(forgotten)
        })
        .await
    }

    /// Puts down which of two tasks there is the one that stays.
    pub async fn choose_delivery(&self, task: TaskNumber, remote: i64, batch: &str) -> Result<(), Error> {
        self.bounded(async {
            on!(&self.0.pool, pool => {
                sqlx::query(CHOOSE).bind(task.0).bind(remote).bind(batch).execute(pool).await.map(drop)
            })?;
            Ok(())
        })
        .await
    }

    /// Puts down that no task of the project is there twice.
    pub async fn put_down_single(&self, project: &ProjectId) -> Result<(), Error> {
        self.bounded(async {
            on!(&self.0.pool, pool => sqlx::query(SINGLE).bind(project.as_str()).execute(pool).await.map(drop))?;
            Ok(())
        })
        .await
    }
}

type DeliveryRow = (i64, String, i64, String, Option<i64>, Option<String>);

const ADOPT: &str = "INSERT INTO deliveries (task, source, state) SELECT task, source, 'due' FROM links \
                     WHERE source = $1 AND vanished_at IS NULL \
                     AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.task = links.task) \
                     ON CONFLICT (task) DO NOTHING";
const TRY_AGAIN: &str =
    "UPDATE deliveries SET state = 'due' WHERE source = $1 AND state = 'refused' AND state <> 'done'";
const NEXT: &str = "SELECT MIN(CASE WHEN state = 'due' THEN 0 ELSE settle_at END) FROM deliveries \
                    WHERE source = $1 AND state IN ('due', 'sending') AND state <> 'done'";
const CHANGE_AGAIN: &str = "UPDATE deliveries SET state = 'due', settle_at = NULL WHERE source = $1 \
                            AND state = 'sending' AND state <> 'done' AND remote IS NOT NULL AND settle_at <= $2";
const LOST: &str = "UPDATE deliveries SET settle_at = $3 WHERE source = $1 AND state = 'sending' AND state <> 'done' \
                    AND remote IS NULL AND settle_at <= $2 RETURNING task, batch, after_remote";
const RESEND: &str = "UPDATE deliveries SET state = 'due', settle_at = NULL, resent = TRUE \
                      WHERE task = $1 AND state = 'sending' AND batch = $2 AND remote IS NULL";
macro_rules! these {
    ($tasks:literal) => {
        concat!(
            "SELECT deliveries.task, key, row_index, state, remote, batch FROM deliveries \
             JOIN links ON links.task = deliveries.task JOIN sources ON sources.id = links.source \
             WHERE project = $2 AND deliveries.task ",
            $tasks
        )
    };
}
const THESE_SQLITE: &str = these!("IN (SELECT value FROM json_each($1))");
const THESE_POSTGRES: &str = these!("= ANY($1)");
const COUNT: &str = "SELECT COUNT(*), MAX(remote), COALESCE(SUM(CASE WHEN resent THEN 1 ELSE 0 END), 0) FROM deliveries \
                     WHERE remote IS NOT NULL AND source IN (SELECT id FROM sources WHERE project = $1)";
macro_rules! missing {
    ($statement:literal, $vanished:literal, $there:literal) => {
        concat!(
            $statement,
            " WHERE source IN (SELECT id FROM sources WHERE project = $1) AND remote BETWEEN $2 AND $3 \
             AND remote NOT IN (",
            $there,
            ") AND EXISTS (SELECT 1 FROM links WHERE links.task = deliveries.task AND vanished_at IS ",
            $vanished,
            ")"
        )
    };
}
/// A task whose object is gone as well is not made again.
const DROP_SQLITE: &str = missing!("DELETE FROM deliveries", "NOT NULL", "SELECT value FROM json_each($4)");
const DROP_POSTGRES: &str = missing!("DELETE FROM deliveries", "NOT NULL", "SELECT UNNEST($4::bigint[])");
const FORGET_SQLITE: &str = missing!(
    "UPDATE deliveries SET state = 'due', remote = NULL, stale = FALSE, resent = FALSE",
    "NULL",
    "SELECT value FROM json_each($4)"
);
const FORGET_POSTGRES: &str = missing!(
    "UPDATE deliveries SET state = 'due', remote = NULL, stale = FALSE, resent = FALSE",
    "NULL",
    "SELECT UNNEST($4::bigint[])"
);
const CHOOSE: &str = "UPDATE deliveries SET remote = $2, batch = $3 WHERE task = $1";
const SINGLE: &str = "UPDATE deliveries SET resent = FALSE WHERE resent AND remote IS NOT NULL \
                      AND source IN (SELECT id FROM sources WHERE project = $1)";
