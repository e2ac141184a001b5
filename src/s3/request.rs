//! One exchange with S3: sign, send, replay on a dead connection, and read what the answer means.
//!
//! The request is made of parsed values only, so no header, token or cookie of a client can reach S3.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Version,
    header::{IF_MATCH, RANGE, USER_AGENT},
};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout};

use super::{Error, Inner, metrics::Operation, sign::Unsigned};
use crate::{
    egress::{HttpClient, is_dead_connection},
    object::{ByteRange, ETag},
};

/// What is asked of S3, encoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) operation: Operation,
    pub(super) path: &'a str,
    /// Its names in order; empty where there is none.
    pub(super) query: &'a str,
    pub(super) range: Option<ByteRange>,
    pub(super) if_match: Option<&'a ETag>,
}

impl<'a> Question<'a> {
    pub(super) fn new(operation: Operation, path: &'a str) -> Self {
        Self { operation, path, query: "", range: None, if_match: None }
    }
}

impl Inner {
    /// Asks S3; the answer is 200 or 206. A connection that was dead before it answered is replaced once.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Response<Incoming>, Error> {
        let mut answer = self.send(self.egress.client(), question).await;
        if let Err(Error::Unreachable(error)) = &answer
            && is_dead_connection(error)
        {
            self.metrics.replayed.inc();
            answer = self.send(self.egress.fresh(), question).await;
        }
        self.judge(question.operation, answer).await
    }

    /// The same on a connection that is certainly new.
    pub(super) async fn ask_freshly(&self, question: Question<'_>) -> Result<Response<Incoming>, Error> {
        let answer = self.send(self.egress.fresh(), question).await;
        self.judge(question.operation, answer).await
    }

    async fn send(
        &self,
        client: &HttpClient<Empty<Bytes>>,
        question: Question<'_>,
    ) -> Result<Response<Incoming>, Error> {
        self.exchange(question.operation, client, self.request(question)?).await
    }

    /// Sends a request that may not be ours: the answer is whatever came.
    pub(super) async fn exchange(
        &self,
        operation: Operation,
        client: &HttpClient<Empty<Bytes>>,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, Error> {
        let begin = Instant::now();
        let answer = timeout(self.timeouts.first_byte, client.request(request)).await;
        let answer =
            answer.map_err(|_| Error::FirstByteTimeout)?.map_err(|error| self.metrics.unconnected(error))?;
        self.metrics.first_byte(operation, begin.elapsed());
        Ok(answer)
    }

    fn request(&self, question: Question<'_>) -> Result<Request<Empty<Bytes>>, Error> {
        let now = (self.clock)();
        let (signer, _) = self.credentials.signer(now)?;
        let method = question.operation.method();
        let Question { path, query, .. } = question;
        let unsigned = Unsigned { method: method.as_str(), host: self.endpoint.host(), path, query };
        let mut headers = signer.sign(&unsigned, now);
        headers.insert(USER_AGENT, AGENT);
        if let Some(range) = question.range {
            headers.insert(RANGE, range.to_header());
        }
        if let Some(etag) = question.if_match {
            headers.insert(IF_MATCH, etag.to_header());
        }
        let mark = if query.is_empty() { "" } else { "?" };
        let uri = format!("{}{path}{mark}{query}", self.endpoint.origin());
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse().map_err(|_| Error::EndpointInvalid)?;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn judge(
        &self,
        operation: Operation,
        answer: Result<Response<Incoming>, Error>,
    ) -> Result<Response<Incoming>, Error> {
        let answer = match answer {
            Ok(answer) if !matches!(answer.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT) => {
                Err(self.refusal(answer).await)
            }
            other => other,
        };
        self.metrics.ended(operation, &answer);
        answer
    }

    /// Reads an answer that is no success.
    pub(super) async fn refusal(&self, answer: Response<Incoming>) -> Error {
        let (parts, body) = answer.into_parts();
        let body = timeout(self.timeouts.idle, beginning(body)).await.unwrap_or_default();
        Error::of(parts.status, &parts.headers, &body)
    }
}

pub(super) const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("mediagate/", env!("CARGO_PKG_VERSION")));

/// The first 16 KiB, which is more than S3's errors have.
async fn beginning(mut body: Incoming) -> Vec<u8> {
    const ENOUGH: usize = 16 * 1024;
    let mut text = Vec::new();
    while !body.is_end_stream() && text.len() < ENOUGH {
        let Some(Ok(frame)) = body.frame().await else { break };
        if let Some(bytes) = frame.data_ref() {
            text.extend_from_slice(bytes.get(..ENOUGH - text.len()).unwrap_or(bytes));
        }
    }
    text
}

/// A header that this module reads as text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
}
