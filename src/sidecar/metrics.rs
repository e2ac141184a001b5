//! The metric families of runs.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::ExportMetrics;
use crate::run::{Counters, Run};

/// The families; cloning shares them.
#[derive(Clone, Debug)]
pub struct RunMetrics {
    /// Runs that this process works on, by job.
    pub(super) active: IntGaugeVec,
    /// Runs that ended here, by job and status.
    pub(super) ended: IntCounterVec,
    /// What they found and did, by job and outcome.
    items: IntCounterVec,
    exports: ExportMetrics,
}

impl RunMetrics {
    /// Makes the families and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            active: IntGaugeVec::new(
                Opts::new("mediagate_runs_active", "Runs that this process works on, by job."),
                &["job"],
            )?,
            ended: IntCounterVec::new(
                Opts::new("mediagate_runs_total", "Runs that ended in this process, by job and status."),
                &["job", "status"],
            )?,
            items: IntCounterVec::new(
                Opts::new(
                    "mediagate_run_items_total",
                    "Objects and tasks of runs that ended in this process, by job and outcome.",
                ),
                &["job", "outcome"],
            )?,
            exports: ExportMetrics::register(registry)?,
        };
        registry.register(Box::new(metrics.active.clone()))?;
        registry.register(Box::new(metrics.ended.clone()))?;
        registry.register(Box::new(metrics.items.clone()))?;
        Ok(metrics)
    }

    /// Those of exports.
    pub fn exports(&self) -> &ExportMetrics {
        &self.exports
    }

    /// Adds what a run that has ended found and did.
    pub(super) fn count(&self, run: &Run) {
        let Counters { listed, matched: _, existed, created, updated, changed, vanished, failed } =
            run.counters;
        for (outcome, count) in [
            ("listed", listed),
            ("existed", existed),
            ("created", created),
            ("updated", updated),
            ("changed", changed),
            ("vanished", vanished),
            ("failed", failed),
        ] {
            let count = u64::try_from(count).unwrap_or_default();
            self.items.with_label_values(&[run.job.as_str(), outcome]).inc_by(count);
        }
    }
}
