//! One connection, from its first byte to its last.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, time::sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::{
    Config, Outcome, Peer, ServerMetrics,
    activity::Activity,
    answer::{Answering, Refusal},
    drive::Driver,
    limits::{Limits, Place},
    opening::{Opened, Version, open},
    streams::Streams,
    wire::{Conduit, Wire},
};
use crate::lifecycle::Shutdown;

/// For how long the soft step of the shutdown waits for connections that have not said anything yet.
const OPENING_GRACE: Duration = Duration::from_secs(1);

/// Two pings that are not answered, and the client is gone.
const H2_PING_INTERVAL: Duration = Duration::from_secs(20);

/// Unread bytes of one upload and of one connection.
const H2_STREAM_WINDOW: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Streams reset by the client before they reached the service, and streams we had to reset: above these
/// numbers the connection ends (CVE-2023-44487, CVE-2025-8671).
const H2_MAX_PENDING_RESETS: usize = 20;
const H2_MAX_LOCAL_RESETS: usize = 100;

/// What all connections of a listener share.
pub(super) struct Shared<T> {
    pub(super) config: Config,
    pub(super) trusted: T,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) limits: Arc<Limits>,
    pub(super) shutdown: Shutdown,
    pub(super) tasks: TaskTracker,
    pub(super) metrics: ServerMetrics,
    pub(super) http1: http1::Builder,
}

/// HTTP/1.1 as the configuration wants it.
pub(super) fn http1(config: &Config) -> http1::Builder {
    let max_head = usize::try_from(config.max_header_bytes.as_u64()).unwrap_or(usize::MAX);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // Ours instead: this one would also bound how long a connection may be idle.
        .header_read_timeout(None)
        .max_header_size(max_head)
        .max_buf_size(config.write_buffer_len().max(max_head));
    builder
}

impl<T> Shared<T>
where
    T: Fn(IpAddr) -> bool,
{
    /// Serves one connection and counts how it ended.
    pub(super) async fn serve<S, F, B>(
        self: Arc<Self>,
        socket: TcpStream,
        addr: SocketAddr,
        place: Place,
        service: S,
    ) where
        S: Fn(Request<Incoming>, Peer) -> F + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let activity = Activity::begin();
        let open_now = self.metrics.opened();
        let wire = Wire::new(socket, self.config.write_timeout, &activity);
        let opening = open(wire, addr, &self.config, self.tls.as_ref(), &self.trusted);
        let opened = tokio::select! {
            opened = opening => opened,
            () = self.shutdown.hard().cancelled() => Err(Outcome::Aborted),
            () = self.opening_grace() => Err(Outcome::Closed),
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(outcome) => return self.metrics.ended(outcome),
        };
        let Opened { peer, transport, version } = opened;
        let Some(place) = self.limits.admit(place, peer.addr.ip()) else {
            return self.metrics.ended(Outcome::OverClientLimit);
        };
        let refusal = place.refusal();
        let connection = Connection { activity: activity.clone(), refusal, version };
        let conduit = Conduit::new(transport, activity, (place, open_now));
        let service = move |request| service(request, peer);
        let outcome = connection.run(&self, TokioIo::new(conduit), service).await;
        self.metrics.ended(match refusal {
            Some(Refusal::Connections) => Outcome::OverLimit,
            Some(Refusal::ClientConnections) => Outcome::OverClientLimit,
            Some(Refusal::Framing) | None => outcome,
        });
    }

    async fn opening_grace(&self) {
        self.shutdown.soft().cancelled().await;
        sleep(OPENING_GRACE).await;
    }
}

/// A connection that speaks HTTP.
struct Connection {
    activity: Arc<Activity>,
    refusal: Option<Refusal>,
    version: Version,
}

impl Connection {
    async fn run<T, S, F, B>(self, shared: &Shared<T>, io: TokioIo<Conduit>, service: S) -> Outcome
    where
        S: Fn(Request<Incoming>) -> F + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { activity, refusal, version } = self;
        let driver = Driver::new(&shared.config, &shared.shutdown, activity.clone(), refusal.is_some());
        let requests = activity.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let in_flight = requests.request();
            let connect = request.method() == Method::CONNECT;
            match refusal.or_else(|| ambiguous(&requests, &request)) {
                Some(refusal) => Answering::refused(refusal, in_flight),
                None => Answering::asked(service(request), connect, in_flight),
            }
        });
        match version {
            Version::Http1 => {
                let connection = shared.http1.serve_connection(io, service).with_upgrades();
                let outcome = driver.drive(connection, http1::UpgradeableConnection::graceful_shutdown).await;
                if activity.is_upgraded() { shared.upgraded(&activity).await } else { outcome }
            }
            Version::Http2 => {
                activity.multiplexed();
                let streams = Streams::new(&shared.config, &shared.tasks, activity, &shared.metrics);
                let connection = http2(&shared.config, streams).serve_connection(io, service);
                driver.drive(connection, http2::Connection::graceful_shutdown).await
            }
        }
    }
}

/// A request that names a length is refused unless its bytes were seen to name it once.
fn ambiguous(activity: &Activity, request: &Request<Incoming>) -> Option<Refusal> {
    let headers = request.headers();
    let framed =
        headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING);
    let single = activity.take_single_framing(framed);
    (framed && !single && request.version() < http::Version::HTTP_2).then_some(Refusal::Framing)
}

impl<T> Shared<T> {
    /// Waits for the end of a connection that another protocol took over.
    async fn upgraded(&self, activity: &Activity) -> Outcome {
        tokio::select! {
            () = activity.ended() => Outcome::Closed,
            () = self.shutdown.hard().cancelled() => {
                activity.cut();
                Outcome::Aborted
            }
        }
    }
}

/// HTTP/2 as the configuration wants it. Made per connection, since it carries the connection's executor.
fn http2(config: &Config, streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.h2_max_streams)
        .max_header_list_size(u32::try_from(config.max_header_bytes.as_u64()).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(H2_MAX_PENDING_RESETS)
        .max_local_error_reset_streams(H2_MAX_LOCAL_RESETS)
        .max_send_buf_size(config.write_buffer_len())
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .keep_alive_interval(H2_PING_INTERVAL)
        .keep_alive_timeout(H2_PING_INTERVAL);
    builder
}
