//! The layout of Label Studio's old form: rows of fields.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{Caller, Collection, LabelStudioError};
use crate::storage::{Direction, Kind, MAX_PRESIGN_MINUTES};

pub(super) async fn get(
    State(collection): State<Collection>,
    caller: Caller,
) -> Result<Json<Vec<Value>>, LabelStudioError> {
    caller.name().await?;
    let mut rows = vec![
        row(&[text("title", "Storage Name", true)]),
        row(&[
            text("bucket", "Bucket Name", true),
            text("prefix", "Bucket Prefix", false),
            text("regex_filter", "File Filter Regex", false),
        ]),
        row(&[text("region_name", "Region Name", false), text("s3_endpoint", "S3 Endpoint", false)]),
    ];
    if collection.kind == Kind::S3s {
        rows.push(row(&[text("role_arn", "Role ARN", true), text("external_id", "External ID", false)]));
    }
    rows.push(row(&[
        password("aws_access_key_id", "Access Key ID"),
        password("aws_secret_access_key", "Secret Access Key"),
        password("aws_session_token", "Session Token"),
    ]));
    match collection.direction {
        Direction::Import => {
            rows.push(row(&[toggle("use_blob_urls", "Treat every bucket object as a source file", false)]));
            rows.push(row(&[toggle("recursive_scan", "Scan all sub-folders", false)]));
            rows.push(row(&[toggle("presign", "Use pre-signed URLs", true), presign_ttl()]));
        }
        Direction::Export => {
            rows.push(row(&[toggle("can_delete_objects", "Can delete objects from storage", false)]));
        }
    }
    Ok(Json(rows))
}

fn row(fields: &[Value]) -> Value {
    json!({ "columnCount": fields.len(), "fields": fields })
}

fn text(name: &str, label: &str, required: bool) -> Value {
    json!({ "type": "text", "name": name, "label": label, "required": required })
}

/// Keys may be left out: then the AWS default chain signs.
fn password(name: &str, label: &str) -> Value {
    json!({ "type": "password", "name": name, "label": label, "required": false, "autoComplete": "off" })
}

fn toggle(name: &str, label: &str, value: bool) -> Value {
    json!({ "type": "toggle", "name": name, "label": label, "value": value })
}

fn presign_ttl() -> Value {
    json!({
        "type": "counter",
        "name": "presign_ttl",
        "label": "Expire pre-signed URLs (minutes)",
        "min": 1,
        "max": MAX_PRESIGN_MINUTES,
        "value": 15,
        "dependency": "presign",
    })
}
