//! The work of a run: its parts, and the steps that it takes through them.
//!
//! A step is one transaction: new links and tasks, what was refused, and how far its part is. It is fenced by the claim,
//! so that a sidecar which lost the run writes nothing more, and it is numbered, so that one whose answer got lost in a
//! broken connection is not taken twice. A link is unique by source, key and row: whatever is killed whenever, nothing
//! is made a second time.

use super::{Error, Store, links::Expected, on, pool::Tx, without_nul};
use crate::{
    id::StorageId,
    object::ETag,
    run::{Claim, Counters, Fault},
    task::Item,
};

/// A range of keys that one worker goes through.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Part {
    /// Its number in the run.
    pub number: i64,
    /// How far it is: what is behind this key is still to be done. Exclusive.
    pub after: String,
    /// Where it ends, inclusive; absent: with the last key.
    pub until: Option<String>,
    /// Whether nothing is left of it.
    pub is_done: bool,
    /// How many steps were taken.
    pub steps: i64,
    /// What was found in it.
    pub counters: Counters,
}

/// Where links come from: a bucket, for one project.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SourceId(pub(super) i64);

/// A bucket at an endpoint, for one project.
#[derive(Clone, Copy, Debug)]
pub struct SourceSpec<'a> {
    /// Names the server that has the bucket.
    pub endpoint: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// The project that tasks are made for; absent: none.
    pub project: Option<&'a str>,
    /// Whose sync it is.
    pub storage: StorageId,
    /// Whether that storage wants its own tasks of objects that others have tasks of.
    pub is_own: bool,
}

/// An object of a listing, as a link names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ObjectVersion {
    /// The key.
    pub key: String,
    /// Its version.
    pub etag: Option<ETag>,
}

/// One transaction of a part's work.
#[derive(Debug)]
pub struct Step<'a> {
    /// The right to take it.
    pub claim: Claim,
    /// Where links come from.
    pub source: SourceId,
    /// Whose sync it is.
    pub storage: StorageId,
    /// The part as it is before the step; its counters are those that the step begins with.
    pub part: &'a Part,
    /// What it found, without what is counted here: tasks made and brought up to date, and faults.
    pub found: Counters,
    /// How far the part is after it; absent: as before.
    pub after: Option<&'a str>,
    /// Whether the part is done after it.
    pub is_done: bool,
    /// Objects that become tasks as a whole.
    pub objects: Vec<ObjectVersion>,
    /// Objects whose link takes the new version; they get their mark of absence off, too.
    pub renewed: Vec<ObjectVersion>,
    /// Items of objects.
    pub items: Vec<Items>,
    /// Keys that are no longer there, to be marked.
    pub vanished: Vec<String>,
    /// What was refused.
    pub faults: Vec<Fault>,
    /// Whether the tasks are to be delivered to another application; they count as made when they were.
    pub is_for_delivery: bool,
}

/// Items of one object.
#[derive(Clone, Debug)]
pub struct Items {
    /// The object.
    pub object: ObjectVersion,
    /// The items, in their order.
    pub rows: Vec<ItemRow>,
    /// Whether a task that is there already takes what its item says now.
    pub replace: bool,
    /// After the last one: how many items the object has, good and bad, and how many were bad.
    pub end: Option<(i64, i64)>,
}

/// One item of an object.
#[derive(Clone, Debug)]
pub struct ItemRow {
    /// Its position in the object, from 0.
    pub row: i64,
    /// The line that it starts on, from 1, where it has lines.
    pub line: Option<i64>,
    /// What it says.
    pub item: Item,
}

impl Store {
    /// The parts of a run as they are; `None` where none were planned for this revision of the storage.
    pub async fn parts(&self, claim: Claim, revision: i64) -> Result<Option<Vec<Part>>, Error> {
        let rows: Vec<PartRow> = self
            .bounded(async {
                let rows = on!(&self.0.pool, pool => {
                    sqlx::query_as(PARTS)
                        .bind(claim.run.0)
                        .bind(claim.number)
                        .bind(revision)
                        .fetch_all(pool)
                        .await
                })?;
                Ok(rows)
            })
            .await?;
        Ok((!rows.is_empty()).then(|| rows.into_iter().map(Part::from).collect()))
    }

