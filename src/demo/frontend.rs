//! The annotation frontend of the demo: serves the page and hands out the media of one task.
//!
//! It stands for the application that a team already has. All it knows of the gateway is the form of the media
//! URLs and the shared secret; all it needs of S3 is the endpoint, to let the browser load from there.

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Json, Response,
        sse::{KeepAlive, Sse},
    },
    routing::get,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    Demo,
    log::RequestLog,
    sample::{FOREIGN_KEY, SAMPLES, TASK},
    token::{MintError, MintedToken, Minter},
};

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Frontend {
    pub(super) minter: Minter,
    pub(super) s3_endpoint: String,
    pub(super) log: RequestLog,
    pub(super) shutdown: CancellationToken,
}

/// What the page asks for once: the task, its media and the links that must be refused.
#[derive(Debug, Serialize)]
struct Task {
    id: u32,
    s3_endpoint: String,
    token: MintedToken,
    objects: Vec<Object>,
    refusals: Refusals,
}

/// One sample, as a link through the gateway for each delivery.
#[derive(Debug, Serialize)]
struct Object {
    name: &'static str,
    key: &'static str,
    media_type: &'static str,
    stream: String,
    redirect: String,
}

/// Links that the gateway must refuse.
#[derive(Debug, Serialize)]
struct Refusals {
    expired: String,
    foreign: String,
    tampered: String,
    missing: String,
}

impl Frontend {
    pub(super) fn router(self) -> Router {
        let page = |content_type, body: &'static str| get(async move || asset(content_type, body));
        Router::new()
            .route("/", get(index))
            .route("/style.css", page("text/css; charset=utf-8", include_str!("page/style.css")))
            .route("/app.js", page("text/javascript; charset=utf-8", include_str!("page/app.js")))
            .route("/favicon.svg", page("image/svg+xml", include_str!("page/favicon.svg")))
            .route("/task.json", get(task))
            .route("/log", get(log))
            .with_state(self)
    }

    fn task(&self) -> Result<Task, MintError> {
        let token = self.minter.valid()?;
        let objects = SAMPLES.iter().map(|sample| Object {
            name: sample.name,
            key: sample.key,
            media_type: sample.media_type,
            stream: link(Demo::STREAM_BUCKET, sample.key, &token.text),
            redirect: link(Demo::REDIRECT_BUCKET, sample.key, &token.text),
        });
        let own_key = SAMPLES[0].key;
        let refusals = Refusals {
            expired: link(Demo::STREAM_BUCKET, own_key, &self.minter.expired()?.text),
            foreign: link(Demo::STREAM_BUCKET, FOREIGN_KEY, &token.text),
            tampered: link(Demo::STREAM_BUCKET, FOREIGN_KEY, &self.minter.tampered()?),
            missing: path(Demo::STREAM_BUCKET, own_key),
        };
        Ok(Task {
            id: TASK,
            s3_endpoint: self.s3_endpoint.clone(),
            objects: objects.collect(),
            refusals,
            token,
        })
    }

    /// Only this origin, and the S3 server for media and for `fetch` of media.
    ///
    /// A redirect is checked against the policy too, hence the endpoint.
    fn content_security_policy(&self) -> String {
        let s3 = &self.s3_endpoint;
        format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' {s3}; \
             media-src 'self' {s3}; connect-src 'self' {s3}; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        )
    }
}

async fn index(State(frontend): State<Frontend>) -> Response {
    let mut answer = asset("text/html; charset=utf-8", include_str!("page/index.html"));
    if let Ok(policy) = HeaderValue::try_from(frontend.content_security_policy()) {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

async fn task(State(frontend): State<Frontend>) -> Response {
    match frontend.task() {
        Ok(task) => ([(header::CACHE_CONTROL, "no-store")], Json(task)).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the demo minted no token");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn log(State(frontend): State<Frontend>, headers: HeaderMap) -> Response {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let lines = frontend.log.follow(last.unwrap_or(0), frontend.shutdown);
    Sse::new(lines).keep_alive(KeepAlive::default()).into_response()
}

fn asset(content_type: &'static str, body: &'static str) -> Response {
    const HEADERS: [(HeaderName, &str); 3] = [
        (header::CACHE_CONTROL, "no-cache"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (HEADERS, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

fn link(bucket: &str, key: &str, token: &str) -> String {
    format!("{}?token={token}", path(bucket, key))
}

/// The gateway's path of an object: everything but RFC 3986 unreserved characters and `/` is encoded.
fn path(bucket: &str, key: &str) -> String {
    const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
    format!("/media/{bucket}/{}", utf8_percent_encode(key, KEY))
}
