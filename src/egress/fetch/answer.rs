//! The head of an answer (RFC 9112 sections 4 to 6).

use std::{fmt, mem::MaybeUninit, ops::Range};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};

use super::FetchError;

/// More than S3 and its likes ever send.
const MAX_HEADERS: usize = 100;
const MAX_LEN: usize = 64 * 1024;

/// The head of a final answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: Fields,
    pub(super) framing: Framing,
    /// Whether the connection may serve another request after the body.
    pub(super) is_kept: bool,
}

/// How the end of the body is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// By its last chunk.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// The headers of an answer, as they came. Few of them are asked for, each once: to look through the text for those
/// takes less than to sort all of them into a map.
pub struct Fields {
    text: Bytes,
    /// Where in it the names and values are.
    places: Vec<(Range<usize>, Range<usize>)>,
}

/// Takes a head from the front of the buffer; `None` while it is incomplete. Interim answers (1xx) are dropped.
pub(super) fn parse(buffer: &mut BytesMut, is_head: bool) -> Result<Option<Head>, FetchError> {
    loop {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let len = match parser.parse_response_with_uninit_headers(&mut response, buffer, &mut headers) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if buffer.len() < MAX_LEN => return Ok(None),
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Err(FetchError::Malformed("its head is too long"));
            }
            Err(_) => return Err(FetchError::Malformed("its head cannot be read")),
        };
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(FetchError::Malformed("its status"))?;
        match status.as_u16() {
            101 => return Err(FetchError::Malformed("it switches protocols unasked")),
            100..=199 => buffer.advance(len),
            _ => {
                let framing = framing(status, response.headers, is_head)?;
                let is_closing = values(response.headers, &CONNECTION).any(|value| has_token(value, "close"));
                let is_1_1 = response.version == Some(1);
                let place = |header: &httparse::Header<'_>| {
                    (range(buffer, header.name.as_bytes()), range(buffer, header.value))
                };
                let places = response.headers.iter().map(place).collect();
                return Ok(Some(Head {
                    status,
                    headers: Fields { places, text: buffer.split_to(len).freeze() },
                    framing,
                    is_kept: is_1_1 && !is_closing && matches!(framing, Framing::Length(_)),
                }));
            }
        }
    }
}

impl Fields {
    /// The first value of this name.
    pub fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        self.text.get(self.find(name)?)
    }

    /// The first value of this name; it shares the memory of the head.
    pub fn value(&self, name: &HeaderName) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(self.text.slice(self.find(name)?)).ok()
    }

    /// All of them that the map takes, which are all that are read.
    pub fn to_map(&self) -> HeaderMap {
        let read = |(name, value): &(Range<usize>, Range<usize>)| {
            let name = HeaderName::from_bytes(self.text.get(name.clone())?).ok()?;
            Some((name, HeaderValue::from_bytes(self.text.get(value.clone())?).ok()?))
        };
        let mut map = HeaderMap::with_capacity(self.places.len());
        for (name, value) in self.places.iter().filter_map(read) {
            map.append(name, value);
        }
        map
    }

    /// Where the first value of this name is.
    fn find(&self, name: &HeaderName) -> Option<Range<usize>> {
        let name = name.as_str().as_bytes();
        let is_it = |place: &Range<usize>| {
            // Most are told by the length of their names.
            place.len() == name.len()
                && self.text.get(place.clone()).is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        self.places.iter().find(|(own, _)| is_it(own)).map(|(_, value)| value.clone())
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields").field("len", &self.places.len()).finish_non_exhaustive()
    }
}

/// Where a part of the whole begins and ends.
fn range(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// RFC 9112 section 6.3. Where that lets a reader choose, the answer is refused.
fn framing(
    status: StatusCode,
    headers: &[httparse::Header<'_>],
    is_head: bool,
) -> Result<Framing, FetchError> {
    let mut lengths = values(headers, &CONTENT_LENGTH);
    let (length, another) = (lengths.next(), lengths.next());
    let mut codings = values(headers, &TRANSFER_ENCODING);
    let (coding, another_coding) = (codings.next(), codings.next());
    if another.is_some() || another_coding.is_some() || length.is_some() && coding.is_some() {
        return Err(FetchError::Ambiguous("it says more than once how long its body is"));
    }
    if is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::Length(0));
    }
    match (length, coding) {
        (Some(length), _) => decimal(length)
            .map(Framing::Length)
            .ok_or(FetchError::Ambiguous("its Content-Length is no number")),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (None, Some(_)) => Err(FetchError::Ambiguous("its Transfer-Encoding is not chunked")),
        (None, None) => Ok(Framing::Close),
    }
}

fn values<'a>(headers: &'a [httparse::Header<'_>], name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name.as_str())).map(|header| header.value)
}

/// Digits and nothing else: `parse` would take a sign.
fn decimal(text: &[u8]) -> Option<u64> {
    let is_plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_plain)?.parse().ok()
}

