//! The table of annotations: what was accepted, each in its newest state, and how it becomes due in the targets.
//!
//! What is accepted is one transaction: it is all on the disk when the call returns, or none of it is. The statements
//! take a whole batch, PostgreSQL by arrays and SQLite by a list in JSON; rows are locked in one order everywhere, so
//! that gateways which accept the same annotations at once wait for each other and never in a circle.

mod read;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

pub use self::read::{AnnotationPage, AnnotationState};
use super::{Error, Store, micros, on, pool::Tx};
use crate::{
    annotation::{Annotation, Change},
    id::{AnnotationId, ProjectId, TaskId},
    storage::{Settings, Unit},
};

/// What came of a batch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Accepted {
    /// Changes that changed something.
    pub changed: u64,
    /// Those that were known, or older than what is known.
    pub known: u64,
}

/// A target that annotations go to.
struct Target {
    id: i64,
    project: Option<String>,
    unit: Unit,
}

impl Store {
    /// Accepts changes in their order: all of them, on the disk when this returns, or none.
    pub async fn accept(&self, changes: &[Change]) -> Result<Accepted, Error> {
        let _turn = self.outbox_turn().await;
        self.bounded(async {
            let mut tx = self.0.pool.begin().await?;
            let mut accepted = Accepted::default();
            let mut rest = changes;
            while let Some((first, others)) = rest.split_first() {
                let is_new = match first {
                    Change::Put(_) => {
                        let puts = rest.iter().take_while(|change| matches!(change, Change::Put(_))).count();
                        let (puts, behind) = rest.split_at(puts);
                        rest = behind;
                        let written = self.put_annotations(&mut tx, puts).await?;
                        accepted.known += (puts.len() as u64).saturating_sub(written);
                        accepted.changed += written;
                        continue;
                    }
                    Change::Delete(id, at) => self.delete_annotation(&mut tx, id, micros(*at)).await?,
                    Change::DeleteTask(task, at) => self.delete_task(&mut tx, task, micros(*at)).await?,
                };
                rest = others;
                if is_new {
                    accepted.changed += 1;
                } else {
                    accepted.known += 1;
                }
            }
            tx.commit().await?;
            self.0.accepted.send_replace(());
            Ok(accepted)
        })
        .await
    }

    /// Puts the newest state of each annotation; returns how many were new or changed.
    async fn put_annotations(&self, tx: &mut Tx, puts: &[Change]) -> Result<u64, Error> {
        let newest = newest(puts);
        let written = self.write_annotations(tx, &newest).await?;
        let targets = targets(tx).await?;
        let mut due = BTreeSet::new();
        for id in &written {
            let Some(annotation) = newest.get(id.as_str()) else { continue };
            let project = annotation.project.as_ref().map(ProjectId::as_str);
            for target in targets.iter().filter(|target| target.takes(project)) {
                due.insert((target.id, target.unit.as_str(), item(target.unit, annotation)));
            }
        }
        self.make_due(tx, &due).await?;
        Ok(written.len() as u64)
    }

    async fn write_annotations(
        &self,
        tx: &mut Tx,
        newest: &BTreeMap<&str, &Annotation>,
    ) -> Result<Vec<String>, Error> {
        let rows = newest.values();
        let project = |row: &&Annotation| row.project.as_ref().map_or("", ProjectId::as_str).to_owned();
        let task_body = |row: &&Annotation| row.task_body.as_ref().map(|body| body.get().to_owned());
        let written: Vec<(String,)> = match tx {
            Tx::Sqlite(tx) => {
                let list: Vec<_> = rows
                    .map(|row| {
                        let (id, task) = (row.id.as_str(), row.task.as_str());
                        json!([
                            id,
                            project(row),
                            task,
                            micros(row.updated_at),
                            row.body.get(),
                            task_body(row)
                        ])
                    })
                    .collect();
                let list = json!(list).to_string();
                sqlx::query_as(PUT_SQLITE).bind(list).bind(self.now()).fetch_all(&mut **tx).await?
            }
            Tx::Postgres(tx) => {
                let rows: Vec<&Annotation> = rows.copied().collect();
                let text = |of: fn(&Annotation) -> &str| -> Vec<String> {
                    rows.iter().map(|row| of(row).to_owned()).collect()
                };
                sqlx::query_as(PUT_POSTGRES)
                    .bind(text(|row| row.id.as_str()))
                    .bind(self.now())
                    .bind(rows.iter().map(project).collect::<Vec<_>>())
                    .bind(text(|row| row.task.as_str()))
                    .bind(rows.iter().map(|row| micros(row.updated_at)).collect::<Vec<_>>())
                    .bind(text(|row| row.body.get()))
                    .bind(rows.iter().map(task_body).collect::<Vec<_>>())
                    .fetch_all(&mut **tx)
                    .await?
            }
        };
        Ok(written.into_iter().map(|(id,)| id).collect())
    }

