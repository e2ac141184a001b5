//! What the control API answers when it does not do as asked: problem JSON (RFC 9457).

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// A refusal: status, stable code, and a sentence that says what to do.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
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
        "Send the admin token: Authorization: Bearer <token>. It is admin.token or admin.token_file of the \
         configuration, or was printed at the first start.",
    );
    /// Another bearer.
    pub const BEARER_WRONG: Self =
        Self::fixed(StatusCode::UNAUTHORIZED, "bearer_wrong", "The bearer is not the admin token.");

    const fn fixed(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        Self { status, code, detail: std::borrow::Cow::Borrowed(detail) }
    }

    /// The request's content is wrong.
    pub fn invalid(detail: String) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, code: "request_invalid", detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"mediagate admin\""),
            );
        }
        response
    }
}
