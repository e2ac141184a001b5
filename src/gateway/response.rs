//! From a delivery or an error to the response: the header policy in one place.
//!
//! Headers are built from parsed values; nothing of S3's or the client's is copied along unread. Media is private,
//! is never sniffed, and cannot run scripts in the gateway's origin.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};

use super::{
    Error,
    body::Body,
    deliver::{Delivery, Located, OCTET_STREAM, content_disposition},
    locate::Storage,
    observe::REQUEST_ID,
    permission::Refusal,
};
use crate::{
    access,
    object::{ContentRange, ObjectKey, guess_media_type, is_active_document, is_unspecific},
    s3,
};

/// The answer to a delivery. Its headers take the place of those in `map`, unless that is so large that an idle connection
/// should not keep it.
pub fn respond(located: &Located<'_>, delivery: Delivery, mut map: HeaderMap) -> Response<Body> {
    if map.capacity() > MAX_KEPT {
        map = HeaderMap::new();
    }
    map.clear();
    let storage = located.storage;
    let key = &located.object.key;
    match delivery {
        Delivery::Redirect(url) => redirect(&url, map),
        Delivery::NotModified(mut meta) => {
            let mut response = answer(StatusCode::NOT_MODIFIED, Body::Empty, map);
            validators(response.headers_mut(), &mut meta);
            caching(response.headers_mut(), storage);
            response
        }
        Delivery::Head(mut meta) => {
            let mut response = media(StatusCode::OK, map, &mut meta, (storage, key));
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(meta.size));
            response
        }
        Delivery::Object(mut object) => {
            let partial = object.meta.content_range.as_ref().map(ToString::to_string);
            let status = if partial.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
            let mut response = media(status, map, &mut object.meta, (storage, key));
            *response.body_mut() = Body::Object(object);
            if let Some(value) = partial.and_then(|text| HeaderValue::try_from(text).ok()) {
                response.headers_mut().insert(header::CONTENT_RANGE, value);
            }
            response
        }
        Delivery::Ranges(mut meta, body) => {
            let content_type = HeaderValue::try_from(body.content_type());
            let mut response = media(StatusCode::PARTIAL_CONTENT, map, &mut meta, (storage, key));
            *response.body_mut() = Body::Multipart(body);
            if let Ok(content_type) = content_type {
                response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            }
            response
        }
    }
}

/// The answer to an error: short problem JSON (RFC 9457) with a fixed sentence.
pub fn refuse(error: &Error, request_id: &HeaderValue, version: Version) -> Response<Body> {
    let status = error.status();
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": error.public_message(),
        "status": status.as_u16(),
        "code": error.code(),
        "request_id": request_id.to_str().unwrap_or_default(),
    });
    let problem = Body::Text(Some(Bytes::from(problem.to_string())));
    let mut response = answer(status, problem, HeaderMap::new());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, challenge(error));
    }
    if let Error::RangeNotSatisfiable { size } = error {
        headers.insert(header::CONTENT_RANGE, ContentRange::unsatisfied(*size));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, ALLOW);
    }
    if let Some(wait) = error.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    if error.closes_connection() && version < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer to OPTIONS, preflight or not; the CORS headers come on top.
pub fn options() -> Response<Body> {
    let mut response = answer(StatusCode::NO_CONTENT, Body::Empty, HeaderMap::new());
    response.headers_mut().insert(header::ALLOW, ALLOW);
    response
}

/// Adds the request id, which every answer has.
pub fn identify(headers: &mut HeaderMap, request_id: &HeaderValue) {
    headers.insert(REQUEST_ID, request_id.clone());
}

/// The media type as it is sent: S3's, or by the key's extension where S3's says nothing.
pub fn content_type(stored: Option<HeaderValue>, key: &ObjectKey) -> HeaderValue {
    let stored = stored.filter(|value| value.to_str().is_ok_and(|text| !is_unspecific(text)));
    stored.unwrap_or_else(|| HeaderValue::from_static(guess_media_type(key).unwrap_or(OCTET_STREAM)))
}

fn redirect(url: &s3::PresignedUrl, map: HeaderMap) -> Response<Body> {
    let mut response = answer(StatusCode::SEE_OTHER, Body::Empty, map);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, url.to_header());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Takes the values out of `meta`: they share the memory of the first piece, and would hold it as long as a stream lasts.
fn media(
    status: StatusCode,
    map: HeaderMap,
    meta: &mut s3::ObjectMeta,
    (storage, key): (&Storage, &ObjectKey),
) -> Response<Body> {
    let mut response = answer(status, Body::Empty, map);
    let headers = response.headers_mut();
    validators(headers, meta);
    caching(headers, storage);
    let content_type = content_type(meta.content_type.take(), key);
    if content_type.to_str().is_ok_and(is_active_document) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    }
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(encoding) = meta.content_encoding.take() {
        headers.insert(header::CONTENT_ENCODING, encoding);
    }
    let disposition = content_disposition(storage.disposition, key);
    if let Some(value) = disposition.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

fn validators(headers: &mut HeaderMap, meta: &mut s3::ObjectMeta) {
    if let Some(etag) = meta.etag.as_ref().and_then(|etag| HeaderValue::from_str(etag.as_str()).ok()) {
        headers.insert(header::ETAG, etag);
    }
    if let Some(last_modified) = meta.last_modified.take() {
        headers.insert(header::LAST_MODIFIED, last_modified.header);
    }
}

/// The media of a private bucket, for so long.
pub(super) fn cache_control(max_age: Duration) -> HeaderValue {
    let text = match max_age.as_secs() {
        0 => "private, no-cache".to_owned(),
        seconds => format!("private, max-age={seconds}, must-revalidate"),
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("private, no-cache"))
}

fn caching(headers: &mut HeaderMap, storage: &Storage) {
    headers.insert(header::CACHE_CONTROL, storage.cache_control.clone());
    // Another bearer is another right; cookies change too often to vary by, and `private` keeps them apart.
    headers.append(header::VARY, HeaderValue::from_static("Authorization"));
}

fn answer(status: StatusCode, body: Body, map: HeaderMap) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = map;
    let headers = response.headers_mut();
    // A map that grows is hashed anew each time.
    headers.reserve(HEADERS);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// RFC 6750 section 3: without a token there is no error code.
fn challenge(error: &Error) -> HeaderValue {
    if matches!(error, Error::Access(access::Error::TokenMissing) | Error::Permission(Refusal::LoginNeeded)) {
        return HeaderValue::from_static("Bearer realm=\"mediagate\"");
    }
    let text = format!(
        "Bearer realm=\"mediagate\", error=\"invalid_token\", error_description=\"{}\"",
        error.public_message()
    );
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer error=\"invalid_token\""))
}

/// What an answer with media has, with the id and the headers of CORS.
const HEADERS: usize = 20;
/// More headers than browsers send.
const MAX_KEPT: usize = 64;

const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// Headers that belong to one hop (RFC 9110 section 7.6.1) and are never passed on.
pub(super) const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
