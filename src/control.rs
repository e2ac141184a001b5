//! The control side: health, metrics, storages and minting, on a port, thread and runtime of their own.
//!
//! It answers while the data path is saturated, which is when it is asked. `/livez`, `/readyz` and `/metrics` are
//! open to whoever reaches the port; everything under `/api` wants the admin's bearer. Below `/api/storages` the
//! words are Label Studio's, in refusals too; elsewhere they are ours.

mod annotations;
mod caller;
mod error;
mod health;
mod hooks;
mod intake;
mod label_studio_error;
mod openapi;
mod policies;
mod runs;
mod storages;
mod tasks;
mod tokens;

use std::{net::SocketAddr, path::PathBuf, pin::Pin, sync::Arc, time::SystemTime};

use axum::{
    Router,
    extract::{FromRequestParts, Path, Request, State},
    http::{HeaderMap, Method, Uri, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use self::intake::Intake;
use self::label_studio_error::LabelStudioError;
use self::storages::StoragesApi;
pub use self::{
    caller::{Access, Caller, Judging, Member, Refusal},
    error::Problem,
    health::{Readiness, Unready},
    hooks::{Config as HooksConfig, HEADER as HOOK_SECRET_HEADER, SecretError},
    intake::IntakeMetrics,
};
use crate::{access::mint::Minter, id::StorageName, sidecar::Sidecar, storage::Keys, store::Store};

/// `[admin]`: the control listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where it listens; not a public address.
    pub listen: SocketAddr,
    /// The bearer for `/api`; generated and printed once when absent.
    pub token: Option<SecretString>,
    /// A file that holds it.
    pub token_file: Option<PathBuf>,
    /// The longest body with annotations.
    pub max_annotations_body: bytesize::ByteSize,
}

/// What the control side asks of the process it belongs to; `app` answers, so that the arrow points down.
pub trait Process: Send + Sync + 'static {
    /// All metrics in the Prometheus text format.
    fn metrics(&self) -> String;
    /// What is not ready.
    fn readiness(&self) -> Readiness;
    /// Who mints tokens, with the keys in force.
    fn minter(&self) -> Arc<Minter>;
    /// Who connects to buckets, by the way out in force.
    fn sidecar(&self) -> Sidecar;
    /// The keys of a storage of the configuration file, which the store does not keep; `None` where the file in force
    /// has no such storage.
    fn file_keys(&self, name: &StorageName) -> Option<Keys>;
    /// Tells this process's sidecar that a run waits. Others look for themselves.
    fn run_queued(&self);
    /// Brings what was changed in the store into force here, and returns when it is. Other processes see it by
    /// themselves.
    fn store_changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// What the handlers need; made by `app`.
#[derive(Clone)]
pub struct Control {
    process: Arc<dyn Process>,
    clock: fn() -> SystemTime,
    bearer: Bearer,
    store: Store,
    intake: Intake,
    storages: StoragesApi,
    /// What Label Studio's webhooks present.
    hook_secret: Option<Bearer>,
}

/// The admin's bearer, kept as a hash and compared in constant time.
#[derive(Clone)]
pub struct Bearer([u8; 32]);

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
            token: None,
            token_file: None,
            max_annotations_body: MAX_ANNOTATIONS_BODY,
        }
    }
}

impl Bearer {
    /// Hashes the bearer. Warns of one that Label Studio's SDK would not send but trade for another first.
    pub fn new(token: &SecretString) -> Self {
        if is_jwt_shaped(token.expose_secret()) {
            tracing::warn!(
                "the admin token has the form of a JWT, which Label Studio's SDK takes for a refresh token; choose \
                 another"
            );
        }
        Self(sha256(token.expose_secret().as_bytes()))
    }

    /// A bearer of which only the hash is known.
    pub fn from_hash(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// Its SHA-256, to be kept.
    pub fn hash(&self) -> [u8; 32] {
        self.0
    }

    fn admits(&self, token: &str) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &sha256(token.as_bytes())).is_ok()
    }
}

impl Control {
    /// Joins the parts.
    pub fn new(process: impl Process, store: Store, clock: fn() -> SystemTime, bearer: Bearer) -> Self {
        let intake = Intake::new(store.clone(), IntakeMetrics::default(), limit(MAX_ANNOTATIONS_BODY));
        let process: Arc<dyn Process> = Arc::new(process);
        let storages = StoragesApi::new(store.clone(), Arc::clone(&process), clock);
        Self { process, clock, bearer, store, intake, storages, hook_secret: None }
    }

    /// The same, with annotations counted in these families and their bodies as long as this.
    #[must_use]
    pub fn with_intake(self, metrics: IntakeMetrics, longest: bytesize::ByteSize) -> Self {
        Self { intake: Intake::new(self.store.clone(), metrics, limit(longest)), ..self }
    }

    /// The same, with webhooks that present this.
    #[must_use]
    pub fn with_hooks(self, secret: Option<&SecretString>) -> Self {
        let hash = |secret: &SecretString| Bearer::from_hash(sha256(secret.expose_secret().as_bytes()));
        Self { hook_secret: secret.map(hash), ..self }
    }

