//! Who works on runs: claims what waits, does it, and says how it went.
//!
//! Any number of processes may run one over the same PostgreSQL. A claim is renewed while the work goes on; a process that
//! is killed leaves it to the next one when the lease is over, and one that is stopped gives it back at once. A run that
//! somebody cancels stops at the next renewal.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    AnnotationSource, Config, ConnectError, Export, RunMetrics, Sidecar,
    sync::{SinkUnavailable, Sync, SyncError, TaskSink},
};
use crate::{
    id::{RunId, StorageName},
    run::{Claim, Ending, Job, Run},
    s3,
    storage::{Direction, Inventory, Keys, Origin, Settings, Storage},
    store::{self, Claimed, Store},
};

/// What a runner asks of the process that it is part of.
pub trait Host: Send + std::marker::Sync + 'static {
    /// Who connects, by the way out in force.
    fn sidecar(&self) -> Sidecar;
    /// The keys of a storage of the configuration file; `None` where the file in force has no such storage.
    fn file_keys(&self, name: &StorageName) -> Option<Keys>;
    /// How much is done at once.
    fn config(&self) -> Config;
    /// Where the tasks of a storage go.
    fn sink(&self, store: &Store, storage: &Storage) -> Result<Arc<dyn TaskSink>, SinkUnavailable>;
    /// The application that annotations come from, where it can be asked.
    fn annotation_source(&self) -> Option<Arc<dyn AnnotationSource>> {
        None
    }
}

/// Works on runs until it is stopped. Cheap to clone.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

struct Inner {
    host: Arc<dyn Host>,
    store: Store,
    /// Names this process among those that claim.
    name: String,
    /// Somebody queued a run.
    queued: Arc<Notify>,
    metrics: RunMetrics,
}

/// Why a run came to its end before its work did.
enum Interruption {
    /// Somebody cancelled it.
    Cancelled,
    /// Another sidecar has it.
    Lost,
    /// This process is being stopped.
    Stopped,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("the storage is no longer there")]
    StorageGone,
    #[error("the storage stands no longer in the configuration file")]
    KeysGone,
    #[error("cannot connect to the bucket: {0}")]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Sink(#[from] SinkUnavailable),
    #[error(transparent)]
    Sync(#[from] SyncError),
}

impl Runner {
    /// Joins the parts. `queued` is notified when a run was asked for in this process.
    pub fn new(host: Arc<dyn Host>, store: Store, queued: Arc<Notify>, metrics: RunMetrics) -> Self {
        let name = format!("{}-{:08x}", std::process::id(), fastrand::u32(..));
        Self(Arc::new(Inner { host, store, name, queued, metrics }))
    }

