//! An object as S3 answers with it: its description, read from the head of the answer.

use std::{ops::Range, time::SystemTime};

use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
        CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, LAST_MODIFIED, TRANSFER_ENCODING,
    },
};

use super::{Error, ObjectBody};
use crate::{
    egress::Fields,
    object::{ByteRange, ContentRange, ETag},
};

/// An object, or one range of it.
#[derive(Debug)]
pub struct Object {
    /// What S3 says about it.
    pub meta: ObjectMeta,
    /// Its bytes.
    pub body: ObjectBody,
}

/// What S3 says about an object. The headers are verbatim.
#[derive(Clone, Debug)]
pub struct ObjectMeta {
    /// Bytes of this body: the object's, or the range's.
    pub size: u64,
    /// Present in the answer to a range, in a 206.
    pub content_range: Option<ContentRange>,
    /// Names this version of the object.
    pub etag: Option<ETag>,
    /// When this version was made.
    pub last_modified: Option<LastModified>,
    /// `Content-Type`.
    pub content_type: Option<HeaderValue>,
    /// `Content-Encoding`.
    pub content_encoding: Option<HeaderValue>,
    /// `Content-Language`.
    pub content_language: Option<HeaderValue>,
    /// `Content-Disposition`.
    pub content_disposition: Option<HeaderValue>,
    /// `Cache-Control`.
    pub cache_control: Option<HeaderValue>,
    /// `Expires`.
    pub expires: Option<HeaderValue>,
}

/// A time in whole seconds, and its header, which is not formatted again for each answer.
#[derive(Clone, Debug)]
pub struct LastModified {
    /// The time.
    pub at: SystemTime,
    /// `Last-Modified`, in the form that is sent (RFC 9110 section 5.6.7).
    pub header: HeaderValue,
}

impl LastModified {
    fn parse(header: HeaderValue) -> Option<Self> {
        let at = httpdate::parse_http_date(header.to_str().ok()?).ok()?;
        // The two older forms of a date are read and not sent; they have other lengths.
        let is_fixdate = header.len() == "Sun, 06 Nov 1994 08:49:37 GMT".len();
        let formatted = || HeaderValue::try_from(httpdate::fmt_http_date(at)).ok();
        Some(Self { at, header: if is_fixdate { header } else { formatted()? } })
    }
}

impl ObjectMeta {
    /// Bytes of the whole object.
    pub fn total(&self) -> u64 {
        self.content_range.as_ref().map_or(self.size, |part| part.size)
    }

    /// When this version was made.
    pub fn modified_at(&self) -> Option<SystemTime> {
        self.last_modified.as_ref().map(|modified| modified.at)
    }

    /// The bytes of the object that the body has.
    pub(super) fn bytes(&self) -> Range<u64> {
        self.content_range.as_ref().map_or(0..self.size, |part| part.range.clone())
    }

    /// Reads the head of an answer to a request for `asked`.
    ///
    /// A server may answer a range with the whole object; what it may not do is answer with another range, or
    /// without a length.
    pub(super) fn read(
        status: StatusCode,
        headers: &Fields,
        asked: Option<ByteRange>,
    ) -> Result<Self, Error> {
        // With a transfer coding the length of the body would be another one than it says.
        if headers.get(&TRANSFER_ENCODING).is_some() {
            return Err(Error::AnswerMalformed);
        }
        let size = text(headers, &CONTENT_LENGTH)
            .and_then(|text| text.parse().ok())
            .ok_or(Error::AnswerMalformed)?;
        let content_range = match (status, asked) {
            (StatusCode::PARTIAL_CONTENT, Some(asked)) => Some(part(headers, asked, size)?),
            (StatusCode::PARTIAL_CONTENT, None) => return Err(Error::AnswerMalformed),
            _ => None,
        };
        let header = |name| headers.value(&name);
        Ok(Self {
            size,
            content_range,
            etag: text(headers, &ETAG).and_then(ETag::parse),
            last_modified: header(LAST_MODIFIED).and_then(LastModified::parse),
            content_type: header(CONTENT_TYPE),
            content_encoding: header(CONTENT_ENCODING),
            content_language: header(CONTENT_LANGUAGE),
            content_disposition: header(CONTENT_DISPOSITION),
            cache_control: header(CACHE_CONTROL),
            expires: header(EXPIRES),
        })
    }
}

/// A header that is read as text.
fn text<'a>(headers: &'a Fields, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| std::str::from_utf8(value).ok())
}

fn part(headers: &Fields, asked: ByteRange, size: u64) -> Result<ContentRange, Error> {
    let part = text(headers, &CONTENT_RANGE).and_then(ContentRange::parse).ok_or(Error::AnswerMalformed)?;
    let wanted = asked.within(part.size).map_err(|_| Error::AnswerMalformed)?;
    if part.range == wanted && part.range.end - part.range.start == size {
        Ok(part)
    } else {
        Err(Error::AnswerMalformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_sent_in_one_form() {
        let sent = |text| {
            let LastModified { at, header } = LastModified::parse(HeaderValue::from_static(text))?;
            assert_eq!(httpdate::fmt_http_date(at), header.to_str().unwrap(), "{text}");
            Some(header)
        };
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(sent(text).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT", "{text}");
        }
        for text in ["", "yesterday", "1994-11-06T08:49:37.000000000Z", "Sun, 06 Nov 1994 08:49:37 CET"] {
            assert_eq!(sent(text), None, "{text}");
        }
    }
}
