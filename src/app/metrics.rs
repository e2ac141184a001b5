//! The metric families of the process that belong to no part: reloads and the age of keys.

use std::time::SystemTime;

use prometheus::{Gauge, GaugeVec, IntCounterVec, Opts, Registry};

use crate::access::Verifier;

/// The families; cloning shares them.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    /// Configurations loaded while running, by result.
    pub(super) reloads: IntCounterVec,
    /// When the configuration in force was loaded, in seconds since 1970.
    pub(super) loaded_at: Gauge,
    jwks_age: GaugeVec,
}

impl Metrics {
    /// Makes the families and registers them.
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            reloads: IntCounterVec::new(
                Opts::new(
                    "mediagate_config_reloads_total",
                    "Configurations loaded while running, by result.",
                ),
                &["result"],
            )?,
            loaded_at: Gauge::new(
                "mediagate_config_loaded_timestamp_seconds",
                "When the configuration in force was loaded.",
            )?,
            jwks_age: GaugeVec::new(
                Opts::new(
                    "mediagate_jwks_age_seconds",
                    "Seconds since a key set was last fetched, by its position.",
                ),
                &["source"],
            )?,
        };
        registry.register(Box::new(metrics.reloads.clone()))?;
        registry.register(Box::new(metrics.loaded_at.clone()))?;
        registry.register(Box::new(metrics.jwks_age.clone()))?;
        Ok(metrics)
    }

    /// Sets the figures that are read rather than counted.
    pub(super) fn observe(&self, verifier: &Verifier, now: SystemTime) {
        // A reload may have taken a set away.
        self.jwks_age.reset();
        for (source, age) in verifier.jwks_ages(now).into_iter().enumerate() {
            // A set that was never fetched has no age; its absence is the alert.
            if let Some(age) = age {
                self.jwks_age.with_label_values(&[source.to_string().as_str()]).set(age.as_secs_f64());
            }
        }
    }
}
