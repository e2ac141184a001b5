//! The control side: health, metrics and minting, on a port, thread and runtime of their own.
//!
//! It answers while the data path is saturated, which is when it is asked. `/livez`, `/readyz` and `/metrics` are
//! open to whoever reaches the port; everything under `/api` wants the admin's bearer.

mod error;
mod health;
mod tokens;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::SystemTime};

use axum::{
    Router,
    extract::{Request, State},
    http::header,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

pub use self::{
    error::Problem,
    health::{Readiness, Unready},
};
use crate::access::mint::Minter;

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
}

/// What the control side asks of the process it belongs to; `app` answers, so that the arrow points down.
pub trait Process: Send + Sync + 'static {
    /// All metrics in the Prometheus text format.
    fn metrics(&self) -> String;
    /// What is not ready.
    fn readiness(&self) -> Readiness;
    /// Who mints tokens, with the keys in force.
    fn minter(&self) -> Arc<Minter>;
}

/// What the handlers need; made by `app`.
#[derive(Clone)]
pub struct Control {
    process: Arc<dyn Process>,
    clock: fn() -> SystemTime,
    bearer: Bearer,
}

/// The admin's bearer, kept as a hash and compared in constant time.
#[derive(Clone)]
pub struct Bearer([u8; 32]);

impl Default for Config {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9090)), token: None, token_file: None }
    }
}

impl Bearer {
    /// Hashes the bearer.
    pub fn new(token: &SecretString) -> Self {
        Self(sha256(token.expose_secret().as_bytes()))
    }

    fn admits(&self, token: &str) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &sha256(token.as_bytes())).is_ok()
    }
}

impl Control {
    /// Joins the parts.
    pub fn new(process: impl Process, clock: fn() -> SystemTime, bearer: Bearer) -> Self {
        Self { process: Arc::new(process), clock, bearer }
    }

    /// The routes of the control port.
    pub fn router(self) -> Router {
        let api = Router::new()
            .route("/api/tokens", post(tokens::mint))
            .layer(middleware::from_fn_with_state(self.clone(), require_bearer));
        Router::new()
            .route("/livez", get(health::live))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(metrics))
            .merge(api)
            .fallback(async || Problem::NOT_FOUND)
            .method_not_allowed_fallback(async || Problem::METHOD)
            .with_state(self)
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

async fn require_bearer(State(control): State<Control>, request: Request, next: Next) -> Response {
    let bearer = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match token {
        Some((_, token)) if control.bearer.admits(token.trim()) => next.run(request).await,
        Some(_) => Problem::BEARER_WRONG.into_response(),
        None => Problem::BEARER_MISSING.into_response(),
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    hash
}
