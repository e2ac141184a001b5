//! What is Label Studio's stays with it, and its lists have ours in the place of its own S3 storages.

use http::Method;
use serde_json::{Value, json};

use super::{ALL, Front, body};

#[tokio::test]
async fn all_types_are_listed_with_our_s3() {
    let front = Front::start().await;
    let source = front.made("/api/storages/s3", Some(1)).await;
    front.made("/api/storages/s3", Some(2)).await;
    for path in ["/api/storages/?project=1", "/api/storages?project=1"] {
        let all = front.ask("ann", "GET", path, &Value::Null).await;
        let list = body(&all);
        let types: Vec<_> = list.as_array().unwrap().iter().map(|one| &one["type"]).collect();
        assert_eq!(types, ["s3", "gcs"], "{path}: {list}");
        assert_eq!(format!("/api/storages/s3/{}", list[0]["id"]), source);
        assert!(all.text().contains(r#"{"id":6,  "type":"gcs","project":1}"#), "{}", all.text());
        assert_eq!(all.header("set-cookie"), "", "the page did not ask Label Studio");
    }
    let exports = front.ask("ann", "GET", "/api/storages/export?project=1", &Value::Null).await;
    assert_eq!(body(&exports), json!([{ "id": 6, "type": "gcs", "project": 1 }]));
    // Label Studio lists nothing of a project that somebody may not see; neither do we.
    for path in
        ["/api/storages?project=2", "/api/storages?project=9", "/api/storages", "/api/storages?project=x"]
    {
        let others = front.ask("ann", "GET", path, &Value::Null).await;
        assert_eq!(
            (others.status, body(&others)),
            (200, json!([{ "id": 6, "type": "gcs", "project": 1 }])),
            "{path}"
        );
    }
    let head = front.ask("ann", "HEAD", "/api/storages?project=2", &Value::Null).await;
    assert_eq!(
        (head.status, head.header("content-type"), head.text().as_str()),
        (200, "application/json", "")
    );
    let nobody = front.send("GET", "/api/storages?project=1", &[], &Value::Null).await;
    assert_eq!((nobody.status, nobody.text().as_str()), (401, "log in"));
    assert_eq!((nobody.header("www-authenticate"), nobody.header("set-cookie")), ("Token", ""));
    assert!(ALL.contains("\"id\":5"), "Label Studio's own S3 storage is hidden");
}

#[tokio::test]
async fn types_are_merged_too() {
    let front = Front::start().await;
    for path in ["/api/storages/types", "/api/storages/export/types"] {
        let types = front.ask("ann", "GET", path, &Value::Null).await;
        let want = json!([
            { "name": "s3", "title": "AWS S3" },
            { "name": "s3s", "title": "AWS S3 with IAM Role" },
            { "name": "gcs", "title": "Google Cloud Storage" },
        ]);
        assert_eq!(body(&types), want, "{path}");
        assert_eq!(front.send("GET", path, &[], &Value::Null).await.status, 401);
    }
}

#[tokio::test]
async fn everything_else_reaches_label_studio_as_it_came() {
    let front = Front::start().await;
    for (method, path) in [
        ("GET", "/api/storages/gcs/?project=1"),
        ("POST", "/api/storages/gcs"),
        ("POST", "/api/storages/export/azure/1/sync"),
        ("DELETE", "/api/storages/localfiles/7"),
        ("OPTIONS", "/api/storages/s3"),
        ("POST", "/api/storages/types"),
        ("DELETE", "/api/storages/"),
        ("POST", "//api/storages/s3"),
        ("POST", "/api//storages/s3"),
        ("POST", "/api/storages//s3"),
        ("POST", "/%61pi/storages/s3/"),
        ("POST", "/api/storages/%2e/s3/"),
        ("POST", "/api/storages/s3%2F1"),
        ("POST", "/API/storages/s3"),
        ("POST", "/api/storages/S3"),
        ("POST", "/api/storages/s3x"),
        ("GET", "/api/projects/1"),
    ] {
        let headers = [("cookie", "sessionid=ann"), ("origin", "https://evil.example")];
        front.send(method, path, &headers, &json!({})).await;
        let asked = front.told.asked();
        assert_eq!(asked, [format!("{method} {path}")]);
        assert!(method.parse::<Method>().is_ok());
    }
    let listed = front.admin("GET", "/api/storages/s3?project=1", &json!({})).await;
    assert_eq!(listed.text(), "[]", "none of it made a storage of ours");
}
