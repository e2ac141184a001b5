//! Whether the head of an HTTP/1 request says more than once how long its body is.
//!
//! Two lengths are how one server is made to see two requests where another sees one (RFC 9112 sections 6.1,
//! 6.3 and 11.2). hyper drops what it does not follow: a Content-Length beside a Transfer-Encoding, and every
//! Content-Length that repeats the first. That is allowed, but who sends such a request does not mean well,
//! and after parsing nobody can tell. So the raw bytes are looked at on their way in.

use memchr::memchr;

const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";

/// Longer than any name looked for.
const NAME_LEN: usize = 18;

/// What is known of a head, fed as its bytes come in.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    name: [u8; NAME_LEN],
    name_len: usize,
    place: Place,
    content_lengths: usize,
    transfer_encodings: usize,
}

/// What the head says of the length of the body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    /// At most once. Several Transfer-Encoding lines are one list.
    Single,
    /// More than once.
    Ambiguous,
}

/// Where in the head the next byte is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Place {
    /// Before the request line; empty lines there are skipped.
    #[default]
    Before,
    RequestLine,
    Name,
    Value,
    After,
}

impl HeadScan {
    /// Takes the next bytes; the framing, and what follows, once they contain the end of the head.
    pub(super) fn feed<'b>(&mut self, mut bytes: &'b [u8]) -> Option<(Framing, &'b [u8])> {
        while let Some((&byte, rest)) = bytes.split_first() {
            bytes = match self.place {
                Place::Before => {
                    if !matches!(byte, b'\r' | b'\n') {
                        self.place = Place::RequestLine;
                    }
                    rest
                }
                Place::RequestLine | Place::Value => {
                    let end = memchr(b'\n', bytes)?;
                    self.begin_name();
                    &bytes[end + 1..]
                }
                // Most names are told by their first byte.
                Place::Name
                    if self.name_len == 0 && !matches!(byte, b'c' | b'C' | b't' | b'T' | b'\r' | b'\n') =>
                {
                    self.place = Place::Value;
                    rest
                }
                Place::Name => {
                    self.take_name_byte(byte);
                    rest
                }
                Place::After => return None,
            };
            if self.place == Place::After {
                return Some((self.framing(), bytes));
            }
        }
        None
    }

    fn begin_name(&mut self) {
        self.place = Place::Name;
        self.name_len = 0;
    }

    fn take_name_byte(&mut self, byte: u8) {
        match byte {
            b'\n' if matches!(&self.name[..self.name_len], [] | [b'\r']) => self.place = Place::After,
            b'\n' => self.begin_name(),
            b':' => {
                let name = &self.name[..self.name_len];
                self.content_lengths += usize::from(name.eq_ignore_ascii_case(CONTENT_LENGTH));
                self.transfer_encodings += usize::from(name.eq_ignore_ascii_case(TRANSFER_ENCODING));
                self.place = Place::Value;
            }
            _ if self.name_len == NAME_LEN => self.place = Place::Value,
            _ => {
                self.name[self.name_len] = byte;
                self.name_len += 1;
            }
        }
    }

    fn framing(&self) -> Framing {
        if self.content_lengths + self.transfer_encodings.min(1) > 1 {
            Framing::Ambiguous
        } else {
            Framing::Single
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_framing_is_the_same_however_the_bytes_come_in() {
        for (head, want) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Some(Framing::Single)),
            ("GET / HTTP/1.1\r\n\r\n", Some(Framing::Single)),
            ("\r\n\r\nGET / HTTP/1.1\nHost: a\n\n", Some(Framing::Single)),
            ("PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nContent-Length: 3\r\n", Some(Framing::Single)),
            (
                "PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
                Some(Framing::Single),
            ),
            ("PUT / HTTP/1.1\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\n", Some(Framing::Ambiguous)),
            (
                "PUT / HTTP/1.1\r\nTRANSFER-ENCODING: chunked\r\nContent-Length: 3\r\n\r\n",
                Some(Framing::Ambiguous),
            ),
            (
                "PUT / HTTP/1.1\nContent-Length:3\nA:b\nTransfer-Encoding:chunked\n\n",
                Some(Framing::Ambiguous),
            ),
            (
                "GET / HTTP/1.1\r\nX-Content-Length: 3\r\nContent-Length-2: 3\r\nContent-Lengt: 1\r\n\r\n",
                Some(Framing::Single),
            ),
            ("GET / HTTP/1.1\r\nA: b\r\n", None),
            (
                "GET / HTTP/1.1\r\nA-name-that-is-longer-than-any: Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
                Some(Framing::Single),
            ),
        ] {
            for step in 1..=head.len() {
                let mut scan = HeadScan::default();
                let found = head.as_bytes().chunks(step).find_map(|chunk| scan.feed(chunk));
                assert_eq!(found.map(|(framing, _)| framing), want, "{head:?} in steps of {step}");
            }
        }
    }
}
