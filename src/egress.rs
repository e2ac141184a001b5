//! Outgoing connections: TLS roots, source addresses, timeouts and pools, in one place.
//!
//! Everything this process asks of others over HTTP goes through here, so that one section of the
//! configuration says how. There are two doors: the operator's, and the guarded one for endpoints that came
//! through the API, which leads to public addresses and to those that the operator allows. What must stay true:
//! redirects are never followed (hyper does not); the doors share no connection; a pooled connection is let go
//! before S3 closes it; and one response occupies at most [`Config::read_buffer`] of memory here, whatever the
//! object's size.

mod connect;
mod fetch;
mod guard;
mod proxy;
mod tls;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use bytesize::ByteSize;
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::Empty;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Builder, Client},
    rt::{TokioExecutor, TokioTimer},
};
use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;
use tokio_rustls::rustls::{self, ClientConfig, pki_types::pem};

use connect::Resolver;
use guard::Guard;
use proxy::Proxy;

pub use connect::Connector;
pub use fetch::{Answer, AnswerBody, Ask, FetchError, Fetcher, Fields, Headers, Origin, RequestHead};
pub use guard::{Reason, Refused};

/// An HTTP/1.1 client over TCP or TLS, for requests with bodies of type `B`.
pub type HttpClient<B> = Client<HttpsConnector<Connector>, B>;

/// How outgoing connections are made: section `[egress]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Networks beside the public ones that endpoints given through the API may be in.
    pub allow: Vec<IpNet>,
    /// `http://[user:password@]host[:port]` of a proxy for S3, STS and key sets.
    pub proxy: Option<SecretString>,
    /// A file with what would stand in [`Config::proxy`].
    pub proxy_file: Option<PathBuf>,
    /// Hosts (and those below them), addresses and networks that are reached without the proxy.
    pub no_proxy: Vec<String>,
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
            allow: Vec::new(),
            proxy: None,
            proxy_file: None,
            no_proxy: Vec::new(),
            source_addresses: Vec::new(),
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            pool_idle_timeout: Duration::from_secs(4),
            max_idle_per_host: 256,
            read_buffer: ByteSize::kib(64),
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
    /// A proxy is one URL and nothing else. It is not quoted: it may hold a password.
    #[error(
        "egress.proxy is not a URL such as http://proxy.example.org:3128, http://user:password@host:port at most"
    )]
    ProxyInvalid,
    /// A secret twice.
    #[error("egress.proxy and egress.proxy_file are both set; keep one")]
    ProxyTwice,
    /// The file with the URL of the proxy could not be read.
    #[error("egress.proxy_file {} cannot be read", path.display())]
    ProxyFileUnreadable {
        /// The configured path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An exception from the proxy is a host, an address or a network.
    #[error(
        "egress.no_proxy: {entry:?} is no host, address or network; write \"example.org\" or \"10.0.0.0/8\""
    )]
    NoProxyInvalid {
        /// The entry.
        entry: String,
    },
    /// The TLS library refuses its own defaults.
    #[error("TLS could not be set up")]
    Tls(#[from] rustls::Error),
}

/// The clients for outgoing requests, as one of the two doors has them. Cheap to clone: clones share their
/// pools.
#[derive(Clone, Debug)]
pub struct Egress {
    doors: Arc<Doors>,
    is_guarded: bool,
}

#[derive(Debug)]
struct Doors {
    builder: Builder,
    tls: ClientConfig,
    /// To the application behind the gateway, where no proxy stands between.
    upstream: HttpsConnector<Connector>,
    operator: Door,
    guarded: Door,
}

#[derive(Debug)]
struct Door {
    connector: HttpsConnector<Connector>,
    fetcher: Fetcher,
    pooled: HttpClient<Empty<Bytes>>,
    fresh: HttpClient<Empty<Bytes>>,
}

impl Egress {
    /// Reads the root certificates and sets the pools up; connects to nothing yet. The operator's door.
    pub fn build(config: &Config) -> Result<Self, Error> {
        Self::build_with(config, &Resolver::system())
    }

    /// The same with connections of its own. It trusts whom this one trusts: reading the system's certificates takes
    /// longer than anything else at the start.
    pub fn beside(&self, config: &Config) -> Result<Self, Error> {
        Self::build_over(config, &Resolver::system(), self.doors.tls.clone())
    }

