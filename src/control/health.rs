//! `/livez` and `/readyz`.
//!
//! Alive means that the process answers. Ready means that requests sent here will be served: it names what is
//! missing, fails first when the process drains, and never hangs on one bucket that is away.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::Control;

/// Whether requests should be sent here.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Readiness {
    /// What is missing; empty when ready.
    pub unready: Vec<Unready>,
}

/// One thing that is missing.
#[derive(Clone, Debug, Serialize)]
pub struct Unready {
    /// What: `draining`, `credentials`, `keys`.
    pub what: &'static str,
    /// Which one, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What to do about it.
    pub hint: &'static str,
}

pub(super) async fn live() -> &'static str {
    "alive\n"
}

pub(super) async fn ready(State(control): State<Control>) -> Response {
    let readiness = control.process.readiness();
    let ready = readiness.unready.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::json!({ "ready": ready, "unready": readiness.unready });
    (status, Json(body)).into_response()
}
