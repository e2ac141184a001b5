use axum::{body::Body, extract::Request, response::IntoResponse as _};
use serde_json::{Value, json};

use super::*;

fn request(media_type: Option<&str>, body: impl Into<Body>) -> Request {
    let mut request = Request::builder().method("POST").uri("/");
    if let Some(media_type) = media_type {
        request = request.header("content-type", media_type);
    }
    request.body(body.into()).unwrap()
}

#[tokio::test]
async fn json_forms_and_multipart_say_the_same() {
    let multipart = "--x\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nä & b\r\n\
                     --x\r\nContent-Disposition: form-data; name=\"presign\"\r\n\r\nfalse\r\n--x--\r\n";
    for (media_type, body) in [
        (Some("application/json"), r#"{"title": "ä & b", "presign": "false"}"#),
        (Some("Application/JSON; charset=utf-8"), r#"{"title": "ä & b", "presign": "false"}"#),
        (None, r#"{"title": "ä & b", "presign": "false"}"#),
        (Some("application/x-www-form-urlencoded"), "title=%C3%A4+%26+b&presign=true&presign=false"),
        (Some("multipart/form-data; boundary=x"), multipart),
    ] {
        let read = read(request(media_type, body)).await.unwrap();
        assert_eq!(Value::Object(read), json!({ "title": "ä & b", "presign": "false" }), "{media_type:?}");
    }
}

#[tokio::test]
async fn no_body_is_an_empty_one() {
    for media_type in [None, Some("application/json"), Some("text/plain"), Some("multipart/form-data")] {
        assert!(read(request(media_type, "")).await.unwrap().is_empty(), "{media_type:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let deep = "[".repeat(200_000);
    let long = format!("{{\"title\": \"{}\"}}", "x".repeat(MAX_BODY));
    for (media_type, body, status, says) in [
        ("application/json", "{", 400, "JSON parse error - "),
        ("application/json", "\u{feff}{}", 400, "JSON parse error - "),
        ("application/json", deep.as_str(), 400, "JSON parse error - "),
        ("application/json", "[]", 400, "Expected a dictionary, but got a list."),
        ("application/json", "null", 400, "Expected a dictionary, but got null."),
        ("application/json", long.as_str(), 413, "larger than 1 MiB"),
        ("text/plain", "title=x", 415, "Unsupported media type \\\"text/plain\\\""),
        ("multipart/form-data", "--x", 400, "Multipart form parse error - "),
        ("multipart/form-data; boundary=x", "no boundary", 400, "Multipart form parse error - "),
    ] {
        let refusal = read(request(Some(media_type), body.to_owned())).await.unwrap_err().into_response();
        let (parts, body) = refusal.into_parts();
        let text = String::from_utf8(to_bytes(body, MAX_BODY).await.unwrap().to_vec()).unwrap();
        assert_eq!(parts.status.as_u16(), status, "{media_type}: {text}");
        assert!(text.contains(says), "{media_type}: {text}");
    }
}
