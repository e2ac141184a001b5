//! The tables of links and of what items say: how a step writes them, and how a scan looks them up.
//!
//! These are the statements that a million objects go through, so each takes a whole page: PostgreSQL by arrays, SQLite by
//! a list in JSON, which are the quickest ways into either.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    Error, Store, on,
    pool::{Pool, Tx},
    steps::{ItemRow, Items, ObjectVersion, SourceId, Step},
};
use crate::{object::ETag, task::Item};

/// What is known of an object.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Known {
    /// The version that was taken, where the server named it.
    pub etag: Option<ETag>,
    /// Whether it was marked as vanished.
    pub is_vanished: bool,
    /// How many tasks it has.
    pub tasks: i64,
    /// How many of its items were refused.
    pub refused: i64,
}

/// Which keys to look up.
#[derive(Clone, Copy, Debug)]
pub enum Keys<'a> {
    /// Those behind the first and up to the second; an absent end is the end of all keys.
    Between(&'a str, Option<&'a str>),
    /// These.
    These(&'a [String]),
}

/// What a link stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// An object that is a task.
    Object,
    /// An object whose items are tasks, once it was read to its end.
    Items,
}

/// What of the objects of a step may have links already. It is all the same to SQLite.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// None of them; one that has may be a conflict.
    New,
    /// Any of them; those that have keep them.
    Any,
}

impl Store {
    /// What is known of objects; those of which nothing is are left out. At most `limit` of them.
    pub async fn known(
        &self,
        source: SourceId,
        unit: Unit,
        keys: Keys<'_>,
        limit: i64,
    ) -> Result<HashMap<String, Known>, Error> {
        let rows = self
            .bounded(async {
                match &self.0.pool {
                    Pool::Sqlite(pool) => known_in_sqlite(pool, (source, unit, keys, limit)).await,
                    Pool::Postgres(pool) => known_in_postgres(pool, (source, unit, keys, limit)).await,
                }
            })
            .await?;
        let known = |(key, etag, is_vanished, items, refused): KnownRow| {
            let etag = etag.as_deref().and_then(ETag::parse);
            (key, Known { etag, is_vanished, tasks: items - refused, refused })
        };
        Ok(rows.into_iter().map(known).collect())
    }

    /// Links objects that are tasks; returns how many were new.
    pub(super) async fn link_objects(
        &self,
        tx: &mut Tx,
        step: &Step<'_>,
        expected: Expected,
    ) -> Result<i64, Error> {
        if step.objects.is_empty() {
            return Ok(0);
        }
        let postgres = match expected {
            Expected::New => LINK_NEW_POSTGRES,
            Expected::Any => LINK_POSTGRES,
        };
        let made = self.write_objects(tx, step, &step.objects, (LINK_SQLITE, postgres)).await?;
        if step.is_for_delivery {
            self.write_objects(tx, step, &step.objects, (OWE_SQLITE, OWE_POSTGRES)).await?;
        }
        Ok(made)
    }

    /// Gives links the new versions of their objects.
    pub(super) async fn renew_objects(&self, tx: &mut Tx, step: &Step<'_>) -> Result<i64, Error> {
        if step.renewed.is_empty() {
            return Ok(0);
        }
        self.write_objects(tx, step, &step.renewed, (RENEW_SQLITE, RENEW_POSTGRES)).await
    }

    async fn write_objects(
        &self,
        tx: &mut Tx,
        step: &Step<'_>,
        objects: &[ObjectVersion],
        (sqlite, postgres): (&'static str, &'static str),
    ) -> Result<i64, Error> {
        let etag = |object: &ObjectVersion| object.etag.as_ref().map(|etag| etag.as_str().to_owned());
        let affected = match tx {
            Tx::Sqlite(tx) => {
                let rows: Vec<_> = objects.iter().map(|object| json!([object.key, etag(object)])).collect();
                sqlx::query(sqlite)
                    .bind(step.source.0)
                    .bind(step.storage.0)
                    .bind(self.now())
                    .bind(Value::Array(rows).to_string())
                    .execute(&mut **tx)
                    .await?
                    .rows_affected()
            }
            Tx::Postgres(tx) => {
                let keys: Vec<&str> = objects.iter().map(|object| object.key.as_str()).collect();
                let etags: Vec<Option<String>> = objects.iter().map(etag).collect();
                sqlx::query(postgres)
                    .bind(step.source.0)
                    .bind(step.storage.0)
                    .bind(self.now())
                    .bind(keys)
                    .bind(etags)
                    .execute(&mut **tx)
                    .await?
                    .rows_affected()
            }
        };
        Ok(i64::try_from(affected).unwrap_or_default())
    }

