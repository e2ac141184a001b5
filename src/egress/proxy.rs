//! Through a proxy to the outside: CONNECT for every origin, with TLS or without.
//!
//! A CONNECT for plain HTTP too means that the proxy sees no request, no presigned URL and no signature. Never
//! through the proxy goes what is this machine's own or its link's: there a proxy would reach its own neighbours
//! instead, and the metadata service that answers would hand out the credentials of the proxy's machine.

use std::{fmt, io, net::SocketAddr, time::Duration};

use http::{Uri, uri::Scheme};
use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, proxy::Tunnel},
        proxy::matcher::Matcher,
    },
    rt::TokioIo,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpStream;
use tower_service::Service as _;

use super::{
    Config, Error,
    connect::{BoxError, Resolver, tcp},
};

/// The configured proxy and the origins that it serves.
pub(super) struct Proxy {
    tunnel: Tunnel<HttpConnector<Resolver>>,
    matcher: Matcher,
    timeout: Duration,
}

/// Always direct.
const OWN: &str = "localhost,127.0.0.0/8,::1/128,169.254.0.0/16,fe80::/10,fd00:ec2::/32";

impl Proxy {
    /// `None` where none is configured.
    pub(super) fn build(config: &Config) -> Result<Option<Self>, Error> {
        let Some(url) = url(config)? else { return Ok(None) };
        check(url.expose_secret())?;
        let no_proxy = no_proxy(&config.no_proxy)?;
        let matcher = Matcher::builder().all(url.expose_secret()).no(no_proxy).build();
        // Asked for an origin that nobody can except.
        let found = Matcher::builder().all(url.expose_secret()).build();
        let found =
            found.intercept(&Uri::from_static("https://proxied.invalid")).ok_or(Error::ProxyInvalid)?;
        let mut tunnel = Tunnel::new(found.uri().clone(), tcp(config, Resolver::system())?);
        if let Some(auth) = found.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        Ok(Some(Self { tunnel, matcher, timeout: config.connect_timeout * 2 }))
    }

    /// Whether connections to this origin go through the proxy.
    pub(super) fn serves(&self, destination: &Uri) -> bool {
        self.matcher.intercept(destination).is_some()
    }

    /// Connects to a host that the proxy resolves, in twice the time that a connection may take.
    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<TokioIo<TcpStream>, BoxError> {
        let destination = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(format!("{host}:{port}"))
            .path_and_query("/")
            .build()?;
        let mut tunnel = self.tunnel.clone();
        match tokio::time::timeout(self.timeout, tunnel.call(destination)).await {
            Ok(connection) => Ok(connection?),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the proxy did not answer in time").into()),
        }
    }

    /// Connects to the first of the addresses that the proxy reaches.
    pub(super) async fn connect_to_any(
        &self,
        addresses: &[SocketAddr],
        port: u16,
    ) -> Result<TokioIo<TcpStream>, BoxError> {
        const TRIES: usize = 3;
        let mut failure: BoxError = io::Error::other("the name has no address").into();
        for address in addresses.iter().take(TRIES) {
            // With brackets where the address needs them.
            let host = SocketAddr::new(address.ip(), port).to_string();
            let host = host.rsplit_once(':').map_or(host.as_str(), |(host, _)| host);
            match self.connect(host, port).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

fn url(config: &Config) -> Result<Option<SecretString>, Error> {
    match (&config.proxy, &config.proxy_file) {
        (Some(_), Some(_)) => Err(Error::ProxyTwice),
        (Some(url), None) => Ok(Some(url.clone())),
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text.trim().to_owned().into())),
            Err(source) => Err(Error::ProxyFileUnreadable { path: path.clone(), source }),
        },
        (None, None) => Ok(None),
    }
}

/// What the matcher would pass over in silence, and connect past the proxy.
fn check(url: &str) -> Result<(), Error> {
    let url: Uri = url.parse().map_err(|_| Error::ProxyInvalid)?;
    let is_plain = matches!(url.path(), "" | "/") && url.query().is_none();
    let has_host = url.host().is_some_and(|host| !host.is_empty());
    if url.scheme() == Some(&Scheme::HTTP) && has_host && is_plain {
        Ok(())
    } else {
        Err(Error::ProxyInvalid)
    }
}

fn no_proxy(entries: &[String]) -> Result<String, Error> {
    let is_entry = |entry: &str| {
        let is_name = entry.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let is_network = entry.parse::<ipnet::IpNet>().is_ok() || entry.parse::<std::net::IpAddr>().is_ok();
        !entry.is_empty() && (is_name || is_network)
    };
    match entries.iter().find(|entry| !is_entry(entry)) {
        Some(entry) => Err(Error::NoProxyInvalid { entry: entry.clone() }),
        None => Ok(format!("{OWN},{}", entries.join(","))),
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
