//! `POST /api/tokens`: mints a task-access token with a configured key.

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{Control, Problem};
use crate::access::mint::TokenRequest;

pub(super) async fn mint(
    State(control): State<Control>,
    request: Result<Json<TokenRequest>, JsonRejection>,
) -> Response {
    let request = match request {
        Ok(Json(request)) => request,
        Err(rejection) => return Problem::invalid(rejection.body_text()).into_response(),
    };
    match control.process.minter().mint(&request, (control.clock)()) {
        Ok(token) => {
            tracing::info!(
                target: "mediagate::audit",
                sub = request.subject.as_deref(),
                task = request.task.as_ref().map(tracing::field::display),
                "token minted"
            );
            (StatusCode::CREATED, [("cache-control", "no-store")], Json(token)).into_response()
        }
        Err(error) => Problem::invalid(error.to_string()).into_response(),
    }
}
