//! What outlives a configuration, and what the control side sees of it.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use arc_swap::ArcSwap;
use axum::Router;
use prometheus::Registry;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use super::{
    generation::Generation,
    jwks, metrics,
    served::{Means, Served},
    storages,
};
use crate::{
    access::{self, mint::Minter},
    control::{self, Readiness, Unready},
    gateway::{
        Gateway, State,
        locate::{StorageConfig, Storages},
        takeover::TakeOver,
    },
    id::StorageName,
    label_studio::{Follower, StoragesDoor},
    lifecycle::Lifecycle,
    s3,
    sidecar::{
        self, AnnotationSource, Sidecar,
        sync::{SinkUnavailable, TaskSink},
    },
    storage::{Direction, Keys, Storage},
    store::{self, Changes, Revoked, Store},
    telemetry,
};

/// What outlives a configuration.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) gateway: Arc<Gateway>,
    pub(super) generation: ArcSwap<Generation>,
    pub(super) store: Store,
    /// The storages of the store; held while they or the generation are replaced.
    pub(super) served: Mutex<Served>,
    pub(super) wanted: mpsc::Sender<Waiting>,
    /// The storage API, for the public port.
    pub(super) storages_api: OnceLock<Router>,
    /// Wakes the sidecar.
    pub(super) run_queued: Arc<Notify>,
    pub(super) s3_metrics: s3::S3Metrics,
    pub(super) metrics: metrics::Metrics,
    pub(super) clock: fn() -> SystemTime,
    pub(super) life: Arc<Lifecycle>,
}

/// Whoever wants to know when a change of the store is in force.
pub(super) type Waiting = oneshot::Sender<()>;

/// What the control side sees of the process.
pub(super) struct Observed {
    pub(super) context: Arc<Context>,
    pub(super) registry: Registry,
    pub(super) follower: Follower,
}

impl Context {
    /// Starts the tasks of a generation: credentials and key sets are fetched ahead of need.
    pub(super) fn start(&self, generation: &Arc<Generation>) {
        for storage in &generation.fixed {
            let connection = storage.connection.clone();
            let ended = generation.ended.clone();
            self.life.spawn(async move { connection.refresh_loop(ended).await });
        }
        let keys =
            jwks::refresh(Arc::clone(&generation.verifier), Arc::clone(&generation.egress), self.clock);
        let ended = generation.ended.clone();
        self.life.spawn(async move {
            ended.run_until_cancelled(keys).await;
        });
    }

    /// Ends the tasks of the generation and of the served storages.
    pub(super) async fn end(&self) {
        self.generation.load().ended.cancel();
        self.served.lock().await.clear();
        // It holds this context by way of the storage API.
        let state = self.gateway.state();
        self.gateway.replace(State { takeover: None, ..(*state).clone() });
    }

    /// Opens the storage API on the public port, where a generation wants that.
    pub(super) fn open_storages(&self, api: Router) {
        let api = self.storages_api.get_or_init(|| api);
        let takeover = storages_door(&self.generation.load(), api);
        let state = self.gateway.state();
        self.gateway.replace(State { takeover, ..(*state).clone() });
    }

    /// What answers in Label Studio's place in this generation.
    pub(super) fn takeover(&self, generation: &Generation) -> Option<Arc<dyn TakeOver>> {
        self.storages_api.get().and_then(|api| storages_door(generation, api))
    }

    /// Brings what changes in the store into force, until it is dropped.
    pub(super) async fn follow_store(
        self: Arc<Self>,
        mut changes: Changes,
        mut asked: mpsc::Receiver<Waiting>,
    ) {
        let mut behind = false;
        loop {
            let mut waiting = Vec::new();
            tokio::select! {
                _ = changes.changed() => {}
                Some(done) = asked.recv() => waiting.push(done),
                () = tokio::time::sleep(AGAIN), if behind => {}
            }
            while let Ok(done) = asked.try_recv() {
                waiting.push(done);
            }
            let taken = self.take_from_store().await;
            behind = taken.is_err();
            if let Err(error) = taken {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "a change of the store is not in force yet; trying again");
            }
            for done in waiting {
                if done.send(()).is_err() {
                    tracing::debug!("whoever changed the store has left");
                }
            }
        }
    }

    /// Serves the storages and honours the revocations that the store has now.
    pub(super) async fn take_from_store(&self) -> Result<(), store::Error> {
        let rows = self.store.storages_of(Direction::Import, None, None).await?;
        let revocations = self.store.revocations((self.clock)()).await?;
        let mut served = self.served.lock().await;
        let generation = self.generation.load_full();
        served.revocations = revocations.into_iter().map(revocation).collect();
        generation.verifier.revoke_all(served.revocations.iter().cloned());
        served.update(rows, &self.means(&generation)).await;
        self.serve(&generation, &served);
        Ok(())
    }

    /// What the served storages connect with.
    pub(super) fn means<'a>(&'a self, generation: &'a Generation) -> Means<'a> {
        let Self { s3_metrics: metrics, clock, life, .. } = self;
        Means { egress: &generation.guarded, metrics, clock: *clock, life }
    }

    /// Puts the storages of the file and of the store in force.
    pub(super) fn serve(&self, generation: &Generation, served: &Served) {
        let all = generation.fixed.iter().chain(served.iter()).cloned().collect();
        let state = self.gateway.state();
        self.gateway.replace(State { storages: Arc::new(Storages::new(all)), ..(*state).clone() });
    }

    /// Gives the storages of the file their numbers, so that the API can show them.
    pub(super) async fn keep_file_storages(&self, configs: &[StorageConfig]) -> Result<(), store::Error> {
        let listed: Vec<_> = configs.iter().map(storages::listed).collect();
        self.store.reconcile_file_storages(&listed).await.map(drop)
    }
}

