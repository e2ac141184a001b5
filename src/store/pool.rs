//! Connections, and the little that differs between the two databases.

use std::{future::ready, io, sync::Mutex, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool,
    Transaction,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Config, DatabaseFile, Place};

/// One thing in two dialects. `sqlx::Any` would hide the difference, and with it most types.
#[derive(Debug)]
pub(super) enum Dialect<S, P> {
    Sqlite(S),
    Postgres(P),
}

/// Connections.
pub(super) type Pool = Dialect<SqlitePool, PgPool>;
/// Held and never used.
pub(super) type Keeper = Mutex<SqliteConnection>;
/// A transaction; rolled back when it is dropped.
pub(super) type Tx = Dialect<Transaction<'static, Sqlite>, Transaction<'static, Postgres>>;

impl Pool {
    /// Makes the pool; connects when the first connection is asked for.
    pub(super) fn connect(place: Place, file: Option<&DatabaseFile>, config: &Config) -> Self {
        match (place, file) {
            (Place::Postgres(options), _) => {
                let pool = PgPoolOptions::new()
                    .max_connections(config.max_connections)
                    .acquire_timeout(config.acquire_timeout);
                Self::Postgres(pool.connect_lazy_with(*options))
            }
            (_, Some(file)) => {
                let pool = SqlitePoolOptions::new()
                    .max_connections(config.max_connections)
                    .acquire_timeout(config.acquire_timeout)
                    .before_acquire(|connection, _| Box::pin(ready(Ok(!connection.is_in_transaction()))));
                Self::Sqlite(pool.connect_lazy_with(on_disk(file, config.acquire_timeout)))
            }
            (_, None) => Self::Sqlite(in_memory(config.acquire_timeout)),
        }
    }

    /// A connection beside those of the pool. A database in memory is there as long as one is, and a call that is given
    /// up in its middle may cost the pool its only one.
    pub(super) async fn keeper(&self) -> sqlx::Result<Option<Keeper>> {
        match self {
            Self::Sqlite(pool) => Ok(Some(Mutex::new(pool.connect_options().connect().await?))),
            Self::Postgres(_) => Ok(None),
        }
    }

    /// Begins a transaction that writes.
    ///
    /// SQLite ends a transaction by itself when the disk is full or fails. sqlx does not notice, its rollback fails, and
    /// the next transaction on the connection would be a savepoint within one that nobody ever commits. Such a connection
    /// is given up before it is used again, and `BEGIN IMMEDIATE`, which sqlx refuses there, makes sure of it.
    ///
    /// With PostgreSQL, sqlx 0.9.0 does not notice that it has sent a `BEGIN` to whose end nobody waited
    /// (<https://github.com/launchbadge/sqlx/issues/4393>): the connection would be given to others, whose writes nobody ever
    /// commits. So the `BEGIN` has a task of its own, which is not given up with the caller.
    pub(super) async fn begin(&self) -> sqlx::Result<Tx> {
        Ok(match self {
            Self::Sqlite(pool) => Dialect::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => {
                let pool = pool.clone();
                let begun = tokio::spawn(async move { pool.begin().await }).await;
                Dialect::Postgres(begun.map_err(io::Error::other)??)
            }
        })
    }

    /// For people.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }
}

impl Tx {
    /// Ends the transaction well.
    pub(super) async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }
}

/// What is committed is on the disk, also after a power cut: an acknowledged change must not get lost.
fn on_disk(file: &DatabaseFile, busy_timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file.path())
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(busy_timeout)
}

/// One connection: two would find each other's tables locked.
fn in_memory(acquire_timeout: Duration) -> SqlitePool {
    let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(true);
    SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(acquire_timeout)
        .before_acquire(|connection, _| Box::pin(ready(Ok(!connection.is_in_transaction()))))
        .connect_lazy_with(options)
}
