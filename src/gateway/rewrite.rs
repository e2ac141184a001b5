//! Answers of the application in which something is replaced on their way.
//!
//! The one place where a forwarded body is held: an answer that has to be read whole is, up to a limit and within a budget
//! for all of them; what is longer, packed or no JSON passes as it came. Which answers, and what in them, is for the
//! application's own [`AnswerRewriter`] to say.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header, request::Parts};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use super::{Error, body::Body, locate::Storages};

/// Knows which answers of an application to change, and how.
pub trait AnswerRewriter: fmt::Debug + Send + Sync {
    /// Whether something may be to replace in the answer to such a request.
    fn concerns(&self, method: &Method, target: &Uri) -> bool;

    /// The answer with everything replaced; `None` where nothing is.
    fn rewrite<'a>(
        &'a self,
        asked: &'a Asked,
        answer: &'a str,
        storages: &'a Storages,
    ) -> Pin<Box<dyn Future<Output = Option<String>> + Send + 'a>>;
}

/// The request that an answer is to.
#[derive(Debug)]
pub struct Asked {
    /// Its target.
    pub target: Uri,
    /// Its headers.
    pub headers: HeaderMap,
}

/// A rewriter with what it may hold.
#[derive(Debug)]
pub struct Rewriting {
    rewriter: Arc<dyn AnswerRewriter>,
    /// The longest answer in bytes.
    limit: usize,
    /// In KiB, for all answers at once.
    budget: Semaphore,
    /// How long the application may take for the rest of an answer.
    timeout: Duration,
}

/// The rest of a forwarded body behind what was read of it.
#[derive(Debug)]
pub struct Resumed {
    read: Option<Bytes>,
    rest: Incoming,
}

impl Rewriting {
    /// Answers longer than `limit` bytes pass as they are.
    pub fn new(rewriter: Arc<dyn AnswerRewriter>, limit: usize, timeout: Duration) -> Self {
        let budget = Semaphore::new(AT_ONCE * kib(limit));
        Self { rewriter, limit, budget, timeout }
    }

    /// Looks at a request before it is sent on; what it was is kept where its answer is to be changed.
    pub fn prepare(&self, parts: &mut Parts) -> Option<Asked> {
        if !self.rewriter.concerns(&parts.method, &parts.uri) {
            return None;
        }
        let asked = Asked { target: parts.uri.clone(), headers: parts.headers.clone() };
        parts.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        // Whoever asks for a part of JSON would get a part of another text.
        parts.headers.remove(header::RANGE);
        Some(asked)
    }

    /// Changes an answer.
    pub async fn apply(
        &self,
        asked: &Asked,
        answer: Response<Body>,
        storages: &Storages,
    ) -> Result<Response<Body>, Error> {
        let (mut parts, body) = answer.into_parts();
        let path = asked.target.path();
        let body = match body {
            Body::Forwarded(body)
                if parts.status == StatusCode::OK && is_plain_json(&parts.headers, path) =>
            {
                body
            }
            body => return Ok(Response::from_parts(parts, body)),
        };
        let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
        if length.is_some_and(|length| length > self.limit) {
            self.warn_of_length(path);
            return Ok(Response::from_parts(parts, Body::Forwarded(body)));
        }
        let cost = u32::try_from(kib(length.unwrap_or(self.limit))).unwrap_or(u32::MAX);
        // It is never closed.
        let held = self.budget.acquire_many(cost).await.ok();
        let read = tokio::time::timeout(self.timeout, read(body, self.limit));
        let read = match read.await.map_err(|_| Error::UpstreamTimeout)?? {
            Ok(read) => read,
            Err(longer) => {
                self.warn_of_length(path);
                return Ok(Response::from_parts(parts, Body::Resumed(Box::new(longer))));
            }
        };
        let rewritten = match str::from_utf8(&read) {
            Ok(text) => self.rewriter.rewrite(asked, text, storages).await,
            Err(_) => None,
        };
        drop(held);
        let body = rewritten.map_or(read, Bytes::from);
        // Of the text as it was.
        for name in [header::ETAG, header::CONTENT_LENGTH] {
            parts.headers.remove(name);
        }
        Ok(Response::from_parts(parts, Body::Text(Some(body))))
    }

    fn warn_of_length(&self, path: &str) {
        tracing::warn!(
            path,
            limit = self.limit,
            "an answer with tasks is longer than label_studio.rewrite_limit and passes with s3:// URIs in it"
        );
    }
}

impl Resumed {
    /// The body goes on here.
    pub(super) fn next(&mut self) -> Result<Bytes, &mut Incoming> {
        self.read.take().ok_or(&mut self.rest)
    }

    /// Whether nothing is left.
    pub(super) fn is_end_stream(&self) -> bool {
        self.read.is_none() && self.rest.is_end_stream()
    }
}

/// Reads a body whole, or as far as the limit.
async fn read(mut body: Incoming, limit: usize) -> Result<Result<Bytes, Resumed>, Error> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::UpstreamUnreachable(Box::new(error)))?;
        let Ok(data) = frame.into_data() else { continue };
        read.extend_from_slice(&data);
        if read.len() > limit {
            return Ok(Err(Resumed { read: Some(read.freeze()), rest: body }));
        }
    }
    Ok(Ok(read.freeze()))
}

fn is_plain_json(headers: &HeaderMap, path: &str) -> bool {
    if headers.contains_key(header::CONTENT_ENCODING) {
        tracing::warn!(
            path,
            "an answer with tasks is packed although that was not asked for, and passes as it is"
        );
        return false;
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|text| text.starts_with("application/json"))
}

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

/// How many of the longest answers are held at once.
const AT_ONCE: usize = 4;
