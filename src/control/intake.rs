//! The way in of annotations. What is answered with success is on the disk.
//!
//! A commit waits for the disk, so requests that come while one is under way share the next. Bodies that are being read
//! or wait for their commit have a budget in bytes together; past it requests wait before they are read.

use std::sync::{Arc, OnceLock};

use axum::{
    body::to_bytes,
    extract::Request,
    http::{HeaderMap, header},
};
use bytes::Bytes;
use prometheus::{IntCounterVec, Opts, Registry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::Problem;
use crate::{
    annotation::Change,
    store::{self, Accepted, Store},
};

/// Accepts annotations. Cheap to clone.
#[derive(Clone)]
pub(super) struct Intake(Arc<Inner>);

struct Inner {
    store: Store,
    metrics: IntakeMetrics,
    /// The longest body.
    limit: usize,
    budget: Arc<Semaphore>,
    /// Of the task that commits, begun with the first request.
    queue: OnceLock<mpsc::Sender<Waiting>>,
}

/// A body that was read whole, and its part of the budget.
pub(super) struct Taken {
    pub(super) bytes: Bytes,
    permit: OwnedSemaphorePermit,
}

/// A request that waits for its commit.
struct Waiting {
    changes: Vec<Change>,
    answer: oneshot::Sender<Result<(), Arc<store::Error>>>,
}

/// The families of what comes in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct IntakeMetrics {
    changes: IntCounterVec,
    pub(super) events: IntCounterVec,
}

impl IntakeMetrics {
    /// Makes the families known to the registry; fails when it knows them already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self::new()?;
        registry.register(Box::new(metrics.changes.clone()))?;
        registry.register(Box::new(metrics.events.clone()))?;
        Ok(metrics)
    }

    fn new() -> prometheus::Result<Self> {
        let counter = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        Ok(Self {
            changes: counter(
                "mediagate_intake_changes_total",
                "Annotations that were sent, by what came of them.",
                "outcome",
            )?,
            events: counter("mediagate_hook_events_total", "Webhook events, by their action.", "action")?,
        })
    }

    fn count(&self, outcome: &str, changes: u64) {
        self.changes.with_label_values(&[outcome]).inc_by(changes);
    }
}

impl Intake {
    /// Joins the parts.
    pub(super) fn new(store: Store, metrics: IntakeMetrics, limit: usize) -> Self {
        let budget = Arc::new(Semaphore::new(BUDGET_KIB.max(kib(limit))));
        Self(Arc::new(Inner { store, metrics, limit, budget, queue: OnceLock::new() }))
    }

    pub(super) fn metrics(&self) -> &IntakeMetrics {
        &self.0.metrics
    }

    /// Reads a body to its end.
    pub(super) async fn read(&self, request: Request) -> Result<Taken, Problem> {
        let Inner { limit, budget, .. } = &*self.0;
        let length = content_length(request.headers());
        if length.is_some_and(|length| length > *limit) {
            return Err(Problem::too_large(*limit));
        }
        let cost = u32::try_from(kib(length.unwrap_or(*limit))).unwrap_or(u32::MAX);
        let permit = Arc::clone(budget).acquire_many_owned(cost).await.map_err(|_| Problem::ENDING)?;
        match to_bytes(request.into_body(), *limit).await {
            Ok(bytes) => Ok(Taken { bytes, permit }),
            Err(error) => Err(unread(error, *limit)),
        }
    }

    /// Accepts changes: all of them, or none. The body that they were read from is held until then.
    pub(super) async fn accept(&self, changes: Vec<Change>, taken: Taken) -> Result<(), Problem> {
        let Taken { bytes, permit } = taken;
        drop(bytes);
        if changes.is_empty() {
            return Ok(());
        }
        self.commit(changes).await?;
        drop(permit);
        Ok(())
    }

    /// Accepts changes that came without a body.
    pub(super) async fn commit(&self, changes: Vec<Change>) -> Result<(), Problem> {
        let (answer, answered) = oneshot::channel();
        let queue = self.0.queue.get_or_init(|| begin(self.0.store.clone(), self.0.metrics.clone()));
        queue.send(Waiting { changes, answer }).await.map_err(|_| Problem::ENDING)?;
        match answered.await {
            Ok(accepted) => accepted.map_err(|error| Problem::of_store(&error)),
            Err(_) => Err(Problem::ENDING),
        }
    }
}

/// Begins the task that commits; it ends when the last of those who could ask is gone.
fn begin(store: Store, metrics: IntakeMetrics) -> mpsc::Sender<Waiting> {
    let (queue, mut waiting) = mpsc::channel::<Waiting>(QUEUE);
    tokio::spawn(async move {
        while let Some(first) = waiting.recv().await {
            let mut batch = vec![first];
            let mut size = batch[0].changes.len();
            while size < BATCH
                && let Ok(next) = waiting.try_recv()
            {
                size += next.changes.len();
                batch.push(next);
            }
            commit(&store, &metrics, batch).await;
        }
    });
    queue
}

/// Commits requests together. Where that fails for what one of them brings, each is tried by itself.
async fn commit(store: &Store, metrics: &IntakeMetrics, batch: Vec<Waiting>) {
    let mut changes = Vec::new();
    let mut parts = Vec::with_capacity(batch.len());
    for waiting in batch {
        parts.push((waiting.changes.len(), waiting.answer));
        changes.extend(waiting.changes);
    }
    let accepted = store.accept(&changes).await;
    let is_shared = parts.len() > 1 && accepted.as_ref().is_err_and(|error| !error.is_transient());
    let accepted = if is_shared { None } else { Some(tell(metrics, accepted, changes.len())) };
    let mut rest = changes.as_slice();
    for (count, answer) in parts {
        let (own, others) = rest.split_at(count);
        rest = others;
        let accepted = match &accepted {
            Some(accepted) => accepted.clone(),
            None => tell(metrics, store.accept(own).await, count),
        };
        if answer.send(accepted).is_err() {
            tracing::debug!("whoever sent annotations has left");
        }
    }
}

fn tell(
    metrics: &IntakeMetrics,
    accepted: Result<Accepted, store::Error>,
    count: usize,
) -> Result<(), Arc<store::Error>> {
    match accepted {
        Ok(Accepted { changed, known }) => {
            metrics.count("changed", changed);
            metrics.count("known", known);
            Ok(())
        }
        Err(error) => {
            metrics.count("failed", count as u64);
            Err(Arc::new(error))
        }
    }
}

fn unread(error: axum::Error, limit: usize) -> Problem {
    if error.into_inner().is::<http_body_util::LengthLimitError>() {
        Problem::too_large(limit)
    } else {
        Problem::invalid("the body broke off before its end".to_owned())
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

/// What bodies may hold together: a few of the longest, and thousands of the usual.
const BUDGET_KIB: usize = 128 * 1024;
/// Requests that wait for a commit.
const QUEUE: usize = 1024;
/// Changes of one commit: past it, they take longer than the disk does.
const BATCH: usize = 500;

impl Default for IntakeMetrics {
    /// Families that nobody collects.
    fn default() -> Self {
        Self::new().expect("the names are constants, and valid")
    }
}
