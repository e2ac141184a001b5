//! What this store is called where others keep what it made.

use super::{Error, Store, on};

impl Store {
    /// A name that no other store has; made when it is first asked for.
    pub async fn identity(&self) -> Result<String, Error> {
        let fresh = uuid::Uuid::new_v4().to_string();
        self.bounded(async {
            on!(&self.0.pool, pool => sqlx::query(KEEP).bind(NAME).bind(fresh).execute(pool).await.map(drop))?;
            let (kept,): (String,) =
                on!(&self.0.pool, pool => sqlx::query_as(READ).bind(NAME).fetch_one(pool).await)?;
            Ok(kept)
        })
        .await
    }
}

const NAME: &str = "store";
const READ: &str = "SELECT uuid FROM identities WHERE name = $1";
const KEEP: &str = "INSERT INTO identities (name, uuid) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
