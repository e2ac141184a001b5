//! What is counted about exports. Label values are closed sets: storage names, outcomes, reasons.

use std::time::SystemTime;

use prometheus::{Gauge, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::{id::StorageName, store::Depth};

/// The families of this module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ExportMetrics {
    items: IntGaugeVec,
    oldest: Gauge,
    attempts: IntCounterVec,
    failures: IntCounterVec,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// The object was written.
    Written,
    /// The target had it.
    Unchanged,
    /// The object was deleted.
    Deleted,
    /// It should have been deleted, and the storage does not allow it.
    Kept,
    /// Again later.
    Retried,
    /// Given up.
    Dead,
}

impl ExportMetrics {
    /// Makes the families known to the registry; fails when it knows them already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            items: IntGaugeVec::new(
                Opts::new("mediagate_outbox_items", "Objects that are not in their target, by their state."),
                &["state"],
            )?,
            oldest: Gauge::new(
                "mediagate_outbox_oldest_seconds",
                "How long the oldest change waits that is not in its target.",
            )?,
            attempts: IntCounterVec::new(
                Opts::new(
                    "mediagate_export_attempts_total",
                    "Attempts to bring an object up to date, by outcome.",
                ),
                &["storage", "outcome"],
            )?,
            failures: IntCounterVec::new(
                Opts::new("mediagate_export_failures_total", "Attempts that failed, by reason."),
                &["storage", "reason"],
            )?,
        };
        registry.register(Box::new(metrics.items.clone()))?;
        registry.register(Box::new(metrics.oldest.clone()))?;
        registry.register(Box::new(metrics.attempts.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        Ok(metrics)
    }

    pub(super) fn observe(&self, depth: &Depth, now: SystemTime) {
        for (state, count) in [("due", depth.due), ("retrying", depth.retrying), ("dead", depth.dead)] {
            self.items.with_label_values(&[state]).set(count);
        }
        let age = depth.oldest.and_then(|since| now.duration_since(since).ok()).unwrap_or_default();
        self.oldest.set(age.as_secs_f64());
    }

    pub(super) fn ended(&self, storage: &StorageName, outcome: Outcome) {
        self.attempts.with_label_values(&[storage.as_str(), outcome.label()]).inc();
    }

    pub(super) fn failed(&self, storage: &StorageName, reason: &'static str) {
        self.failures.with_label_values(&[storage.as_str(), reason]).inc();
    }
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
            Self::Kept => "kept",
            Self::Retried => "retried",
            Self::Dead => "dead",
        }
    }
}
