//! Byte ranges (RFC 9110 section 14): what a client asks for, and what part of an object that is.
//!
//! A `Range` header that is malformed, in another unit or unreasonable is ignored, as section 14.2 allows, and
//! the whole object is sent. Ranges are half-open (`Range<u64>`) inside and inclusive on the wire; this file
//! is the one place that converts. Positions are bytes.

use std::{fmt, ops::Range};

use http::{HeaderMap, HeaderValue, header::RANGE};

/// The most ranges that one request may ask for; a request for more is answered with the whole object.
pub const MAX_RANGES: usize = 16;

/// One range as a client asks for it, before the size of the object is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ByteRange {
    /// `first-last`, both inclusive; `last` may lie beyond the end.
    FromTo {
        /// The first byte.
        first: u64,
        /// The last byte, inclusive.
        last: u64,
    },
    /// `first-`: to the end.
    From {
        /// The first byte.
        first: u64,
    },
    /// `-len`: the last `len` bytes, or all of them where there are fewer.
    Suffix {
        /// How many bytes from the end.
        len: u64,
    },
}

/// What the `Range` header of a request asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RangeRequest {
    /// No range, or one that is ignored.
    Whole,
    /// One range: the answer is a single part.
    One(ByteRange),
    /// Two to [`MAX_RANGES`] ranges in the client's order, perhaps overlapping.
    Many(Vec<ByteRange>),
}

/// The part of an object that a 206 carries: `bytes 0-499/1000`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContentRange {
    /// The bytes, half-open and not empty.
    pub range: Range<u64>,
    /// The size of the whole object in bytes.
    pub size: u64,
}

/// No byte of the object lies in the range: 416.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no byte of the object lies in the range")]
pub struct Unsatisfiable;

impl ByteRange {
    /// The bytes of an object of `size` bytes that lie in this range; never empty.
    ///
    /// An empty object satisfies no range. RFC 9110 calls a suffix of it satisfiable, but has no
    /// `Content-Range` to say so; S3 refuses it as well.
    pub fn within(self, size: u64) -> Result<Range<u64>, Unsatisfiable> {
        let range = match self {
            Self::FromTo { first, last } => first..last.saturating_add(1).min(size),
            Self::From { first } => first..size,
            Self::Suffix { len } => size.saturating_sub(len)..size,
        };
        if range.is_empty() { Err(Unsatisfiable) } else { Ok(range) }
    }

    /// The `Range` header that asks for exactly this range.
    pub fn to_header(self) -> String {
        format!("bytes={self}")
    }

    /// Parses one member of a range set; positions beyond [`MAX_POSITION`] are cut to it.
    fn parse(text: &str) -> Option<Self> {
        match text.split_once('-')? {
            ("", len) => Some(Self::Suffix { len: position(len)? }),
            (first, "") => Some(Self::From { first: position(first)? }),
            (first, last) => {
                let (first, last) = (position(first)?, position(last)?);
                (first <= last).then_some(Self::FromTo { first, last })
            }
        }
    }
}

impl RangeRequest {
    /// Reads the `Range` header.
    ///
    /// Whether it applies at all is for the caller: `If-Range` and the conditions are judged first.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut lines = headers.get_all(RANGE).iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) => line.to_str().ok().and_then(Self::parse_set).unwrap_or(Self::Whole),
            _ => Self::Whole,
        }
    }

    /// `None` for whatever is to be ignored.
    fn parse_set(text: &str) -> Option<Self> {
        let (unit, set) = text.split_once('=')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        // RFC 9110 section 5.6.1.2: empty members of a list are skipped.
        let members = set.split(',').map(|member| member.trim_matches([' ', '\t']));
        let ranges: Vec<_> = members
            .filter(|member| !member.is_empty())
            .take(MAX_RANGES + 1)
            .map(ByteRange::parse)
            .collect::<Option<_>>()?;
        match ranges.len() {
            1 => ranges.first().copied().map(Self::One),
            2..=MAX_RANGES => Some(Self::Many(ranges)),
            _ => None,
        }
    }
}

/// Merges ranges that overlap or touch and drops empty ones; each stands where its first part stood.
///
/// Source: RFC 9110 section 15.3.7.2. The work is quadratic, which [`MAX_RANGES`] bounds.
pub fn coalesce(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges.into_iter().filter(|range| !range.is_empty()) {
        let touches = |other: &mut Range<u64>| range.start <= other.end && other.start <= range.end;
        let place = merged.iter_mut().position(touches).unwrap_or(merged.len());
        // Those already merged touch none of each other, so one pass finds all that the new one joins.
        let joined = merged
            .extract_if(place.., touches)
            .fold(range.clone(), |sum, part| sum.start.min(part.start)..sum.end.max(part.end));
        merged.insert(place, joined);
    }
    merged
}

impl ContentRange {
    /// Parses the header of a 206; `None` too where the size is not told (`bytes 0-499/*`).
    pub fn parse(text: &str) -> Option<Self> {
        let (unit, rest) = text.split_once(' ')?;
        let (range, size) = rest.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last, size) = (digits(first)?, digits(last)?, digits(size)?);
        let holds = unit.eq_ignore_ascii_case("bytes") && first <= last && last < size;
        holds.then(|| Self { range: first..last + 1, size })
    }

    /// The header of a 206.
    pub fn to_header(&self) -> HeaderValue {
        header(self.to_string())
    }

    /// The header of a 416: `bytes */1000`.
    pub fn unsatisfied(size: u64) -> HeaderValue {
        header(format!("bytes */{size}"))
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromTo { first, last } => write!(f, "{first}-{last}"),
            Self::From { first } => write!(f, "{first}-"),
            Self::Suffix { len } => write!(f, "-{len}"),
        }
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.range;
        write!(f, "bytes {start}-{}/{}", end.saturating_sub(1), self.size)
    }
}

/// The largest position handed on: many servers read positions as signed 64-bit numbers, and no object is
/// that long.
const MAX_POSITION: u64 = i64::MAX as u64;

/// A position of any length in digits (RFC 9110 section 14.1.1), cut to [`MAX_POSITION`].
fn position(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(MAX_POSITION).min(MAX_POSITION))
}

/// A number in digits alone; `parse` would take a plus sign.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits and ASCII words are a header value")
}

#[cfg(test)]
mod tests;
