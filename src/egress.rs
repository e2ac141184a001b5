//! Outgoing connections: TLS roots, source addresses, timeouts and pools, in one place.
//!
//! Everything this process asks of others over HTTP goes through here, so that one section of the
//! configuration says how. What must stay true: redirects are never followed (hyper does not), a pooled
//! connection is let go before S3 closes it, and one response occupies at most [`Config::read_buffer`] of
//! memory here, whatever the object's size.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use bytesize::ByteSize;
use http_body::Body;
use http_body_util::Empty;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Builder, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::Deserialize;
use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem, pem::PemObject},
};

/// An HTTP/1.1 client over TCP or TLS, for requests with bodies of type `B`.
pub type HttpClient<B> = Client<HttpsConnector<HttpConnector>, B>;

/// How outgoing connections are made: section `[egress]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Local addresses to connect from, at most one per family; empty leaves the choice to the system.
    pub source_addresses: Vec<IpAddr>,
    /// A PEM file with root certificates to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long a TCP connection may take to be made.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long an unused connection is kept. S3 closes after about 5 s, and the side that closes second
    /// is the one that loses a request.
    #[serde(with = "humantime_serde")]
    pub pool_idle_timeout: Duration,
    /// How many unused connections are kept per scheme, host and port.
    pub max_idle_per_host: usize,
    /// The most that is read ahead of whoever takes a response; 8 KiB at least.
    pub read_buffer: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            source_addresses: Vec::new(),
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            pool_idle_timeout: Duration::from_secs(4),
            max_idle_per_host: 256,
            read_buffer: ByteSize::kib(16),
        }
    }
}

/// Why outgoing connections cannot be made as configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A connection has one source address per family.
    #[error("egress.source_addresses has more than one address of a family")]
    SourceAddressAmbiguous,
    /// The file of root certificates could not be read, or is not PEM.
    #[error("egress.ca_file {path} could not be read")]
    CaFileUnreadable {
        /// The configured path.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The file of root certificates has none, or one that is no certificate.
    #[error("egress.ca_file {path} has no usable certificate")]
    CaFileUnusable {
        /// The configured path.
        path: PathBuf,
    },
    /// The TLS library refuses its own defaults.
    #[error("TLS could not be set up")]
    Tls(#[from] rustls::Error),
}

/// The clients for outgoing requests. Cheap to clone: clones share their pools.
#[derive(Debug, Clone)]
pub struct Egress {
    builder: Builder,
    connector: HttpsConnector<HttpConnector>,
    pooled: HttpClient<Empty<Bytes>>,
    fresh: HttpClient<Empty<Bytes>>,
}

impl Egress {
    /// Reads the root certificates and sets the pools up; connects to nothing yet.
    pub fn build(config: &Config) -> Result<Self, Error> {
        let connector = connector(config)?;
        let builder = builder(config);
        let mut fresh = builder.clone();
        fresh.pool_max_idle_per_host(0);
        Ok(Self {
            pooled: builder.build(connector.clone()),
            fresh: fresh.build(connector.clone()),
            builder,
            connector,
        })
    }

    /// The client for requests without a body; its connections are pooled.
    pub fn client(&self) -> &HttpClient<Empty<Bytes>> {
        &self.pooled
    }

    /// The same without a pool: for the one replay of a request whose pooled connection was dead.
    pub fn fresh(&self) -> &HttpClient<Empty<Bytes>> {
        &self.fresh
    }

    /// A client with a pool of its own for requests with any body.
    pub fn forwarding_client<B>(&self) -> HttpClient<B>
    where
        B: Body + Send,
        B::Data: Send,
    {
        self.builder.build(self.connector.clone())
    }
}

fn builder(config: &Config) -> Builder {
    // hyper refuses a smaller buffer by panicking.
    const MIN_READ_BUFFER: u64 = 8 * 1024;
    let read_buffer = config.read_buffer.as_u64().clamp(MIN_READ_BUFFER, u64::from(u32::MAX));
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(config.pool_idle_timeout)
        .pool_max_idle_per_host(config.max_idle_per_host)
        .http1_max_buf_size(usize::try_from(read_buffer).unwrap_or(usize::MAX));
    builder
}

fn connector(config: &Config) -> Result<HttpsConnector<HttpConnector>, Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(config.connect_timeout));
    match source_addresses(&config.source_addresses)? {
        (None, None) => {}
        (Some(v4), None) => http.set_local_address(Some(v4.into())),
        (None, Some(v6)) => http.set_local_address(Some(v6.into())),
        (Some(v4), Some(v6)) => http.set_local_addresses(v4, v6),
    }
    let https = HttpsConnectorBuilder::new().with_tls_config(tls(config)?).https_or_http().enable_http1();
    Ok(https.wrap_connector(http))
}

fn source_addresses(addresses: &[IpAddr]) -> Result<(Option<Ipv4Addr>, Option<Ipv6Addr>), Error> {
    let (mut v4, mut v6) = (None, None);
    for address in addresses {
        let taken = match address {
            IpAddr::V4(address) => v4.replace(*address).is_some(),
            IpAddr::V6(address) => v6.replace(*address).is_some(),
        };
        if taken {
            return Err(Error::SourceAddressAmbiguous);
        }
    }
    Ok((v4, v6))
}

fn tls(config: &Config) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots(config)?).with_no_client_auth())
}

/// The system's certificates and the configured ones. None at all is no error, since S3 may be reached
/// over plain HTTP in a container without certificates; each TLS handshake then fails.
fn roots(config: &Config) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "a root certificate of the system could not be read");
    }
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = &config.ca_file {
        let unreadable = |source| Error::CaFileUnreadable { path: path.clone(), source };
        let unusable = || Error::CaFileUnusable { path: path.clone() };
        let certificates: Vec<_> =
            CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(unreadable)?;
        if certificates.is_empty() {
            return Err(unusable());
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|_| unusable())?;
        }
    }
    Ok(roots)
}

/// Whether the connection ended without a byte of an answer, as a pooled one does that the other side had
/// closed meanwhile. A request without effects may then be sent again.
pub(crate) fn is_dead_connection(error: &hyper_util::client::legacy::Error) -> bool {
    if error.is_connect() {
        return false;
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_canceled() || error.is_closed())
        {
            return true;
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return is_connection_loss(error.kind());
        }
        source = cause.source();
    }
    false
}

fn is_connection_loss(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
    )
}

#[cfg(test)]
mod tests;