    /// Works until it is stopped, and returns when what it worked on is given back.
    pub async fn run(self, stop: CancellationToken) {
        let mut running = JoinSet::new();
        let mut looked_at_schedules: Option<Instant> = None;
        while !stop.is_cancelled() {
            if looked_at_schedules.is_none_or(|at| at.elapsed() >= SCHEDULES) {
                looked_at_schedules = Some(Instant::now());
                self.0.queue_what_is_due().await;
            }
            self.claim(&mut running, &stop).await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.0.queued.notified() => {}
                Some(_) = running.join_next() => {}
                () = sleep(POLL) => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// Works on one run, which was queued before, until it has ended or another process has it.
    pub async fn run_one(&self, run: RunId, stop: CancellationToken) -> Result<Option<Run>, store::Error> {
        if let Some(claimed) =
            self.0.store.claim_run(&self.0.name, self.0.host.config().lease, Some(run)).await?
        {
            Box::pin(self.0.work(claimed, &stop)).await;
        }
        self.0.store.run(run).await
    }

    /// Takes as many runs as there is room for.
    async fn claim(&self, running: &mut JoinSet<()>, stop: &CancellationToken) {
        let config = self.0.host.config();
        while running.len() < config.runs {
            match self.0.store.claim_run(&self.0.name, config.lease, None).await {
                Ok(Some(claimed)) => {
                    let (inner, stop) = (Arc::clone(&self.0), stop.clone());
                    running.spawn(async move { Box::pin(inner.work(claimed, &stop)).await });
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%error, "cannot look for runs; asking on");
                    return;
                }
            }
        }
    }
}

impl Inner {
    /// Does a run's work and puts down how it went.
    async fn work(&self, claimed: Claimed, stop: &CancellationToken) {
        let Claimed { claim, storage, job } = claimed;
        tracing::info!(
            run.id = claim.run.0,
            storage.id = storage.0,
            job = job.as_str(),
            claim = claim.number,
            "run begins"
        );
        self.metrics.active.with_label_values(&[job.as_str()]).inc();
        let done = tokio::select! {
            biased;
            interruption = self.interruption(claim, stop) => Err(interruption),
            done = self.execute(claimed) => Ok(done),
        };
        self.metrics.active.with_label_values(&[job.as_str()]).dec();
        let ending = match done {
            Ok(Ok(())) => Ending::Completed,
            Ok(Err(RunError::Sync(error))) if error.is_claim_lost() => return Self::lost(claim),
            Ok(Err(RunError::Store(store::Error::ClaimLost))) | Err(Interruption::Lost) => {
                return Self::lost(claim);
            }
            Ok(Err(error)) => {
                tracing::error!(
                    run.id = claim.run.0,
                    error = &error as &dyn std::error::Error,
                    "run breaks off"
                );
                Ending::Failed(error.to_string())
            }
            Err(Interruption::Cancelled) => Ending::Cancelled,
            Err(Interruption::Stopped) => {
                tracing::info!(run.id = claim.run.0, "run is given back: the process is being stopped");
                return self.until_it_answers(|| self.store.release_claim(claim)).await;
            }
        };
        self.until_it_answers(|| self.store.end_run(claim, &ending)).await;
        self.report(claim.run).await;
    }

    async fn execute(&self, claimed: Claimed) -> Result<(), RunError> {
        let config = self.host.config();
        let storage = self.storage(claimed).await?;
        let sidecar = self.host.sidecar();
        match claimed.job {
            Job::Sync => {
                let sink = self.host.sink(&self.store, &storage)?;
                let connection = sidecar.connect(&storage).await?;
                let inventory = connect_inventory(&sidecar, &storage).await?;
                let sync = Sync {
                    store: &self.store,
                    sink,
                    claim: claimed.claim,
                    storage: &storage,
                    connection,
                    inventory,
                    limits: config.limits(),
                };
                Ok(Box::pin(sync.run()).await?)
            }
            Job::Export => {
                let connection = sidecar.connect(&storage).await?;
                let export = Export {
                    store: self.store.clone(),
                    claim: claimed.claim,
                    storage,
                    connection,
                    metrics: self.metrics.exports().clone(),
                    at_once: config.exports.max(1),
                    source: self.host.annotation_source(),
                };
                Ok(Box::pin(export.run()).await?)
            }
        }
    }

    async fn storage(&self, claimed: Claimed) -> Result<Storage, RunError> {
        let mut storage = self.store.storage(claimed.storage).await?.ok_or(RunError::StorageGone)?;
        if let Origin::File(name) = &storage.origin {
            storage.keys = self.host.file_keys(name).ok_or(RunError::KeysGone)?;
        }
        Ok(storage)
    }

