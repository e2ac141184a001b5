//! State in SQL: storages, revocations and the admin token, in SQLite or PostgreSQL.
//!
//! One text of SQL serves both databases; what differs is in `pool` and in the migrations, which are part of the
//! program and applied when it opens the store. A SQLite file belongs to one process, which an operating system
//! lock sees to; on PostgreSQL any number of processes share the state and see each other's changes through
//! [`Store::watch`].
//!
//! Keys of access are sealed (AES-256-GCM) with a key that is not in the database, bound to their row and column, so
//! that neither a copy of the database nor somebody who may write to it gives them away.
//!
//! Every change raises the version of its topic first, in its own transaction. The raised row is also the lock that
//! puts writers in a line, so that no two of them can deadlock, and whoever sees a version sees all that led to it:
//! read the version before what it stands for.

mod admin_token;
mod annotations;
mod changes;
mod config;
mod deliveries;
mod error;
mod file;
mod identity;
mod key;
mod links;
mod migrate;
mod outbox;
mod people;
mod pool;
mod reconcile;
mod reconciliations;
mod reseal;
mod revocations;
mod row;
mod run_row;
mod runs;
mod seal;
mod steps;
mod storages;
mod sync_states;
mod tasks;
mod url;

use std::{
    fmt,
    future::Future,
    io,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;

pub use self::{
    annotations::{Accepted, AnnotationPage, AnnotationState},
    changes::Changes,
    config::Config,
    deliveries::{Batch, Bounds, Delivery, DeliveryState, Lost, Parcel},
    error::Error,
    key::KeySource,
    links::{Keys, Known, Unit},
    migrate::Migrated,
    outbox::{Delivered, Depth, Due, OutboxEntry, OutboxFilter, OutboxState},
    reconcile::FileStorage,
    reconciliations::Reconciliation,
    revocations::{Revocation, Revoked},
    runs::{Claimed, Enqueued, RunFilter},
    seal::KeyId,
    steps::{ItemRow, Items, ObjectVersion, Part, SourceId, SourceSpec, Step},
    storages::NewStorage,
    tasks::TaskFilter,
    url::ParseUrlError,
};
use self::{
    file::DatabaseFile,
    key::KeySettings,
    pool::{Keeper, Pool},
    seal::Keyring,
    url::Place,
};

/// The state; clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    pool: Pool,
    keyring: Keyring,
    clock: fn() -> SystemTime,
    migrated: Migrated,
    /// How long one call may take, connecting and all.
    patience: Duration,
    /// Tells watchers in this process of a change.
    changed: watch::Sender<()>,
    /// Tells writers in this process that something was accepted.
    accepted: watch::Sender<()>,
    /// Whose turn it is to write to the outbox of a SQLite file.
    outbox_turn: tokio::sync::Mutex<()>,
    /// Keeps a database in memory.
    _keeper: Option<Keeper>,
    /// Unlocked when all else here is gone.
    _file: Option<DatabaseFile>,
}

impl Store {
    /// Connects, brings the schema up to date and reads the keys. Makes the database file, and a key file beside it,
    /// where a SQLite file is named that does not exist.
    pub async fn open(config: &Config, clock: fn() -> SystemTime) -> Result<Self, Error> {
        if config.max_connections == 0 {
            return Err(Error::NoConnections);
        }
        let place = config.place()?;
        let keys = KeySettings::read(config)?;
        keys.suit(&place)?;
        let file = match &place {
            Place::File(path) => Some(DatabaseFile::open(path)?),
            Place::Memory | Place::Postgres(_) => None,
        };
        let is_in_memory = matches!(place, Place::Memory);
        let pool = Pool::connect(place, file.as_ref(), config);
        let keeper = if is_in_memory { pool.keeper().await? } else { None };
        let migrated = migrate::run(&pool).await?;
        let keyring = keys.into_keyring(file.as_ref(), &pool).await?;
        let patience = config.acquire_timeout + STATEMENTS;
        let changed = watch::Sender::new(());
        Ok(Self(Arc::new(Inner {
            pool,
            keyring,
            clock,
            migrated,
            patience,
            changed,
            accepted: watch::Sender::new(()),
            outbox_turn: tokio::sync::Mutex::default(),
            _keeper: keeper,
            _file: file,
        })))
    }

    /// What opening it did to the schema.
    pub fn migrated(&self) -> Migrated {
        self.0.migrated
    }

    /// Whether the database answers.
    pub async fn is_reachable(&self) -> bool {
        let asked = self.bounded(async {
            let one: (i64,) =
                on!(&self.0.pool, pool => sqlx::query_as("SELECT CAST(1 AS BIGINT)").fetch_one(pool).await)?;
            Ok(one)
        });
        asked.await.is_ok()
    }

    /// Finishes what is under way and closes the connections; later calls fail.
    pub async fn close(&self) {
        on!(&self.0.pool, pool => pool.close().await);
    }

    fn now(&self) -> i64 {
        micros((self.0.clock)())
    }

    /// Ends a call that a silent network would keep for ever.
    async fn bounded<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let late = |_| Error::Unavailable(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
        tokio::time::timeout(self.0.patience, call).await.map_err(late)?
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("database", &self.0.pool.name()).finish_non_exhaustive()
    }
}

/// A time as the database keeps it. Times before 1970 are none that we ever write.
fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn from_micros(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// A length of time as the database keeps it.
fn length(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

/// PostgreSQL keeps no NUL in a text, and what other systems say may have one.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// For the statements of one call, once it has a connection.
const STATEMENTS: Duration = Duration::from_secs(10);

/// One expression for both databases: `on!(&pool, pool => ...)`.
macro_rules! on {
    ($target:expr, $name:ident => $body:expr) => {
        match $target {
            crate::store::pool::Dialect::Sqlite($name) => $body,
            crate::store::pool::Dialect::Postgres($name) => $body,
        }
    };
}
use on;