    /// Links items and keeps what they say; returns how many were new and how many changed.
    pub(super) async fn link_items(
        &self,
        tx: &mut Tx,
        step: &Step<'_>,
        items: &Items,
    ) -> Result<(i64, i64), Error> {
        let (mut created, mut updated) = (0, 0);
        let etag = items.object.etag.as_ref().map(ETag::as_str);
        for ItemRow { row, line, item } in &items.rows {
            let made: Option<(i64,)> = on!(&mut *tx, tx => {
                sqlx::query_as(LINK_ITEM)
                    .bind(step.source.0)
                    .bind(&items.object.key)
                    .bind(row)
                    .bind(etag)
                    .bind(step.storage.0)
                    .bind(self.now())
                    .fetch_optional(&mut **tx)
                    .await
            })?;
            if let Some((task,)) = made {
                write_item(tx, KEEP_ITEM, task, item).await?;
                created += 1;
                if step.is_for_delivery {
                    owe(tx, OWE_ITEM, (task, step.source, *line)).await?;
                }
            } else if items.replace {
                let task: (i64,) = on!(&mut *tx, tx => {
                    sqlx::query_as(RELINK_ITEM)
                        .bind(step.source.0)
                        .bind(&items.object.key)
                        .bind(row)
                        .bind(etag)
                        .bind(self.now())
                        .fetch_one(&mut **tx)
                        .await
                })?;
                let changed = write_item(tx, REPLACE_ITEM, task.0, item).await?;
                updated += changed;
                if step.is_for_delivery && changed > 0 {
                    owe(tx, OWE_CHANGE, (task.0, step.source, *line)).await?;
                }
            }
        }
        if let Some((count, refused)) = items.end {
            on!(&mut *tx, tx => {
                sqlx::query(READ_TO_THE_END)
                    .bind(step.source.0)
                    .bind(&items.object.key)
                    .bind(etag)
                    .bind(count)
                    .bind(refused)
                    .bind(self.now())
                    .execute(&mut **tx)
                    .await
                    .map(drop)
            })?;
            if items.replace {
                on!(&mut *tx, tx => {
                    sqlx::query(VANISH_REST)
                        .bind(step.source.0)
                        .bind(&items.object.key)
                        .bind(count)
                        .bind(self.now())
                        .execute(&mut **tx)
                        .await
                        .map(drop)
                })?;
            }
        }
        Ok((created, updated))
    }

    /// Marks the tasks of objects that are gone.
    pub(super) async fn mark_vanished(&self, tx: &mut Tx, step: &Step<'_>) -> Result<(), Error> {
        for key in &step.vanished {
            for text in [VANISH_LINKS, VANISH_READ] {
                on!(&mut *tx, tx => {
                    sqlx::query(text)
                        .bind(step.source.0)
                        .bind(key)
                        .bind(self.now())
                        .execute(&mut **tx)
                        .await
                        .map(drop)
                })?;
            }
        }
        Ok(())
    }
}

type KnownRow = (String, Option<String>, bool, i64, i64);
type Asked<'a> = (SourceId, Unit, Keys<'a>, i64);

async fn known_in_postgres(
    pool: &sqlx::PgPool,
    (source, unit, keys, limit): Asked<'_>,
) -> Result<Vec<KnownRow>, Error> {
    let rows = match keys {
        Keys::Between(after, until) => {
            let text = match unit {
                Unit::Object => OBJECTS_BETWEEN,
                Unit::Items => READ_BETWEEN,
            };
            let until = until.unwrap_or(END_OF_KEYS);
            sqlx::query_as(text).bind(source.0).bind(after).bind(limit).bind(until).fetch_all(pool).await?
        }
        Keys::These(keys) => {
            let text = match unit {
                Unit::Object => THESE_OBJECTS,
                Unit::Items => THESE_READ,
            };
            sqlx::query_as(text).bind(source.0).bind(keys).fetch_all(pool).await?
        }
    };
    Ok(rows)
}

