//! What is counted about S3. Label values are closed sets: storage names, operations, outcomes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

use super::{CredentialsFailure, Error};
use crate::{egress, id::StorageName};

/// What is asked of S3.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    Get,
    Head,
    List,
    Put,
    Delete,
    /// A presigned URL, used as a browser would.
    Presigned,
    /// CORS, asked as a browser would.
    Preflight,
}

/// How S3 answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Answered,
    Absent,
    Denied,
    Refused,
    Throttled,
    Silent,
    Unreachable,
    Failed,
}

impl Operation {
    const ALL: [Self; 7] =
        [Self::Get, Self::Head, Self::List, Self::Put, Self::Delete, Self::Presigned, Self::Preflight];

    fn label(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Head => "head",
            Self::List => "list",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Presigned => "presigned",
            Self::Preflight => "preflight",
        }
    }

    pub(crate) fn method(self) -> http::Method {
        match self {
            Self::Get | Self::List | Self::Presigned => http::Method::GET,
            Self::Head => http::Method::HEAD,
            Self::Put => http::Method::PUT,
            Self::Delete => http::Method::DELETE,
            Self::Preflight => http::Method::OPTIONS,
        }
    }
}

impl Outcome {
    const ALL: [Self; 8] = [
        Self::Answered,
        Self::Absent,
        Self::Denied,
        Self::Refused,
        Self::Throttled,
        Self::Silent,
        Self::Unreachable,
        Self::Failed,
    ];

    fn of(error: &Error) -> Self {
        match error {
            Error::NoSuchKey | Error::NoSuchBucket => Self::Absent,
            Error::AccessDenied | Error::CredentialsRejected | Error::ClockSkewed => Self::Denied,
            Error::RangeNotSatisfiable { .. } | Error::PreconditionFailed | Error::ObjectArchived => {
                Self::Refused
            }
            Error::Throttled { .. } => Self::Throttled,
            Error::FirstByteTimeout => Self::Silent,
            Error::Unreachable(_) | Error::EgressRefused(_) => Self::Unreachable,
            Error::Status { .. }
            | Error::MovedRegion { .. }
            | Error::AnswerMalformed
            | Error::CredentialsUnavailable
            | Error::CredentialsMalformed
            | Error::PresignLifeOver
            | Error::EndpointInvalid
            | Error::RegionInvalid => Self::Failed,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Absent => "absent",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Silent => "silent",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
        }
    }
}

/// The families of this module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct S3Metrics {
    first_byte: HistogramVec,
    requests: IntCounterVec,
    read_bytes: IntCounterVec,
    resumed: IntCounterVec,
    replayed: IntCounterVec,
    presigned: IntCounterVec,
    egress_refusals: IntCounterVec,
    credentials_failures: IntCounterVec,
    credentials_since: GaugeVec,
    credentials_end: GaugeVec,
}

