//! One exchange with S3: sign, send, replay on a dead connection, and read what the answer means.
//!
//! The request is made of parsed values only, so no header, token or cookie of a client can reach S3.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{IF_MATCH, RANGE, USER_AGENT},
};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};

use super::{Error, Inner, metrics::Operation, sign::Unsigned};
use crate::{
    egress::{Answer, Ask, FetchError},
    object::{ByteRange, ETag},
};

/// What is asked of S3, encoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) operation: Operation,
    pub(super) path: &'a str,
    pub(super) range: Option<ByteRange>,
    pub(super) if_match: Option<&'a ETag>,
}

impl<'a> Question<'a> {
    pub(super) fn new(operation: Operation, path: &'a str) -> Self {
        Self { operation, path, range: None, if_match: None }
    }
}

impl Inner {
    /// Asks S3; the answer is 200 or 206. A connection that was dead before it answered is replaced once.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Answer, Error> {
        let answer = self.send(question, Connections::Kept).await;
        self.judge(question.operation, answer).await
    }

    /// The same on a connection that is certainly new.
    pub(super) async fn ask_freshly(&self, question: Question<'_>) -> Result<Answer, Error> {
        let answer = self.send(question, Connections::New).await;
        self.judge(question.operation, answer).await
    }

    async fn send(&self, question: Question<'_>, connections: Connections) -> Result<Answer, Error> {
        let begin = Instant::now();
        let headers = self.headers(&question)?;
        let ask = Ask {
            method: &question.operation.method(),
            target: question.path,
            headers: &headers,
            first_byte: self.timeouts.first_byte,
            idle: self.timeouts.idle,
        };
        let (fetcher, origin) = (self.egress.fetcher(), self.endpoint.origin());
        let answer = match connections {
            Connections::Kept => match fetcher.fetch(origin, ask).await {
                Err(error) if error.is_dead_connection() => {
                    self.metrics.replayed.inc();
                    fetcher.fetch_freshly(origin, ask).await
                }
                answer => answer,
            },
            Connections::New => fetcher.fetch_freshly(origin, ask).await,
        };
        let answer = answer.map_err(|error| match error {
            FetchError::Silent => Error::FirstByteTimeout,
            FetchError::Ambiguous(_) => Error::AnswerMalformed,
            error => self.metrics.unconnected(error),
        })?;
        self.metrics.first_byte(question.operation, begin.elapsed());
        Ok(answer)
    }

    fn headers(&self, question: &Question<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
        let now = (self.clock)();
        let (signer, _) = self.credentials.signer(now)?;
        let method = question.operation.method();
        let unsigned =
            Unsigned { method: method.as_str(), host: self.endpoint.host(), path: question.path, query: "" };
        let mut headers = signer.sign(&unsigned, now);
        headers.push((USER_AGENT, AGENT));
        if let Some(range) = question.range {
            headers.push((RANGE, range.to_header()));
        }
        if let Some(etag) = question.if_match {
            headers.push((IF_MATCH, etag.to_header()));
        }
        Ok(headers)
    }

    async fn judge(&self, operation: Operation, answer: Result<Answer, Error>) -> Result<Answer, Error> {
        let answer = match answer {
            Ok(Answer { status, headers, body })
                if !matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) =>
            {
                Err(self.refusal(status, &headers, body).await)
            }
            other => other,
        };
        self.metrics.ended(operation, &answer);
        answer
    }

    /// Reads an answer that is no success.
    pub(super) async fn refusal<B>(&self, status: StatusCode, headers: &HeaderMap, body: B) -> Error
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let body = timeout(self.timeouts.idle, beginning(body)).await.unwrap_or_default();
        Error::of(status, headers, &body)
    }
}

/// Over which connections S3 is asked.
#[derive(Clone, Copy, Debug)]
enum Connections {
    Kept,
    New,
}

pub(super) const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("mediagate/", env!("CARGO_PKG_VERSION")));

/// The first 16 KiB, which is more than S3's errors have.
async fn beginning(mut body: impl Body<Data = Bytes> + Unpin) -> Vec<u8> {
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
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
}
