//! What is counted about keeping up with Label Studio.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::pass::Found;

/// The families of this module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FollowMetrics {
    passes: IntCounterVec,
    annotations: IntCounterVec,
    webhooks: IntGaugeVec,
}

impl FollowMetrics {
    /// Makes the families known to the registry; fails when it knows them already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            passes: IntCounterVec::new(
                Opts::new(
                    "mediagate_reconciliations_total",
                    "Comparisons of a project with Label Studio, by outcome.",
                ),
                &["outcome"],
            )?,
            annotations: IntCounterVec::new(
                Opts::new(
                    "mediagate_reconciled_annotations_total",
                    "Changes of annotations that no webhook told of, by what was done.",
                ),
                &["outcome"],
            )?,
            webhooks: IntGaugeVec::new(
                Opts::new(
                    "mediagate_webhooks",
                    "Projects that need a webhook of Label Studio, by its state.",
                ),
                &["state"],
            )?,
        };
        registry.register(Box::new(metrics.passes.clone()))?;
        registry.register(Box::new(metrics.annotations.clone()))?;
        registry.register(Box::new(metrics.webhooks.clone()))?;
        Ok(metrics)
    }

    /// Counts a pass; `None`: it broke off.
    pub(super) fn passed(&self, found: Option<&Found>) {
        let outcome = if found.is_some() { "completed" } else { "failed" };
        self.passes.with_label_values(&[outcome]).inc();
        if let Some(Found { written, deleted }) = found {
            self.annotations.with_label_values(&["written"]).inc_by(*written);
            self.annotations.with_label_values(&["deleted"]).inc_by(*deleted);
        }
    }

    /// Says how many projects have their webhook, and how many lack it.
    pub(super) fn webhooks(&self, kept: usize, missing: usize) {
        for (state, count) in [("kept", kept), ("missing", missing)] {
            self.webhooks.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
