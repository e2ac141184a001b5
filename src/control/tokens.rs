//! `POST /api/tokens` mints a task-access token with a configured key, `POST /api/tokens/revoke` ends some.

use std::time::{Duration, UNIX_EPOCH};

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::openapi::{
    Array, Object, ObjectBuilder,
    schema::{AdditionalProperties, SchemaType, Type},
};

use super::{Control, Problem};
use crate::{
    access::mint::TokenRequest,
    store::{Revocation, Revoked},
};

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

/// Which tokens are to end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeRequest {
    /// One token, by its `jti` claim.
    jti: Option<String>,
    /// All tokens of a `sub` claim that were issued until now.
    subject: Option<String>,
    /// In seconds since 1970; with `jti`, when that token expires by itself, so that the entry need not be kept.
    expires_at: Option<u64>,
}

pub(super) async fn revoke(
    State(control): State<Control>,
    request: Result<Json<RevokeRequest>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(request) = request.map_err(|rejection| Problem::invalid(rejection.body_text()))?;
    let expires_at =
        match request.expires_at.map(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds))) {
            Some(None) => {
                return Err(Problem::invalid(
                    "expires_at is too far away; it is in seconds since 1970".to_owned(),
                ));
            }
            time => time.flatten(),
        };
    let what = match (request.jti, request.subject) {
        (Some(jti), None) if !jti.is_empty() => Revoked::Token { jti },
        (None, Some(sub)) if !sub.is_empty() && expires_at.is_none() => {
            Revoked::Subject { sub, before: (control.clock)() }
        }
        _ => return Err(Problem::invalid("give jti (and perhaps expires_at), or subject".to_owned())),
    };
    control.store.revoke(&Revocation { what, expires_at }).await.map_err(Problem::store)?;
    control.process.store_changed().await;
    tracing::info!(target: "mediagate::audit", who = "admin", action = "token.revoke", "tokens revoked");
    Ok(StatusCode::NO_CONTENT)
}

/// What can be revoked.
pub(super) fn revoke_schema() -> Object {
    let text = || Object::with_type(SchemaType::Array(vec![Type::String, Type::Null]));
    let seconds = ObjectBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::Integer, Type::Null]))
        .minimum(Some(0))
        .description(Some("With jti: when that token expires by itself, in seconds since 1970."));
    ObjectBuilder::new()
        .property("jti", text())
        .property("subject", text())
        .property("expires_at", seconds)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

/// What can be asked for.
pub(super) fn request_schema() -> Object {
    let text = || Object::with_type(SchemaType::Array(vec![Type::String, Type::Null]));
    let id = || {
        let types = vec![Type::String, Type::Integer, Type::Null];
        ObjectBuilder::new().schema_type(SchemaType::Array(types)).minimum(Some(0))
    };
    let texts = || Array::new(Object::with_type(Type::String));
    let delivery =
        ObjectBuilder::new().schema_type(SchemaType::Array(vec![Type::String, Type::Null])).enum_values(
            Some([serde_json::json!("redirect"), serde_json::json!("stream"), serde_json::Value::Null]),
        );
    let ttl = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("A second to a week, such as 15m."))
        .default(Some(serde_json::json!("1h")));
    ObjectBuilder::new()
        .property("key", text())
        .property("subject", text())
        .property("task", id())
        .property("project", id())
        .property("objects", texts())
        .property("ip", texts())
        .property("delivery", delivery)
        .property("ttl", ttl)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

/// What is answered.
pub(super) fn answer_schema() -> Object {
    let text = || Object::with_type(Type::String);
    let mut answer = ObjectBuilder::new();
    for field in ["token", "key", "jti"] {
        answer = answer.property(field, text()).required(field);
    }
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).description(Some("In seconds since 1970."));
    answer.property("expires_at", seconds).required("expires_at").build()
}