    /// Renews the claim, and returns when the work has to stop.
    async fn interruption(&self, claim: Claim, stop: &CancellationToken) -> Interruption {
        let lease = self.host.config().lease;
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Interruption::Stopped,
                () = sleep(lease / 4) => {}
            }
            match self.store.renew_claim(claim, lease).await {
                Ok(true) => return Interruption::Cancelled,
                Ok(false) => renewed = Instant::now(),
                Err(store::Error::ClaimLost) => return Interruption::Lost,
                // The database may be away; the work notices by itself. Its claim lasts as long as its lease.
                Err(error) if renewed.elapsed() < lease => {
                    tracing::debug!(run.id = claim.run.0, %error, "the claim of a run is not renewed yet");
                }
                Err(_) => return Interruption::Lost,
            }
        }
    }

    fn lost(claim: Claim) {
        tracing::warn!(run.id = claim.run.0, claim = claim.number, "run was taken over by another sidecar");
    }

    /// What has to be put down is put down when the database answers again, or is somebody else's by then.
    async fn until_it_answers<F>(&self, mut call: impl FnMut() -> F)
    where
        F: Future<Output = Result<(), store::Error>>,
    {
        for pause in 0..END_ATTEMPTS {
            match call().await {
                Err(error) if error.is_transient() => sleep(Duration::from_secs(1 << pause)).await,
                Err(error) => return tracing::warn!(%error, "the end of a run is not put down"),
                Ok(()) => return,
            }
        }
        tracing::warn!(
            "the end of a run is not put down: the database does not answer; another sidecar will see to it"
        );
    }

    async fn report(&self, run: RunId) {
        let Ok(Some(run)) = self.store.run(run).await else { return };
        self.metrics.ended.with_label_values(&[run.job.as_str(), run.status.as_str()]).inc();
        self.metrics.count(&run);
        if let Err(error) = self.store.drop_old_runs(run.storage, KEPT).await {
            tracing::debug!(%error, "old runs stay a while longer");
        }
        let counters = run.counters;
        let duration =
            run.started_at.zip(run.ended_at).and_then(|(start, end)| end.duration_since(start).ok());
        let duration_ms = duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        tracing::info!(
            run.id = run.id.0,
            storage.id = run.storage.0,
            status = run.status.as_str(),
            listed = counters.listed,
            created = counters.created,
            updated = counters.updated,
            changed = counters.changed,
            vanished = counters.vanished,
            failed = counters.failed,
            duration_ms,
            "run ended"
        );
    }

    /// Queues a sync for each storage whose pause is over. Many processes may do so; one run comes of it.
    async fn queue_what_is_due(&self) {
        let storages = match self.store.storages_of(Direction::Import, None, None).await {
            Ok(storages) => storages,
            Err(error) => return tracing::debug!(%error, "cannot look at schedules; asking on"),
        };
        for storage in storages {
            let Settings { sync_every: Some(every), synchronizable: true, bucket: Some(_), .. } =
                storage.settings
            else {
                continue;
            };
            match self.store.enqueue_due_run(storage.id, Job::Sync, every.duration()).await {
                Ok(Some(run)) => tracing::info!(run.id = run.0, storage.id = storage.id.0, "sync is due"),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, storage.id = storage.id.0, "a due sync is not queued"),
            }
        }
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("name", &self.0.name).finish_non_exhaustive()
    }
}

/// The bucket that the inventory is delivered to, with the storage's own keys and endpoint.
async fn connect_inventory(
    sidecar: &Sidecar,
    storage: &Storage,
) -> Result<Option<(Inventory, s3::Connection)>, ConnectError> {
    let Some(inventory) = storage.settings.inventory.clone() else { return Ok(None) };
    let settings = Settings { bucket: Some(inventory.bucket.clone()), ..storage.settings.clone() };
    let connection = sidecar.connect(&Storage { settings, ..storage.clone() }).await?;
    Ok(Some((inventory, connection)))
}

/// Runs of a storage that are remembered.
const KEPT: i64 = 200;
/// How often runs of other processes are looked for.
const POLL: Duration = Duration::from_secs(1);
/// How often schedules are looked at; the shortest pause is longer.
const SCHEDULES: Duration = Duration::from_secs(5);
const END_ATTEMPTS: u32 = 5;
