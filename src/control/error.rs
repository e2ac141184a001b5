//! What the control API answers when it does not do as asked: problem JSON (RFC 9457).

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::storage::Storage;

/// A refusal: status, stable code, and a sentence that says what to do.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: std::borrow::Cow<'static, str>,
}

/// A problem on the wire.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemAnswer {
    r#type: &'static str,
    title: &'static str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// Stable; for programs.
    code: &'static str,
    /// A sentence that says what to do.
    #[schema(value_type = String)]
    detail: std::borrow::Cow<'static, str>,
}

impl Problem {
    /// No such path.
    pub const NOT_FOUND: Self = Self::fixed(StatusCode::NOT_FOUND, "not_found", "There is nothing here.");
    /// The path does not answer this method.
    pub const METHOD: Self = Self::fixed(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This path does not answer the method.",
    );
    /// No bearer.
    pub const BEARER_MISSING: Self = Self::fixed(
        StatusCode::UNAUTHORIZED,
        "bearer_missing",
        "Send the admin token: Authorization: Bearer <token>, or Token <token>. It is admin.token or admin.token_file of the \
         configuration, or was printed at the first start.",
    );
    /// Another bearer.
    pub const BEARER_WRONG: Self =
        Self::fixed(StatusCode::UNAUTHORIZED, "bearer_wrong", "The bearer is not the admin token.");

    /// No webhooks without a secret.
    pub const HOOKS_OFF: Self = Self::fixed(
        StatusCode::NOT_FOUND,
        "hooks_off",
        "No webhook is taken: set hooks.secret_file in the configuration, and send what it holds as X-Mediagate-Secret.",
    );
    /// No secret, or another.
    pub const HOOK_SECRET: Self = Self::fixed(
        StatusCode::UNAUTHORIZED,
        "hook_secret_wrong",
        "The header X-Mediagate-Secret is missing or not what hooks.secret is.",
    );
    /// The process ends.
    pub(super) const ENDING: Self = Self::fixed(
        StatusCode::SERVICE_UNAVAILABLE,
        "ending",
        "The process ends; ask again, and another will answer.",
    );
    /// No such run.
    pub const RUN_UNKNOWN: Self =
        Self::fixed(StatusCode::NOT_FOUND, "run_not_found", "There is no run of this number.");
    /// No such task.
    pub const TASK_UNKNOWN: Self =
        Self::fixed(StatusCode::NOT_FOUND, "task_not_found", "There is no task of this number.");
    /// Nothing is left to stop.
    pub const RUN_ENDED: Self = Self::fixed(StatusCode::CONFLICT, "run_ended", "The run has ended already.");
    /// The storage has another open run.
    pub const RUN_OPEN: Self = Self::fixed(
        StatusCode::CONFLICT,
        "run_open",
        "The storage has another run that is queued or in progress; wait for it, or cancel it first.",
    );

    const fn fixed(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        Self { status, code, detail: std::borrow::Cow::Borrowed(detail) }
    }

    /// The store did not do it.
    #[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
    pub(super) fn store(error: crate::store::Error) -> Self {
        Self::of_store(&error)
    }

    /// The same, of one that several hear of.
    pub(super) fn of_store(error: &crate::store::Error) -> Self {
        tracing::error!(error = error as &dyn std::error::Error, "the store failed");
        let (status, code, detail) = if error.is_transient() {
            (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "The database does not answer; ask again.")
        } else {
            (StatusCode::INTERNAL_SERVER_ERROR, "store_failed", "The database failed; the log says why.")
        };
        Self::fixed(status, code, detail)
    }

    /// The body is longer than is read.
    pub(super) fn too_large(limit: usize) -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            code: "body_too_large",
            detail: format!(
                "The body is longer than {limit} bytes (admin.max_annotations_body); send fewer at once."
            )
            .into(),
        }
    }

    /// No such storage among these.
    pub(super) fn storage_unknown(all: &[Storage]) -> Self {
        let names: Vec<String> = all.iter().take(NAMES).map(|storage| storage.name().to_string()).collect();
        let detail = match all.len() {
            0 => "There is no such storage, and no other one for this either.".to_owned(),
            1..=NAMES => {
                format!("There is no storage of this number or name; there are: {}", names.join(", "))
            }
            count => format!(
                "There is no storage of this number or name; of the {count} that there are, the first: {}",
                names.join(", ")
            ),
        };
        Self { status: StatusCode::NOT_FOUND, code: "storage_not_found", detail: detail.into() }
    }

    /// The request's content is wrong.
    pub fn invalid(detail: String) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, code: "request_invalid", detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemAnswer {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"mediagate admin\""),
            );
        }
        response
    }
}

/// As many names as a person looks through.
const NAMES: usize = 20;
