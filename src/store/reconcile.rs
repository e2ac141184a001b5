//! Storages of the configuration file: they get a number and keep their state, but no keys are stored of them.

use std::collections::HashMap;

use super::{
    Error, Store,
    changes::Topic,
    on,
    pool::Tx,
    row::{Row, columns, settings_text},
    storages::project,
};
use crate::{
    id::StorageName,
    storage::{Direction, Kind, Settings, Storage},
};

/// A storage as the configuration file has it, without its keys.
#[derive(Clone, Debug)]
pub struct FileStorage {
    /// Its name there.
    pub name: StorageName,
    /// Whether tasks come from it or annotations go to it.
    pub direction: Direction,
    /// How it signs in.
    pub kind: Kind,
    /// What is set there.
    pub settings: Settings,
}

/// What the store has of a file, and what has to be done so that it is the same.
#[derive(Debug, Default)]
struct Plan<'a> {
    insert: Vec<&'a FileStorage>,
    update: Vec<(i64, &'a FileStorage)>,
    absent: Vec<i64>,
}

impl Store {
    /// Makes the storages of file origin those of the list, by name, and returns them in its order. One that is no
    /// longer listed is hidden and comes back with its number and state when it is listed again. Where nothing
    /// differs nothing is written, so that processes with the same file leave each other alone.
    pub async fn reconcile_file_storages(&self, listed: &[FileStorage]) -> Result<Vec<Storage>, Error> {
        let rows = self.bounded(self.reconciled(listed)).await?;
        let mut by_name: HashMap<String, Row> =
            rows.into_iter().filter_map(|row| row.name.clone().map(|name| (name, row))).collect();
        let rows = listed.iter().filter_map(|storage| by_name.remove(storage.name.as_str()));
        rows.map(|row| row.into_storage(&self.0.keyring)).collect()
    }

    async fn reconciled(&self, listed: &[FileStorage]) -> Result<Vec<Row>, Error> {
        let rows: Vec<Row> = on!(&self.0.pool, pool => sqlx::query_as(OF_FILE).fetch_all(pool).await)?;
        if Plan::new(listed, &rows).is_empty() {
            return Ok(rows);
        }
        // Others may have done the same until we had the lock, so look again.
        let mut tx = self.begin_change(Topic::Storages).await?;
        let rows = of_file(&mut tx).await?;
        let plan = Plan::new(listed, &rows);
        if plan.is_empty() {
            return Ok(rows);
        }
        plan.carry_out(&mut tx, self.now()).await?;
        let rows = of_file(&mut tx).await?;
        self.commit_change(tx).await?;
        Ok(rows)
    }
}

impl<'a> Plan<'a> {
    fn new(listed: &'a [FileStorage], rows: &[Row]) -> Self {
        let mut unlisted: HashMap<&str, &Row> =
            rows.iter().filter_map(|row| row.name.as_deref().map(|name| (name, row))).collect();
        let mut plan = Self::default();
        for storage in listed {
            match unlisted.remove(storage.name.as_str()) {
                None => plan.insert.push(storage),
                Some(row) if !storage.is(row) => plan.update.push((row.id, storage)),
                Some(_) => {}
            }
        }
        plan.absent = unlisted.values().filter(|row| !row.absent).map(|row| row.id).collect();
        plan
    }

    fn is_empty(&self) -> bool {
        self.insert.is_empty() && self.update.is_empty() && self.absent.is_empty()
    }

    async fn carry_out(&self, tx: &mut Tx, now: i64) -> Result<(), Error> {
        for storage in &self.insert {
            let settings = settings_text(&storage.settings)?;
            on!(&mut *tx, tx => {
                sqlx::query(INSERT)
                    .bind(storage.direction.as_str())
                    .bind(storage.kind.as_str())
                    .bind(storage.name.as_str())
                    .bind(project(&storage.settings))
                    .bind(settings)
                    .bind(now)
                    .execute(&mut **tx)
                    .await
                    .map(drop)
            })?;
        }
        for (id, storage) in &self.update {
            let settings = settings_text(&storage.settings)?;
            on!(&mut *tx, tx => {
                sqlx::query(UPDATE)
                    .bind(id)
                    .bind(storage.direction.as_str())
                    .bind(storage.kind.as_str())
                    .bind(project(&storage.settings))
                    .bind(settings)
                    .execute(&mut **tx)
                    .await
                    .map(drop)
            })?;
        }
        for id in &self.absent {
            on!(&mut *tx, tx => sqlx::query(HIDE).bind(id).execute(&mut **tx).await.map(drop))?;
        }
        Ok(())
    }
}

impl FileStorage {
    /// Whether the row says the same. Settings are compared as values: a newer program may write them otherwise.
    fn is(&self, row: &Row) -> bool {
        !row.absent
            && row.direction == self.direction.as_str()
            && row.kind == self.kind.as_str()
            && row.settings().is_some_and(|settings| settings == self.settings)
    }
}

async fn of_file(tx: &mut Tx) -> Result<Vec<Row>, Error> {
    let rows: Vec<Row> = on!(tx, tx => sqlx::query_as(OF_FILE).fetch_all(&mut **tx).await)?;
    Ok(rows)
}

const OF_FILE: &str = concat!("SELECT ", columns!(), " FROM storages WHERE origin = 'file'");
const INSERT: &str = "INSERT INTO storages (direction, kind, origin, name, project, settings, created_at) \
                      VALUES ($1, $2, 'file', $3, $4, $5, $6)";
const UPDATE: &str = "UPDATE storages SET direction = $2, kind = $3, project = $4, settings = $5, \
                      absent = FALSE, revision = revision + 1 WHERE id = $1";
const HIDE: &str = "UPDATE storages SET absent = TRUE WHERE id = $1";
