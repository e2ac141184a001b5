//! What is written, and how.

use serde_json::{Value, json};

use super::{ANNOTATIONS, BUCKET, Export, TARGETS, annotation, fields, value};
use crate::support::s3::{ACCESS_KEY_ID, Fault, SECRET_ACCESS_KEY, Seen};

#[tokio::test]
async fn an_annotation_is_in_the_bucket_as_label_studio_would_have_it() {
    let export = Export::start().await;
    export.target(&json!({})).await;
    let sent = json!({
        "completed_by": 7, "task": { "data": { "image": "s3://media/ä.jpg", "n": 1.5 }, "id": 5 }, "id": 12,
        "result": [{ "value": "\u{1f600}" }], "project": 1, "mine": { "deep": [1, null] },
    });
    export.done("POST", ANNOTATIONS, &sent).await;
    export.until_written().await;
    let objects = export.objects();
    let written: Value = serde_json::from_str(&objects["out/12"]).unwrap();
    let mut want = sent.clone();
    want["completed_by"] = json!({ "id": 7 });
    assert_eq!(written, want);
    assert_eq!(objects.len(), 1, "{objects:?}");
    let put = puts(&export, "out/12").pop().unwrap();
    assert_eq!(put.headers["content-type"], "application/json");
    assert!(put.headers.contains_key("x-amz-checksum-crc32"), "{:?}", put.headers);
    assert!(!put.headers.contains_key("x-amz-server-side-encryption"));
}

#[tokio::test]
async fn each_layout_has_its_keys() {
    let export = Export::start().await;
    for (prefix, layout) in [
        ("plain/", "annotation"),
        ("json", "annotation.json"),
        ("task", "task"),
        ("tree", "{project}/{task}/{annotation}.json"),
    ] {
        export.target(&json!({ "prefix": prefix, "layout": layout })).await;
    }
    let odd = fields(&export.s3, &json!({ "layout": "{task}-{annotation}" }));
    let refused = export.ask("POST", TARGETS, &odd).await;
    assert!(refused.status == 400 && refused.text().contains("Put a slash between"), "{}", refused.text());
    export.done("POST", ANNOTATIONS, &json!([annotation(1, 0, "a"), annotation(2, 0, "b")])).await;
    export.until_written().await;
    let objects = export.objects();
    let keys: Vec<&str> = objects.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "json/1.json",
            "json/2.json",
            "plain/1",
            "plain/2",
            "task/5.json",
            "tree/1/5/1.json",
            "tree/1/5/2.json"
        ]
    );
    let task: Value = serde_json::from_str(&objects["task/5.json"]).unwrap();
    assert_eq!((&task["id"], &task["data"]["image"]), (&json!(5), &json!("s3://media/a.jpg")));
    assert_eq!(task["annotations"][1]["result"][0]["value"], "b");
    assert_eq!(task["annotations"][1]["task"], 5);
}

#[tokio::test]
async fn encryption_is_asked_for_as_the_storage_says() {
    let export = Export::start().await;
    for (n, changes, algorithm, key) in [
        (1, json!({ "sse_s3": true }), "AES256", None),
        (2, json!({ "aws_sse_kms_key_id": "alias/a" }), "aws:kms", Some("alias/a")),
    ] {
        // The test before saving writes with the same headers.
        let id = export.target(&changes).await;
        export.done("POST", ANNOTATIONS, &annotation(n, 0, "a")).await;
        export.until_written().await;
        let put = puts(&export, &format!("out/{n}")).pop().unwrap();
        assert_eq!(put.headers["x-amz-server-side-encryption"], algorithm);
        let named = put.headers.get("x-amz-server-side-encryption-aws-kms-key-id");
        assert_eq!(named.map(|value| value.to_str().unwrap()), key);
        export.done("DELETE", &format!("{TARGETS}/{id}"), &Value::Null).await;
    }
}

#[tokio::test]
async fn what_the_target_has_is_not_written_again() {
    let export = Export::start().await;
    export.target(&json!({})).await;
    // Without a time of its own each is newer than the one before.
    let same = json!({ "id": 3, "result": [], "task": 5, "project": 1 });
    for _ in 0..3 {
        export.done("POST", ANNOTATIONS, &same).await;
        export.until_written().await;
    }
    assert_eq!(puts(&export, "out/3").len(), 1);
    export.gateway.metric_becomes("mediagate_export_attempts_total", &["outcome=\"unchanged\""], 2.0).await;
    export.gateway.metric_becomes("mediagate_export_attempts_total", &["outcome=\"written\""], 1.0).await;
}

