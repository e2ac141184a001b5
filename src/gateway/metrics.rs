//! The metric families of the data path.
//!
//! Label values are closed sets: routes, configured storage names, deliveries, outcomes, statuses and reasons of
//! our own tables. A key, an address, a task or a token is never one.

use std::sync::OnceLock;

use prometheus::{
    Counter, CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry,
    core::Collector,
};

use super::{
    observe::{Asked, Delivered},
    route::RouteKind,
};

/// The families.
#[derive(Debug)]
pub struct Metrics {
    /// Requests by route, storage, delivery and outcome.
    pub requests: IntCounterVec,
    /// Answers by route and status.
    pub responses: IntCounterVec,
    /// Requests that got an error of ours, by its code.
    pub refusals: IntCounterVec,
    /// What the application behind the gateway permits, by outcome and whether it had to be asked.
    pub permissions: IntCounterVec,
    /// Body bytes handed to clients, by route and delivery.
    pub bytes: CounterVec,
    /// Seconds until the head of the answer was ready, by route and delivery.
    pub first_byte: HistogramVec,
    /// Seconds until the last byte, by route and delivery.
    pub duration: HistogramVec,
    /// Requests whose response has not ended.
    pub in_flight: IntGauge,
    /// Streams whose response has not ended.
    pub streams: IntGauge,
    /// The most streams that the memory budget carries.
    pub streams_limit: IntGauge,
    kept: [[OnceLock<Series>; DELIVERIES]; ROUTES],
}

/// What is counted by route and delivery.
#[derive(Debug)]
pub struct Series {
    /// Of [`Metrics::bytes`].
    pub bytes: Counter,
    /// Of [`Metrics::first_byte`].
    pub first_byte: Histogram,
    /// Of [`Metrics::duration`].
    pub duration: Histogram,
}

impl Metrics {
    /// Makes the families and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by_delivery = &["route", "delivery"];
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new("mediagate_requests_total", "Requests by route, storage, delivery and outcome."),
                &["route", "storage", "delivery", "outcome"],
            )?,
            responses: IntCounterVec::new(
                Opts::new("mediagate_responses_total", "Answers by route and status."),
                &["route", "status"],
            )?,
            refusals: IntCounterVec::new(
                Opts::new(
                    "mediagate_refusals_total",
                    "Requests answered with an error of the gateway, by its code.",
                ),
                &["reason"],
            )?,
            permissions: IntCounterVec::new(
                Opts::new(
                    "mediagate_permissions_total",
                    "Decisions of the application behind the gateway: asked (miss), remembered (hit), or in the browser's cookie.",
                ),
                &["outcome", "cache"],
            )?,
            bytes: CounterVec::new(
                Opts::new("mediagate_sent_bytes_total", "Body bytes handed to clients."),
                by_delivery,
            )?,
            first_byte: HistogramVec::new(
                HistogramOpts::new(
                    "mediagate_first_byte_seconds",
                    "Seconds until the head of the answer was ready.",
                )
                .buckets(FIRST_BYTE_BUCKETS.to_vec()),
                by_delivery,
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new(
                    "mediagate_duration_seconds",
                    "Seconds until the last byte of the answer.",
                )
                .buckets(DURATION_BUCKETS.to_vec()),
                by_delivery,
            )?,
            in_flight: IntGauge::new(
                "mediagate_requests_in_flight",
                "Requests whose response has not ended.",
            )?,
            streams: IntGauge::new("mediagate_streams_in_flight", "Streams whose response has not ended.")?,
            streams_limit: IntGauge::new(
                "mediagate_streams_limit",
                "The most streams the memory budget carries.",
            )?,
            kept: Default::default(),
        };
        let families: [Box<dyn Collector>; 10] = [
            Box::new(metrics.requests.clone()),
            Box::new(metrics.responses.clone()),
            Box::new(metrics.refusals.clone()),
            Box::new(metrics.permissions.clone()),
            Box::new(metrics.bytes.clone()),
            Box::new(metrics.first_byte.clone()),
            Box::new(metrics.duration.clone()),
            Box::new(metrics.in_flight.clone()),
            Box::new(metrics.streams.clone()),
            Box::new(metrics.streams_limit.clone()),
        ];
        families.into_iter().try_for_each(|family| registry.register(family))?;
        Ok(metrics)
    }

    /// The series of a route and a delivery, kept from the first request on: a family finds them by a hash of their
    /// labels, under a lock. There are none of what was never asked for.
    pub fn series(&self, asked: Asked, delivered: Delivered) -> &Series {
        let route = match asked {
            Asked::Unknown => 0,
            Asked::Media(RouteKind::Media) => 1,
            Asked::Media(RouteKind::Resolve) => 2,
            Asked::Media(RouteKind::Presign) => 3,
            Asked::Forward => 4,
            Asked::Storages => 5,
        };
        let delivery = match delivered {
            Delivered::Redirect => 0,
            Delivered::Stream => 1,
            Delivered::Forward => 2,
            Delivered::Own | Delivered::TakenOver => 3,
        };
        self.kept[route][delivery].get_or_init(|| {
            let labels = [asked.label(), delivered.label()];
            Series {
                bytes: self.bytes.with_label_values(&labels),
                first_byte: self.first_byte.with_label_values(&labels),
                duration: self.duration.with_label_values(&labels),
            }
        })
    }
}

const ROUTES: usize = 6;
const DELIVERIES: usize = 4;

const FIRST_BYTE_BUCKETS: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];
const DURATION_BUCKETS: [f64; 12] =
    [0.000_25, 0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_and_delivery_is_counted_under_its_own_labels() {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        let kinds = [RouteKind::Media, RouteKind::Resolve, RouteKind::Presign].map(Asked::Media);
        let routes = [Asked::Unknown, Asked::Forward, Asked::Storages].into_iter().chain(kinds);
        let deliveries = [Delivered::Redirect, Delivered::Stream, Delivered::Forward, Delivered::Own];
        for (asked, delivered) in routes.flat_map(|asked| deliveries.map(|delivered| (asked, delivered))) {
            let labels = [asked.label(), delivered.label()];
            let series = metrics.series(asked, delivered);
            series.bytes.inc();
            series.first_byte.observe(0.1);
            series.duration.observe(0.1);
            assert_eq!(metrics.series(asked, delivered).bytes.get().to_bits(), 1_f64.to_bits(), "{labels:?}");
            assert_eq!(
                metrics.bytes.with_label_values(&labels).get().to_bits(),
                1_f64.to_bits(),
                "{labels:?}"
            );
            assert_eq!(metrics.first_byte.with_label_values(&labels).get_sample_count(), 1, "{labels:?}");
            assert_eq!(metrics.duration.with_label_values(&labels).get_sample_count(), 1, "{labels:?}");
        }
    }
}