fn has_token(list: &[u8], token: &str) -> bool {
    list.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// The size of the next chunk, taken with its line (RFC 9112 section 7.1); `None` while it is incomplete.
pub(super) fn chunk_size(buffer: &mut BytesMut) -> Result<Option<u64>, FetchError> {
    /// A size and its extensions.
    const MAX_LINE: usize = 1024;
    match httparse::parse_chunk_size(buffer) {
        Ok(httparse::Status::Complete((len, size))) => {
            buffer.advance(len);
            Ok(Some(size))
        }
        Ok(httparse::Status::Partial) if buffer.len() < MAX_LINE => Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => Err(FetchError::Malformed("the size of a chunk")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str, is_head: bool) -> Result<Head, String> {
        let mut buffer = BytesMut::from(text);
        match parse(&mut buffer, is_head) {
            Ok(Some(head)) => Ok(head),
            Ok(None) => Err("incomplete".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_end_of_a_body_is_known_in_one_way_only() {
        for (status, lines, want) in [
            ("200", "Content-Length: 5\r\n", Ok((Framing::Length(5), true))),
            ("200", "content-length:5\r\nConnection: close\r\n", Ok((Framing::Length(5), false))),
            ("200", "Content-Length: 5\r\nConnection: x, Close\r\n", Ok((Framing::Length(5), false))),
            ("200", "Transfer-Encoding: Chunked\r\n", Ok((Framing::Chunked, false))),
            ("200", "", Ok((Framing::Close, false))),
            ("204", "", Ok((Framing::Length(0), true))),
            ("304", "Content-Length: 5\r\n", Ok((Framing::Length(0), true))),
            ("200", "Content-Length: 5\r\nContent-Length: 5\r\n", Err("more than once")),
            ("200", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err("more than once")),
            ("304", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err("more than once")),
            ("200", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", Err("more than once")),
            ("200", "Transfer-Encoding: gzip, chunked\r\n", Err("not chunked")),
            ("200", "Content-Length: 5, 5\r\n", Err("no number")),
            ("200", "Content-Length: +5\r\n", Err("no number")),
            ("200", "Content-Length: -5\r\n", Err("no number")),
            ("200", "Content-Length: 0x5\r\n", Err("no number")),
            ("200", "Content-Length:\r\n", Err("no number")),
            ("200", "Content-Length: 99999999999999999999\r\n", Err("no number")),
            ("200", "Content-Length : 5\r\n", Err("cannot be read")),
            ("101", "Upgrade: h2c\r\n", Err("unasked")),
        ] {
            let text = format!("HTTP/1.1 {status} Some Reason\r\n{lines}\r\nhello");
            match (head(&text, false), want) {
                (Ok(head), Ok(want)) => assert_eq!((head.framing, head.is_kept), want, "{lines:?}"),
                (Err(error), Err(want)) => assert!(error.contains(want), "{lines:?}: {error}"),
                (got, want) => panic!("{lines:?}: {got:?}, not {want:?}"),
            }
        }
    }

    #[test]
    fn heads() {
        for (text, is_head, want) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, Ok((200, Framing::Length(0), true))),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false, Ok((200, Framing::Length(5), false))),
            ("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", false, Ok((200, Framing::Length(5), true))),
            ("HTTP/1.1 200 OK\nContent-Length: 5\n\n", false, Ok((200, Framing::Length(5), true))),
            (
                "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
                false,
                Ok((404, Framing::Length(0), true)),
            ),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", false, Err("incomplete")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", false, Err("incomplete")),
            ("HTTP/1.1 2", false, Err("incomplete")),
            ("HTTP/2 200 OK\r\n\r\n", false, Err("cannot be read")),
            ("SSH-2.0-OpenSSH_9.2\r\n", false, Err("cannot be read")),
            ("\u{15}\u{3}\u{1}\0\u{2}\u{2}F", false, Err("cannot be read")),
            ("HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n", false, Err("cannot be read")),
            ("HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n", false, Err("cannot be read")),
        ] {
            match (head(text, is_head), want) {
                (Ok(head), Ok(want)) => {
                    assert_eq!((head.status.as_u16(), head.framing, head.is_kept), want, "{text:?}");
                }
                (Err(error), Err(want)) => assert!(error.contains(want), "{text:?}: {error}"),
                (got, want) => panic!("{text:?}: {got:?}, not {want:?}"),
            }
        }
    }

    #[test]
    fn a_head_without_end_is_refused() {
        for endless in [
            format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(MAX_LEN)),
            format!("HTTP/1.1 200 OK\r\n{}", "A: b\r\n".repeat(MAX_HEADERS + 1)),
        ] {
            assert!(head(&endless, false).unwrap_err().contains("too long"));
        }
    }

    #[test]
    fn what_follows_the_head_stays() {
        let mut buffer = BytesMut::from("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\nhello");
        let head = parse(&mut buffer, false).unwrap().unwrap();
        assert_eq!(head.headers.value(&http::header::ETAG).unwrap(), "\"a\"");
        assert_eq!(&buffer[..], b"hello");
    }

    #[test]
    fn headers_are_found_whatever_their_letters() {
        let text =
            "HTTP/1.1 200 OK\r\nCONTENT-length: 0\r\nx-a:\r\nX-A: two\r\nx-amz-meta-name: gr\u{fc}n \r\n\r\n";
        let headers = head(text, false).unwrap().headers;
        let of = |name: &'static str| HeaderName::from_static(name);
        assert_eq!(headers.get(&of("content-length")), Some(&b"0"[..]));
        assert_eq!(headers.get(&of("x-a")), Some(&b""[..]));
        assert_eq!(headers.get(&of("x-amz-meta-name")), Some("gr\u{fc}n".as_bytes()));
        assert_eq!(headers.value(&of("x-amz-meta-name")).unwrap().as_bytes(), "gr\u{fc}n".as_bytes());
        assert_eq!(headers.get(&of("x-amz-meta")), None);
        let map = headers.to_map();
        assert_eq!(map.get_all("x-a").iter().collect::<Vec<_>>(), ["", "two"]);
        assert_eq!((map.len(), map["content-length"].as_bytes()), (4, &b"0"[..]));
    }
}
