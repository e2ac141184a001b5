//! The outbox as it is seen, and what brings objects back that were given up.

use std::time::SystemTime;

use crate::{
    id::StorageId,
    storage::Unit,
    store::{Error, Store, from_micros, on, row::word},
};

/// Whether an object waits or was given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OutboxState {
    /// Waits to be written, or written again.
    Due,
    /// Was given up.
    Dead,
}

/// Which objects to list.
#[derive(Clone, Copy, Debug)]
pub struct OutboxFilter {
    /// Of this target; absent: of all.
    pub storage: Option<StorageId>,
    /// In this state.
    pub state: OutboxState,
    /// Behind this number.
    pub after: i64,
    /// The most to return.
    pub limit: i64,
}

/// An object that is not in its target.
#[derive(Clone, Debug)]
pub struct OutboxEntry {
    /// Its number, to go on behind.
    pub number: i64,
    /// The target.
    pub storage: StorageId,
    /// What it stands for.
    pub unit: Unit,
    /// The id of the annotation, or of the task.
    pub item: String,
    /// How often in a row it failed.
    pub attempts: i64,
    /// Why it failed last.
    pub reason: Option<String>,
    /// When it is tried next, where it waits.
    pub due_at: SystemTime,
    /// Since when the target lacks something.
    pub waiting_since: SystemTime,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Depth {
    /// Objects that wait and did not fail.
    pub due: i64,
    /// Objects that failed and are tried again.
    pub retrying: i64,
    /// Objects that were given up.
    pub dead: i64,
    /// Since when the oldest waits.
    pub oldest: Option<SystemTime>,
}

impl Store {
    /// Makes objects due that were given up: all of a target whose revision was another one.
    pub async fn revive(&self, storage: StorageId, revision: i64) -> Result<u64, Error> {
        let text = revision.to_string();
        self.outbox_write(REVIVE, (&text, self.now(), storage.0)).await
    }

    /// Makes objects due now that wait because they failed: the target answers again.
    pub async fn hurry(&self, storage: StorageId) -> Result<u64, Error> {
        self.outbox_write(HURRY, ("", self.now(), storage.0)).await
    }

    /// Makes an annotation or a task due wherever it was given up; returns in how many targets it was.
    pub async fn retry_dead(&self, item: &str) -> Result<u64, Error> {
        self.outbox_write(RETRY, (item, self.now(), 0)).await
    }

    /// Forgets what was to go to targets that are gone.
    pub async fn forget_targets(&self) -> Result<u64, Error> {
        self.outbox_write(FORGET, ("", 0, 0)).await
    }

    /// Objects that are not in their target, in the order of their numbers.
    pub async fn outbox(&self, filter: &OutboxFilter) -> Result<Vec<OutboxEntry>, Error> {
        let text = match filter.state {
            OutboxState::Due => LIST_DUE,
            OutboxState::Dead => LIST_DEAD,
        };
        let rows: Vec<EntryRow> = self
            .bounded(async {
                let rows = on!(&self.0.pool, pool => {
                    let list = sqlx::query_as(text).bind(filter.storage.map(|storage| storage.0));
                    list.bind(filter.after).bind(filter.limit).fetch_all(pool).await
                })?;
                Ok(rows)
            })
            .await?;
        rows.into_iter().map(OutboxEntry::read).collect()
    }

    /// How much waits in all targets.
    pub async fn depth(&self) -> Result<Depth, Error> {
        let ((due, retrying, oldest), (dead,)): ((i64, i64, Option<i64>), (i64,)) = self
            .bounded(async {
                let due = on!(&self.0.pool, pool => sqlx::query_as(COUNT_DUE).fetch_one(pool).await)?;
                let dead = on!(&self.0.pool, pool => sqlx::query_as(COUNT_DEAD).fetch_one(pool).await)?;
                Ok((due, dead))
            })
            .await?;
        Ok(Depth { due, retrying, dead, oldest: oldest.map(from_micros) })
    }
}

type EntryRow = (i64, i64, String, String, i64, Option<String>, i64, i64);

impl OutboxEntry {
    fn read(row: EntryRow) -> Result<Self, Error> {
        let (number, storage, unit, item, attempts, reason, due_at, waiting_since) = row;
        Ok(Self {
            number,
            storage: StorageId(storage),
            unit: word(&unit).ok_or(Error::OutboxMalformed { row: number, column: "unit" })?,
            item,
            attempts,
            reason,
            due_at: from_micros(due_at),
            waiting_since: from_micros(waiting_since),
        })
    }
}

const REVIVE: &str = "UPDATE outbox SET state = 'due', due_at = $2, attempts = 0 WHERE storage = $3 AND state = 'dead' \
                      AND revision <> CAST($1 AS BIGINT)";
const HURRY: &str =
    "UPDATE outbox SET due_at = $2 WHERE storage = $3 AND state = 'due' AND due_at > $2 AND $1 = ''";
const RETRY: &str = "UPDATE outbox SET state = 'due', due_at = $2, attempts = 0 WHERE state = 'dead' AND item = $1 \
                     AND storage > $3";
const FORGET: &str = "DELETE FROM outbox WHERE storage NOT IN (SELECT id FROM storages WHERE direction = 'export') \
                      AND $1 = '' AND $2 = $3";
macro_rules! entries {
    ($state:literal) => {
        concat!(
            "SELECT id, storage, unit, item, attempts, reason, due_at, waiting_since FROM outbox WHERE state = '",
            $state,
            "' AND ($1 IS NULL OR storage = $1) AND id > $2 ORDER BY id LIMIT $3"
        )
    };
}
const LIST_DUE: &str = entries!("due");
const LIST_DEAD: &str = entries!("dead");
const COUNT_DUE: &str = "SELECT COALESCE(SUM(CASE WHEN attempts = 0 THEN 1 ELSE 0 END), 0), \
                         COALESCE(SUM(CASE WHEN attempts > 0 THEN 1 ELSE 0 END), 0), MIN(waiting_since) \
                         FROM outbox WHERE state = 'due'";
const COUNT_DEAD: &str = "SELECT COUNT(*) FROM outbox WHERE state = 'dead'";
