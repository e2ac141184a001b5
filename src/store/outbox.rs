//! The outbox: what each target has of the annotations, and what it lacks.
//!
//! One row stands for one object of one target. Whoever writes it holds a claim, which is a number and a lease: nobody
//! else writes the object meanwhile, so no older state overtakes a newer one. The row counts the states that are wanted;
//! it is done when the last of them was written, and an attempt that took long enough for another to come leaves it due.
//! Nothing here forgets an object: it is due, done, or dead with a reason, and dead ones are due again when somebody says
//! so or changes the storage.

mod list;

use std::time::{Duration, SystemTime};

use tokio::sync::{MutexGuard, watch};

pub use self::list::{Depth, OutboxEntry, OutboxFilter, OutboxState};
use super::{
    Error, Store, length, on,
    pool::{Pool, Tx},
    row::word,
    without_nul,
};
use crate::{id::StorageId, storage::Unit};

/// An object that was claimed to be written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Due {
    /// The row, and which of its claims this is.
    pub claim: (i64, i64),
    /// What the object stands for.
    pub unit: Unit,
    /// The id of the annotation, or of the task.
    pub item: String,
    /// The states that were wanted when it was claimed.
    pub wanted: i64,
    /// How often in a row it failed.
    pub attempts: u32,
    /// The object that was written last.
    pub key: Option<String>,
    /// A hash of what and where that is.
    pub hash: Option<String>,
}

/// What came of a claim.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Delivered {
    /// The target has it.
    Done {
        /// The object and its hash; absent: there is none, and none is meant to be.
        object: Option<(String, String)>,
    },
    /// Not now; again after this time.
    Later {
        /// How long to wait.
        wait: Duration,
        /// Why.
        reason: String,
    },
    /// Not until somebody changes something.
    Dead {
        /// Why.
        reason: String,
        /// Of the storage, as it was tried.
        revision: i64,
    },
    /// The claim is given back as it was.
    Untried,
    /// The storage no longer has such objects.
    Moot,
}

impl Store {
    /// The time as the store tells it.
    pub fn time(&self) -> SystemTime {
        (self.0.clock)()
    }

    /// Changes when something was accepted in this process.
    pub fn watch_outbox(&self) -> watch::Receiver<()> {
        self.0.accepted.subscribe()
    }

    /// Claims objects of a target that are due, the longest due first. None of a target that was edited or hidden since
    /// this revision of it was read: they would go where they no longer should.
    pub async fn claim_due(
        &self,
        (storage, revision): (StorageId, i64),
        claimant: &str,
        lease: Duration,
        limit: i64,
    ) -> Result<Vec<Due>, Error> {
        self.claim(storage, claimant, lease, Wanted::Due { revision, limit }).await
    }

    /// Claims these objects, due or not; those that somebody else holds are left out. Rows that are not there are made.
    pub async fn claim_items(
        &self,
        storage: StorageId,
        claimant: &str,
        lease: Duration,
        (unit, items): (Unit, &[String]),
    ) -> Result<Vec<Due>, Error> {
        self.claim(storage, claimant, lease, Wanted::These(unit, items)).await
    }

    async fn claim(
        &self,
        storage: StorageId,
        claimant: &str,
        lease: Duration,
        wanted: Wanted<'_>,
    ) -> Result<Vec<Due>, Error> {
        let _turn = self.outbox_turn().await;
        let (now, until) = (self.now(), self.now() + length(lease));
        let rows: Vec<DueRow> = self
            .bounded(async {
                let mut tx = self.0.pool.begin().await?;
                let rows = match (&mut tx, wanted) {
                    (Tx::Sqlite(tx), Wanted::Due { revision, limit }) => {
                        let claim = sqlx::query_as(CLAIM_SQLITE).bind(storage.0).bind(now).bind(claimant);
                        claim.bind(until).bind(limit).bind(revision).fetch_all(&mut **tx).await?
                    }
                    (Tx::Postgres(tx), Wanted::Due { revision, limit }) => {
                        let claim = sqlx::query_as(CLAIM_POSTGRES).bind(storage.0).bind(now).bind(claimant);
                        claim.bind(until).bind(limit).bind(revision).fetch_all(&mut **tx).await?
                    }
                    (Tx::Sqlite(tx), Wanted::These(unit, items)) => {
                        let items = serde_json::json!(items).to_string();
                        let add = sqlx::query(ADD_SQLITE).bind(storage.0).bind(now).bind(unit.as_str());
                        add.bind(&items).execute(&mut **tx).await?;
                        let claim = sqlx::query_as(TAKE_SQLITE).bind(storage.0).bind(now).bind(claimant);
                        claim.bind(until).bind(unit.as_str()).bind(&items).fetch_all(&mut **tx).await?
                    }
                    (Tx::Postgres(tx), Wanted::These(unit, items)) => {
                        let add = sqlx::query(ADD_POSTGRES).bind(storage.0).bind(now).bind(unit.as_str());
                        add.bind(items).execute(&mut **tx).await?;
                        let claim = sqlx::query_as(TAKE_POSTGRES).bind(storage.0).bind(now).bind(claimant);
                        claim.bind(until).bind(unit.as_str()).bind(items).fetch_all(&mut **tx).await?
                    }
                };
                tx.commit().await?;
                Ok(rows)
            })
            .await?;
        rows.into_iter().map(Due::read).collect()
    }

