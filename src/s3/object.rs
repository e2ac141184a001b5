//! An object as S3 answers with it: its description, read from the head of the answer.

use std::{ops::Range, time::SystemTime};

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
        CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, LAST_MODIFIED, TRANSFER_ENCODING,
    },
};

use super::{Error, ObjectBody, request::text};
use crate::object::{ByteRange, ContentRange, ETag};

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
    /// When this version was made, in whole seconds.
    pub last_modified: Option<SystemTime>,
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

impl ObjectMeta {
    /// Bytes of the whole object.
    pub fn total(&self) -> u64 {
        self.content_range.as_ref().map_or(self.size, |part| part.size)
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
        headers: &HeaderMap,
        asked: Option<ByteRange>,
    ) -> Result<Self, Error> {
        // With a transfer coding the length of the body would be another one than it says.
        if headers.contains_key(TRANSFER_ENCODING) {
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
        let header = |name| headers.get(name).cloned();
        Ok(Self {
            size,
            content_range,
            etag: text(headers, &ETAG).and_then(ETag::parse),
            last_modified: text(headers, &LAST_MODIFIED)
                .and_then(|text| httpdate::parse_http_date(text).ok()),
            content_type: header(CONTENT_TYPE),
            content_encoding: header(CONTENT_ENCODING),
            content_language: header(CONTENT_LANGUAGE),
            content_disposition: header(CONTENT_DISPOSITION),
            cache_control: header(CACHE_CONTROL),
            expires: header(EXPIRES),
        })
    }
}

fn part(headers: &HeaderMap, asked: ByteRange, size: u64) -> Result<ContentRange, Error> {
    let part = text(headers, &CONTENT_RANGE).and_then(ContentRange::parse).ok_or(Error::AnswerMalformed)?;
    let wanted = asked.within(part.size).map_err(|_| Error::AnswerMalformed)?;
    if part.range == wanted && part.range.end - part.range.start == size {
        Ok(part)
    } else {
        Err(Error::AnswerMalformed)
    }
}
