//! Making one connection: resolve, check, and connect, directly or through the proxy.
//!
//! The check stands between the resolver and the socket. A name is resolved once, and what came of it is what
//! is connected to, so that a name server that answers otherwise the second time is not asked a second time. A
//! host that is an address already is never resolved, and is checked all the same.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use http::Uri;
use hyper_util::{
    client::legacy::connect::{HttpConnector, dns::Name},
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower_service::Service;

use super::{Config, Error, guard::Guard, proxy::Proxy, source_addresses};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Makes TCP connections, as the hyper client asks for them.
#[derive(Clone, Debug)]
pub struct Connector {
    tcp: HttpConnector<Resolver>,
    resolver: Resolver,
    proxy: Option<Arc<Proxy>>,
}

impl Connector {
    pub(super) fn build(
        config: &Config,
        resolver: Resolver,
        proxy: Option<Arc<Proxy>>,
    ) -> Result<Self, Error> {
        Ok(Self { tcp: tcp(config, resolver.clone())?, resolver, proxy })
    }

    async fn connect(mut self, destination: Uri) -> Result<TokioIo<TcpStream>, BoxError> {
        let host = destination.host().ok_or_else(|| io::Error::other("the URL has no host"))?;
        let proxy = self.proxy.as_ref().filter(|proxy| proxy.serves(&destination));
        match (proxy, self.resolver.guard.is_some()) {
            (None, _) => {
                // The TCP connector does not resolve an address, and so would not have it checked.
                if let Some(address) = literal(host) {
                    self.resolver.check(address)?;
                }
                Ok(self.tcp.call(destination).await?)
            }
            (Some(proxy), false) => proxy.connect(host, port(&destination)).await,
            // The proxy would resolve the name again, and to something else: it is told the address.
            (Some(proxy), true) => {
                let addresses = self.resolver.addresses(host).await?;
                proxy.connect_to_any(&addresses, port(&destination)).await
            }
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        Box::pin(self.clone().connect(destination))
    }
}

pub(super) fn tcp(config: &Config, resolver: Resolver) -> Result<HttpConnector<Resolver>, Error> {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(config.connect_timeout));
    match source_addresses(&config.source_addresses)? {
        (None, None) => {}
        (Some(v4), None) => tcp.set_local_address(Some(v4.into())),
        (None, Some(v6)) => tcp.set_local_address(Some(v6.into())),
        (Some(v4), Some(v6)) => tcp.set_local_addresses(v4, v6),
    }
    Ok(tcp)
}

fn port(destination: &Uri) -> u16 {
    let by_scheme = if destination.scheme_str() == Some("https") { 443 } else { 80 };
    destination.port_u16().unwrap_or(by_scheme)
}

/// An address that stands where a name may stand.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

type Lookup = dyn Fn(String) -> BoxFuture<Vec<SocketAddr>> + Send + Sync;

/// Resolves names, and gives out no address that the guard refuses.
#[derive(Clone)]
pub(super) struct Resolver {
    lookup: Arc<Lookup>,
    guard: Option<Arc<Guard>>,
}

impl Resolver {
    /// The system's.
    pub(super) fn system() -> Self {
        Self::new(|host| Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) }))
    }

    pub(super) fn new(lookup: impl Fn(String) -> BoxFuture<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self { lookup: Arc::new(lookup), guard: None }
    }

    pub(super) fn guarded(&self, guard: Guard) -> Self {
        Self { lookup: Arc::clone(&self.lookup), guard: Some(Arc::new(guard)) }
    }

    async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, BoxError> {
        let addresses = match literal(host) {
            Some(address) => vec![SocketAddr::new(address, 0)],
            None => (self.lookup)(host.to_owned()).await?,
        };
        for address in &addresses {
            self.check(address.ip())?;
        }
        Ok(addresses)
    }

    fn check(&self, address: IpAddr) -> Result<(), BoxError> {
        match &self.guard {
            Some(guard) => Ok(guard.check(address)?),
            None => Ok(()),
        }
    }
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move { Ok(resolver.addresses(name.as_str()).await?.into_iter()) })
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("guard", &self.guard).finish_non_exhaustive()
    }
}
