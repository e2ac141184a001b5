//! One exchange with S3: sign, send, replay on a dead connection, and read what the answer means.
//!
//! The request is made of parsed values only, so no header, token or cookie of a client can reach S3.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};

use super::{Error, Inner, metrics::Operation, sign::Unsigned};
use crate::{
    egress::{Answer, Ask, FetchError, RequestHead},
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
    pub(super) async fn ask(
        &self,
        question: &Question<'_>,
        connections: Connections,
    ) -> Result<Answer, Error> {
        let refusal = match self.send(question, connections).await {
            Ok(Answer { status, headers, body })
                if !matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) =>
            {
                Box::pin(async move { self.refusal(status, &headers.to_map(), body).await })
            }
            answer => {
                self.metrics.ended(question.operation, &answer);
                return answer;
            }
        };
        let answer = Err(refusal.await);
        self.metrics.ended(question.operation, &answer);
        answer
    }

    async fn send(&self, question: &Question<'_>, connections: Connections) -> Result<Answer, Error> {
        let at = Instant::now();
        let head = self.head_of(question)?;
        let ask = Ask { head: &head, at, first_byte: self.timeouts.first_byte, idle: self.timeouts.idle };
        let (fetcher, origin) = (self.egress.fetcher(), self.endpoint.origin());
        let mut answer = match connections {
            Connections::Kept => fetcher.fetch(origin, &ask).await,
            Connections::New => fetcher.fetch_freshly(origin, &ask).await,
        };
        if matches!((&answer, connections), (Err(error), Connections::Kept) if error.is_dead_connection()) {
            self.metrics.replayed.inc();
            let again = Ask { at: Instant::now(), ..ask };
            answer = Box::pin(fetcher.fetch_freshly(origin, &again)).await;
        }
        let answer = answer.map_err(|error| match error {
            FetchError::Silent => Error::FirstByteTimeout,
            FetchError::Ambiguous(_) => Error::AnswerMalformed,
            error => self.metrics.unconnected(error),
        })?;
        self.metrics.first_byte(question.operation, at.elapsed());
        Ok(answer)
    }

    /// The request, signed.
    fn head_of(&self, question: &Question<'_>) -> Result<RequestHead, Error> {
        let now = (self.clock)();
        let (signer, _) = self.credentials.signer(now)?;
        let method = question.operation.method();
        let unsigned =
            Unsigned { method: method.as_str(), host: self.endpoint.host(), path: question.path, query: "" };
        RequestHead::build(&method, question.path, |headers| {
            signer.sign(&unsigned, now, |name, value| headers.put(name, value));
            headers.put("user-agent", &[AGENT]);
            if let Some(range) = question.range {
                headers.put("range", &[&range.to_header()]);
            }
            if let Some(etag) = question.if_match {
                headers.put("if-match", &[etag.as_str()]);
            }
        })
        .map_err(|error| self.metrics.unconnected(error))
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
pub(super) enum Connections {
    /// Kept ones where there are any.
    Kept,
    /// One that is certainly new.
    New,
}

pub(super) const AGENT: &str = concat!("mediagate/", env!("CARGO_PKG_VERSION"));

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
