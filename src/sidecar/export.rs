//! Export: from the outbox into targets.
//!
//! One writer for each target, so that one that does not answer keeps none of the others. A writer claims objects that are
//! due, writes several at once, and settles what came of it. What fails for now is tried again for as long as it takes;
//! what fails for good is given up with its reason, and goes again when the storage is edited or somebody says so. Between
//! a PUT and its settling the process may die: then the object is written a second time, with the same bytes or newer ones.

mod deliver;
mod layout;
mod metrics;
mod pace;
mod people;
mod run;
mod source;
mod writer;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use self::writer::Writer;
pub use self::{metrics::ExportMetrics, run::Export, source::AnnotationSource};
use super::Host;
use crate::{
    id::StorageId,
    storage::{Direction, Origin, Storage},
    store::{self, Store},
};

/// Writes what is due, until it is told to stop. Cheap to clone.
#[derive(Clone)]
pub struct Exporter {
    host: Arc<dyn Host>,
    store: Store,
    metrics: ExportMetrics,
    /// Names this process in claims.
    claimant: Arc<str>,
}

/// The writer of a target as it was read.
struct Running {
    revision: i64,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

impl Exporter {
    /// Joins the parts.
    pub fn new(host: Arc<dyn Host>, store: Store, metrics: ExportMetrics) -> Self {
        let claimant = format!("export-{}", uuid::Uuid::new_v4()).into();
        Self { host, store, metrics, claimant }
    }

    /// Writes until `stop`; then what is under way is finished and settled.
    pub async fn run(self, stop: CancellationToken) {
        let mut running = HashMap::new();
        let mut changes = None;
        let mut freed = false;
        let mut cleared: Option<Instant> = None;
        while !stop.is_cancelled() {
            if !freed {
                freed = said(self.store.free_own_claims().await, "free the claims of the process before")
                    .is_some();
            }
            // Others that share the store write.
            let is_on = self.host.config().exports > 0;
            if let Some(version) = said(self.store.version().await, "read the version of the store") {
                let targets = if is_on { self.targets().await } else { Ok(Vec::new()) };
                if let Some(targets) = said(targets, "read the targets") {
                    self.follow(&mut running, targets, &stop).await;
                }
                changes.get_or_insert_with(|| self.store.watch(version));
            }
            self.observe().await;
            if cleared.is_none_or(|at| at.elapsed() >= CLEAR_EVERY) {
                said(self.store.forget_targets().await, "clear the outbox");
                cleared = Some(Instant::now());
            }
            let told = async {
                match &mut changes {
                    Some(changes) => drop(changes.changed().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = told => cleared = None,
                () = tokio::time::sleep(OBSERVE_EVERY) => {}
            }
        }
        for (_, Running { stop, ended, .. }) in running {
            stop.cancel();
            end(ended).await;
        }
    }

    /// The targets, with their keys. One whose keys are nowhere is of a file that is no longer in force.
    async fn targets(&self) -> Result<Vec<Storage>, store::Error> {
        let mut targets = self.store.storages_of(Direction::Export, None, None).await?;
        targets.retain_mut(|target| match &target.origin {
            Origin::Api => true,
            Origin::File(name) => {
                let keys = self.host.file_keys(name);
                keys.map(|keys| target.keys = keys).is_some()
            }
        });
        Ok(targets)
    }

    /// Begins writers for targets that are new or changed, and ends those of the others. The two of one target never run
    /// at once.
    async fn follow(
        &self,
        running: &mut HashMap<StorageId, Running>,
        targets: Vec<Storage>,
        stop: &CancellationToken,
    ) {
        let is_same = |id: &StorageId, one: &Running| {
            let same = targets.iter().any(|target| target.id == *id && target.revision == one.revision);
            same && !one.ended.is_finished()
        };
        let old: Vec<StorageId> =
            running.iter().filter(|(id, one)| !is_same(id, one)).map(|(id, _)| *id).collect();
        for id in old {
            if let Some(Running { stop, ended, .. }) = running.remove(&id) {
                stop.cancel();
                end(ended).await;
            }
        }
        for target in targets {
            if running.contains_key(&target.id) {
                continue;
            }
            let (id, revision, stop) = (target.id, target.revision, stop.child_token());
            let writer = Writer::new(self.clone(), target);
            let ended = tokio::spawn(writer.run(stop.clone()));
            running.insert(id, Running { revision, stop, ended });
        }
    }

    /// Measures what waits.
    async fn observe(&self) {
        if let Some(depth) = said(self.store.depth().await, "measure the outbox") {
            self.metrics.observe(&depth, self.store.time());
        }
    }
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").field("claimant", &self.claimant).finish_non_exhaustive()
    }
}

/// The value, or a line that says what could not be done; it is tried again.
fn said<T>(done: Result<T, store::Error>, what: &str) -> Option<T> {
    match done {
        Ok(value) => Some(value),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "the exporter could not {what}; trying again");
            None
        }
    }
}

async fn end(task: JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!(%error, "the writer of a target broke off");
    }
}

/// How often it is measured what waits, and how soon a failure of the store is behind us.
const OBSERVE_EVERY: Duration = Duration::from_secs(5);
/// How often what has nowhere to go is forgotten, besides when a target may have gone: it looks at all objects.
const CLEAR_EVERY: Duration = Duration::from_mins(10);
/// How long a claim lasts unless it is renewed.
const LEASE: Duration = Duration::from_mins(1);
