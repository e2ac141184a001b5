//! Conditional requests (RFC 9110 section 13): whether the client's version of an object still holds.
//!
//! A condition never widens access: who may see an object is settled before it is judged. What cannot be read
//! is judged so that the client gets a whole, current object or a 412, never a 304 or a part by mistake.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE},
};

use super::ETag;

/// The four conditions of a GET or HEAD; `If-Range` is [`IfRange`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::struct_field_names, reason = "they are the names of the headers")]
pub struct Conditions {
    if_match: Option<Tags>,
    if_unmodified_since: Option<SystemTime>,
    if_none_match: Option<Tags>,
    if_modified_since: Option<SystemTime>,
}

/// What the conditions say about a GET or HEAD.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Answer as if there were no conditions; ranges are next.
    Proceed,
    /// 304: the client has this version.
    NotModified,
    /// 412: the client asks for another version.
    PreconditionFailed,
}

/// The condition under which a range applies; where it fails the whole object is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IfRange {
    /// Holds for this version.
    Tag(ETag),
    /// Holds while the object was last modified at exactly this second.
    Date(SystemTime),
    /// Malformed, or a weak tag: holds for nothing.
    Never,
}

impl Conditions {
    /// Reads the four headers. Dates that are malformed or given twice are ignored, as the RFC demands; a
    /// malformed list of tags matches nothing.
    pub fn parse(headers: &HeaderMap) -> Self {
        Self {
            if_match: Tags::parse(headers, &IF_MATCH),
            if_unmodified_since: date(headers, &IF_UNMODIFIED_SINCE),
            if_none_match: Tags::parse(headers, &IF_NONE_MATCH),
            if_modified_since: date(headers, &IF_MODIFIED_SINCE),
        }
    }

    /// Whether there is nothing to judge.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Judges an object that exists, in the order of RFC 9110 section 13.2.2. Dates compare in whole seconds.
    pub fn evaluate(&self, etag: Option<&ETag>, last_modified: Option<SystemTime>) -> Verdict {
        if self.is_precondition_failed(etag, last_modified) {
            Verdict::PreconditionFailed
        } else if self.is_not_modified(etag, last_modified) {
            Verdict::NotModified
        } else {
            Verdict::Proceed
        }
    }

    /// Steps 1 and 2: `If-Match`, and in its absence `If-Unmodified-Since`.
    fn is_precondition_failed(&self, etag: Option<&ETag>, last_modified: Option<SystemTime>) -> bool {
        match (&self.if_match, self.if_unmodified_since, last_modified) {
            (Some(tags), ..) => !tags.contain(etag, ETag::strong_eq),
            (None, Some(date), Some(modified)) => seconds(modified) > seconds(date),
            _ => false,
        }
    }

    /// Steps 3 and 4: `If-None-Match`, and in its absence `If-Modified-Since`.
    fn is_not_modified(&self, etag: Option<&ETag>, last_modified: Option<SystemTime>) -> bool {
        match (&self.if_none_match, self.if_modified_since, last_modified) {
            (Some(tags), ..) => tags.contain(etag, ETag::weak_eq),
            (None, Some(date), Some(modified)) => seconds(modified) <= seconds(date),
            _ => false,
        }
    }
}

impl IfRange {
    /// Reads the header; `None` where there is none.
    pub fn parse(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(IF_RANGE).iter();
        let (line, further) = (lines.next()?, lines.next());
        let text = str::from_utf8(line.as_bytes()).ok().filter(|_| further.is_none());
        Some(text.map_or(Self::Never, Self::parse_line))
    }

    /// Whether ranges apply to this version of the object.
    pub fn holds(&self, etag: Option<&ETag>, last_modified: Option<SystemTime>) -> bool {
        match self {
            Self::Tag(tag) => etag.is_some_and(|etag| tag.strong_eq(etag)),
            Self::Date(date) => last_modified.is_some_and(|modified| seconds(modified) == seconds(*date)),
            Self::Never => false,
        }
    }

    fn parse_line(text: &str) -> Self {
        match (ETag::parse(text), httpdate::parse_http_date(text)) {
            (Some(tag), _) if !tag.is_weak() => Self::Tag(tag),
            (None, Ok(date)) => Self::Date(date),
            _ => Self::Never,
        }
    }
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Tags {
    /// `*`: whatever exists.
    Any,
    /// These; none where the list is malformed.
    Of(Vec<ETag>),
}

impl Tags {
    fn parse(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let lines: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        match lines.as_slice() {
            [] => None,
            [b"*"] => Some(Self::Any),
            // One list over all lines (RFC 9110 section 5.3).
            lines => Some(Self::Of(parse_list(&lines.join(&b',')).unwrap_or_default())),
        }
    }

    fn contain(&self, etag: Option<&ETag>, equal: impl Fn(&ETag, &ETag) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Of(tags) => etag.is_some_and(|etag| tags.iter().any(|tag| equal(tag, etag))),
        }
    }
}

/// A comma-separated list in which a tag may itself contain commas.
fn parse_list(list: &[u8]) -> Option<Vec<ETag>> {
    let mut tags = Vec::new();
    let mut rest = str::from_utf8(list).ok()?;
    loop {
        // RFC 9110 section 5.6.1.2: empty members of a list are skipped.
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(tags);
        }
        let (tag, after) = ETag::split_first(rest)?;
        tags.push(tag);
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?;
        }
    }
}

/// The one date of a header.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => httpdate::parse_http_date(line.to_str().ok()?).ok(),
        _ => None,
    }
}

/// HTTP dates have whole seconds, whatever resolution the other side of a comparison has.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
