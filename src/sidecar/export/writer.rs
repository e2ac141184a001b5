//! The writer of one target: claims what is due, writes several objects at once, settles what came of them.
//!
//! While the target fails, one object at a time is tried, after pauses that grow; the first that succeeds opens it again
//! for all. Claims are renewed while they are held; where that does not succeed in time, what is under way is dropped, so
//! that whoever takes the claims over is alone.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Exporter, LEASE,
    deliver::{Attempt, Target},
    metrics::Outcome,
    pace, said,
};
use crate::{
    storage::Storage,
    store::{Delivered, Due},
};

/// The writer of one target.
pub(super) struct Writer {
    exporter: Exporter,
    storage: Storage,
    target: Option<Arc<Target>>,
    /// Claimed, and not begun.
    queue: VecDeque<Due>,
    flying: JoinSet<(Due, Attempt)>,
    /// Ended, and not yet kept.
    ended: Vec<(Due, Delivered)>,
    /// Of the target in a row.
    failures: u32,
    /// Nothing is claimed before then.
    rests_until: Instant,
    renewed_at: Instant,
    is_revived: bool,
}

impl Writer {
    /// Joins the parts.
    pub(super) fn new(exporter: Exporter, storage: Storage) -> Self {
        let now = Instant::now();
        Self {
            exporter,
            storage,
            target: None,
            queue: VecDeque::new(),
            flying: JoinSet::new(),
            ended: Vec::new(),
            failures: 0,
            rests_until: now,
            renewed_at: now,
            is_revived: false,
        }
    }

    /// Writes until `stop`, and finishes what is under way.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut accepted = self.exporter.store.watch_outbox();
        while !stop.is_cancelled() {
            accepted.mark_unchanged();
            self.begin().await;
            let is_idle = self.flying.is_empty();
            let now = Instant::now();
            let wakes = if self.rests_until > now { self.rests_until } else { now + POLL };
            tokio::select! {
                () = stop.cancelled() => {}
                Some(joined) = self.flying.join_next() => {
                    self.collect(joined);
                    self.settle().await;
                }
                _ = accepted.changed(), if is_idle && self.rests_until <= now => {}
                () = tokio::time::sleep_until(wakes), if is_idle => {}
                () = tokio::time::sleep_until(self.renewed_at + RENEW_EVERY), if !is_idle => self.renew().await,
            }
        }
        self.give_back();
        while let Some(joined) = self.flying.join_next().await {
            self.collect(joined);
        }
        self.settle().await;
    }

    /// Begins as much as may be under way at once.
    async fn begin(&mut self) {
        if !self.ended.is_empty() {
            self.settle().await;
        }
        if self.rests_until > Instant::now() || !self.ended.is_empty() {
            return;
        }
        let width = if self.failures > 0 { 1 } else { self.exporter.host.config().exports.max(1) };
        if self.queue.is_empty() && self.flying.len() < width {
            self.claim(if self.failures > 0 { 1 } else { CLAIMED }).await;
        }
        while self.flying.len() < width
            && !self.queue.is_empty()
            && let Some(target) = self.connected().await
            && let Some(due) = self.queue.pop_front()
        {
            self.flying.spawn(async move {
                let attempt = target.deliver(&due, false).await;
                (due, attempt)
            });
        }
    }

    async fn claim(&mut self, most: i64) {
        let Exporter { store, claimant, .. } = &self.exporter;
        let (id, revision) = (self.storage.id, self.storage.revision);
        if !self.is_revived {
            self.is_revived = said(store.revive(id, revision).await, "try again what was given up").is_some();
        }
        if self.flying.is_empty() {
            self.renewed_at = Instant::now();
        }
        match said(store.claim_due((id, revision), claimant, LEASE, most).await, "claim what is due") {
            Some(due) => self.queue.extend(due),
            None => self.rests_until = Instant::now() + POLL,
        }
    }

    /// The connection, made when there is something to write.
    async fn connected(&mut self) -> Option<Arc<Target>> {
        if self.target.is_none() {
            match self.exporter.host.sidecar().connect(&self.storage).await {
                Ok(connection) => {
                    let target = Target::new(&self.exporter, self.storage.clone(), connection);
                    self.target = Some(Arc::new(target));
                }
                Err(error) => {
                    let storage = self.storage.name();
                    tracing::error!(%storage, %error, "nothing can be exported to the storage; trying again");
                    self.give_back();
                    self.rests_until = Instant::now() + LONGEST_REST;
                }
            }
        }
        self.target.clone()
    }

    /// Takes what ended, and all that ended with it.
    fn collect(&mut self, first: Result<(Due, Attempt), tokio::task::JoinError>) {
        let mut outcomes = Vec::new();
        let mut next = Some(first);
        while let Some(joined) = next {
            match joined {
                Ok((due, attempt)) => {
                    outcomes.push(attempt.outcome);
                    self.ended.push((due, attempt.delivered));
                }
                // Its claim runs out, and then it is tried again.
                Err(error) => tracing::error!(%error, "an attempt to write an object broke off"),
            }
            next = self.flying.try_join_next();
        }
        let has = |wanted: &[Outcome]| outcomes.iter().any(|outcome| wanted.contains(outcome));
        if has(&[Outcome::Written, Outcome::Deleted]) {
            self.open();
        } else if has(&[Outcome::Retried]) {
            self.rest();
        }
    }

    /// The target answers.
    fn open(&mut self) {
        if self.failures > 0 {
            let (store, storage) = (self.exporter.store.clone(), self.storage.clone());
            tracing::info!(storage = %storage.name(), "the target of the export answers again");
            tokio::spawn(async move { said(store.hurry(storage.id).await, "hurry what waits") });
        }
        self.failures = 0;
        self.rests_until = Instant::now();
    }

    /// The target fails.
    fn rest(&mut self) {
        if self.failures == 0 {
            let storage = self.storage.name();
            tracing::warn!(%storage, "the target of the export fails; what is due waits, and is tried on");
        }
        self.rests_until = Instant::now() + pace::wait(self.failures, FIRST_REST, LONGEST_REST);
        self.failures = self.failures.saturating_add(1);
        self.give_back();
        // The way out may be another since.
        self.target = None;
    }

    /// Gives back what was claimed and not begun.
    fn give_back(&mut self) {
        self.ended.extend(self.queue.drain(..).map(|due| (due, Delivered::Untried)));
    }

    async fn settle(&mut self) {
        if self.ended.is_empty() {
            return;
        }
        let settled = self.exporter.store.settle(self.storage.revision, &self.ended).await;
        if said(settled, "keep what was written").is_some() {
            self.ended.clear();
        } else {
            self.rests_until = Instant::now() + POLL;
        }
    }

    async fn renew(&mut self) {
        let Exporter { store, claimant, .. } = &self.exporter;
        if said(store.renew_claims(claimant, LEASE).await, "renew its claims").is_some() {
            self.renewed_at = Instant::now();
        } else if self.renewed_at.elapsed() > LOST_AFTER {
            self.flying.shutdown().await;
            self.queue.clear();
            self.ended.clear();
            self.renewed_at = Instant::now();
        } else {
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Objects that are claimed at once.
const CLAIMED: i64 = 64;
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// Sooner than anybody else can have the claims.
const LOST_AFTER: Duration = Duration::from_secs(45);
/// How soon it is seen what others accepted, or that a wait is over.
const POLL: Duration = Duration::from_secs(1);
const FIRST_REST: Duration = Duration::from_millis(200);
const LONGEST_REST: Duration = Duration::from_secs(30);
