//! Several ranges of one object as `multipart/byteranges` (RFC 9110 section 14.6).
//!
//! S3 answers one range a request, so the parts are fetched one after another as the client pulls them, each under
//! `If-Match` with the entity tag of the first: a changed object ends the response visibly. The length is known
//! beforehand. The future of the next part is boxed; there is one for each part, not for each frame.

use std::{
    fmt,
    future::Future,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
    vec,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{
    object::{ByteRange, ContentRange, ETag, ObjectKey},
    s3,
};

/// The body; made by [`MultipartBody::new`] with all its parts named.
pub struct MultipartBody {
    source: Source,
    boundary: String,
    content_type: String,
    rest: vec::IntoIter<Range<u64>>,
    state: State,
    /// Bytes not yet handed out.
    remaining: u64,
}

/// Where the parts come from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The connection to the bucket.
    pub connection: s3::Connection,
    /// The object.
    pub key: ObjectKey,
    /// What every part must still have.
    pub etag: ETag,
    /// The size of the whole object in bytes.
    pub size: u64,
}

enum State {
    /// The next part is to be announced.
    Next,
    /// The next part is being asked for, its announcement is already sent.
    Fetching(Pin<Box<dyn Future<Output = Result<s3::Object, s3::Error>> + Send>>),
    /// The bytes of a part.
    Part(Box<s3::ObjectBody>),
    /// Nothing more.
    Done,
}

impl MultipartBody {
    /// Names the parts: ranges within the object, in the order they are sent.
    pub fn new(source: Source, ranges: Vec<Range<u64>>, content_type: &str) -> Self {
        let boundary = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let mut body = Self {
            source,
            boundary,
            content_type: content_type.to_owned(),
            rest: ranges.into_iter(),
            state: State::Next,
            remaining: 0,
        };
        let parts = body.rest.as_slice().iter();
        let total: u64 =
            parts.map(|range| body.announcement(range).len() as u64 + range.end - range.start).sum();
        body.remaining = total + body.closing().len() as u64;
        body
    }

    /// The value of `Content-Type`.
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    fn announcement(&self, range: &Range<u64>) -> String {
        let content_range = ContentRange { range: range.clone(), size: self.source.size };
        format!(
            "\r\n--{}\r\nContent-Type: {}\r\nContent-Range: {content_range}\r\n\r\n",
            self.boundary, self.content_type
        )
    }

    fn closing(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }

    fn text(&mut self, text: String) -> Frame<Bytes> {
        self.remaining = self.remaining.saturating_sub(text.len() as u64);
        Frame::data(text.into())
    }

    fn fetch(&self, range: &Range<u64>) -> State {
        let Source { connection, key, etag, .. } = self.source.clone();
        let wanted = ContentRange { range: range.clone(), size: self.source.size };
        let range = ByteRange::FromTo { first: range.start, last: range.end - 1 };
        State::Fetching(Box::pin(async move {
            let options = s3::GetOptions { range: Some(range), if_match: Some(etag) };
            let object = connection.get(&key, options).await?;
            // A store may answer a range with the whole object, which is not the part that was announced.
            if object.meta.content_range == Some(wanted) {
                Ok(object)
            } else {
                Err(s3::Error::AnswerMalformed)
            }
        }))
    }
}

impl HttpBody for MultipartBody {
    type Data = Bytes;
    type Error = s3::BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, s3::BodyError>>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Next => {
                    let Some(range) = this.rest.next() else {
                        this.state = State::Done;
                        let closing = this.closing();
                        return Poll::Ready(Some(Ok(this.text(closing))));
                    };
                    let announcement = this.announcement(&range);
                    this.state = this.fetch(&range);
                    return Poll::Ready(Some(Ok(this.text(announcement))));
                }
                State::Fetching(future) => match ready!(future.as_mut().poll(cx)) {
                    Ok(object) => this.state = State::Part(Box::new(object.body)),
                    Err(error) => {
                        this.state = State::Done;
                        return Poll::Ready(Some(Err(s3::BodyError::ResumeFailed(error))));
                    }
                },
                State::Part(part) => match ready!(Pin::new(part).poll_frame(cx)) {
                    None => this.state = State::Next,
                    Some(Ok(frame)) => {
                        let len = frame.data_ref().map_or(0, |data| data.len() as u64);
                        this.remaining = this.remaining.saturating_sub(len);
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    Some(Err(error)) => {
                        this.state = State::Done;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                State::Done => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

impl fmt::Debug for MultipartBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultipartBody").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}
