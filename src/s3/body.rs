//! The bytes of an object, pulled from S3 as the client takes them.
//!
//! Nothing stands between S3's connection and whoever polls: no task, no channel, no buffer. When S3 breaks
//! off or falls silent, the rest is asked for under `If-Match`, so that a body is either complete and of one
//! version of the object, or an error that cuts the client's connection.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};

use super::{
    Error, Inner,
    metrics::Operation,
    object::ObjectMeta,
    request::{Connections, Question},
};
use crate::{
    egress::{Answer, AnswerBody, FetchError},
    object::{ByteRange, ETag, ObjectKey},
};

/// How often one body is resumed.
const MAX_RESUMES: u8 = 3;

/// Why a body ended before its last byte. The client's connection has to be cut then.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// S3's connection broke, and the rest could not be asked for.
    #[error("the body broke off")]
    Broken(#[source] Option<FetchError>),
    /// S3 sent nothing for the idle timeout, and the rest could not be asked for.
    #[error("S3 fell silent in the body")]
    Silent,
    /// The rest was asked for in vain.
    #[error("the body could not be resumed")]
    ResumeFailed(#[source] Error),
    /// The object is no longer the one whose beginning was sent.
    #[error("the object was changed while it was sent")]
    ObjectChanged,
}

/// The body of an [`Object`](super::Object): ends exactly at its size, or with an error.
pub struct ObjectBody {
    source: Arc<Inner>,
    state: State,
    /// Bytes still to come.
    remaining: u64,
    /// What allows resuming, where S3 gave a strong tag.
    version: Option<Version>,
    resumes: u8,
    /// Whether a byte came since the last resumption, or none was needed yet.
    has_progress: bool,
}

enum State {
    Streaming(AnswerBody),
    Resuming(Pin<Box<dyn Future<Output = Result<AnswerBody, BodyError>> + Send>>),
    Over,
}

/// One version of an object and the end of what is read of it.
#[derive(Clone)]
struct Version {
    key: ObjectKey,
    etag: ETag,
    /// Exclusive.
    end: u64,
    total: u64,
}

impl ObjectBody {
    pub(super) fn new(source: Arc<Inner>, key: &ObjectKey, meta: &ObjectMeta, body: AnswerBody) -> Self {
        let etag = meta.etag.clone().filter(|etag| !etag.is_weak());
        let version =
            etag.map(|etag| Version { key: key.clone(), etag, end: meta.bytes().end, total: meta.total() });
        Self {
            source,
            state: State::Streaming(body),
            remaining: meta.size,
            version,
            resumes: 0,
            has_progress: true,
        }
    }

    /// Bytes that have not come yet.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    fn take(&mut self, bytes: Bytes) -> Bytes {
        // The fetcher ends a body at its Content-Length, so that nothing is ever cut here.
        let len = u64::try_from(bytes.remaining()).unwrap_or(u64::MAX).min(self.remaining);
        self.remaining -= len;
        self.has_progress |= len > 0;
        self.source.metrics.read_bytes.inc_by(len);
        bytes
    }

    /// Goes on at the first missing byte, or fails with `error`.
    fn resume(&mut self, error: BodyError) -> Result<(), BodyError> {
        let may = self.has_progress && self.resumes < MAX_RESUMES;
        let Some(version) = self.version.clone().filter(|_| may) else {
            self.state = State::Over;
            return Err(error);
        };
        self.resumes += 1;
        self.has_progress = false;
        let source = Arc::clone(&self.source);
        source.metrics.resumed.inc();
        let first = version.end - self.remaining;
        self.state = State::Resuming(Box::pin(async move { source.rest(&version, first).await }));
        Ok(())
    }
}

impl Inner {
    /// The bytes from `first` on, of exactly this version.
    async fn rest(&self, version: &Version, first: u64) -> Result<AnswerBody, BodyError> {
        let range = ByteRange::FromTo { first, last: version.end - 1 };
        let path = self.endpoint.object_path(&version.key);
        let question = Question {
            range: Some(range),
            if_match: Some(&version.etag),
            ..Question::new(Operation::Get, &path)
        };
        let Answer { status, headers, body } = match self.ask(&question, Connections::New).await {
            Ok(answer) => answer,
            Err(Error::PreconditionFailed | Error::NoSuchKey) => return Err(BodyError::ObjectChanged),
            Err(error) => return Err(BodyError::ResumeFailed(error)),
        };
        let meta = ObjectMeta::read(status, &headers, Some(range)).map_err(BodyError::ResumeFailed)?;
        if status != StatusCode::PARTIAL_CONTENT {
            return Err(BodyError::ResumeFailed(Error::AnswerMalformed));
        }
        let is_same = meta.etag.is_some_and(|etag| etag.strong_eq(&version.etag));
        let is_rest = meta.content_range.is_some_and(|part| part.size == version.total);
        if is_same && is_rest { Ok(body) } else { Err(BodyError::ObjectChanged) }
    }
}

impl Body for ObjectBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            if this.remaining == 0 {
                this.state = State::Over;
            }
            let error = match &mut this.state {
                State::Over => return Poll::Ready(None),
                State::Resuming(rest) => match ready!(rest.as_mut().poll(cx)) {
                    Ok(body) => {
                        this.state = State::Streaming(body);
                        continue;
                    }
                    Err(error) => {
                        this.state = State::Over;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                State::Streaming(body) => match ready!(body.poll_piece(cx)) {
                    Some(Ok(bytes)) => return Poll::Ready(Some(Ok(Frame::data(this.take(bytes))))),
                    Some(Err(FetchError::Silent)) => BodyError::Silent,
                    Some(Err(error)) => BodyError::Broken(Some(error)),
                    None => BodyError::Broken(None),
                },
            };
            if let Err(error) = this.resume(error) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

impl fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectBody").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}
