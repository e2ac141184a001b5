//! What a listener counts. Label values are closed sets, made here.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The families of one listener.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    connections: IntGauge,
    connections_total: IntCounterVec,
    accept_errors_total: IntCounter,
    certificate_reloads_total: IntCounterVec,
    streams_stalled_total: IntCounter,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// Closed by either side between requests.
    Closed,
    /// Broken off by the client, or not HTTP.
    Failed,
    /// No request for the idle timeout.
    Idled,
    /// The head was not complete within the header timeout.
    HeaderTimedOut,
    /// The handshake was not complete within its timeout.
    HandshakeTimedOut,
    /// No common version or cipher, no TLS at all, or broken off.
    HandshakeFailed,
    /// A PROXY protocol header that is malformed, missing, or from a peer that is not trusted.
    ProxyHeaderRefused,
    /// The client took no byte within the write timeout.
    WriteTimedOut,
    /// All places for connections were taken.
    OverLimit,
    /// The client had taken all of its places.
    OverClientLimit,
    /// Cut by the hard step of the shutdown.
    Aborted,
}

/// An open connection; counted until dropped.
#[derive(Debug)]
pub(super) struct Open(IntGauge);

impl Outcome {
    const ALL: [Self; 11] = [
        Self::Closed,
        Self::Failed,
        Self::Idled,
        Self::HeaderTimedOut,
        Self::HandshakeTimedOut,
        Self::HandshakeFailed,
        Self::ProxyHeaderRefused,
        Self::WriteTimedOut,
        Self::OverLimit,
        Self::OverClientLimit,
        Self::Aborted,
    ];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Failed => "failed",
            Self::Idled => "idle",
            Self::HeaderTimedOut => "header_timeout",
            Self::HandshakeTimedOut => "handshake_timeout",
            Self::HandshakeFailed => "handshake_failed",
            Self::ProxyHeaderRefused => "proxy_header_refused",
            Self::WriteTimedOut => "write_timeout",
            Self::OverLimit => "over_limit",
            Self::OverClientLimit => "over_client_limit",
            Self::Aborted => "aborted",
        }
    }
}

impl ServerMetrics {
    /// Registers the families under the name of the listener. Two listeners of one registry need two names.
    pub fn register(registry: &Registry, listener: &'static str) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(name, help).const_label("listener", listener);
        let metrics = Self {
            connections: IntGauge::with_opts(opts("mediagate_connections", "Connections open now."))?,
            connections_total: IntCounterVec::new(
                opts("mediagate_connections_total", "Connections that ended, by how they did."),
                &["outcome"],
            )?,
            accept_errors_total: IntCounter::with_opts(opts(
                "mediagate_accept_errors_total",
                "Connections that the system could not give us, most often for want of file descriptors.",
            ))?,
            certificate_reloads_total: IntCounterVec::new(
                opts(
                    "mediagate_certificate_reloads_total",
                    "Changed certificates, by whether they were taken.",
                ),
                &["outcome"],
            )?,
            streams_stalled_total: IntCounter::with_opts(opts(
                "mediagate_streams_stalled_total",
                "HTTP/2 answers that were cut since the client took no byte of them.",
            ))?,
        };
        // A series that exists from the start can be alerted on before its first event.
        for outcome in Outcome::ALL {
            metrics.connections_total.with_label_values(&[outcome.label()]);
        }
        for outcome in ["taken", "refused"] {
            metrics.certificate_reloads_total.with_label_values(&[outcome]);
        }
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.connections_total.clone()))?;
        registry.register(Box::new(metrics.accept_errors_total.clone()))?;
        registry.register(Box::new(metrics.certificate_reloads_total.clone()))?;
        registry.register(Box::new(metrics.streams_stalled_total.clone()))?;
        Ok(metrics)
    }

    pub(super) fn opened(&self) -> Open {
        self.connections.inc();
        Open(self.connections.clone())
    }

    pub(super) fn ended(&self, outcome: Outcome) {
        self.connections_total.with_label_values(&[outcome.label()]).inc();
    }

    pub(super) fn not_accepted(&self) {
        self.accept_errors_total.inc();
    }

    pub(super) fn stream_stalled(&self) {
        self.streams_stalled_total.inc();
    }

    pub(super) fn certificate_reloaded(&self, taken: bool) {
        let outcome = if taken { "taken" } else { "refused" };
        self.certificate_reloads_total.with_label_values(&[outcome]).inc();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
