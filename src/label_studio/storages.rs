//! Label Studio's storage API on the public port: its pages and its SDK work on our S3 storages.
//!
//! What concerns `s3` and `s3s` is answered by the control side, which asks a [`Person`] what they may; the lists of all
//! types are Label Studio's answer with ours in the place of its own S3 storages; everything else is Label Studio's. Only
//! the plain spelling of a path is taken. Another one that Label Studio reads alike reaches its own storages, of which it
//! judges by itself, and none of ours.

mod claim;
mod merge;
mod origin;
mod person;

use std::sync::Arc;

use axum::{Router, body::to_bytes, response::IntoResponse as _};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header, request::Parts};
use http_body_util::Empty;
use hyper::body::Incoming;
use tower_service::Service as _;

use self::{
    claim::Claim,
    person::{Decisions, Person},
};
use super::{Answer, Client, Config, Credentials};
use crate::{
    control::{Caller, Member as _, Refusal},
    gateway::takeover::{Answering, TakeOver},
};

/// Answers Label Studio's storage API in its place.
#[derive(Debug)]
pub struct StoragesDoor {
    client: Arc<Client>,
    decisions: Decisions,
    /// The control side's routes, whose requests carry a [`Caller`].
    api: Router,
}

impl StoragesDoor {
    /// Joins the parts.
    pub fn new(client: Arc<Client>, config: &Config, api: Router) -> Self {
        Self { client, decisions: Decisions::new(config), api }
    }

    async fn serve(&self, request: Request<Incoming>, is_proxied: bool) -> Result<Response<Bytes>, Refusal> {
        let (parts, body) = request.into_parts();
        let claim = self.claim(&parts).ok_or(Refusal::Away)?;
        origin::check(&parts, is_proxied)?;
        let person = Arc::new(Person::new(
            Arc::clone(&self.client),
            self.decisions.clone(),
            Credentials::of(&parts.headers),
        ));
        match claim {
            Claim::Ours => {
                // Before a word of the body is read or a number looked up: to nobody all is the same.
                person.name().await?;
                self.ask_own(parts, axum::body::Body::new(body), person).await
            }
            Claim::AllTypes(key) => self.merged(parts, key, person).await,
        }
    }

    /// Label Studio's answer without its own S3 entries, and ours before it, as Label Studio lists S3 first.
    async fn merged(
        &self,
        mut parts: Parts,
        key: merge::Key,
        person: Arc<Person>,
    ) -> Result<Response<Bytes>, Refusal> {
        let path = self.below_prefix(parts.uri.path_and_query().map_or("/", |target| target.as_str()));
        let theirs = person.get(path.unwrap_or("/")).await?;
        if theirs.status.is_redirection() {
            return Err(Refusal::Anonymous);
        }
        if theirs.status != StatusCode::OK {
            return Ok(passed_on(theirs));
        }
        // Of HEAD too the list is needed, for its length.
        parts.method = Method::GET;
        let ours = self.ask_own(parts, Empty::<Bytes>::new(), person).await?;
        // Of a project that somebody may not see Label Studio lists nothing, and says no more.
        let status = ours.status();
        let list = match status {
            StatusCode::OK => ours.body().as_ref(),
            status if status.is_client_error() && status != StatusCode::UNAUTHORIZED => b"[]",
            _ => return Ok(ours),
        };
        let Some(merged) = merge::merge(list, &theirs.body, key) else {
            tracing::warn!(
                "Label Studio's list of storages is no list; it is not the version that is known here"
            );
            return Err(Refusal::Away);
        };
        let mut response = Response::new(Bytes::from(merged));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    /// The control side's answer.
    async fn ask_own<B>(
        &self,
        mut parts: Parts,
        body: B,
        person: Arc<Person>,
    ) -> Result<Response<Bytes>, Refusal>
    where
        B: http_body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let target = parts.uri.path_and_query().and_then(|target| self.below_prefix(target.as_str()));
        parts.uri = target.and_then(|target| target.parse::<Uri>().ok()).ok_or(Refusal::Away)?;
        parts.extensions.insert(Caller::Member(person));
        let request = Request::from_parts(parts, axum::body::Body::new(body));
        let Ok(answer) = self.api.clone().call(request).await;
        whole(answer).await
    }

    fn claim(&self, parts: &Parts) -> Option<Claim> {
        Claim::of(&parts.method, self.below_prefix(parts.uri.path())?)
    }

    fn below_prefix<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.client.prefix())
    }
}

impl TakeOver for StoragesDoor {
    fn claims(&self, parts: &Parts) -> bool {
        self.claim(parts).is_some()
    }

    fn answer(&self, request: Request<Incoming>, is_proxied: bool) -> Answering<'_> {
        Box::pin(async move {
            let answer = match self.serve(request, is_proxied).await {
                Ok(answer) => answer,
                Err(refusal) => {
                    whole(refusal.into_response()).await.unwrap_or_else(|_| Response::new(Bytes::new()))
                }
            };
            guarded(answer)
        })
    }
}

/// Answers of the control side are whole already.
async fn whole(answer: Response<axum::body::Body>) -> Result<Response<Bytes>, Refusal> {
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|_| Refusal::Away)?;
    Ok(Response::from_parts(parts, body))
}

/// What Label Studio said instead of a list. Its cookies stay behind, since the page did not ask it.
fn passed_on(answer: Answer) -> Response<Bytes> {
    let mut response = Response::new(answer.body);
    *response.status_mut() = answer.status;
    for name in [header::CONTENT_TYPE, header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
        if let Some(value) = answer.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// Settings are one person's: no cache keeps them, and no browser takes them for a page.
fn guarded(mut response: Response<Bytes>) -> Response<Bytes> {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