    fn build_with(config: &Config, resolver: &Resolver) -> Result<Self, Error> {
        Self::build_over(config, resolver, tls::client(config)?)
    }

    fn build_over(config: &Config, resolver: &Resolver, tls: ClientConfig) -> Result<Self, Error> {
        let builder = builder(config);
        let proxy = Proxy::build(config)?.map(Arc::new);
        let connector = |resolver: Resolver, proxy: Option<&Arc<Proxy>>| {
            let connector = Connector::build(config, resolver, proxy.cloned())?;
            Ok::<_, Error>(over_tls(&tls, connector))
        };
        let guarded = resolver.guarded(Guard::new(&config.allow));
        let doors = Doors {
            upstream: connector(resolver.clone(), None)?,
            operator: Door::new(&builder, connector(resolver.clone(), proxy.as_ref())?, config),
            guarded: Door::new(&builder, connector(guarded, proxy.as_ref())?, config),
            builder,
            tls,
        };
        Ok(Self { doors: Arc::new(doors), is_guarded: false })
    }

    /// The door for endpoints that came through the API: public addresses and [`Config::allow`] only.
    ///
    /// Connecting to any other fails with a [`Refused`] among the sources of the error.
    #[must_use]
    pub fn guarded(&self) -> Self {
        Self { doors: Arc::clone(&self.doors), is_guarded: true }
    }

    /// The operator's door, for what the configuration or the machine itself names.
    #[must_use]
    pub fn operator(&self) -> Self {
        Self { doors: Arc::clone(&self.doors), is_guarded: false }
    }

    /// Who reads objects.
    pub fn fetcher(&self) -> &Fetcher {
        &self.door().fetcher
    }

    /// The client for requests without a body; its connections are pooled.
    pub fn client(&self) -> &HttpClient<Empty<Bytes>> {
        &self.door().pooled
    }

    /// The same without a pool: for the one replay of a request whose pooled connection was dead.
    pub fn fresh(&self) -> &HttpClient<Empty<Bytes>> {
        &self.door().fresh
    }

    /// A client with a pool of its own for requests with any body.
    pub fn sending_client<B>(&self) -> HttpClient<B>
    where
        B: Body + Send,
        B::Data: Send,
    {
        self.doors.builder.build(self.door().connector.clone())
    }

    /// A client for the application behind the gateway: past the proxy, by whichever door, each request on a connection of
    /// its own. uWSGI's HTTP router, which Label Studio's image runs, closes after each answer without saying so, and a
    /// request on a connection that is being closed is lost; one with a body cannot be sent again.
    pub fn forwarding_client<B>(&self) -> HttpClient<B>
    where
        B: Body + Send,
        B::Data: Send,
    {
        let mut builder = self.doors.builder.clone();
        builder.pool_max_idle_per_host(0);
        builder.build(self.doors.upstream.clone())
    }

    fn door(&self) -> &Door {
        if self.is_guarded { &self.doors.guarded } else { &self.doors.operator }
    }
}

impl Door {
    fn new(builder: &Builder, connector: HttpsConnector<Connector>, config: &Config) -> Self {
        let mut fresh = builder.clone();
        fresh.pool_max_idle_per_host(0);
        Self {
            fetcher: Fetcher::new(connector.clone(), config),
            pooled: builder.build(connector.clone()),
            fresh: fresh.build(connector.clone()),
            connector,
        }
    }
}

fn over_tls(tls: &ClientConfig, connector: Connector) -> HttpsConnector<Connector> {
    let https = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
    https.wrap_connector(connector)
}

fn builder(config: &Config) -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(config.pool_idle_timeout)
        .pool_max_idle_per_host(config.max_idle_per_host)
        .http1_max_buf_size(read_buffer(config));
    builder
}

fn read_buffer(config: &Config) -> usize {
    // hyper refuses a smaller buffer by panicking.
    const MIN_READ_BUFFER: u64 = 8 * 1024;
    let read_buffer = config.read_buffer.as_u64().clamp(MIN_READ_BUFFER, u64::from(u32::MAX));
    usize::try_from(read_buffer).unwrap_or(usize::MAX)
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

/// How long an answer asks to wait: `Retry-After` in seconds (RFC 9110 section 10.2.3); a date is not read.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
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