impl control::Process for Observed {
    fn metrics(&self) -> String {
        let context = &self.context;
        context.metrics.observe(&context.generation.load().verifier, (context.clock)());
        telemetry::render(&self.registry).unwrap_or_else(|error| {
            tracing::error!(%error, "metrics cannot be rendered");
            String::new()
        })
    }

    fn readiness(&self) -> Readiness {
        self.context.readiness()
    }

    fn minter(&self) -> Arc<Minter> {
        Arc::clone(&self.context.generation.load().minter)
    }

    fn sidecar(&self) -> Sidecar {
        self.context.generation.load().sidecar.clone()
    }

    fn file_keys(&self, name: &StorageName) -> Option<Keys> {
        self.context.generation.load().file_keys.get(name).cloned()
    }

    fn run_queued(&self) {
        self.context.run_queued.notify_one();
    }

    fn store_changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            let (done, in_force) = oneshot::channel();
            // Nobody follows any more in a process that ends; then nothing new is served either.
            if self.context.wanted.send(done).await.is_ok() && in_force.await.is_err() {
                tracing::debug!("a change of the store came while the process ends");
            }
        })
    }
}

impl sidecar::Host for Observed {
    fn sidecar(&self) -> Sidecar {
        control::Process::sidecar(self)
    }

    fn file_keys(&self, name: &StorageName) -> Option<Keys> {
        control::Process::file_keys(self, name)
    }

    fn config(&self) -> sidecar::Config {
        self.context.generation.load().runs
    }

    fn sink(&self, store: &Store, storage: &Storage) -> Result<Arc<dyn TaskSink>, SinkUnavailable> {
        self.context.generation.load().sink(store, storage)
    }

    fn annotation_source(&self) -> Option<Arc<dyn AnnotationSource>> {
        self.context.generation.load().label_studio.as_ref()?;
        Some(Arc::new(self.follower.clone()))
    }
}

impl Context {
    fn readiness(&self) -> Readiness {
        let mut unready = Vec::new();
        if self.life.shutdown().soft().is_cancelled() {
            unready.push(Unready { what: "draining", name: None, hint: "the process is being stopped" });
        }
        let generation = self.generation.load();
        // Only those of the file: one storage that somebody made through the API must not take the gateway away.
        for storage in generation.fixed.iter().filter(|storage| !storage.connection.credentials_ready()) {
            unready.push(Unready {
                what: "credentials",
                name: Some(storage.name().to_string()),
                hint: "no valid AWS credentials for this storage yet; the log says why",
            });
        }
        if !generation.verifier.has_keys() {
            unready.push(Unready {
                what: "keys",
                name: None,
                hint: "no key to verify tokens with: add [[access.keys]] or [[access.jwks]], or see the log",
            });
        }
        Readiness { unready }
    }
}

fn storages_door(generation: &Generation, api: &Router) -> Option<Arc<dyn TakeOver>> {
    let studio = generation.label_studio.as_ref().filter(|studio| studio.config.storages)?;
    Some(Arc::new(StoragesDoor::new(Arc::clone(&studio.public), &studio.config, api.clone())))
}

fn revocation(entry: store::Revocation) -> access::Revocation {
    match entry.what {
        Revoked::Token { jti } => access::Revocation::Token { jti },
        Revoked::Subject { sub, before } => access::Revocation::Subject { sub, before },
    }
}

/// Until a change is tried again that could not be read.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(1);
