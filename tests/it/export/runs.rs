//! Export runs: everything again, and the truth about it.

use serde_json::{Value, json};

use super::{ANNOTATIONS, Export, TARGETS, annotation, value};
use crate::support::s3::Fault;

#[tokio::test]
async fn a_new_target_gets_what_is_known_already() {
    let export = Export::start().await;
    let other = json!({ "id": 9, "result": [], "task": 6, "project": 2 });
    export.done("POST", ANNOTATIONS, &json!([annotation(1, 0, "a"), annotation(2, 0, "b"), other])).await;
    let id = export.target(&json!({})).await;
    let keys: Vec<String> = export.objects().into_keys().collect();
    assert_eq!(keys, ["out/1", "out/2"], "of its project");
    let storage = export.until_it_ended(id).await;
    assert_eq!((&storage["status"], &storage["last_sync_count"]), (&json!("completed"), &json!(2)));
    assert_eq!(storage["meta"]["total_annotations"], 2);
    assert_eq!(storage["traceback"], Value::Null);
}

#[tokio::test]
async fn a_run_writes_everything_again() {
    let export = Export::start().await;
    for (prefix, layout, count) in [("out", "annotation", 150), ("task", "task", 150)] {
        let id = export.target(&json!({ "prefix": prefix, "layout": layout })).await;
        let batch: Vec<Value> = (0..count).map(|id| annotation(id, 0, "a")).collect();
        export.done("POST", ANNOTATIONS, &json!(batch)).await;
        export.until_written().await;
        let folder = export.s3.bucket(super::BUCKET).join(prefix);
        std::fs::remove_dir_all(folder).unwrap();
        let answer = export.done("POST", &format!("{TARGETS}/{id}/sync"), &Value::Null).await;
        assert!(["queued", "in_progress"].contains(&answer["status"].as_str().unwrap()), "{answer}");
        let storage = export.until_it_ended(id).await;
        assert_eq!((&storage["status"], &storage["last_sync_count"]), (&json!("completed"), &json!(count)));
        let objects = export.objects().keys().filter(|key| key.starts_with(prefix)).count();
        assert_eq!(objects, if layout == "task" { 1 } else { 150 });
    }
}

/// Label Studio calls a sync complete when every PUT was denied.
#[tokio::test]
async fn one_denied_object_is_completed_with_errors_that_name_it() {
    let export = Export::start().await;
    let id = export.target(&json!({})).await;
    export
        .done(
            "POST",
            ANNOTATIONS,
            &json!([annotation(1, 0, "a"), annotation(2, 0, "b"), annotation(3, 0, "c")]),
        )
        .await;
    export.until_written().await;
    export.s3.fail(|_, path| path.ends_with("out/2").then_some(Fault::Answer(403, "AccessDenied")));
    export.done("POST", &format!("{TARGETS}/{id}/sync"), &Value::Null).await;
    let storage = export.until_it_ended(id).await;
    assert_eq!(
        (&storage["status"], &storage["last_sync_count"]),
        (&json!("completed_with_errors"), &json!(2))
    );
    let traceback = storage["traceback"].as_str().unwrap();
    assert!(
        traceback.starts_with("out/2: annotation 2: cannot write s3://annotations/out/2: S3 denied access"),
        "{traceback}"
    );
    let run = export
        .done("GET", &format!("/api/runs/{}", storage["last_sync_job"].as_str().unwrap()), &Value::Null)
        .await;
    assert_eq!((&run["job"], &run["status"]), (&json!("export"), &json!("completed_with_errors")));
    assert_eq!((&run["counters"]["listed"], &run["counters"]["failed"]), (&json!(3), &json!(1)));
    let dead = export.done("GET", &format!("{ANNOTATIONS}?state=dead"), &Value::Null).await;
    assert_eq!(dead["items"][0]["item"], "2", "the outbox has it too");
}

#[tokio::test]
async fn what_fails_for_a_moment_is_no_error_of_a_run() {
    let export = Export::start().await;
    let id = export.target(&json!({})).await;
    export.done("POST", ANNOTATIONS, &annotation(1, 0, "a")).await;
    export.until_written().await;
    // More often than the SDK tries by itself.
    let mut failures = 4;
    export.s3.fail(move |_, path| {
        failures -= i32::from(path.ends_with("out/1"));
        (failures >= 0 && path.ends_with("out/1")).then_some(Fault::Answer(500, "InternalError"))
    });
    export.done("POST", &format!("{TARGETS}/{id}/sync"), &Value::Null).await;
    let storage = export.until_it_ended(id).await;
    assert_eq!((&storage["status"], &storage["last_sync_count"]), (&json!("completed"), &json!(1)));
    assert_eq!(value(&export.objects()["out/1"]), "a");
}
