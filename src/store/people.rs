//! The tables of people: who makes annotations, and which objects wait for knowing them.

use std::collections::BTreeSet;

use super::{
    Error, Store, on,
    pool::{Pool, Tx},
    row::word,
    without_nul,
};
use crate::{annotation::Person, id::StorageId, storage::Unit};

impl Store {
    /// Those of these people who are known.
    pub async fn people(&self, ids: &[String]) -> Result<Vec<Person>, Error> {
        let rows: Vec<(String, String, String, String)> = self
            .bounded(async {
                let rows = match &self.0.pool {
                    Pool::Sqlite(pool) => {
                        let ids = serde_json::json!(ids).to_string();
                        sqlx::query_as(PEOPLE_SQLITE).bind(ids).fetch_all(pool).await?
                    }
                    Pool::Postgres(pool) => sqlx::query_as(PEOPLE_POSTGRES).bind(ids).fetch_all(pool).await?,
                };
                Ok(rows)
            })
            .await?;
        let person = |(id, first_name, last_name, email)| Person { id, first_name, last_name, email };
        Ok(rows.into_iter().map(person).collect())
    }

    /// Puts people down, and makes due again what was written while they were not known; returns how many objects.
    pub async fn learn_people(&self, people: &[Person]) -> Result<usize, Error> {
        let _turn = self.outbox_turn().await;
        self.bounded(async {
            let mut tx = self.0.pool.begin().await?;
            for person in people {
                on!(&mut tx, tx => {
                    sqlx::query(PUT)
                        .bind(&person.id)
                        .bind(without_nul(&person.first_name))
                        .bind(without_nul(&person.last_name))
                        .bind(without_nul(&person.email))
                        .execute(&mut **tx)
                        .await
                        .map(drop)
                })?;
            }
            let due = awaited(&mut tx).await?;
            self.make_due(&mut tx, &due).await?;
            tx.commit().await?;
            self.0.accepted.send_replace(());
            Ok(due.len())
        })
        .await
    }

    /// Remembers that an object is written before somebody in it is known.
    pub async fn await_person(
        &self,
        person: &str,
        storage: StorageId,
        (unit, item): (Unit, &str),
    ) -> Result<(), Error> {
        let _turn = self.outbox_turn().await;
        self.bounded(async {
            on!(&self.0.pool, pool => {
                let awaited = sqlx::query(AWAIT).bind(person).bind(storage.0).bind(unit.as_str()).bind(item);
                awaited.execute(pool).await.map(drop)
            })?;
            Ok(())
        })
        .await
    }
}

/// Takes away what waited for people who are known by now.
async fn awaited(tx: &mut Tx) -> Result<BTreeSet<(i64, &'static str, String)>, Error> {
    let rows: Vec<(i64, String, String)> = on!(tx, tx => sqlx::query_as(AWAITED).fetch_all(&mut **tx).await)?;
    let known = |(storage, unit, item): (i64, String, String)| {
        let unit = word::<Unit>(&unit)?;
        Some((storage, unit.as_str(), item))
    };
    Ok(rows.into_iter().filter_map(known).collect())
}

const PEOPLE_SQLITE: &str =
    "SELECT id, first_name, last_name, email FROM people WHERE id IN (SELECT value FROM json_each($1))";
const PEOPLE_POSTGRES: &str = "SELECT id, first_name, last_name, email FROM people WHERE id = ANY($1)";
const PUT: &str = "INSERT INTO people (id, first_name, last_name, email) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (id) DO UPDATE SET first_name = excluded.first_name, last_name = excluded.last_name, \
                   email = excluded.email";
const AWAIT: &str =
    "INSERT INTO people_awaited (person, storage, unit, item) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
const AWAITED: &str = "DELETE FROM people_awaited WHERE person IN (SELECT id FROM people) \
                       RETURNING storage, unit, item";