    /// Begins a run's work anew with these parts.
    pub async fn plan_parts(&self, claim: Claim, revision: i64, parts: &[Part]) -> Result<(), Error> {
        self.bounded(async {
            let mut tx = self.0.pool.begin().await?;
            let fenced = on!(&mut tx, tx => {
                sqlx::query(PLAN)
                    .bind(claim.run.0)
                    .bind(claim.number)
                    .bind(revision)
                    .execute(&mut **tx)
                    .await
                    .map(|done| done.rows_affected())
            })?;
            if fenced == 0 {
                return Err(Error::ClaimLost);
            }
            for text in [FORGET_PARTS, FORGET_FAULTS] {
                on!(&mut tx, tx => sqlx::query(text).bind(claim.run.0).execute(&mut **tx).await.map(drop))?;
            }
            for part in parts {
                on!(&mut tx, tx => {
                    sqlx::query(ADD_PART)
                        .bind(claim.run.0)
                        .bind(part.number)
                        .bind(&part.after)
                        .bind(&part.until)
                        .execute(&mut **tx)
                        .await
                        .map(drop)
                })?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    /// The source of this description, made where it is new. A storage that has linked into a source of the same bucket
    /// and project keeps it, also where its endpoint has another name by now.
    pub async fn source(&self, spec: SourceSpec<'_>) -> Result<SourceId, Error> {
        let (project, only) =
            (spec.project.unwrap_or_default(), if spec.is_own { spec.storage.0 } else { 0 });
        self.bounded(async {
            for text in [FIND_USED_SOURCE, FIND_SOURCE, ADD_SOURCE, FIND_SOURCE] {
                let row: Option<(i64,)> = on!(&self.0.pool, pool => {
                    sqlx::query_as(text)
                        .bind(spec.endpoint)
                        .bind(spec.bucket)
                        .bind(project)
                        .bind(only)
                        .bind(spec.storage.0)
                        .fetch_optional(pool)
                        .await
                })?;
                if let Some((id,)) = row {
                    on!(&self.0.pool, pool => {
                        sqlx::query(USE_SOURCE).bind(id).bind(spec.storage.0).execute(pool).await.map(drop)
                    })?;
                    return Ok(SourceId(id));
                }
            }
            Err(Error::Conflict)
        })
        .await
    }

    /// Takes a step and returns the part as it is after it.
    ///
    /// Objects that become tasks were looked up before, so what is in the way of one came since then, which is rare; and
    /// PostgreSQL takes more than half as long again over rows that might be there already.
    pub async fn take_step(&self, step: &Step<'_>) -> Result<Part, Error> {
        match self.try_step(step, Expected::New).await {
            Err(Error::Conflict) => self.try_step(step, Expected::Any).await,
            taken => taken,
        }
    }

    async fn try_step(&self, step: &Step<'_>, expected: Expected) -> Result<Part, Error> {
        self.bounded(async {
            let mut tx = self.0.pool.begin().await?;
            if !self.begin_step(&mut tx, step).await? {
                drop(tx);
                return self.taken_already(step).await;
            }
            let mut found = step.found;
            let mut created = self.link_objects(&mut tx, step, expected).await?;
            let mut updated = 0;
            found.updated += self.renew_objects(&mut tx, step).await?;
            for items in &step.items {
                let (new, changed) = self.link_items(&mut tx, step, items).await?;
                created += new;
                updated += changed;
            }
            if !step.is_for_delivery {
                found.created += created;
                found.updated += updated;
            }
            self.mark_vanished(&mut tx, step).await?;
            found.failed += self.keep_faults(&mut tx, step).await?;
            let part = Part {
                after: step.after.unwrap_or(&step.part.after).to_owned(),
                is_done: step.is_done,
                steps: step.part.steps + 1,
                counters: step.part.counters.plus(found),
                ..step.part.clone()
            };
            save_part(&mut tx, step.claim, &part).await?;
            tx.commit().await?;
            Ok(part)
        })
        .await
    }

    /// Whether the step is the next one of a run that is still ours. The first statement is a write, so that SQLite does
    /// not find out in the middle that somebody else has written.
    async fn begin_step(&self, tx: &mut Tx, step: &Step<'_>) -> Result<bool, Error> {
        let Claim { run, number } = step.claim;
        if matches!(tx, Tx::Postgres(_)) {
            fence(tx, step.claim).await?;
        }
        let affected = on!(tx, tx => {
            sqlx::query(NEXT_STEP)
                .bind(run.0)
                .bind(number)
                .bind(step.part.number)
                .bind(step.part.steps)
                .execute(&mut **tx)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(affected > 0)
    }

    /// The step was taken and its answer got lost; or the run is no longer ours.
    async fn taken_already(&self, step: &Step<'_>) -> Result<Part, Error> {
        let Claim { run, number } = step.claim;
        let row: Option<PartRow> = on!(&self.0.pool, pool => {
            sqlx::query_as(ONE_PART)
                .bind(run.0)
                .bind(number)
                .bind(step.part.number)
                .fetch_optional(pool)
                .await
        })?;
        match row.map(Part::from) {
            Some(part) if part.steps == step.part.steps + 1 => Ok(part),
            _ => Err(Error::ClaimLost),
        }
    }

    async fn keep_faults(&self, tx: &mut Tx, step: &Step<'_>) -> Result<i64, Error> {
        let mut failed = 0;
        for fault in &step.faults {
            failed += keep_fault(tx, step.claim, fault).await?;
        }
        Ok(failed)
    }
}

/// Keeps a fault; returns how many are new, which is one or none.
pub(super) async fn keep_fault(tx: &mut Tx, claim: Claim, fault: &Fault) -> Result<i64, Error> {
    let affected = on!(&mut *tx, tx => {
        sqlx::query(ADD_FAULT)
            .bind(claim.run.0)
            .bind(without_nul(&fault.key))
            .bind(fault.row.unwrap_or(-1))
            .bind(fault.line)
            .bind(without_nul(&fault.reason))
            .execute(&mut **tx)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(i64::try_from(affected).unwrap_or_default())
}

/// Sees that the run is ours, and holds off whoever would claim it until the transaction is committed.
pub(super) async fn fence(tx: &mut Tx, claim: Claim) -> Result<(), Error> {
    let row: Option<(i64,)> = match tx {
        // It has the only transaction that writes.
        Tx::Sqlite(tx) => {
            let query = sqlx::query_as(IS_OURS).bind(claim.run.0).bind(claim.number);
            query.fetch_optional(&mut **tx).await?
        }
        Tx::Postgres(tx) => {
            let query = sqlx::query_as(FENCE).bind(claim.run.0).bind(claim.number);
            query.fetch_optional(&mut **tx).await?
        }
    };
    row.map(drop).ok_or(Error::ClaimLost)
}

impl<'a> Step<'a> {
    /// A step of an export, which links nothing.
    pub fn of_export(claim: Claim, storage: StorageId, part: &'a Part) -> Self {
        Self {
            claim,
            source: SourceId(0),
            storage,
            part,
            found: Counters::default(),
            after: None,
            is_done: false,
            objects: Vec::new(),
            renewed: Vec::new(),
            items: Vec::new(),
            vanished: Vec::new(),
            faults: Vec::new(),
            is_for_delivery: false,
        }
    }
}

impl From<PartRow> for Part {
    fn from(row: PartRow) -> Self {
        let (
            number,
            after,
            until,
            is_done,
            steps,
            listed,
            matched,
            existed,
            created,
            updated,
            changed,
            vanished,
            failed,
        ) = row;
        let counters = Counters { listed, matched, existed, created, updated, changed, vanished, failed };
        Self { number, after, until, is_done, steps, counters }
    }
}

async fn save_part(tx: &mut Tx, claim: Claim, part: &Part) -> Result<(), Error> {
    let Counters { listed, matched, existed, created, updated, changed, vanished, failed } = part.counters;
    on!(tx, tx => {
        sqlx::query(SAVE_PART)
            .bind(claim.run.0)
            .bind(part.number)
            .bind(&part.after)
            .bind(part.is_done)
            .bind(listed)
            .bind(matched)
            .bind(existed)
            .bind(created)
            .bind(updated)
            .bind(changed)
            .bind(vanished)
            .bind(failed)
            .execute(&mut **tx)
            .await
            .map(drop)
    })?;
    Ok(())
}

type PartRow = (i64, String, Option<String>, bool, i64, i64, i64, i64, i64, i64, i64, i64, i64);

macro_rules! part_columns {
    () => {
        "part, after_key, until_key, done, steps, listed, matched, existed, created, updated, changed, vanished, failed"
    };
}
const PARTS: &str = concat!(
    "SELECT ",
    part_columns!(),
    " FROM run_parts WHERE run = $1 AND EXISTS (SELECT 1 FROM runs WHERE id = $1 AND claims = $2 AND revision = $3) \
     ORDER BY part"
);
const ONE_PART: &str = concat!(
    "SELECT ",
    part_columns!(),
    " FROM run_parts WHERE run = $1 AND part = $3 AND EXISTS (SELECT 1 FROM runs WHERE id = $1 AND claims = $2)"
);
const PLAN: &str = "UPDATE runs SET revision = $3 WHERE id = $1 AND claims = $2 AND status = 'in_progress'";
const FORGET_PARTS: &str = "DELETE FROM run_parts WHERE run = $1";
const FORGET_FAULTS: &str = "DELETE FROM run_faults WHERE run = $1";
const ADD_PART: &str = "INSERT INTO run_parts (run, part, after_key, until_key) VALUES ($1, $2, $3, $4)";
const FIND_USED_SOURCE: &str = "SELECT id FROM sources JOIN source_storages ON source_storages.source = sources.id \
                                WHERE source_storages.storage = $5 AND bucket = $2 AND project = $3 \
                                AND sources.storage = $4 AND $1 = $1 ORDER BY id LIMIT 1";
const FIND_SOURCE: &str = "SELECT id FROM sources WHERE endpoint = $1 AND bucket = $2 AND project = $3 AND storage = $4 \
                           AND $5 = $5";
const ADD_SOURCE: &str = "INSERT INTO sources (endpoint, bucket, project, storage) \
                          SELECT $1, $2, $3, $4 WHERE $5 = $5 ON CONFLICT DO NOTHING RETURNING id";
const USE_SOURCE: &str =
    "INSERT INTO source_storages (source, storage) VALUES ($1, $2) ON CONFLICT DO NOTHING";
const IS_OURS: &str = "SELECT id FROM runs WHERE id = $1 AND claims = $2 AND status = 'in_progress'";
const FENCE: &str = "SELECT id FROM runs WHERE id = $1 AND claims = $2 AND status = 'in_progress' FOR SHARE";
const NEXT_STEP: &str = "UPDATE run_parts SET steps = steps + 1 WHERE run = $1 AND part = $3 AND steps = $4 \
                         AND EXISTS (SELECT 1 FROM runs WHERE id = $1 AND claims = $2 AND status = 'in_progress')";
const SAVE_PART: &str = "UPDATE run_parts SET after_key = $3, done = $4, listed = $5, matched = $6, existed = $7, \
                         created = $8, updated = $9, changed = $10, vanished = $11, failed = $12 \
                         WHERE run = $1 AND part = $2";
/// The same fault twice is one; past the first thousand of a run they are counted and not kept.
const ADD_FAULT: &str = "INSERT INTO run_faults (run, key, row_index, line, reason) VALUES ($1, $2, $3, $4, $5) \
                         ON CONFLICT DO NOTHING";
