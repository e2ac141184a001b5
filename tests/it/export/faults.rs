//! S3 that is away, cuts connections, denies: nothing that was acknowledged is lost.

use serde_json::{Value, json};

use super::{ANNOTATIONS, Export, TARGETS, annotation, until, value};
use crate::support::s3::Fault;

#[tokio::test]
async fn every_annotation_ends_in_its_newest_state_after_an_outage() {
    let export = Export::start().await;
    export.target(&json!({})).await;
    export.s3.fail(|_, _| Some(Fault::Answer(503, "SlowDown")));
    let send = async |second: u32, text: &str| {
        let batch: Vec<Value> = (0..100).map(|id| annotation(id, second, &format!("{text}-{id}"))).collect();
        export.done("POST", ANNOTATIONS, &json!(batch)).await;
    };
    send(1, "first").await;
    until("S3 was seen failing", async || {
        let retried = export.gateway.metric("mediagate_export_attempts_total", &["retried"]).await;
        (retried >= 1.0).then_some(())
    })
    .await;
    // Out of order, and replayed.
    send(3, "third").await;
    send(2, "second").await;
    export.s3.fail(|_, _| Some(Fault::Cut));
    send(5, "last").await;
    send(4, "fourth").await;
    // One of three is cut while it recovers.
    let mut count = 0;
    export.s3.fail(move |_, _| {
        count += 1;
        (count % 3 == 0).then_some(Fault::Cut)
    });
    send(5, "last").await;
    export.until_written().await;
    export.s3.recover();
    let objects = export.objects();
    assert_eq!(objects.len(), 100);
    for id in 0..100 {
        assert_eq!(value(&objects[&format!("out/{id}")]), format!("last-{id}"));
    }
    export.gateway.metric_becomes("mediagate_outbox_items", &[], 0.0).await;
    export.gateway.metric_becomes("mediagate_outbox_oldest_seconds", &[], 0.0).await;
    assert!(export.gateway.metric("mediagate_export_failures_total", &["throttled"]).await >= 1.0);
}

#[tokio::test]
async fn what_fails_for_good_is_seen_and_goes_again() {
    let export = Export::start().await;
    let id = export.target(&json!({})).await;
    export.s3.fail(|method, path| {
        (method == http::Method::PUT && !path.ends_with("/1")).then_some(Fault::Answer(403, "AccessDenied"))
    });
    export
        .done(
            "POST",
            ANNOTATIONS,
            &json!([annotation(1, 0, "a"), annotation(2, 0, "b"), annotation(3, 0, "c")]),
        )
        .await;
    let dead = until("two were given up", async || {
        let page = export.done("GET", &format!("{ANNOTATIONS}?state=dead&storage={id}"), &Value::Null).await;
        let items = page["items"].as_array().unwrap().clone();
        (items.len() == 2).then_some(items)
    })
    .await;
    for item in &dead {
        let want = format!(
            "cannot write s3://annotations/out/{}: S3 denied access; allow s3:PutObject on it, and the KMS key where \
             there is one",
            item["item"].as_str().unwrap()
        );
        assert_eq!((item["reason"].as_str(), &item["storage"]), (Some(want.as_str()), &json!(id)));
    }
    export.until_written().await;
    assert_eq!(export.objects().len(), 1, "the others were not held up");
    export.s3.recover();
    assert_eq!(export.done("POST", &format!("{ANNOTATIONS}/2/retry"), &Value::Null).await["retried"], 1);
    until("it is written", async || export.objects().contains_key("out/2").then_some(())).await;
    assert!(!export.objects().contains_key("out/3"));
    export.done("PATCH", &format!("{TARGETS}/{id}"), &json!({ "title": "edited" })).await;
    until("an edit brings the rest", async || export.objects().contains_key("out/3").then_some(())).await;
    let page = export.done("GET", &format!("{ANNOTATIONS}?state=dead"), &Value::Null).await;
    assert_eq!(page["items"], json!([]));
}

/// One target that is away holds up none of the others.
#[tokio::test]
async fn targets_do_not_wait_for_each_other() {
    let export = Export::start().await;
    export.target(&json!({})).await;
    export.target(&json!({ "prefix": "away" })).await;
    export.s3.fail(|_, path| path.contains("/away/").then_some(Fault::Answer(503, "SlowDown")));
    let batch: Vec<Value> = (0..50).map(|id| annotation(id, 0, "a")).collect();
    export.done("POST", ANNOTATIONS, &json!(batch)).await;
    until("one target has all", async || (export.objects().len() == 50).then_some(())).await;
    assert!(export.objects().keys().all(|key| key.starts_with("out/")));
    export.s3.recover();
    export.until_written().await;
    assert_eq!(export.objects().len(), 100);
}
