//! Where a request carries its token.
//!
//! A bearer, else the query parameter `token`, else the cookie. The first place that has something is the one that
//! counts: a bad token there is an error and never a reason to look at the next place, since whoever can set a
//! cookie must not be able to stand in for a header that was refused. Two in one place are refused, too.

use std::{borrow::Cow, fmt};

use http::{HeaderMap, HeaderValue, header};

use super::{
    error::Error,
    verifier::{Verifier, looks_like_ours},
};

/// The name of the cookie that carries a token.
pub const COOKIE: &str = "mediagate_token";

/// The name of the cookie by which the gateway tells itself what the application permitted.
pub const PERMISSION_COOKIE: &str = "mediagate_task";

/// A token as it was presented; nothing of it is verified, and it cannot be printed.
pub struct Presented<'a> {
    text: Cow<'a, str>,
    source: TokenSource,
}

/// Where a token was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenSource {
    /// `Authorization: Bearer`.
    Header,
    /// The query parameter `token`.
    Query,
    /// The cookie [`COOKIE`].
    Cookie,
}

/// Finds the token of a request.
///
/// Fails with [`Error::TokenMissing`] where there is none, [`Error::TokenAmbiguous`] where one place has two, and
/// [`Error::TokenMalformed`] where it cannot be text.
pub fn present<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Result<Presented<'a>, Error> {
    if let Some(text) = bearer(headers)? {
        return Ok(Presented { text: text.into(), source: TokenSource::Header });
    }
    beside_header(headers, query)?.ok_or(Error::TokenMissing)
}

/// As [`present`], before an application that has bearers of its own: one that is none of ours does not count.
pub fn present_ours<'a>(
    headers: &'a HeaderMap,
    query: Option<&'a str>,
    verifier: &Verifier,
) -> Result<Option<Presented<'a>>, Error> {
    if has_bearer_of_ours(headers, verifier)
        && let Some(text) = bearer(headers)?
    {
        return Ok(Some(Presented { text: text.into(), source: TokenSource::Header }));
    }
    beside_header(headers, query)
}

/// What the gateway told itself in [`PERMISSION_COOKIE`]; two of them are none, since one may be somebody else's.
pub fn permission_cookie(headers: &HeaderMap) -> Option<Presented<'_>> {
    let text = cookie(headers, PERMISSION_COOKIE).ok().flatten()?;
    Some(Presented { text: text.into(), source: TokenSource::Cookie })
}

/// The cookies of a request in one line, without those of the gateway; `None` where no others are left.
pub fn cookies_without_ours(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(header::COOKIE).iter();
    if let (Some(line), None) = (lines.next(), lines.next())
        && memchr::memmem::find(line.as_bytes(), OUR_PREFIX).is_none()
    {
        return Some(line.clone());
    }
    let lines = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    let ours = |pair: &[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().map(<[u8]>::trim_ascii);
        name.is_some_and(|name| name == COOKIE.as_bytes() || name == PERMISSION_COOKIE.as_bytes())
    };
    let kept: Vec<&[u8]> = pairs.filter(|pair| !pair.is_empty() && !ours(pair)).collect();
    HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok().filter(|line| !line.is_empty())
}

impl Presented<'_> {
    /// A token that was given by hand, as if in a header.
    pub fn from_text(text: &str) -> Presented<'_> {
        Presented { text: text.into(), source: TokenSource::Header }
    }

    /// Where it was found.
    pub fn source(&self) -> TokenSource {
        self.source
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").field("source", &self.source).finish_non_exhaustive()
    }
}

/// The token of the query, or else of the cookie.
fn beside_header<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Result<Option<Presented<'a>>, Error> {
    if let Some(text) = query.map(from_query).transpose()?.flatten() {
        return Ok(Some(Presented { text, source: TokenSource::Query }));
    }
    let text = cookie(headers, COOKIE)?;
    Ok(text.map(|text| Presented { text: text.into(), source: TokenSource::Cookie }))
}

/// The bearer. Other schemes are credentials of the application behind us; beside a bearer they are ambiguous.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let lines = headers.get_all(header::AUTHORIZATION);
    if !lines.iter().any(|line| is_bearer(line.as_bytes())) {
        return Ok(None);
    }
    let mut lines = lines.iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Err(Error::TokenAmbiguous) };
    let text = line.to_str().map_err(|_| Error::TokenMalformed)?;
    Ok(text.get(SCHEME.len()..).map(str::trim))
}

fn has_bearer_of_ours(headers: &HeaderMap, verifier: &Verifier) -> bool {
    headers.get_all(header::AUTHORIZATION).iter().filter(|line| is_bearer(line.as_bytes())).any(|line| {
        let token = line.to_str().ok().and_then(|text| text.get(SCHEME.len()..));
        token.is_some_and(|token| looks_like_ours(token.trim(), verifier))
    })
}

fn is_bearer(line: &[u8]) -> bool {
    let (scheme, after) = line.split_at_checked(SCHEME.len()).unwrap_or_default();
    scheme.eq_ignore_ascii_case(SCHEME) && matches!(after.first(), None | Some(b' ' | b'\t'))
}

fn from_query(query: &str) -> Result<Option<Cow<'_, str>>, Error> {
    let values = query.split('&').filter_map(|pair| match pair.split_once('=') {
        Some((name, value)) => (name == PARAMETER).then_some(value),
        None => (pair == PARAMETER).then_some(""),
    });
    let decode =
        |value| percent_encoding::percent_decode_str(value).decode_utf8().map_err(|_| Error::TokenMalformed);
    only(values)?.map(decode).transpose()
}

/// The cookie; other cookies may hold any bytes.
fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Result<Option<&'a str>, Error> {
    let lines = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    let values = pairs.filter_map(|pair| match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => pair.split_at_checked(at).filter(|(name, _)| name.trim_ascii() == wanted.as_bytes()),
        None => None,
    });
    match only(values)? {
        None => Ok(None),
        Some((_, value)) => {
            let value = value.strip_prefix(b"=").unwrap_or(value);
            str::from_utf8(value).map(|text| Some(text.trim_ascii())).map_err(|_| Error::TokenMalformed)
        }
    }
}

fn only<T>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, Error> {
    let first = values.next();
    if values.next().is_some() { Err(Error::TokenAmbiguous) } else { Ok(first) }
}

/// How the names of our cookies begin.
const OUR_PREFIX: &[u8] = b"mediagate_";
const SCHEME: &[u8] = b"bearer";
const PARAMETER: &str = "token";

#[cfg(test)]
mod tests;
