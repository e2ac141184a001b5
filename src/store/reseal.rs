//! Key rotation: everything sealed anew with the current key.

use super::{
    Error, KeyId, Store,
    changes::Topic,
    on,
    row::{Row, columns, seal_keys},
};

impl Store {
    /// The name of the key that seals.
    pub fn key_id(&self) -> KeyId {
        self.0.keyring.current()
    }

    /// Seals every sealed value anew with the current key, all or none, and returns how many there are. A value whose
    /// key is not here is [`Error::SealUnknownKey`]. Afterwards the previous keys open nothing any more.
    pub async fn reseal(&self) -> Result<usize, Error> {
        let mut tx = self.begin_change(Topic::Storages).await?;
        let rows: Vec<Row> = on!(&mut tx, tx => sqlx::query_as(SEALED).fetch_all(&mut **tx).await)?;
        let count = rows.len();
        for row in rows {
            let storage = row.into_storage(&self.0.keyring)?;
            let keys = seal_keys(&storage.keys, storage.id.0, &self.0.keyring)?;
            on!(&mut tx, tx => {
                sqlx::query("UPDATE storages SET keys = $2 WHERE id = $1")
                    .bind(storage.id.0)
                    .bind(keys)
                    .execute(&mut **tx)
                    .await
                    .map(drop)
            })?;
        }
        self.commit_change(tx).await?;
        Ok(count)
    }
}

const SEALED: &str = concat!("SELECT ", columns!(), " FROM storages WHERE keys IS NOT NULL ORDER BY id");