    /// Makes objects due in targets, whether or not they were ever written.
    pub(super) async fn make_due(
        &self,
        tx: &mut Tx,
        due: &BTreeSet<(i64, &'static str, String)>,
    ) -> Result<(), Error> {
        if due.is_empty() {
            return Ok(());
        }
        match tx {
            Tx::Sqlite(tx) => {
                let list = json!(due).to_string();
                sqlx::query(DUE_SQLITE).bind(list).bind(self.now()).execute(&mut **tx).await?;
            }
            Tx::Postgres(tx) => {
                sqlx::query(DUE_POSTGRES)
                    .bind(due.iter().map(|(storage, _, _)| *storage).collect::<Vec<_>>())
                    .bind(self.now())
                    .bind(due.iter().map(|(_, unit, _)| *unit).collect::<Vec<_>>())
                    .bind(due.iter().map(|(_, _, item)| item.as_str()).collect::<Vec<_>>())
                    .execute(&mut **tx)
                    .await?;
            }
        }
        Ok(())
    }

    /// A deletion is as new as what it deletes, at least: the clock of whoever made that may be ahead of ours.
    async fn delete_annotation(&self, tx: &mut Tx, id: &AnnotationId, at: i64) -> Result<bool, Error> {
        let row: Option<(String,)> = on!(&mut *tx, tx => {
            sqlx::query_as(DELETE).bind(id.as_str()).bind(at).bind(self.now()).fetch_optional(&mut **tx).await
        })?;
        let Some((task,)) = row else { return Ok(false) };
        self.mark_due(tx, Unit::Annotation, id.as_str()).await?;
        self.mark_due(tx, Unit::Task, &task).await?;
        Ok(true)
    }

    async fn delete_task(&self, tx: &mut Tx, task: &TaskId, at: i64) -> Result<bool, Error> {
        let task = task.as_str();
        on!(&mut *tx, tx => {
            sqlx::query(FORGET_TASK).bind(task).bind(at).execute(&mut **tx).await.map(drop)
        })?;
        let mut ids: Vec<(String,)> = on!(&mut *tx, tx => {
            sqlx::query_as(DELETE_OF_TASK).bind(task).bind(at).bind(self.now()).fetch_all(&mut **tx).await
        })?;
        ids.sort();
        for (id,) in &ids {
            self.mark_due(tx, Unit::Annotation, id).await?;
        }
        if !ids.is_empty() {
            self.mark_due(tx, Unit::Task, task).await?;
        }
        Ok(!ids.is_empty())
    }

    /// Makes an object due wherever it went, or is to go.
    async fn mark_due(&self, tx: &mut Tx, unit: Unit, item: &str) -> Result<(), Error> {
        on!(tx, tx => {
            let marked = sqlx::query(MARK).bind(unit.as_str()).bind(self.now()).bind(item);
            marked.execute(&mut **tx).await.map(drop)
        })?;
        Ok(())
    }
}

impl Target {
    fn takes(&self, project: Option<&str>) -> bool {
        self.project.as_deref().is_none_or(|own| project == Some(own))
    }
}

/// The last state of each annotation that no other of the batch is newer than.
fn newest(puts: &[Change]) -> BTreeMap<&str, &Annotation> {
    let mut newest: BTreeMap<&str, &Annotation> = BTreeMap::new();
    for change in puts {
        let Change::Put(annotation) = change else { continue };
        let known = newest.entry(annotation.id.as_str()).or_insert(annotation);
        if annotation.updated_at >= known.updated_at {
            *known = annotation;
        }
    }
    newest
}

fn item(unit: Unit, annotation: &Annotation) -> String {
    match unit {
        Unit::Annotation => annotation.id.as_str().to_owned(),
        Unit::Task => annotation.task.as_str().to_owned(),
    }
}

/// Where annotations go now. Settings that nobody of ours wrote keep nothing from being accepted: such a target takes
/// what the default would.
async fn targets(tx: &mut Tx) -> Result<Vec<Target>, Error> {
    let rows: Vec<(i64, Option<String>, String)> =
        on!(tx, tx => sqlx::query_as(TARGETS).fetch_all(&mut **tx).await)?;
    let target = |(id, project, settings): (i64, Option<String>, String)| {
        let settings: Settings = serde_json::from_str(&settings).unwrap_or_default();
        Target { id, project, unit: settings.layout.unit() }
    };
    Ok(rows.into_iter().map(target).collect())
}

/// Of two states of one time the later to arrive is the newer, unless the earlier is the end. What is said of a task that
/// is gone, by its time, is not heard.
macro_rules! put {
    ($from:literal) => {
        concat!(
            "INSERT INTO annotations (id, project, task, updated_at, body, task_body, accepted_at) \
             SELECT n.id, n.project, n.task, n.updated_at, n.body, n.task_body, $2 FROM ",
            $from,
            " WHERE NOT EXISTS (SELECT 1 FROM deleted_tasks d WHERE d.task = n.task AND d.deleted_at >= n.updated_at) \
             ORDER BY n.id ON CONFLICT (id) DO UPDATE SET project = excluded.project, task = excluded.task, \
             updated_at = excluded.updated_at, body = excluded.body, \
             task_body = COALESCE(excluded.task_body, annotations.task_body), accepted_at = excluded.accepted_at \
             WHERE excluded.updated_at > annotations.updated_at OR (excluded.updated_at = annotations.updated_at \
             AND annotations.body IS NOT NULL AND (excluded.body <> annotations.body \
             OR COALESCE(excluded.task_body <> annotations.task_body, \
             excluded.task_body IS NOT NULL AND annotations.task_body IS NULL))) RETURNING id"
        )
    };
}
const PUT_SQLITE: &str = put!(
    "(SELECT value ->> 0 AS id, value ->> 1 AS project, value ->> 2 AS task, value ->> 3 AS updated_at, \
     value ->> 4 AS body, value ->> 5 AS task_body FROM json_each($1)) AS n"
);
const PUT_POSTGRES: &str = put!(
    "UNNEST($1::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[]) \
     AS n(id, project, task, updated_at, body, task_body)"
);

/// What becomes due that was due keeps its place in the line of the oldest.
macro_rules! due {
    ($from:literal) => {
        concat!(
            "INSERT INTO outbox (storage, unit, item, state, due_at, waiting_since) \
             SELECT n.storage, n.unit, n.item, 'due', $2, $2 FROM ",
            $from,
            " WHERE TRUE ORDER BY n.storage, n.unit, n.item ON CONFLICT (storage, unit, item) DO UPDATE SET ",
            due_again!()
        )
    };
}
macro_rules! due_again {
    () => {
        "wanted = outbox.wanted + 1, state = 'due', due_at = $2, attempts = 0, \
         waiting_since = CASE WHEN outbox.state = 'due' THEN outbox.waiting_since ELSE $2 END"
    };
}
const DUE_SQLITE: &str =
    due!("(SELECT value ->> 0 AS storage, value ->> 1 AS unit, value ->> 2 AS item FROM json_each($1)) AS n");
const DUE_POSTGRES: &str = due!("UNNEST($1::bigint[], $3::text[], $4::text[]) AS n(storage, unit, item)");
const MARK: &str = concat!(
    "UPDATE outbox SET ",
    due_again!(),
    " WHERE storage IN (SELECT id FROM storages WHERE direction = 'export') AND unit = $1 AND item = $3"
);

const TARGETS: &str =
    "SELECT id, project, settings FROM storages WHERE direction = 'export' AND NOT absent ORDER BY id";
const DELETE: &str = "INSERT INTO annotations (id, project, task, updated_at, accepted_at) VALUES ($1, '', '', $2, $3) \
                      ON CONFLICT (id) DO UPDATE SET body = NULL, task_body = NULL, accepted_at = $3, \
                      updated_at = CASE WHEN annotations.updated_at > $2 THEN annotations.updated_at ELSE $2 END \
                      WHERE annotations.body IS NOT NULL RETURNING task";
const FORGET_TASK: &str = "INSERT INTO deleted_tasks (task, deleted_at) VALUES ($1, $2) \
                           ON CONFLICT (task) DO UPDATE SET deleted_at = $2";
const DELETE_OF_TASK: &str = "UPDATE annotations SET body = NULL, task_body = NULL, accepted_at = $3, \
                              updated_at = CASE WHEN updated_at > $2 THEN updated_at ELSE $2 END \
                              WHERE task = $1 AND body IS NOT NULL RETURNING id";