#[tokio::test]
async fn objects_are_deleted_only_where_that_is_allowed() {
    let export = Export::start().await;
    for (prefix, may) in [("may", json!(true)), ("no", json!(false)), ("null", Value::Null)] {
        export.target(&json!({ "prefix": prefix, "can_delete_objects": may })).await;
    }
    export.target(&json!({ "prefix": "task", "layout": "task", "can_delete_objects": true })).await;
    export.done("POST", ANNOTATIONS, &json!([annotation(1, 0, "a"), annotation(2, 0, "b")])).await;
    export.until_written().await;
    assert_eq!(export.objects().len(), 7);
    export.done("DELETE", &format!("{ANNOTATIONS}/1"), &Value::Null).await;
    export.until_written().await;
    let keys: Vec<String> = export.objects().into_keys().collect();
    assert_eq!(keys, ["may/2", "no/1", "no/2", "null/1", "null/2", "task/5.json"]);
    let task: Value = serde_json::from_str(&export.objects()["task/5.json"]).unwrap();
    assert_eq!(task["annotations"].as_array().unwrap().len(), 1, "what is left of the task");
    export.gateway.metric_becomes("mediagate_export_attempts_total", &["outcome=\"kept\""], 2.0).await;
    export.done("POST", ANNOTATIONS, &annotation(1, 1, "late")).await;
    export.until_written().await;
    assert!(!export.objects().contains_key("may/1"), "it was changed before it was deleted");
    export.done("DELETE", &format!("{ANNOTATIONS}/2"), &Value::Null).await;
    export.until_written().await;
    let keys: Vec<String> = export.objects().into_keys().collect();
    assert_eq!(keys, ["no/1", "no/2", "null/1", "null/2"], "nothing is left of the task");
}

#[tokio::test]
async fn large_objects_go_in_parts_and_are_taken_back_when_they_fail() {
    let export = Export::start().await;
    export.target(&json!({})).await;
    // The export that a new target gets at once would write what was given up.
    export.gateway.metric_becomes("mediagate_runs_total", &["export"], 1.0).await;
    let text = "x".repeat(17 << 20);
    // The last part fails for good, once.
    let mut parts = 0;
    export.s3.fail(move |method, path| {
        let is_part = method == http::Method::PUT && path.ends_with("/1");
        parts += i32::from(is_part);
        (is_part && parts == 3).then_some(Fault::Answer(403, "AccessDenied"))
    });
    export.done("POST", ANNOTATIONS, &annotation(1, 0, &text)).await;
    export.until_written().await;
    assert!(export.objects().is_empty(), "half an object is none");
    let is_abort = |seen: &Seen| seen.method == http::Method::DELETE && seen.uri.path().ends_with("/1");
    assert_eq!(export.s3.seen().iter().filter(|seen| is_abort(seen)).count(), 1);
    export.s3.recover();
    assert_eq!(
        export.done("POST", &format!("{ANNOTATIONS}/1/retry"), &Value::Null).await,
        json!({ "retried": 1 })
    );
    export.until_written().await;
    assert_eq!(value(&export.objects()["out/1"]), text);
}

#[tokio::test]
async fn a_target_inside_a_source_is_refused_unless_it_is_confirmed() {
    let export = Export::start().await;
    export.s3.put(BUCKET, "img/a.jpg", b"a");
    let source = json!({
        "project": 1, "bucket": BUCKET, "prefix": "img", "s3_endpoint": export.s3.url(),
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY,
    });
    export.done("POST", "/api/storages/s3", &source).await;
    for (changes, refused) in [
        (json!({ "prefix": "img" }), true),
        (json!({ "prefix": "img/out/" }), true),
        (json!({ "prefix": "img2" }), false),
        (json!({ "prefix": "" }), false),
        (json!({ "prefix": "img", "project": 2 }), false),
        (json!({ "prefix": "img", "confirm_overlap": true }), false),
    ] {
        let answer = export.ask("POST", TARGETS, &fields(&export.s3, &changes)).await;
        assert_eq!(answer.status, if refused { 400 } else { 201 }, "{changes}: {}", answer.text());
        assert!(!refused || answer.text().contains("confirm_overlap: true"), "{}", answer.text());
    }
    let id = export.target(&json!({})).await;
    let path = format!("{TARGETS}/{id}");
    assert_eq!(export.ask("PATCH", &path, &json!({ "prefix": "img/x" })).await.status, 400);
    assert_eq!(
        export.ask("PATCH", &path, &json!({ "prefix": "img/x", "confirm_overlap": true })).await.status,
        200
    );
    assert_eq!(export.ask("PATCH", &path, &json!({ "title": "still there" })).await.status, 200);
}

/// The PUTs of a key so far.
fn puts(export: &Export, key: &str) -> Vec<Seen> {
    let path = format!("/{BUCKET}/{key}");
    let is_put = |seen: &Seen| seen.method == http::Method::PUT && seen.uri.path() == path;
    export.s3.seen().into_iter().filter(is_put).collect()
}
