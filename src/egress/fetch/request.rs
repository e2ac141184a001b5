//! The head of a request, written once and as it is sent (RFC 9112 sections 2.1, 3 and 5).

use std::fmt;

use http::Method;

use super::FetchError;

/// A request without a body, ready to be sent.
pub struct RequestHead {
    text: Vec<u8>,
    pub(super) is_head: bool,
}

/// Takes the headers of a request, in their order.
pub struct Headers<'a> {
    text: &'a mut Vec<u8>,
    is_sound: bool,
}

impl RequestHead {
    /// `GET` or `HEAD` of a path and query that are encoded, with the headers that `write` puts; `host` among them.
    pub fn build(
        method: &Method,
        target: &str,
        write: impl FnOnce(&mut Headers<'_>),
    ) -> Result<Self, FetchError> {
        // Callers encode what they ask for; nothing else would be the place to find out that one did not.
        if !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(FetchError::Malformed("the target of the request"));
        }
        let mut text = Vec::with_capacity(LEN + target.len());
        append(&mut text, &[method.as_str(), " ", target, " HTTP/1.1\r\n"]);
        let mut headers = Headers { text: &mut text, is_sound: true };
        write(&mut headers);
        if !headers.is_sound {
            return Err(FetchError::Malformed("a header of the request"));
        }
        append(&mut text, &["\r\n"]);
        Ok(Self { text, is_head: method == Method::HEAD })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

impl Headers<'_> {
    /// Adds a header, its value in parts. A value that would be read as more than that fails the request.
    pub fn put(&mut self, name: &'static str, value: &[&str]) {
        let is_plain = |part: &&str| !part.bytes().fold(false, |any, byte| any | byte.is_ascii_control());
        self.is_sound &= value.iter().all(is_plain);
        append(self.text, &[name, ": "]);
        append(self.text, value);
        append(self.text, &["\r\n"]);
    }
}

fn append(text: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        text.extend_from_slice(part.as_bytes());
    }
}

/// What the line and the headers of a signed request take without the target, where there is no session token.
const LEN: usize = 640;

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the text, which holds credentials.
        f.debug_struct("RequestHead").finish_non_exhaustive()
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Headers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_one_request_is_sent() {
        for (target, value, want) in [
            ("/a%20b?x=1", "one", Ok("HEAD /a%20b?x=1 HTTP/1.1\r\nhost: s3.test\r\nx-two: one-two\r\n\r\n")),
            ("a", "one", Err("target")),
            ("", "one", Err("target")),
            ("/a b", "one", Err("target")),
            ("/\u{e9}", "one", Err("target")),
            ("/a\r\nX: y", "one", Err("target")),
            ("/a", "one\r\nX: y\r\n", Err("header")),
            ("/a", "one\ntwo", Err("header")),
            ("/a", "\0", Err("header")),
        ] {
            let head = RequestHead::build(&Method::HEAD, target, |headers| {
                headers.put("host", &["s3.test"]);
                headers.put("x-two", &[value, "-two"]);
            });
            match (head, want) {
                (Ok(head), Ok(want)) => assert_eq!(std::str::from_utf8(head.as_bytes()).unwrap(), want),
                (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{target:?}: {error}"),
                (got, want) => panic!("{target:?}: {got:?}, not {want:?}"),
            }
        }
    }
}
