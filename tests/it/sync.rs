//! Syncs: what becomes of a bucket, whatever happens on the way.

mod access;
mod api;
mod files;
mod items;
mod kills;
mod model;

use std::{sync::Arc, time::Duration};

use mediagate::{
    id::{RunId, StorageId},
    run::{Job, Run, Trigger},
    sidecar::{
        Runner,
        sync::{StoreSink, TaskSink},
    },
    storage::{ImportMethod, Settings, Storage},
    store::{self, Store, TaskFilter},
    task::Task,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::{bucket::MemoryBucket, clock, postgres::shared, sidecar};

/// A store and a runner beside a bucket.
struct Bench {
    store: Store,
    bucket: MemoryBucket,
}

impl Bench {
    /// Over a SQLite file, which outlives connections.
    async fn on_disk(keys: impl IntoIterator<Item = String>) -> (Self, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Self::over(file(&folder), keys).await, folder)
    }

    /// The same when every lease has run out.
    async fn an_hour_later(self, folder: &TempDir) -> Self {
        let Self { store, bucket } = self;
        store.close().await;
        drop(store);
        let store = Store::open(&file(folder), || clock() + Duration::from_hours(1)).await.unwrap();
        Self { store, bucket }
    }

    async fn start(keys: impl IntoIterator<Item = String>) -> Self {
        Self::over(memory(), keys).await
    }

    async fn over(config: store::Config, keys: impl IntoIterator<Item = String>) -> Self {
        let store = Store::open(&config, clock).await.unwrap();
        Self { store, bucket: MemoryBucket::start(keys).await }
    }

    /// Over SQLite and over PostgreSQL.
    async fn both(keys: &[String]) -> [Self; 2] {
        [Self::start(keys.to_vec()).await, Self::over(postgres().await, keys.to_vec()).await]
    }

    fn runner(&self) -> Runner {
        runner(&self.store, Duration::from_secs(30))
    }

    /// The settings of a storage over the bucket, for project 1.
    fn settings(&self) -> Settings {
        sidecar::settings(&self.bucket, "1", ImportMethod::Files)
    }

    async fn storage(&self, settings: Settings) -> StorageId {
        sidecar::add_source(&self.store, settings).await
    }

    async fn change(&self, storage: StorageId, change: impl FnOnce(&mut Settings)) {
        let mut changed = self.store.storage(storage).await.unwrap().unwrap();
        change(&mut changed.settings);
        self.store.update_storage(&changed).await.unwrap();
    }

    async fn queue(&self, storage: StorageId) -> RunId {
        self.store.enqueue_run(storage, Job::Sync, Trigger::Api).await.unwrap().run.id
    }

    /// Syncs to the end.
    async fn sync(&self, storage: StorageId) -> Run {
        let run = self.queue(storage).await;
        self.runner().run_one(run, CancellationToken::new()).await.unwrap().unwrap()
    }

    /// Syncs, which has to end well.
    async fn sync_well(&self, storage: StorageId) -> Run {
        let run = self.sync(storage).await;
        let faults = self.store.faults(run.id, 10).await.unwrap();
        assert_eq!(run.status.as_str(), "completed", "{:?} {faults:?}", run.error);
        run
    }

    async fn tasks(&self) -> Vec<Task> {
        tasks(&self.store).await
    }

    /// The keys that have tasks, in order.
    async fn linked(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.tasks().await.into_iter().map(|task| task.key).collect();
        keys.sort_unstable();
        keys
    }
}

async fn tasks(store: &Store) -> Vec<Task> {
    store.tasks(&TaskFilter { limit: i64::MAX, ..TaskFilter::default() }).await.unwrap()
}

fn runner(store: &Store, lease: Duration) -> Runner {
    let sink = |store: &Store, _: &Storage| Ok(Arc::new(StoreSink(store.clone())) as Arc<dyn TaskSink>);
    sidecar::runner(store, lease, sidecar::egress(), Box::new(sink))
}

fn file(folder: &TempDir) -> store::Config {
    let url = format!("sqlite://{}", folder.path().join("state.db").display());
    store::Config { url: Some(url.into()), ..store::Config::default() }
}

fn memory() -> store::Config {
    store::Config { url: Some("sqlite::memory:".into()), ..store::Config::default() }
}

async fn postgres() -> store::Config {
    let url = Some(shared().database().await.into());
    store::Config { url, key: Some("11".repeat(32).into()), ..store::Config::default() }
}

/// Keys in folders, as many as are asked for.
fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("img/{:02}/{:06}.jpg", n % 37, n)).collect()
}
