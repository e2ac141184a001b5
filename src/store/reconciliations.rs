//! The table of reconciliations: how far each project was compared with the application that makes its annotations.
//!
//! The mark that somebody is at it saves work and nothing else: a pass that two do at once comes to the same end, and so
//! does one that goes on where another was.

use std::time::{Duration, SystemTime};

use super::{Error, Store, from_micros, length, micros, on};

/// How far a project is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reconciliation {
    /// What changed in the application until then is known here; absent: nothing was read yet.
    pub since: Option<SystemTime>,
    /// When the pass under way began there, and the last task that it read.
    pub begun: Option<(SystemTime, i64)>,
    /// When all was compared last.
    pub compared_at: Option<SystemTime>,
    /// How many annotations more than here there were there, where that comparison found no reason for it.
    pub surplus: i64,
}

impl Store {
    /// Takes a project for a while if nobody is at it and its last pass ended so long ago; `""` stands for what is not of
    /// one project.
    pub async fn take_reconciliation(
        &self,
        project: &str,
        pause: Duration,
        lease: Duration,
    ) -> Result<bool, Error> {
        let now = self.now();
        self.bounded(async {
            let taken: Option<(String,)> = on!(&self.0.pool, pool => {
                sqlx::query_as(TAKE)
                    .bind(project)
                    .bind(now)
                    .bind(now.saturating_sub(length(pause)))
                    .bind(now + length(lease))
                    .fetch_optional(pool)
                    .await
            })?;
            Ok(taken.is_some())
        })
        .await
    }

    /// How far a project is.
    pub async fn reconciliation(&self, project: &str) -> Result<Reconciliation, Error> {
        let row: Option<StateRow> = self
            .bounded(async {
                Ok(on!(&self.0.pool, pool => sqlx::query_as(STATE).bind(project).fetch_optional(pool).await)?)
            })
            .await?;
        let Some((since, begun_at, after, compared_at, surplus)) = row else {
            return Ok(Reconciliation::default());
        };
        Ok(Reconciliation {
            since: since.map(from_micros),
            begun: begun_at.map(|at| (from_micros(at), after)),
            compared_at: compared_at.map(from_micros),
            surplus,
        })
    }

    /// Puts down how far a project is, and that somebody is at it for so long.
    pub async fn keep_reconciliation(
        &self,
        project: &str,
        state: &Reconciliation,
        lease: Duration,
    ) -> Result<(), Error> {
        let now = self.now();
        self.bounded(async {
            on!(&self.0.pool, pool => {
                sqlx::query(KEEP)
                    .bind(project)
                    .bind(state.since.map(micros))
                    .bind(state.begun.map(|(at, _)| micros(at)))
                    .bind(state.begun.map_or(0, |(_, after)| after))
                    .bind(state.compared_at.map(micros))
                    .bind(state.surplus)
                    .bind(now + length(lease))
                    .execute(pool)
                    .await
                    .map(drop)
            })?;
            Ok(())
        })
        .await
    }

    /// Gives a project back whose pass came to its end.
    pub async fn end_reconciliation(&self, project: &str) -> Result<(), Error> {
        self.give_back(END, project, self.now()).await
    }

    /// Gives a project back whose pass broke off, to be left alone for a while.
    pub async fn postpone_reconciliation(&self, project: &str, pause: Duration) -> Result<(), Error> {
        self.give_back(POSTPONE, project, self.now() + length(pause)).await
    }

    async fn give_back(&self, sql: &'static str, project: &str, at: i64) -> Result<(), Error> {
        self.bounded(async {
            on!(&self.0.pool, pool => {
                sqlx::query(sql).bind(project).bind(at).execute(pool).await.map(drop)
            })?;
            Ok(())
        })
        .await
    }
}

type StateRow = (Option<i64>, Option<i64>, i64, Option<i64>, i64);

const TAKE: &str = "INSERT INTO reconciliations (project, busy_until) VALUES ($1, $4) \
                    ON CONFLICT (project) DO UPDATE SET busy_until = $4 \
                    WHERE (reconciliations.busy_until IS NULL OR reconciliations.busy_until <= $2) \
                    AND (reconciliations.ended_at IS NULL OR reconciliations.ended_at <= $3) RETURNING project";
const STATE: &str =
    "SELECT since, begun_at, after, compared_at, surplus FROM reconciliations WHERE project = $1";
const KEEP: &str = "INSERT INTO reconciliations (project, since, begun_at, after, compared_at, surplus, busy_until) \
                    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (project) DO UPDATE SET since = $2, begun_at = $3, \
                    after = $4, compared_at = $5, surplus = $6, busy_until = $7";
const END: &str = "UPDATE reconciliations SET ended_at = $2, busy_until = NULL WHERE project = $1";
const POSTPONE: &str = "UPDATE reconciliations SET busy_until = $2 WHERE project = $1";
