//! Versions: how readers learn that something changed.
//!
//! Whoever changes something raises its topic's version in the same transaction. On PostgreSQL the commit also sends
//! a notification, which other processes hear at once. They ask for the version every second all the same, because
//! notifications get lost with their connection and do not pass a pooler such as PgBouncer.

use std::time::Duration;

use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::sync::watch;

use super::{Error, Store, on, pool::Tx};

/// Watches for changes by anybody, from a version on.
#[derive(Debug)]
pub struct Changes {
    store: Store,
    seen: i64,
    /// Changes by this process.
    own: watch::Receiver<()>,
    /// Changes by others.
    others: Option<Notifications>,
    /// Whether the last look at the version failed, which is logged once.
    blind: bool,
}

/// What changes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Topic {
    Storages,
    Revocations,
}

/// PostgreSQL's notifications, over a connection of their own.
#[derive(Debug)]
struct Notifications {
    /// Of one connection: a listener must not take those that statements wait for.
    pool: PgPool,
    listener: Option<PgListener>,
}

impl Store {
    /// The version of everything that [`Store::watch`] tells of; it only grows. Read it before what it stands for.
    pub async fn version(&self) -> Result<i64, Error> {
        self.bounded(async {
            let (version,): (i64,) =
                on!(&self.0.pool, pool => sqlx::query_as(VERSION).fetch_one(pool).await)?;
            Ok(version)
        })
        .await
    }

    /// Watches for changes after a version: of storages and revocations, not of what syncs leave on a storage.
    pub fn watch(&self, seen: i64) -> Changes {
        let own = self.0.changed.subscribe();
        let others = match &self.0.pool {
            super::pool::Pool::Sqlite(_) => None,
            super::pool::Pool::Postgres(pool) => Some(Notifications::new(pool)),
        };
        Changes { store: self.clone(), seen, own, others, blind: false }
    }

    /// Begins a change: raises the version and so waits for other writers of the topic.
    pub(super) async fn begin_change(&self, topic: Topic) -> Result<Tx, Error> {
        let mut tx = self.0.pool.begin().await?;
        on!(&mut tx, tx => sqlx::query(RAISE).bind(topic.as_str()).execute(&mut **tx).await.map(drop))?;
        if let Tx::Postgres(tx) = &mut tx {
            sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(&mut **tx).await?;
        }
        Ok(tx)
    }

    /// Ends it well, and tells the watchers of this process.
    pub(super) async fn commit_change(&self, tx: Tx) -> Result<(), Error> {
        tx.commit().await?;
        self.0.changed.send_replace(());
        Ok(())
    }
}

impl Changes {
    /// Waits until the version is another than the one seen last, and returns it. Waits through outages of the
    /// database, too. Nothing is lost when the wait is given up and begun again.
    pub async fn changed(&mut self) -> i64 {
        loop {
            if let Some(version) = self.look().await {
                self.seen = version;
                return version;
            }
            self.hint().await;
        }
    }

    /// Asks for the version; returns one that is new.
    async fn look(&mut self) -> Option<i64> {
        match self.store.version().await {
            Ok(version) => {
                if std::mem::take(&mut self.blind) {
                    tracing::info!("the database answers again");
                }
                (version != self.seen).then_some(version)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.blind, true) {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, source, "cannot see whether the store has changed; asking on");
                }
                None
            }
        }
    }

    /// Waits for a reason to ask.
    async fn hint(&mut self) {
        let interval = if self.others.is_some() || self.blind { POLL_SHARED } else { POLL_OWN };
        let heard = async {
            match &mut self.others {
                Some(others) => others.heard().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // It ends with an error once the store is gone, which we hold.
            _ = self.own.changed() => {}
            () = heard => {}
            () = tokio::time::sleep(interval) => {}
        }
    }
}

impl Notifications {
    fn new(pool: &PgPool) -> Self {
        let options = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(pool.options().get_acquire_timeout());
        Self { pool: options.connect_lazy_with((*pool.connect_options()).clone()), listener: None }
    }

    /// Waits for a notification, or for a connection that had been lost, since it may have lost one. Where there is
    /// no connection to be had it waits for ever; the poll goes on, and comes back here.
    async fn heard(&mut self) {
        let result = match &mut self.listener {
            Some(listener) => listener.try_recv().await.map(drop),
            None => self.listen().await,
        };
        if let Err(error) = result {
            tracing::debug!(%error, "cannot listen for changes; polling");
            self.listener = None;
            std::future::pending::<()>().await;
        }
    }

    async fn listen(&mut self) -> sqlx::Result<()> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(CHANNEL).await?;
        self.listener = Some(listener);
        Ok(())
    }
}

impl Topic {
    fn as_str(self) -> &'static str {
        match self {
            Self::Storages => "storages",
            Self::Revocations => "revocations",
        }
    }
}

const RAISE: &str = "UPDATE changes SET version = version + 1 WHERE topic = $1";
const VERSION: &str = "SELECT CAST(SUM(version) AS BIGINT) FROM changes";
const CHANNEL: &str = "mediagate.changes";
/// What others change is seen within two seconds, also without notifications.
const POLL_SHARED: Duration = Duration::from_secs(1);
/// Nobody but us writes to a SQLite file, short of a person with the `sqlite3` shell.
const POLL_OWN: Duration = Duration::from_secs(30);
