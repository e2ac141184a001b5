//! The bucket as a browser sees it: plain requests to the public endpoint, without our credentials.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderValue, Request, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, HeaderName,
        ORIGIN, RANGE, USER_AGENT,
    },
};
use http_body_util::Empty;
use tokio::time::{Instant, timeout};

use super::{Connection, Error, Inner, PresignMethod, PresignRequest, metrics::Operation, request::AGENT};
use crate::object::ObjectKey;

/// What a bucket says to a browser that asks whether a page of some origin may read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Preflight {
    /// `Access-Control-Allow-Origin`.
    pub allow_origin: Option<String>,
    /// `Access-Control-Allow-Methods`.
    pub allow_methods: Option<String>,
}

impl Preflight {
    /// Whether a browser would let a page of this origin GET, without cookies.
    pub fn allows_get(&self, origin: &str) -> bool {
        let is_origin =
            self.allow_origin.as_deref().is_some_and(|allowed| allowed == "*" || allowed == origin);
        let methods = self.allow_methods.as_deref().unwrap_or_default();
        // A GET is allowed without being named, as far as the browser is concerned (Fetch, "CORS-safelisted
        // method"); S3 answers a preflight only by a rule that names the method.
        is_origin
            && (methods.is_empty() || methods.split(',').any(|method| matches!(method.trim(), "GET" | "*")))
    }
}

impl Connection {
    /// Reads the first byte of an object by a presigned URL at the public endpoint, as a browser would.
    pub async fn probe_presigned(&self, key: &ObjectKey, now: SystemTime) -> Result<(), Error> {
        const LIFE: Duration = Duration::from_mins(1);
        let request = PresignRequest {
            method: PresignMethod::Get,
            key,
            ttl: LIFE,
            not_after: now + LIFE,
            content_type: None,
            content_disposition: None,
        };
        let url = self.presign(&request, now)?;
        // The origin of a page that keeps its own to itself: what S3 allows to it, it allows to any.
        let headers =
            [(RANGE, HeaderValue::from_static("bytes=0-0")), (ORIGIN, HeaderValue::from_static("null"))];
        let answer = self.0.as_browser(Operation::Presigned, url.expose(), headers).await;
        let answer = match answer {
            // The object is empty, and so was read.
            Err(Error::RangeNotSatisfiable { .. }) => Ok(()),
            other => other.map(drop),
        };
        self.0.metrics.ended(Operation::Presigned, &answer);
        answer
    }

    /// Asks the public endpoint, as a browser would, whether a page of this origin may GET the object.
    ///
    /// A refusal is an answer with neither header, and no error.
    pub async fn preflight(&self, key: &ObjectKey, origin: &str) -> Result<Preflight, Error> {
        let endpoint = self.public_endpoint();
        let url = format!("{}{}", endpoint.origin().as_str(), endpoint.object_path(key));
        let origin = HeaderValue::from_str(origin).map_err(|_| Error::EndpointInvalid)?;
        let headers = [(ORIGIN, origin), (ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("GET"))];
        let answer = match self.0.as_browser(Operation::Preflight, &url, headers).await {
            Ok(headers) => Ok(Preflight::read(&headers)),
            // S3 answers 403 when no rule fits; servers that know no CORS answer one of the others.
            Err(Error::AccessDenied) => Ok(Preflight::default()),
            Err(Error::Status { status, .. }) if knows_no_preflight(status) => Ok(Preflight::default()),
            Err(error) => Err(error),
        };
        self.0.metrics.ended(Operation::Preflight, &answer);
        answer
    }
}

impl Preflight {
    fn read(headers: &HeaderMap) -> Self {
        let header = |name: &HeaderName| {
            headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).map(str::to_owned)
        };
        Self {
            allow_origin: header(&ACCESS_CONTROL_ALLOW_ORIGIN),
            allow_methods: header(&ACCESS_CONTROL_ALLOW_METHODS),
        }
    }
}

fn knows_no_preflight(status: StatusCode) -> bool {
    matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

impl Inner {
    /// The headers of an answer of success.
    async fn as_browser(
        &self,
        operation: Operation,
        url: &str,
        headers: [(HeaderName, HeaderValue); 2],
    ) -> Result<HeaderMap, Error> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = operation.method();
        *request.uri_mut() = url.parse().map_err(|_| Error::EndpointInvalid)?;
        request.headers_mut().extend(headers);
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        // A fresh connection, as a browser that comes for the first time has one.
        let begin = Instant::now();
        let answer = timeout(self.timeouts.first_byte, self.egress.fresh().request(request)).await;
        let answer =
            answer.map_err(|_| Error::FirstByteTimeout)?.map_err(|error| self.metrics.unconnected(error))?;
        self.metrics.first_byte(operation, begin.elapsed());
        let (parts, body) = answer.into_parts();
        if parts.status.is_success() {
            return Ok(parts.headers);
        }
        Err(self.refusal(parts.status, &parts.headers, body).await)
    }
}
