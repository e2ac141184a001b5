//! The head of an answer (RFC 9112 sections 4 to 6).

use std::{mem::MaybeUninit, ops::Range};

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
    pub(super) headers: HeaderMap,
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

/// Takes a head from the front of the buffer; `None` while it is incomplete. Interim answers (1xx) are dropped.
pub(super) fn parse(buffer: &mut BytesMut, is_head: bool) -> Result<Option<Head>, FetchError> {
    loop {
        let Some(lines) = Lines::parse(buffer)? else { return Ok(None) };
        let head = buffer.split_to(lines.len).freeze();
        match lines.status.as_u16() {
            101 => return Err(FetchError::Malformed("it switches protocols unasked")),
            100..=199 => {}
            _ => return lines.read(&head, is_head).map(Some),
        }
    }
}

/// Where in the buffer the parts of a head are.
struct Lines {
    len: usize,
    status: StatusCode,
    is_1_1: bool,
    headers: Vec<(Range<usize>, Range<usize>)>,
}

impl Lines {
    fn parse(buffer: &[u8]) -> Result<Option<Self>, FetchError> {
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
        let place = |header: &httparse::Header<'_>| {
            (range(buffer, header.name.as_bytes()), range(buffer, header.value))
        };
        Ok(Some(Self {
            len,
            status: status.ok_or(FetchError::Malformed("its status"))?,
            is_1_1: response.version == Some(1),
            headers: response.headers.iter().map(place).collect(),
        }))
    }

    /// The values share the memory of the head.
    fn read(self, head: &Bytes, is_head: bool) -> Result<Head, FetchError> {
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in self.headers {
            let name = head.get(name).and_then(|name| HeaderName::from_bytes(name).ok());
            let value = HeaderValue::from_maybe_shared(head.slice(value)).ok();
            let (name, value) = name.zip(value).ok_or(FetchError::Malformed("a header of it"))?;
            headers.append(name, value);
        }
        let framing = framing(self.status, &headers, is_head)?;
        let is_closing = headers.get_all(CONNECTION).iter().any(|value| has_token(value, "close"));
        Ok(Head {
            status: self.status,
            framing,
            is_kept: self.is_1_1 && !is_closing && matches!(framing, Framing::Length(_)),
            headers,
        })
    }
}

/// Where a part of the whole begins and ends.
fn range(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// RFC 9112 section 6.3. Where that lets a reader choose, the answer is refused.
fn framing(status: StatusCode, headers: &HeaderMap, is_head: bool) -> Result<Framing, FetchError> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let (length, another) = (lengths.next(), lengths.next());
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let (coding, another_coding) = (codings.next(), codings.next());
    if another.is_some() || another_coding.is_some() || length.is_some() && coding.is_some() {
        return Err(FetchError::Ambiguous("it says more than once how long its body is"));
    }
    if is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::Length(0));
    }
    match (length, coding) {
        (Some(length), _) => decimal(length.as_bytes())
            .map(Framing::Length)
            .ok_or(FetchError::Ambiguous("its Content-Length is no number")),
        (None, Some(coding)) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (None, Some(_)) => Err(FetchError::Ambiguous("its Transfer-Encoding is not chunked")),
        (None, None) => Ok(Framing::Close),
    }
}

/// Digits and nothing else: `parse` would take a sign.
fn decimal(text: &[u8]) -> Option<u64> {
    let is_plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_plain)?.parse().ok()
}

fn has_token(value: &HeaderValue, token: &str) -> bool {
    value.to_str().is_ok_and(|list| list.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
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
        assert_eq!(head.headers[http::header::ETAG], "\"a\"");
        assert_eq!(&buffer[..], b"hello");
    }
}
