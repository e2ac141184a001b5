//! The admin token that was generated: its hash, so that it outlives a restart and is the same on every gateway.

use super::{Error, Store, on};

impl Store {
    /// The SHA-256 of the generated admin token; `None` where none was generated yet.
    pub async fn admin_token_hash(&self) -> Result<Option<[u8; 32]>, Error> {
        self.bounded(async {
            let row: Option<(Vec<u8>,)> =
                on!(&self.0.pool, pool => sqlx::query_as(READ).bind(NAME).fetch_optional(pool).await)?;
            row.map(|(hash,)| checked(&hash)).transpose()
        })
        .await
    }

    /// Keeps the hash of a generated token unless there is one, and returns the one that is in force: whoever gets
    /// another than its own back was not the first.
    pub async fn keep_admin_token_hash(&self, hash: [u8; 32]) -> Result<[u8; 32], Error> {
        self.bounded(async {
            on!(&self.0.pool, pool => {
                sqlx::query(KEEP).bind(NAME).bind(hash.as_slice()).bind(self.now()).execute(pool).await.map(drop)
            })?;
            let (kept,): (Vec<u8>,) =
                on!(&self.0.pool, pool => sqlx::query_as(READ).bind(NAME).fetch_one(pool).await)?;
            checked(&kept)
        })
        .await
    }
}

fn checked(hash: &[u8]) -> Result<[u8; 32], Error> {
    hash.try_into()
        .map_err(|error: std::array::TryFromSliceError| Error::Database(sqlx::Error::Decode(error.into())))
}

const NAME: &str = "admin";
const READ: &str = "SELECT sha256 FROM admin_tokens WHERE name = $1";
const KEEP: &str = "INSERT INTO admin_tokens (name, sha256, created_at) VALUES ($1, $2, $3) \
                    ON CONFLICT (name) DO NOTHING";