impl S3Metrics {
    /// Makes the families known to the registry; fails when it knows them already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            prometheus::Result::Ok(family)
        };
        let first_byte = HistogramVec::new(
            HistogramOpts::new(
                "mediagate_s3_first_byte_seconds",
                "Time until S3 sent the head of an answer.",
            )
            .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
            &["storage", "operation"],
        )?;
        registry.register(Box::new(first_byte.clone()))?;
        let gauge = |name: &str, help: &str| {
            let family = GaugeVec::new(Opts::new(name, help), &["storage"])?;
            registry.register(Box::new(family.clone()))?;
            prometheus::Result::Ok(family)
        };
        Ok(Self {
            first_byte,
            requests: counter(
                "mediagate_s3_requests_total",
                "Requests to S3 by how they ended.",
                &["storage", "operation", "outcome"],
            )?,
            read_bytes: counter(
                "mediagate_s3_read_bytes_total",
                "Bytes of objects read from S3.",
                &["storage"],
            )?,
            resumed: counter("mediagate_s3_resumed_total", "Broken bodies asked for again.", &["storage"])?,
            replayed: counter(
                "mediagate_s3_replayed_total",
                "Requests sent again because their pooled connection was dead.",
                &["storage"],
            )?,
            presigned: counter(
                "mediagate_s3_presigned_total",
                "Presigned URLs given out, by whether they were cached.",
                &["storage", "cache"],
            )?,
            egress_refusals: counter(
                "mediagate_egress_refusals_total",
                "Connections not made since the endpoint's address is not open to storages of the API.",
                &["reason"],
            )?,
            credentials_failures: counter(
                "mediagate_s3_credentials_failures_total",
                "Times that new credentials were asked for in vain.",
                &["storage", "reason"],
            )?,
            credentials_since: gauge(
                "mediagate_s3_credentials_obtained_timestamp_seconds",
                "When the current credentials came, in seconds since the Unix epoch; absent for configured ones.",
            )?,
            credentials_end: gauge(
                "mediagate_s3_credentials_expiry_timestamp_seconds",
                "When the current credentials end, in seconds since the Unix epoch; absent where they do not.",
            )?,
        })
    }

    pub(crate) fn of(&self, storage: &StorageName) -> StorageMetrics {
        let name = storage.as_str();
        StorageMetrics {
            storage: storage.clone(),
            first_byte: Operation::ALL.map(|op| self.first_byte.with_label_values(&[name, op.label()])),
            requests: Operation::ALL.map(|op| {
                Outcome::ALL.map(|out| self.requests.with_label_values(&[name, op.label(), out.label()]))
            }),
            read_bytes: self.read_bytes.with_label_values(&[name]),
            resumed: self.resumed.with_label_values(&[name]),
            replayed: self.replayed.with_label_values(&[name]),
            presign_hits: self.presigned.with_label_values(&[name, "hit"]),
            presign_misses: self.presigned.with_label_values(&[name, "miss"]),
            egress_refusals: egress::Reason::ALL
                .map(|reason| self.egress_refusals.with_label_values(&[reason.as_str()])),
            credentials_failures: CredentialsFailure::ALL
                .map(|failure| self.credentials_failures.with_label_values(&[name, failure.as_str()])),
            credentials_since: self.credentials_since.clone(),
            credentials_end: self.credentials_end.clone(),
        }
    }
}

/// The counters of one storage, looked up once.
#[derive(Debug)]
pub(crate) struct StorageMetrics {
    storage: StorageName,
    first_byte: [Histogram; Operation::ALL.len()],
    requests: [[IntCounter; Outcome::ALL.len()]; Operation::ALL.len()],
    pub(crate) read_bytes: IntCounter,
    pub(crate) resumed: IntCounter,
    pub(crate) replayed: IntCounter,
    pub(crate) presign_hits: IntCounter,
    pub(crate) presign_misses: IntCounter,
    egress_refusals: [IntCounter; egress::Reason::ALL.len()],
    credentials_failures: [IntCounter; CredentialsFailure::ALL.len()],
    credentials_since: GaugeVec,
    credentials_end: GaugeVec,
}

impl StorageMetrics {
    pub(crate) fn storage(&self) -> &str {
        self.storage.as_str()
    }

    pub(crate) fn first_byte(&self, operation: Operation, after: Duration) {
        self.first_byte[operation as usize].observe(after.as_secs_f64());
    }

    pub(crate) fn ended<T>(&self, operation: Operation, result: &Result<T, Error>) {
        let outcome = result.as_ref().err().map_or(Outcome::Answered, Outcome::of);
        self.requests[operation as usize][outcome as usize].inc();
    }

    /// Reads a failure to connect or to be answered, and counts a refusal of our own.
    pub(crate) fn unconnected<E>(&self, error: E) -> Error
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let error = Error::of_connection(error.into());
        if let Error::EgressRefused(refused) = &error {
            self.egress_refusals[refused.reason() as usize].inc();
        }
        error
    }

    /// Since when the current credentials are known, and until when they serve.
    pub(crate) fn credentials(&self, since: SystemTime, ends: Option<SystemTime>) {
        for (family, at) in [(&self.credentials_since, Some(since)), (&self.credentials_end, ends)] {
            if let Some(since_epoch) = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()) {
                let gauge: Gauge = family.with_label_values(&[self.storage.as_str()]);
                gauge.set(since_epoch.as_secs_f64());
            }
        }
    }

    pub(crate) fn credentials_failed(&self, failure: CredentialsFailure) {
        self.credentials_failures[failure as usize].inc();
    }
}
