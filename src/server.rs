//! Listeners: connections in, HTTP requests out to a service, answers back.
//!
//! Everything that can be done to a server before it has understood a request is met here: slow clients,
//! too many clients, half requests, resets, forged addresses. It knows no noun of the product, so that both
//! the data path and the control side stand behind the same door. A connection holds its permits until its
//! last byte; the soft step of the shutdown lets answers finish, the hard one drops them.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};
use tokio_util::task::TaskTracker;

use crate::lifecycle::Shutdown;

mod activity;
mod answer;
mod config;
mod connection;
mod drive;
mod head;
mod limits;
mod listener;
mod metrics;
mod opening;
mod proxy_protocol;
mod streams;
mod tls;
mod wire;
mod workers;

use answer::Refusal;
pub use config::{Config, ProxyProtocol, TlsConfig};
use connection::Shared;
use limits::Limits;
pub use listener::{Error, Listener};
use metrics::Outcome;
pub use metrics::ServerMetrics;
pub use tls::{Certificate, CertificateError};
pub use workers::Workers;

/// How often the files of the certificate are looked at.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(5);

/// How long to wait when the system has no connection to give, most often for want of file descriptors:
/// trying at once would spin until a connection ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    /// The address of the socket, or the one that a trusted proxy gave in a PROXY protocol header.
    pub addr: SocketAddr,
    /// Whether the connection to us is encrypted.
    pub tls: bool,
    /// Whether `addr` is from a PROXY protocol header.
    pub via_proxy_protocol: bool,
}

/// Serves connections until the shutdown, and returns when the last one has ended.
///
/// `trusted` tells which peers may send a PROXY protocol header. A connection that the service upgrades (101)
/// is part of its listener until the upgraded bytes are dropped.
pub async fn serve<S, F, B>(
    listener: Listener,
    trusted: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    service: S,
    shutdown: Shutdown,
    metrics: ServerMetrics,
    workers: &Workers,
) where
    S: Fn(Request<Incoming>, Peer) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Listener { socket, config, tls, certificate, .. } = listener;
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, "the runtime did not take the listener");
            return shutdown.now();
        }
    };
    let connections = TaskTracker::new();
    let shared = Arc::new(Shared {
        http1: connection::http1(&config),
        limits: Limits::new(&config),
        config,
        trusted,
        tls,
        shutdown: shutdown.clone(),
        tasks: connections.clone(),
        metrics: metrics.clone(),
    });
    let accepting = async {
        loop {
            let Ok((socket, addr)) = socket.accept().await else {
                metrics.not_accepted();
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let Some(place) = shared.limits.enter() else {
                metrics.ended(Outcome::OverLimit);
                continue;
            };
            tune(&socket, &shared.config);
            let (shared, service) = (Arc::clone(&shared), service.clone());
            let serve = move |socket| shared.serve(socket, addr, place, service);
            if let Err(error) = workers.serve(socket, &connections, serve) {
                tracing::debug!(%error, "a connection was lost on the way to its thread");
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = follow_certificate(certificate, &metrics) => {}
        () = shutdown.soft().cancelled() => {}
        () = shutdown.hard().cancelled() => {}
    }
    // Closed before the wait: the kernel refuses new connections at once.
    drop(socket);
    connections.close();
    connections.wait().await;
}

/// Best effort: an option that the system does not know is not worth a connection.
fn tune(socket: &TcpStream, config: &Config) {
    let lowat = u32::try_from(config.write_buffer_len()).unwrap_or(u32::MAX);
    for tuned in [socket.set_nodelay(true), SockRef::from(socket).set_tcp_notsent_lowat(lowat)] {
        if let Err(error) = tuned {
            tracing::debug!(%error, "socket option not set");
        }
    }
}

/// Takes over a certificate whose files have changed, for as long as the listener lives.
async fn follow_certificate(certificate: Option<Arc<Certificate>>, metrics: &ServerMetrics) {
    let Some(certificate) = certificate else { return std::future::pending().await };
    let mut ticks = interval_at(Instant::now() + CERTIFICATE_INTERVAL, CERTIFICATE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match certificate.reload() {
            Ok(false) => {}
            Ok(true) => {
                metrics.certificate_reloaded(true);
                tracing::info!("certificate taken over");
            }
            Err(error) => {
                metrics.certificate_reloaded(false);
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "certificate not taken, the old one stays"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