    /// The routes of the control port.
    pub fn router(self) -> Router {
        Router::new()
            .route("/livez", get(health::live))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(metrics))
            .route("/api/openapi.json", get(openapi::get))
            .route("/api/tokens", post(tokens::mint))
            .route("/api/tokens/revoke", post(tokens::revoke))
            .route("/api/policies/{what}", get(policies::get))
            .route("/api/annotations", get(annotations::list).post(annotations::post))
            .route("/api/annotations/{id}", put(annotations::put).delete(annotations::delete))
            .route("/api/annotations/{id}/retry", post(annotations::retry))
            .route("/hooks/label-studio", post(hooks::label_studio))
            .route("/api/runs", get(runs::list).post(runs::start))
            .route("/api/runs/{id}", get(runs::get))
            .route("/api/runs/{id}/events", get(runs::events))
            .route("/api/runs/{id}/cancel", post(runs::cancel))
            .route("/api/runs/{id}/retry", post(runs::retry))
            .route("/api/tasks", get(tasks::list))
            .route("/api/tasks/{id}", get(tasks::get))
            .merge(self.storages.clone().routes())
            .fallback(nothing_here)
            .method_not_allowed_fallback(other_method)
            .layer(middleware::from_fn_with_state(self.clone(), require_bearer))
            .with_state(self)
    }

    /// The storages alone, for a port where others than the admin ask: each request must carry its [`Caller`].
    pub fn storages_router(&self) -> Router {
        let routes: Router = self.storages.clone().routes();
        routes
            .fallback(nothing_here)
            .method_not_allowed_fallback(other_method)
            .layer(middleware::from_fn(caller::require))
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Control")
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer")
    }
}

async fn metrics(State(control): State<Control>) -> Response {
    let text = control.process.metrics();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn nothing_here(uri: Uri) -> Response {
    match Dialect::of(uri.path()) {
        Dialect::LabelStudio => LabelStudioError::PathUnknown.into_response(),
        Dialect::Own => Problem::NOT_FOUND.into_response(),
    }
}

async fn other_method(method: Method, uri: Uri) -> Response {
    match Dialect::of(uri.path()) {
        Dialect::LabelStudio => LabelStudioError::MethodUnknown(method).into_response(),
        Dialect::Own => Problem::METHOD.into_response(),
    }
}

/// Stands before every route, and lets pass what is not under `/api`: a path that nobody thought of is closed.
async fn require_bearer(State(control): State<Control>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path != "/api" && !path.starts_with("/api/") {
        return next.run(request).await;
    }
    match (presented(request.headers()), Dialect::of(path)) {
        (Some(token), _) if control.bearer.admits(token) => {
            request.extensions_mut().insert(Caller::Admin);
            next.run(request).await
        }
        (Some(_), Dialect::LabelStudio) => LabelStudioError::BearerWrong.into_response(),
        (Some(_), Dialect::Own) => Problem::BEARER_WRONG.into_response(),
        (None, Dialect::LabelStudio) => LabelStudioError::BearerMissing.into_response(),
        (None, Dialect::Own) => Problem::BEARER_MISSING.into_response(),
    }
}

/// The bearer, under either scheme: Label Studio's SDK says `Token`.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let known = ["bearer", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    known.then(|| token.trim())
}

/// Whose words a path answers in.
#[derive(Clone, Copy)]
enum Dialect {
    /// Label Studio's error JSON.
    LabelStudio,
    /// Problem JSON.
    Own,
}

impl Dialect {
    fn of(path: &str) -> Self {
        match path.strip_prefix("/api/storages") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Self::LabelStudio,
            _ => Self::Own,
        }
    }
}

fn limit(size: bytesize::ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}

/// A long video's annotations have some ten megabytes.
const MAX_ANNOTATIONS_BODY: bytesize::ByteSize = bytesize::ByteSize::mib(32);

/// The number in a path.
struct Number(i64);

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<i64>::from_request_parts(parts, state).await;
        path.map(|Path(number)| Self(number)).map_err(|_| Problem::NOT_FOUND)
    }
}

/// A time on the wire.
fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}

fn is_jwt_shaped(token: &str) -> bool {
    token.split('.').count() == 3
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_admin_token_is_no_jwt() {
        assert!(!is_jwt_shaped(&crate::access::mint::random_id()));
        assert!(is_jwt_shaped("eyJhbGciOiJIUzI1NiJ9.e30.x"));
    }

    #[test]
    fn either_scheme_presents_the_token() {
        for (header, want) in [
            ("Bearer abc", Some("abc")),
            ("token abc ", Some("abc")),
            ("Token  abc", Some("abc")),
            ("Basic abc", None),
            ("Token", None),
            ("abc", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, header.parse().unwrap())]);
            assert_eq!(presented(&headers), want, "{header:?}");
        }
        assert_eq!(presented(&HeaderMap::new()), None);
    }
}