/// In one row: each costs a passage from SQLite's thread to ours.
async fn known_in_sqlite(
    pool: &sqlx::SqlitePool,
    (source, unit, keys, limit): Asked<'_>,
) -> Result<Vec<KnownRow>, Error> {
    let (packed,): (String,) = match keys {
        Keys::Between(after, until) => {
            let text = match unit {
                Unit::Object => OBJECTS_PACKED,
                Unit::Items => READ_PACKED,
            };
            let until = until.unwrap_or(END_OF_KEYS);
            sqlx::query_as(text).bind(source.0).bind(after).bind(limit).bind(until).fetch_one(pool).await?
        }
        Keys::These(keys) => {
            let text = match unit {
                Unit::Object => THESE_OBJECTS_PACKED,
                Unit::Items => THESE_READ_PACKED,
            };
            sqlx::query_as(text).bind(source.0).bind(json!(keys).to_string()).fetch_one(pool).await?
        }
    };
    let rows: Vec<(String, Option<String>, i64, i64, i64)> =
        serde_json::from_str(&packed).map_err(|error| Error::Database(sqlx::Error::Decode(error.into())))?;
    let row = |(key, etag, vanished, items, refused)| (key, etag, vanished != 0, items, refused);
    Ok(rows.into_iter().map(row).collect())
}

