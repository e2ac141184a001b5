//! What the store says, as the data path honours it: storages made through the control API, and revocations.
//!
//! They are read from the store when its version moves, and kept: a database that is away changes nothing for
//! requests. One that did not change keeps its connection, and with it its pools and credentials. One that cannot be
//! connected to is left out and said in the log; it never takes the others with it.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::{
    access::Revocation,
    egress::Egress,
    gateway::locate::{self, StorageConfig},
    id::StorageId,
    lifecycle::Lifecycle,
    s3,
    sidecar::{ConnectError, Connector},
    storage::{Direction, Origin, Storage},
};

/// What is served now.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// As the store had them last.
    rows: Vec<Storage>,
    entries: HashMap<StorageId, Entry>,
    /// Kept for the next generation's verifier, which knows only those of the file.
    pub(super) revocations: Vec<Revocation>,
}

#[derive(Debug)]
struct Entry {
    revision: i64,
    storage: Arc<locate::Storage>,
    /// Ends the renewal of its credentials.
    ended: CancellationToken,
}

/// What connections are made with.
#[derive(Debug)]
pub(super) struct Means<'a> {
    pub(super) egress: &'a Arc<Egress>,
    pub(super) metrics: &'a s3::S3Metrics,
    pub(super) clock: fn() -> SystemTime,
    pub(super) life: &'a Lifecycle,
}

impl Served {
    /// Takes what the store has now.
    pub(super) async fn update(&mut self, rows: Vec<Storage>, means: &Means<'_>) {
        let is_ours = |row: &Storage| row.origin == Origin::Api && row.direction == Direction::Import;
        self.rows = rows.into_iter().filter(is_ours).collect();
        self.connect(means).await;
    }

    /// Connects all of them anew: the way out has changed.
    pub(super) async fn reconnect(&mut self, means: &Means<'_>) {
        self.clear();
        self.connect(means).await;
    }

    /// In the order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<locate::Storage>> {
        self.rows.iter().filter_map(|row| self.entries.get(&row.id)).map(|entry| &entry.storage)
    }

    /// Ends all renewals.
    pub(super) fn clear(&mut self) {
        for (_, entry) in self.entries.drain() {
            entry.ended.cancel();
        }
    }

    async fn connect(&mut self, means: &Means<'_>) {
        let current: HashMap<StorageId, i64> = self.rows.iter().map(|row| (row.id, row.revision)).collect();
        self.entries.retain(|id, entry| {
            let stays = current.get(id) == Some(&entry.revision);
            if !stays {
                entry.ended.cancel();
            }
            stays
        });
        let connector = Connector::new(Arc::clone(means.egress), means.metrics.clone(), means.clock);
        let fresh = self.rows.iter().filter(|row| !self.entries.contains_key(&row.id));
        // All at once, since one of them may wait for a token service.
        let connected =
            join_all(fresh.map(|row| async { (row.id, row.revision, ready(row, &connector).await) })).await;
        for (id, revision, storage) in connected {
            match storage {
                Ok(storage) => {
                    let ended = CancellationToken::new();
                    let (connection, stop) = (storage.connection.clone(), ended.clone());
                    means.life.spawn(async move { connection.refresh_loop(stop).await });
                    self.entries.insert(id, Entry { revision, storage, ended });
                }
                // Label Studio keeps storages without a bucket; there is nothing of them to serve.
                Err(ConnectError::BucketMissing) => {}
                Err(error) => tracing::error!(storage.id = id.0, %error, "a storage is not served"),
            }
        }
    }
}

async fn ready(row: &Storage, connector: &Connector) -> Result<Arc<locate::Storage>, ConnectError> {
    let connection = connector.connect(row).await?;
    let bucket = connection.bucket().clone();
    Ok(Arc::new(locate::Storage::new(&StorageConfig::of(row, bucket), connection)))
}
