//! Requests for paths of the application behind the gateway that are answered here in its place.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use hyper::body::Incoming;

/// What answers in the application's place.
pub trait TakeOver: fmt::Debug + Send + Sync {
    /// Whether this request is answered here; asked for every one that would be forwarded.
    fn claims(&self, parts: &Parts) -> bool;
    /// Answers a request that was claimed. No token of ours is in it; `is_proxied` says whether a trusted proxy sent it.
    fn answer(&self, request: Request<Incoming>, is_proxied: bool) -> Answering<'_>;
}

/// An answer that is being made.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Response<Bytes>> + Send + 'a>>;
