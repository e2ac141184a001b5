//! The table of storages.

use super::{
    Error, Store,
    changes::Topic,
    on,
    row::{Row, columns, seal_keys, settings_text},
};
use crate::{
    id::{ProjectId, StorageId},
    storage::{Direction, Keys, Kind, Origin, Settings, Storage},
};

/// A storage that the control API makes.
#[derive(Clone, Debug)]
pub struct NewStorage {
    /// Whether tasks come from it or annotations go to it.
    pub direction: Direction,
    /// How it signs in.
    pub kind: Kind,
    /// What a person set.
    pub settings: Settings,
    /// Who signs.
    pub keys: Keys,
}

impl Store {
    /// All storages, by number; those that the configuration file no longer has are not among them.
    pub async fn storages(&self) -> Result<Vec<Storage>, Error> {
        self.opened(async {
            let rows: Vec<Row> = on!(&self.0.pool, pool => sqlx::query_as(ALL).fetch_all(pool).await)?;
            Ok(rows)
        })
        .await
    }

    /// Those of a direction, and where given of a kind and of a project, by number. Storages of the configuration
    /// file that name no project are of every project.
    pub async fn storages_of(
        &self,
        direction: Direction,
        kind: Option<Kind>,
        project: Option<&ProjectId>,
    ) -> Result<Vec<Storage>, Error> {
        self.opened(async {
            let rows: Vec<Row> = on!(&self.0.pool, pool => {
                sqlx::query_as(SOME)
                    .bind(direction.as_str())
                    .bind(kind.map(Kind::as_str))
                    .bind(project.map(ProjectId::as_str))
                    .fetch_all(pool)
                    .await
            })?;
            Ok(rows)
        })
        .await
    }

    /// One storage; `None` where there is none of this number.
    pub async fn storage(&self, id: StorageId) -> Result<Option<Storage>, Error> {
        let row: Option<Row> = self
            .bounded(async {
                let row =
                    on!(&self.0.pool, pool => sqlx::query_as(ONE).bind(id.0).fetch_optional(pool).await);
                Ok(row?)
            })
            .await?;
        row.map(|row| row.into_storage(&self.0.keyring)).transpose()
    }

    /// Makes a storage and returns it as it is kept.
    pub async fn create_storage(&self, new: &NewStorage) -> Result<Storage, Error> {
        let settings = settings_text(&new.settings)?;
        let row: Row = self
            .bounded(async {
                let mut tx = self.begin_change(Topic::Storages).await?;
                let (id,): (i64,) = on!(&mut tx, tx => {
                    sqlx::query_as(INSERT)
                        .bind(new.direction.as_str())
                        .bind(new.kind.as_str())
                        .bind(project(&new.settings))
                        .bind(&settings)
                        .bind(self.now())
                        .fetch_one(&mut **tx)
                        .await
                })?;
                // The seal is bound to the row's number, which is known only now.
                let keys = seal_keys(&new.keys, id, &self.0.keyring)?;
                let row = on!(&mut tx, tx => {
                    sqlx::query_as(SET_KEYS).bind(id).bind(keys).fetch_one(&mut **tx).await
                })?;
                self.commit_change(tx).await?;
                Ok(row)
            })
            .await?;
        row.into_storage(&self.0.keyring)
    }

    /// Keeps changed settings and keys, if the storage is still the one that was read: [`Error::Conflict`] where its
    /// revision moved, [`Error::StorageUnknown`] where it was deleted.
    pub async fn update_storage(&self, changed: &Storage) -> Result<Storage, Error> {
        if let Origin::File(name) = &changed.origin {
            return Err(Error::StorageFromFile(name.clone()));
        }
        let settings = settings_text(&changed.settings)?;
        let keys = seal_keys(&changed.keys, changed.id.0, &self.0.keyring)?;
        let row: Option<Row> = self
            .bounded(async {
                let mut tx = self.begin_change(Topic::Storages).await?;
                let row = on!(&mut tx, tx => {
                    sqlx::query_as(UPDATE)
                        .bind(changed.id.0)
                        .bind(changed.revision)
                        .bind(project(&changed.settings))
                        .bind(&settings)
                        .bind(&keys)
                        .fetch_optional(&mut **tx)
                        .await
                })?;
                // Without a row nothing changed, and the raised version is rolled back.
                if row.is_some() {
                    self.commit_change(tx).await?;
                }
                Ok(row)
            })
            .await?;
        match row {
            Some(row) => row.into_storage(&self.0.keyring),
            None if self.exists(changed.id).await? => Err(Error::Conflict),
            None => Err(Error::StorageUnknown(changed.id)),
        }
    }

    /// Deletes a storage that the control API made; `false` where there is none of this number.
    pub async fn delete_storage(&self, id: StorageId) -> Result<bool, Error> {
        self.bounded(async {
            let mut tx = self.begin_change(Topic::Storages).await?;
            let affected = on!(&mut tx, tx => {
                let done = sqlx::query(DELETE).bind(id.0).execute(&mut **tx).await;
                done.map(|done| done.rows_affected())
            })?;
            if affected > 0 {
                self.commit_change(tx).await?;
            }
            Ok(affected > 0)
        })
        .await
    }

    async fn exists(&self, id: StorageId) -> Result<bool, Error> {
        self.bounded(async {
            let row: Option<(i64,)> = on!(&self.0.pool, pool => {
                sqlx::query_as("SELECT id FROM storages WHERE id = $1").bind(id.0).fetch_optional(pool).await
            })?;
            Ok(row.is_some())
        })
        .await
    }

    async fn opened(
        &self,
        rows: impl Future<Output = Result<Vec<Row>, Error>>,
    ) -> Result<Vec<Storage>, Error> {
        let rows = self.bounded(rows).await?;
        rows.into_iter().map(|row| row.into_storage(&self.0.keyring)).collect()
    }
}

/// The project as the index has it.
pub(super) fn project(settings: &Settings) -> Option<&str> {
    settings.project.as_ref().map(ProjectId::as_str)
}

const ALL: &str = concat!("SELECT ", columns!(), " FROM storages WHERE NOT absent ORDER BY id");
const SOME: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM storages WHERE NOT absent AND direction = $1 AND ($2 IS NULL OR kind = $2) \
     AND ($3 IS NULL OR project = $3 OR (project IS NULL AND origin = 'file')) ORDER BY id"
);
const ONE: &str = concat!("SELECT ", columns!(), " FROM storages WHERE NOT absent AND id = $1");
const INSERT: &str = "INSERT INTO storages (direction, kind, origin, project, settings, created_at) \
                      VALUES ($1, $2, 'api', $3, $4, $5) RETURNING id";
const SET_KEYS: &str = concat!("UPDATE storages SET keys = $2 WHERE id = $1 RETURNING ", columns!());
const UPDATE: &str = concat!(
    "UPDATE storages SET project = $3, settings = $4, keys = $5, revision = revision + 1 \
     WHERE id = $1 AND revision = $2 AND origin = 'api' RETURNING ",
    columns!()
);
const DELETE: &str = "DELETE FROM storages WHERE id = $1 AND origin = 'api'";
