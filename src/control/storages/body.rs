//! The body of a request as names and values: JSON, a form or multipart, as Label Studio takes all three.

use axum::{
    body::{Body, to_bytes},
    extract::{Form, FromRequest, Multipart, Request, rejection::FormRejection},
    http::{HeaderMap, header},
};
use serde_json::{Map, Value};

use super::LabelStudioError;

/// What a body may be long: settings are a few lines, and the longest are lists of networks.
const MAX_BODY: usize = 1024 * 1024;

/// Reads the whole body. None at all is an empty object, since Label Studio's client sends none where it has
/// nothing to say.
pub(super) async fn read(request: Request) -> Result<Map<String, Value>, LabelStudioError> {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, MAX_BODY).await.map_err(unread)?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    match media_type(&parts.headers).as_str() {
        "application/json" | "" => json(&bytes),
        "application/x-www-form-urlencoded" => form(Request::from_parts(parts, Body::from(bytes))).await,
        "multipart/form-data" => multipart(Request::from_parts(parts, Body::from(bytes))).await,
        other => Err(LabelStudioError::MediaTypeUnknown(other.chars().take(100).collect())),
    }
}

fn unread(error: axum::Error) -> LabelStudioError {
    if error.into_inner().is::<http_body_util::LengthLimitError>() {
        LabelStudioError::BodyTooLarge
    } else {
        LabelStudioError::BodyMalformed("The body broke off before its end.".to_owned())
    }
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// Nesting ends at 128 levels, which is `serde_json`'s own limit.
fn json(bytes: &[u8]) -> Result<Map<String, Value>, LabelStudioError> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(LabelStudioError::non_field(format!(
            "Invalid data. Expected a dictionary, but got {}.",
            word_for(&other)
        ))),
        Err(error) => Err(LabelStudioError::BodyMalformed(format!("JSON parse error - {error}"))),
    }
}

/// Of a name that is there twice the last value counts, as in Django.
async fn form(request: Request) -> Result<Map<String, Value>, LabelStudioError> {
    let malformed = |error: FormRejection| {
        LabelStudioError::BodyMalformed(format!("Form parse error - {}", error.body_text()))
    };
    let Form(pairs) = Form::<Vec<(String, String)>>::from_request(request, &()).await.map_err(malformed)?;
    Ok(pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect())
}

async fn multipart(request: Request) -> Result<Map<String, Value>, LabelStudioError> {
    let malformed =
        |why: String| LabelStudioError::BodyMalformed(format!("Multipart form parse error - {why}"));
    let mut parts =
        Multipart::from_request(request, &()).await.map_err(|error| malformed(error.body_text()))?;
    let mut fields = Map::new();
    while let Some(part) = parts.next_field().await.map_err(|error| malformed(error.body_text()))? {
        let Some(name) = part.name().map(str::to_owned) else { continue };
        let text = part.text().await.map_err(|error| malformed(error.body_text()))?;
        fields.insert(name, Value::String(text));
    }
    Ok(fields)
}

fn word_for(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a dictionary",
    }
}

#[cfg(test)]
mod tests;
