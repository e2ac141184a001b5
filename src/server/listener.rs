//! The listening socket.

use std::{net::SocketAddr, sync::Arc};

use socket2::{Domain, Protocol, Socket, Type};
use tokio_rustls::{TlsAcceptor, rustls};

use super::{Certificate, CertificateError, Config, tls};

/// Connections the kernel keeps for us while we are busy.
const BACKLOG: i32 = 1024;

/// A bound socket and what its connections are held to.
pub struct Listener {
    /// Joins a runtime only when it is served, which may be another than the one it was bound on.
    pub(super) socket: std::net::TcpListener,
    pub(super) config: Config,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) certificate: Option<Arc<Certificate>>,
    local_addr: SocketAddr,
}

/// Why a listener did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, not ours, or the port needs more rights.
    #[error("cannot listen on {listen}")]
    NotBound {
        /// The configured address.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificate cannot be used.
    #[error("no TLS on {listen}")]
    NoCertificate {
        /// The configured address.
        listen: SocketAddr,
        /// What is wrong with it.
        source: CertificateError,
    },
    /// TLS itself could not be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

impl Listener {
    /// Reads the certificate and binds the socket.
    pub fn bind(config: &Config) -> Result<Self, Error> {
        let listen = config.listen;
        let certificate = config.tls.as_ref().map(Certificate::load).transpose();
        let certificate = certificate.map_err(|source| Error::NoCertificate { listen, source })?;
        let tls = certificate.as_ref().map(tls::acceptor).transpose()?;
        let bound = |source| Error::NotBound { listen, source };
        let socket = std::net::TcpListener::from(bind(listen).map_err(bound)?);
        let local_addr = socket.local_addr().map_err(bound)?;
        Ok(Self { socket, config: config.clone(), tls, certificate, local_addr })
    }

    /// The address and the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The certificate, to be read again at will.
    pub fn certificate(&self) -> Option<Arc<Certificate>> {
        self.certificate.clone()
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

fn bind(addr: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the TIME_WAIT of the connections of the run before.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}
