//! The one response body of the data path.
//!
//! Frames pass through as they are pulled; nothing is spawned, copied or collected. [`Observed`] only looks: it
//! counts bytes, knows how the response ended, and carries the permits, so that they come back with the last
//! byte or when the client leaves.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::{multipart::MultipartBody, observe::Tally, rewrite::Resumed};
use crate::s3;

/// What a response of the data path may carry.
#[derive(Debug)]
pub enum Body {
    /// Nothing.
    Empty,
    /// A text of ours, whole.
    Text(Option<Bytes>),
    /// An object, or one range of it.
    Object(Box<s3::Object>),
    /// Several ranges of an object.
    Multipart(Box<MultipartBody>),
    /// What the application behind the gateway sends.
    Forwarded(Incoming),
    /// The same, of which something was read already.
    Resumed(Box<Resumed>),
}

/// Why a body broke. The connection is cut then, so that a short body never looks complete.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// S3 broke, and the body could not be resumed.
    #[error("the object broke off")]
    Object(#[from] s3::BodyError),
    /// The application behind the gateway broke.
    #[error("the upstream broke off")]
    Forwarded(#[from] hyper::Error),
}

/// A body with its tally: the type that the server sends.
#[derive(Debug)]
pub struct Observed {
    body: Body,
    tally: Tally,
}

impl Observed {
    /// Joins a body and its tally, which reports once the body has ended or is dropped.
    pub fn new(body: Body, mut tally: Tally) -> Self {
        if body.is_end_stream() {
            tally.complete_with_head();
        }
        Self { body, tally }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Text(Some(bytes)) }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(text.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Object(object) => Pin::new(&mut object.body).poll_frame(cx).map_err(BodyError::from),
            Self::Multipart(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::from),
            Self::Forwarded(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::from),
            Self::Resumed(body) => match body.next() {
                Ok(read) => Poll::Ready(Some(Ok(Frame::data(read)))),
                Err(rest) => Pin::new(rest).poll_frame(cx).map_err(BodyError::from),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.is_none(),
            Self::Object(object) => object.body.is_end_stream(),
            Self::Multipart(body) => body.is_end_stream(),
            Self::Forwarded(body) => body.is_end_stream(),
            Self::Resumed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Object(object) => object.body.size_hint(),
            Self::Multipart(body) => body.size_hint(),
            Self::Forwarded(body) => body.size_hint(),
            // The answer's own Content-Length stands, where it had one.
            Self::Resumed(_) => SizeHint::default(),
        }
    }
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => this.tally.add(frame.data_ref().map_or(0, |data| data.len() as u64)),
            Some(Err(_)) => this.tally.break_off(),
            None => this.tally.complete(),
        }
        // hyper drops a body of known length without polling it for the final `None`.
        if this.body.is_end_stream() {
            this.tally.complete();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