    /// Keeps what came of claims, in one transaction. One that was lost meanwhile is left alone. What was written by another
    /// revision of the target than its present one is due again: it may be at a place that is no longer the target's.
    pub async fn settle(&self, revision: i64, settled: &[(Due, Delivered)]) -> Result<(), Error> {
        let mut settled: Vec<&(Due, Delivered)> = settled.iter().collect();
        // Rows are locked in the order in which they are made due.
        settled.sort_by(|(a, _), (b, _)| (a.unit.as_str(), &a.item).cmp(&(b.unit.as_str(), &b.item)));
        let _turn = self.outbox_turn().await;
        self.bounded(async {
            let mut tx = self.0.pool.begin().await?;
            for (due, delivered) in settled {
                self.settle_one(&mut tx, revision, due, delivered).await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn settle_one(
        &self,
        tx: &mut Tx,
        known: i64,
        due: &Due,
        delivered: &Delivered,
    ) -> Result<(), Error> {
        let (id, claim) = due.claim;
        let now = self.now();
        on!(tx, tx => {
            let query = match delivered {
                Delivered::Done { object } => {
                    let (key, hash) = object.clone().unzip();
                    let query = sqlx::query(DONE).bind(id).bind(claim).bind(now).bind(due.wanted);
                    query.bind(key).bind(hash).bind(known)
                }
                Delivered::Later { wait, reason } => {
                    let then = now + length(*wait);
                    sqlx::query(LATER).bind(id).bind(claim).bind(now).bind(due.wanted).bind(then).bind(without_nul(reason))
                }
                Delivered::Dead { reason, revision } => {
                    let query = sqlx::query(DEAD).bind(id).bind(claim).bind(now).bind(due.wanted);
                    query.bind(*revision).bind(without_nul(reason))
                }
                Delivered::Untried => sqlx::query(UNTRIED).bind(id).bind(claim),
                Delivered::Moot => {
                    sqlx::query(MOOT).bind(id).bind(claim).bind(known).execute(&mut **tx).await?;
                    // Where it is still there.
                    sqlx::query(UNTRIED).bind(id).bind(claim)
                }
            };
            query.execute(&mut **tx).await.map(drop)
        })?;
        Ok(())
    }

    /// Renews all claims of a claimant that have not run out.
    pub async fn renew_claims(&self, claimant: &str, lease: Duration) -> Result<(), Error> {
        let now = self.now();
        self.outbox_write(RENEW, (claimant, now + length(lease), now)).await.map(drop)
    }

    /// Ends all claims on the outbox where nobody else can hold one: a database of one process, at its start.
    pub async fn free_own_claims(&self) -> Result<(), Error> {
        match &self.0.pool {
            Pool::Sqlite(_) => self.outbox_write(FREE, ("", 0, 0)).await.map(drop),
            Pool::Postgres(_) => Ok(()),
        }
    }

    /// SQLite lets one in at a time and has those behind it ask again and again; here they wait in a line.
    pub(super) async fn outbox_turn(&self) -> Option<MutexGuard<'_, ()>> {
        match &self.0.pool {
            Pool::Sqlite(_) => Some(self.0.outbox_turn.lock().await),
            Pool::Postgres(_) => None,
        }
    }

    async fn outbox_write(&self, sql: &'static str, (a, b, c): (&str, i64, i64)) -> Result<u64, Error> {
        let _turn = self.outbox_turn().await;
        self.bounded(async {
            let affected = on!(&self.0.pool, pool => {
                let done = sqlx::query(sql).bind(a).bind(b).bind(c).execute(pool).await;
                done.map(|done| done.rows_affected())
            })?;
            Ok(affected)
        })
        .await
    }
}

/// Which objects to claim.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Due { revision: i64, limit: i64 },
    These(Unit, &'a [String]),
}

type DueRow = (i64, i64, String, String, i64, i64, Option<String>, Option<String>);

impl Due {
    /// Whether nobody has tried before.
    pub fn is_first(&self) -> bool {
        self.claim.1 == 1
    }

    fn read((id, claim, unit, item, wanted, attempts, key, hash): DueRow) -> Result<Self, Error> {
        let unit = word(&unit).ok_or(Error::OutboxMalformed { row: id, column: "unit" })?;
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        Ok(Self { claim: (id, claim), unit, item, wanted, attempts, key, hash })
    }
}

macro_rules! claim {
    ($which:expr) => {
        concat!(
            "UPDATE outbox SET claims = claims + 1, claimed_by = $3, lease_until = $4 WHERE ",
            $which,
            " RETURNING id, claims, unit, item, wanted, attempts, key, hash"
        )
    };
}
macro_rules! free_and_due {
    () => {
        "SELECT id FROM outbox WHERE storage = $1 AND state = 'due' AND due_at <= $2 \
         AND (lease_until IS NULL OR lease_until < $2) \
         AND (SELECT revision FROM storages WHERE id = $1 AND NOT absent) = $6 ORDER BY due_at LIMIT $5"
    };
}
const CLAIM_SQLITE: &str = claim!(concat!("id IN (", free_and_due!(), ")"));
/// An array, since a subquery with a limit may be asked more than once.
const CLAIM_POSTGRES: &str = claim!(concat!("id = ANY(ARRAY(", free_and_due!(), " FOR UPDATE SKIP LOCKED))"));
macro_rules! take {
    ($items:literal) => {
        claim!(concat!(
            "storage = $1 AND unit = $5 AND item ",
            $items,
            " AND (lease_until IS NULL OR lease_until < $2)"
        ))
    };
}
const TAKE_SQLITE: &str = take!("IN (SELECT value FROM json_each($6))");
const TAKE_POSTGRES: &str = take!("= ANY($6)");
const ADD_SQLITE: &str = "INSERT INTO outbox (storage, unit, item, state, due_at, waiting_since) \
                          SELECT $1, $3, value, 'due', $2, $2 FROM json_each($4) WHERE TRUE ORDER BY value \
                          ON CONFLICT DO NOTHING";
const ADD_POSTGRES: &str = "INSERT INTO outbox (storage, unit, item, state, due_at, waiting_since) \
                            SELECT $1, $3, n.item, 'due', $2, $2 FROM UNNEST($4::text[]) AS n(item) ORDER BY n.item \
                            ON CONFLICT DO NOTHING";

/// Whether a revision, as bound, is the present one of the row's target.
macro_rules! is_present {
    ($revision:literal) => {
        concat!($revision, " = (SELECT revision FROM storages WHERE storages.id = outbox.storage)")
    };
}
macro_rules! of_claim {
    ($set:expr) => {
        concat!(
            "UPDATE outbox SET claimed_by = NULL, lease_until = NULL",
            $set,
            " WHERE id = $1 AND claims = $2"
        )
    };
}
const DONE: &str = of_claim!(concat!(
    ", state = CASE WHEN wanted = $4 AND ",
    is_present!("$7"),
    " THEN 'done' ELSE 'due' END, due_at = $3, waiting_since = $3, attempts = 0, reason = NULL, key = $5, hash = $6, \
     written_at = $3"
));
const LATER: &str = of_claim!(
    ", state = 'due', due_at = CASE WHEN wanted = $4 THEN $5 ELSE $3 END, attempts = attempts + 1, reason = $6"
);
const DEAD: &str = of_claim!(
    ", state = CASE WHEN wanted = $4 THEN 'dead' ELSE 'due' END, due_at = $3, attempts = attempts + 1, \
     revision = $5, reason = $6"
);
const UNTRIED: &str = of_claim!("");
const MOOT: &str = concat!("DELETE FROM outbox WHERE id = $1 AND claims = $2 AND ", is_present!("$3"));
const RENEW: &str = "UPDATE outbox SET lease_until = $2 WHERE claimed_by = $1 AND lease_until >= $3";
const FREE: &str = "UPDATE outbox SET claimed_by = NULL, lease_until = NULL \
                    WHERE claimed_by IS NOT NULL AND $1 = '' AND $2 = $3";
