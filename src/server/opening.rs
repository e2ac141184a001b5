//! The first bytes of a connection: who is it, is it encrypted, and which HTTP does it speak.
//!
//! In this order: the PROXY protocol header where one is expected, then the TLS handshake or, in plain text,
//! the preface by which a client says that it speaks HTTP/2 without having asked.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use tokio::time::{timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::{
    Config, Outcome, Peer, ProxyProtocol,
    proxy_protocol::Header,
    wire::{Transport, Wire},
};

/// What HTTP/2 clients send first (RFC 9113 section 3.4).
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The HTTP a connection speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// A connection that is ready for HTTP.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) peer: Peer,
    pub(super) transport: Transport,
    pub(super) version: Version,
}

/// Opens a connection that began at `begun`; the error tells how it ended instead.
pub(super) async fn open(
    mut wire: Wire,
    addr: SocketAddr,
    config: &Config,
    tls: Option<&TlsAcceptor>,
    trusted: &impl Fn(IpAddr) -> bool,
) -> Result<Opened, Outcome> {
    let deadline = wire.begun() + config.header_timeout;
    let mut peer = Peer { addr, tls: tls.is_some(), via_proxy_protocol: false };
    let source = timeout_at(deadline, read_header(&mut wire, config.proxy_protocol, trusted(addr.ip())))
        .await
        .map_err(|_| Outcome::HeaderTimedOut)??;
    if let Some(addr) = source {
        peer = Peer { addr, via_proxy_protocol: true, ..peer };
    }
    let (transport, version) = if let Some(tls) = tls {
        let stream = timeout(config.handshake_timeout, tls.accept(wire))
            .await
            .map_err(|_| Outcome::HandshakeTimedOut)?
            .map_err(|_| Outcome::HandshakeFailed)?;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        (Transport::Tls(Box::new(stream)), if h2 { Version::Http2 } else { Version::Http1 })
    } else {
        let version = timeout_at(deadline, read_preface(&mut wire))
            .await
            .map_err(|_| Outcome::HeaderTimedOut)?
            .map_err(|_| Outcome::Failed)?;
        (Transport::Plain(wire), version)
    };
    Ok(Opened { peer, transport, version })
}

async fn read_header(
    wire: &mut Wire,
    mode: ProxyProtocol,
    trusted: bool,
) -> Result<Option<SocketAddr>, Outcome> {
    match (mode, trusted) {
        (ProxyProtocol::Off, _) => return Ok(None),
        (ProxyProtocol::Required, false) => return Err(Outcome::ProxyHeaderRefused),
        (ProxyProtocol::Optional, _) | (ProxyProtocol::Required, true) => {}
    }
    loop {
        match Header::parse(wire.early()) {
            Header::Absent if mode == ProxyProtocol::Required => return Err(Outcome::ProxyHeaderRefused),
            Header::Absent => return Ok(None),
            Header::Malformed => return Err(Outcome::ProxyHeaderRefused),
            Header::Complete { .. } if !trusted => return Err(Outcome::ProxyHeaderRefused),
            Header::Complete { len, source } => {
                wire.consume(len);
                return Ok(source);
            }
            Header::Partial => match wire.read_early().await {
                Ok(0) => return Err(Outcome::Closed),
                Ok(_) => {}
                Err(_) => return Err(Outcome::Failed),
            },
        }
    }
}

async fn read_preface(wire: &mut Wire) -> io::Result<Version> {
    loop {
        let early = wire.early();
        if early.starts_with(H2_PREFACE) {
            return Ok(Version::Http2);
        }
        if !H2_PREFACE.starts_with(early) || wire.read_early().await? == 0 {
            return Ok(Version::Http1);
        }
    }
}
