//! A sidecar of the tests: it works on the runs of a store, and its tasks go where the test says.

use std::{sync::Arc, time::Duration};

use mediagate::{
    egress::{self, Egress},
    id::{ProjectId, RunId, StorageId, StorageName},
    object::Bucket,
    run::Run,
    s3::S3Metrics,
    sidecar::{
        self, Connector, Doors, Host, RunMetrics, Runner, Sidecar,
        sync::{SinkUnavailable, TaskSink},
    },
    storage::{Direction, EndpointUrl, ImportMethod, Keys, Kind, Settings, Storage},
    store::{NewStorage, Store},
};
use prometheus::Registry;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    bucket::MemoryBucket,
    clock,
    s3::{ACCESS_KEY_ID, SECRET_ACCESS_KEY},
};

/// Says where the tasks of a storage go.
pub type SinkOf = Box<dyn Fn(&Store, &Storage) -> Result<Arc<dyn TaskSink>, SinkUnavailable> + Send + Sync>;

struct Alone {
    sidecar: Sidecar,
    lease: Duration,
    sink: SinkOf,
}

impl Host for Alone {
    fn sidecar(&self) -> Sidecar {
        self.sidecar.clone()
    }

    fn file_keys(&self, _: &StorageName) -> Option<Keys> {
        None
    }

    fn config(&self) -> sidecar::Config {
        sidecar::Config { lease: self.lease, ..sidecar::Config::default() }
    }

    fn sink(&self, store: &Store, storage: &Storage) -> Result<Arc<dyn TaskSink>, SinkUnavailable> {
        (self.sink)(store, storage)
    }
}

/// A way out that leads to this machine.
pub fn egress() -> Egress {
    let allow = vec!["127.0.0.0/8".parse().unwrap()];
    Egress::build(&egress::Config { allow, ..egress::Config::default() }).unwrap()
}

/// A runner of the store.
pub fn runner(store: &Store, lease: Duration, egress: Egress, sink: SinkOf) -> Runner {
    let registry = Registry::new();
    let metrics = S3Metrics::register(&registry).unwrap();
    let door = |egress| Connector::new(Arc::new(egress), metrics.clone(), clock);
    let doors = Doors { guarded: door(egress.guarded()), operator: door(egress) };
    let host = Alone { sidecar: Sidecar::new(doors, Vec::new(), clock), lease, sink };
    let metrics = RunMetrics::register(&registry).unwrap();
    Runner::new(Arc::new(host), store.clone(), Arc::new(Notify::new()), metrics)
}

/// Works on a run to its end. A transaction of a sidecar that was dropped may hold the run a moment longer, and who claims
/// passes over what is locked.
pub async fn see_through(runner: &Runner, run: RunId) -> Run {
    let mut first = None;
    loop {
        let seen = runner.run_one(run, CancellationToken::new()).await.unwrap().unwrap();
        if seen.status.is_ended() {
            return seen;
        }
        assert_eq!(seen.claims, *first.get_or_insert(seen.claims), "it was lost: {:?}", seen.counters);
        tokio::task::yield_now().await;
    }
}

/// The settings of a source over the bucket.
pub fn settings(bucket: &MemoryBucket, project: &str, method: ImportMethod) -> Settings {
    Settings {
        project: Some(ProjectId::parse(project).unwrap()),
        bucket: Some(Bucket::parse("media").unwrap()),
        endpoint: Some(EndpointUrl::parse(&bucket.url()).unwrap()),
        method,
        recursive: true,
        ..Settings::default()
    }
}

/// Makes a source.
pub async fn add_source(store: &Store, settings: Settings) -> StorageId {
    let keys = Keys {
        access_key_id: Some(ACCESS_KEY_ID.into()),
        secret_access_key: Some(SECRET_ACCESS_KEY.into()),
        session_token: None,
    };
    let new = NewStorage { direction: Direction::Import, kind: Kind::S3, settings, keys };
    store.create_storage(&new).await.unwrap().id
}
