//! The header of the PROXY protocol, versions 1 and 2, at the start of a connection.
//!
//! A pure reading of bytes: whether there is a header, how long it is, and whom it names. Who may send one is
//! decided elsewhere. Framing is done here, so that the parser only ever sees one whole header.
//! Source: haproxy.org, "The PROXY protocol, versions 1 & 2".

use std::net::SocketAddr;

use ppp::{v1, v2};

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Header {
    /// The start of a header, or nothing yet.
    Partial,
    /// Something else.
    Absent,
    /// A header of `len` bytes. No source where the proxy speaks for itself or cannot tell.
    Complete {
        /// Bytes to take off.
        len: usize,
        /// The client, as the proxy saw it.
        source: Option<SocketAddr>,
    },
    /// A header that is not one.
    Malformed,
}

/// The longest version 1 header with its line end.
const V1_MAX_LEN: usize = 107;

/// Version 2 allows 64 KiB of extensions; proxies send a few hundred bytes.
const V2_MAX_LEN: usize = 4096;

/// The fixed part of a version 2 header.
const V2_PREFIX_LEN: usize = 16;

const V1_SIGNATURE: &[u8] = b"PROXY ";

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        if bytes.starts_with(V1_SIGNATURE) {
            Self::parse_v1(bytes)
        } else if bytes.starts_with(v2::PROTOCOL_PREFIX) {
            Self::parse_v2(bytes)
        } else if V1_SIGNATURE.starts_with(bytes) || v2::PROTOCOL_PREFIX.starts_with(bytes) {
            Self::Partial
        } else {
            Self::Absent
        }
    }

    fn parse_v1(bytes: &[u8]) -> Self {
        let window = bytes.get(..V1_MAX_LEN).unwrap_or(bytes);
        let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
            return if bytes.len() < V1_MAX_LEN { Self::Partial } else { Self::Malformed };
        };
        let line = &bytes[..end + 2];
        // The parser takes a lone CR for a space and a plus sign for part of a port.
        if line[..end].iter().any(|byte| matches!(byte, b'\r' | b'\n' | b'+')) {
            return Self::Malformed;
        }
        let source = match v1::Header::try_from(line).map(|header| header.addresses) {
            Ok(v1::Addresses::Unknown) => None,
            Ok(v1::Addresses::Tcp4(pair)) => Some((pair.source_address, pair.source_port).into()),
            Ok(v1::Addresses::Tcp6(pair)) => Some((pair.source_address, pair.source_port).into()),
            Err(_) => return Self::Malformed,
        };
        Self::Complete { len: line.len(), source }
    }

    fn parse_v2(bytes: &[u8]) -> Self {
        let Some(&[.., high, low]) = bytes.get(..V2_PREFIX_LEN) else { return Self::Partial };
        let len = V2_PREFIX_LEN + usize::from(u16::from_be_bytes([high, low]));
        if len > V2_MAX_LEN {
            return Self::Malformed;
        }
        let Some(header) = bytes.get(..len) else { return Self::Partial };
        let Ok(header) = v2::Header::try_from(header) else { return Self::Malformed };
        let source = match (header.command, header.protocol, header.addresses) {
            (v2::Command::Local, ..) | (_, _, v2::Addresses::Unspecified) => None,
            (v2::Command::Proxy, v2::Protocol::Stream, v2::Addresses::IPv4(pair)) => {
                Some((pair.source_address, pair.source_port).into())
            }
            (v2::Command::Proxy, v2::Protocol::Stream, v2::Addresses::IPv6(pair)) => {
                Some((pair.source_address, pair.source_port).into())
            }
            // A client without an IP address must not pass for the proxy itself.
            (v2::Command::Proxy, ..) => return Self::Malformed,
        };
        Self::Complete { len, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2_header(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = v2::PROTOCOL_PREFIX.to_vec();
        header.extend([command, family]);
        header.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        header.extend(payload);
        header
    }

    fn complete(len: usize, source: &str) -> Header {
        Header::Complete { len, source: Some(source.parse().unwrap()) }
    }

    #[test]
    fn version_1() {
        let unknown = b"PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n";
        let long = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
        let longest = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 91], b"\r\n"].concat();
        for (bytes, want) in [
            (b"PROXY TCP4 192.0.2.9 10.0.0.1 4711 80\r\nGET /".as_slice(), complete(39, "192.0.2.9:4711")),
            (b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n", complete(36, "[2001:db8::1]:4711")),
            (b"PROXY UNKNOWN\r\n", Header::Complete { len: 15, source: None }),
            (unknown, Header::Complete { len: 41, source: None }),
            (&longest, Header::Complete { len: 107, source: None }),
            (b"", Header::Partial),
            (b"PRO", Header::Partial),
            (b"PROXY TCP4 192.0.2.9 10.0.0.1 4711 80", Header::Partial),
            (b"PROXY TCP4 192.0.2.9 10.0.0.1 4711 80\r", Header::Partial),
            (b"PRI * HTTP/2.0\r\n", Header::Absent),
            (b"GET / HTTP/1.1\r\n", Header::Absent),
            (b"proxy TCP4 192.0.2.9 10.0.0.1 1 2\r\n", Header::Absent),
            (b"PROXY TCP4 192.0.2.9 10.0.0.1 4711\r\n", Header::Malformed),
            (b"PROXY TCP4 192.0.2.9 10.0.0.1 4711 80 9\r\n", Header::Malformed),
            (b"PROXY TCP4 192.0.2.9 10.0.0.1 +711 80\r\n", Header::Malformed),
            (b"PROXY TCP4 192.0.2.9 10.0.0.1 65536 80\r\n", Header::Malformed),
            (b"PROXY TCP4 192.0.2.999 10.0.0.1 1 2\r\n", Header::Malformed),
            (b"PROXY TCP4 ::1 ::1 1 2\r\n", Header::Malformed),
            (b"PROXY TCP4\r192.0.2.9 10.0.0.1 1 2\r\n", Header::Malformed),
            (b"PROXY TCP4  192.0.2.9 10.0.0.1 1 2\r\n", Header::Malformed),
            (b"PROXY UDP4 192.0.2.9 10.0.0.1 1 2\r\n", Header::Malformed),
            (b"PROXY \r\n", Header::Malformed),
            (b"PROXY TCP4 192.0.2.9 10.0.0.1 1 2\n\r\n", Header::Malformed),
            (&long, Header::Malformed),
        ] {
            assert_eq!(Header::parse(bytes), want, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn version_2() {
        let v4 = [192, 0, 2, 9, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        v6[15] = 1;
        v6[32..34].copy_from_slice(&[0x12, 0x67]);
        let with_extension = [v4.as_slice(), &[0x04, 0, 1, 0]].concat();
        let none = |len| Header::Complete { len, source: None };
        for (name, bytes, want) in [
            ("tcp4", v2_header(0x21, 0x11, &v4), complete(28, "192.0.2.9:4711")),
            ("tcp6", v2_header(0x21, 0x21, &v6), complete(52, "[2001:db8::1]:4711")),
            ("extension", v2_header(0x21, 0x11, &with_extension), complete(32, "192.0.2.9:4711")),
            ("local", v2_header(0x20, 0x00, &[]), none(16)),
            ("local with an address", v2_header(0x20, 0x11, &v4), none(28)),
            ("unspecified", v2_header(0x21, 0x00, &[1, 2, 3]), none(19)),
            ("unix", v2_header(0x21, 0x31, &[0; 216]), Header::Malformed),
            ("udp4", v2_header(0x21, 0x12, &v4), Header::Malformed),
            ("no transport", v2_header(0x21, 0x10, &v4), Header::Malformed),
            ("short address", v2_header(0x21, 0x11, &v4[..11]), Header::Malformed),
            ("version 1 in binary", v2_header(0x11, 0x11, &v4), Header::Malformed),
            ("command 2", v2_header(0x22, 0x11, &v4), Header::Malformed),
            ("too long", v2_header(0x21, 0x11, &[0; 5000]), Header::Malformed),
        ] {
            assert_eq!(Header::parse(&bytes), want, "{name}");
        }
        let whole = v2_header(0x21, 0x11, &v4);
        for len in 0..whole.len() {
            assert_eq!(Header::parse(&whole[..len]), Header::Partial, "{len} bytes");
        }
    }
}