async fn write_item(tx: &mut Tx, text: &'static str, task: i64, item: &Item) -> Result<i64, Error> {
    let part = |json: &Option<crate::task::Json>| json.as_ref().map(|json| json.get().to_owned());
    let affected = on!(tx, tx => {
        sqlx::query(text)
            .bind(task)
            .bind(item.data.get())
            .bind(part(&item.annotations))
            .bind(part(&item.predictions))
            .bind(part(&item.meta))
            .bind(item.allow_skip)
            .execute(&mut **tx)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(i64::try_from(affected).unwrap_or_default())
}

/// Notes that another application has to hear of an item.
async fn owe(
    tx: &mut Tx,
    text: &'static str,
    (task, source, line): (i64, SourceId, Option<i64>),
) -> Result<(), Error> {
    on!(tx, tx => sqlx::query(text).bind(task).bind(source.0).bind(line).execute(&mut **tx).await.map(drop))?;
    Ok(())
}

macro_rules! known {
    ("links", $condition:literal) => {
        concat!(
            "SELECT key, etag, vanished_at IS NOT NULL AS vanished, CAST(1 AS BIGINT) AS items, \
             CAST(0 AS BIGINT) AS refused FROM links WHERE source = $1 AND row_index = -1 AND ",
            $condition
        )
    };
    ("read_objects", $condition:literal) => {
        concat!(
            "SELECT key, etag, vanished_at IS NOT NULL AS vanished, items, refused FROM read_objects \
             WHERE source = $1 AND ",
            $condition
        )
    };
}
macro_rules! packed {
    ($table:tt, $condition:tt) => {
        concat!(
            "SELECT json_group_array(json_array(key, etag, vanished, items, refused)) FROM (",
            known!($table, $condition),
            ")"
        )
    };
}
const OBJECTS_BETWEEN: &str = known!("links", "key > $2 AND key <= $4 ORDER BY key LIMIT $3");
const READ_BETWEEN: &str = known!("read_objects", "key > $2 AND key <= $4 ORDER BY key LIMIT $3");
const OBJECTS_PACKED: &str = packed!("links", "key > $2 AND key <= $4 ORDER BY key LIMIT $3");
const READ_PACKED: &str = packed!("read_objects", "key > $2 AND key <= $4 ORDER BY key LIMIT $3");
const THESE_OBJECTS: &str = known!("links", "key = ANY($2)");
const THESE_READ: &str = known!("read_objects", "key = ANY($2)");
const THESE_OBJECTS_PACKED: &str = packed!("links", "key IN (SELECT value FROM json_each($2))");
const THESE_READ_PACKED: &str = packed!("read_objects", "key IN (SELECT value FROM json_each($2))");
/// Behind all keys.
const END_OF_KEYS: &str = "\u{10ffff}\u{10ffff}";
/// `WHERE true` tells SQLite's parser that no join follows.
const LINK_SQLITE: &str = "INSERT INTO links (source, key, row_index, etag, storage, created_at) \
                           SELECT $1, value ->> 0, -1, value ->> 1, $2, $3 FROM json_each($4) WHERE true \
                           ON CONFLICT (source, key, row_index) DO NOTHING";
macro_rules! link_postgres {
    ($conflict:literal) => {
        concat!(
            "INSERT INTO links (source, key, row_index, etag, storage, created_at) \
             SELECT $1, new.key, -1, new.etag, $2, $3 FROM UNNEST($4::text[], $5::text[]) AS new (key, etag)",
            $conflict
        )
    };
}
const LINK_POSTGRES: &str = link_postgres!(" ON CONFLICT (source, key, row_index) DO NOTHING");
const LINK_NEW_POSTGRES: &str = link_postgres!("");
/// What new links owe another application.
const OWE_SQLITE: &str = "INSERT INTO deliveries (task, source, state) SELECT task, source, 'due' FROM links \
                          WHERE source = $1 AND row_index = -1 AND $2 = $2 AND $3 = $3 \
                          AND key IN (SELECT value ->> 0 FROM json_each($4)) ON CONFLICT (task) DO NOTHING";
const OWE_POSTGRES: &str = "INSERT INTO deliveries (task, source, state) SELECT task, source, 'due' FROM links \
                            WHERE source = $1 AND row_index = -1 AND $2 = $2 AND $3 = $3 AND key = ANY($4::text[]) \
                            AND $5 = $5 ON CONFLICT (task) DO NOTHING";
const OWE_ITEM: &str = "INSERT INTO deliveries (task, source, state, line) VALUES ($1, $2, 'due', $3) \
                        ON CONFLICT (task) DO NOTHING";
/// What is on its way may have left before the change.
const OWE_CHANGE: &str = "UPDATE deliveries SET line = $3, stale = (state = 'sending'), \
                          state = CASE state WHEN 'sending' THEN 'sending' ELSE 'due' END \
                          WHERE task = $1 AND source = $2";
const RENEW_SQLITE: &str = "UPDATE links SET etag = new.value ->> 1, updated_at = $3, vanished_at = NULL \
                            FROM json_each($4) AS new WHERE source = $1 AND row_index = -1 AND $2 = $2 \
                            AND links.key = new.value ->> 0";
const RENEW_POSTGRES: &str = "UPDATE links SET etag = new.etag, updated_at = $3, vanished_at = NULL \
                              FROM UNNEST($4::text[], $5::text[]) AS new (key, etag) \
                              WHERE source = $1 AND row_index = -1 AND $2 = $2 AND links.key = new.key";
const LINK_ITEM: &str = "INSERT INTO links (source, key, row_index, etag, storage, created_at) \
                         VALUES ($1, $2, $3, $4, $5, $6) \
                         ON CONFLICT (source, key, row_index) DO NOTHING RETURNING task";
const RELINK_ITEM: &str = "UPDATE links SET etag = $4, updated_at = $5, vanished_at = NULL \
                           WHERE source = $1 AND key = $2 AND row_index = $3 RETURNING task";
const KEEP_ITEM: &str = "INSERT INTO tasks (task, data, annotations, predictions, meta, allow_skip) \
                         VALUES ($1, $2, $3, $4, $5, $6)";
const REPLACE_ITEM: &str = "UPDATE tasks SET data = $2, annotations = $3, predictions = $4, meta = $5, allow_skip = $6 \
                            WHERE task = $1 AND (data <> $2 OR annotations IS DISTINCT FROM $3 \
                            OR predictions IS DISTINCT FROM $4 OR meta IS DISTINCT FROM $5 \
                            OR allow_skip IS DISTINCT FROM $6)";
const READ_TO_THE_END: &str = "INSERT INTO read_objects (source, key, etag, items, refused, read_at) \
                               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (source, key) DO UPDATE SET \
                               etag = excluded.etag, items = excluded.items, refused = excluded.refused, \
                               read_at = excluded.read_at, vanished_at = NULL";
const VANISH_LINKS: &str =
    "UPDATE links SET vanished_at = $3 WHERE source = $1 AND key = $2 AND vanished_at IS NULL";
/// Items that a changed object no longer has.
const VANISH_REST: &str = "UPDATE links SET vanished_at = $4 WHERE source = $1 AND key = $2 AND row_index >= $3 \
                           AND vanished_at IS NULL";
const VANISH_READ: &str =
    "UPDATE read_objects SET vanished_at = $3 WHERE source = $1 AND key = $2 AND vanished_at IS NULL";
