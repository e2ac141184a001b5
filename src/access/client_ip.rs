//! The address that a request is judged by.
//!
//! It is the socket's, unless the socket's peer is a trusted proxy: then it is the rightmost hop of the one
//! configured header that is not a trusted proxy itself. Everything left of that hop was written by somebody whom
//! nobody trusts, and is not looked at. The walk stops at the first hop that cannot be read and refuses the
//! request, since a proxy that hides its client must not lend the client its own address.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;
use serde::Deserialize;

use super::{
    error::Error,
    forwarded::{self, Hops},
    network::Networks,
};

/// The address of a client after trusted proxies; only [`client_ip`] makes one. Never an IPv4-mapped IPv6 address.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ClientIp(IpAddr);

/// The header that trusted proxies write the chain of addresses to. The other one is never read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: client, proxy`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy` (RFC 7239).
    Forwarded,
}

/// The peers that may speak for a client, and the header they do it in.
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    networks: Networks,
    header: ForwardedHeader,
}

impl ClientIp {
    /// The address.
    pub fn ip(self) -> IpAddr {
        self.0
    }
}

impl TrustedProxies {
    /// Without a network nobody is trusted, and no header is read.
    pub fn new(networks: &[IpNet], header: ForwardedHeader) -> Self {
        Self { networks: Networks::new(networks), header }
    }

    /// Whether this peer may speak for a client.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.networks.contains(ip)
    }

    /// The header they do it in.
    pub fn header(&self) -> ForwardedHeader {
        self.header
    }
}

/// Finds the client of a request that came from `peer`.
///
/// An absent header means that the proxy speaks for itself. Fails with [`Error::ForwardedMalformed`] when the walk
/// meets a hop that is no address (also `unknown` and the obfuscated names of RFC 7239), or more than 32 of them.
pub fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> Result<ClientIp, Error> {
    let peer = peer.to_canonical();
    if !trusted.trusts(peer) {
        return Ok(ClientIp(peer));
    }
    let hops = match trusted.header {
        ForwardedHeader::XForwardedFor => forwarded::x_forwarded_for(headers)?,
        ForwardedHeader::Forwarded => forwarded::forwarded(headers)?,
    };
    walk(peer, hops, trusted).map(ClientIp)
}

fn walk(peer: IpAddr, hops: Hops<'_>, trusted: &TrustedProxies) -> Result<IpAddr, Error> {
    let mut client = peer;
    for (walked, hop) in hops.enumerate() {
        if walked == MAX_HOPS {
            return Err(Error::ForwardedMalformed);
        }
        client = hop.ok_or(Error::ForwardedMalformed)?.to_canonical();
        if !trusted.trusts(client) {
            break;
        }
    }
    Ok(client)
}

const MAX_HOPS: usize = 32;

#[cfg(test)]
mod tests;
