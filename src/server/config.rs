//! What a listener can be told, with defaults that hold in front of the open internet.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use bytesize::ByteSize;
use serde::Deserialize;

/// hyper takes no smaller buffer.
const MIN_BUFFER_LEN: usize = 8192;

/// One listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Certificate and key; plain text where absent.
    pub tls: Option<TlsConfig>,
    /// Whether a trusted proxy in front speaks the PROXY protocol.
    pub proxy_protocol: ProxyProtocol,
    /// From the accepted connection, or from the first byte of a later request, to the end of the head.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// From the first byte of TLS to the end of the handshake.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
    /// A connection without a request is closed after this long.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// A client that takes no byte for this long is cut.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// Connections at once; one more is answered 503.
    pub max_connections: usize,
    /// Connections at once from one client address; one more is answered 429. 0 is no limit.
    pub max_connections_per_client: usize,
    /// Request line and headers together.
    pub max_header_bytes: ByteSize,
    /// From the soft to the hard step of the shutdown.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub h2_max_streams: u32,
    /// Bytes that one connection may hold unsent; what bounds memory when clients stop reading.
    pub write_buffer: ByteSize,
}

/// Where the certificate is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM: the certificate, then the chain.
    pub certificate_file: PathBuf,
    /// PEM: the private key of the certificate.
    pub key_file: PathBuf,
}

/// Whether connections begin with a PROXY protocol header, version 1 or 2.
///
/// Only trusted peers may send one; anybody else who does is cut.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// Never looked for.
    #[default]
    Off,
    /// Believed where a trusted peer sends one.
    Optional,
    /// A connection without one is cut.
    Required,
}

impl Config {
    /// `write_buffer` in bytes, at least what hyper needs.
    pub(super) fn write_buffer_len(&self) -> usize {
        usize::try_from(self.write_buffer.as_u64()).unwrap_or(usize::MAX).max(MIN_BUFFER_LEN)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            tls: None,
            proxy_protocol: ProxyProtocol::Off,
            header_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_mins(1),
            max_connections: 10_000,
            max_connections_per_client: 512,
            max_header_bytes: ByteSize::kib(16),
            drain_timeout: Duration::from_secs(30),
            h2_max_streams: 100,
            write_buffer: ByteSize::kib(16),
        }
    }
}
