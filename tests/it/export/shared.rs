//! Gateways that share PostgreSQL share the work, and no two write one object at once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{ANNOTATIONS, BUCKET, Export, TARGETS, annotation, ask, fields, objects, until, value};
use crate::support::{gateway::Gateway, postgres::shared, s3::S3Server};

#[tokio::test]
async fn two_gateways_share_the_work() {
    let s3 = S3Server::start().await;
    s3.bucket(BUCKET);
    let config = format!(
        "[egress]\nallow = [\"127.0.0.0/8\"]\n[store]\nurl = \"{}\"\nkey = \"{}\"\n",
        shared().database().await,
        "ab".repeat(32)
    );
    let (first, second) = (Gateway::start(&config).await, Gateway::start(&config).await);
    let export = Export { s3, gateway: first };
    let id = export.target(&json!({})).await;
    // Both accept, each what the other has not.
    for at in 0..10 {
        let batch: Vec<Value> = (0..40).map(|n| annotation(at * 40 + n, 0, "a")).collect();
        let address = if at % 2 == 0 { export.gateway.admin } else { second.admin };
        assert_eq!(ask(address, "POST", ANNOTATIONS, &json!(batch)).await.unwrap().status, 200);
    }
    export.until_written().await;
    assert_eq!(objects(&export.s3.bucket(BUCKET)).len(), 400);
    let mut puts = BTreeMap::new();
    for seen in export.s3.seen() {
        if seen.method == http::Method::PUT && !seen.uri.path().contains("probe") {
            *puts.entry(seen.uri.path().to_owned()).or_insert(0) += 1;
        }
    }
    assert_eq!(puts.len(), 400);
    assert_eq!(puts.values().collect::<BTreeSet<_>>(), BTreeSet::from([&1]), "none was written twice");
    let mut written = Vec::new();
    for gateway in [&export.gateway, &second] {
        written.push(gateway.metric("mediagate_export_attempts_total", &["outcome=\"written\""]).await);
    }
    assert!((written.iter().sum::<f64>() - 400.0).abs() < 0.5, "{written:?}");
    // A change through one is in force in the other, and a newer state may come through either.
    let newer = annotation(7, 1, "newer");
    assert_eq!(ask(second.admin, "POST", ANNOTATIONS, &newer).await.unwrap().status, 200);
    until("the newer state is there", async || {
        (value(&objects(&export.s3.bucket(BUCKET))["out/7"]) == "newer").then_some(())
    })
    .await;
    let moved = fields(&export.s3, &json!({ "prefix": "moved" }));
    export.done("PATCH", &format!("{TARGETS}/{id}"), &moved).await;
    assert_eq!(ask(second.admin, "POST", ANNOTATIONS, &annotation(8, 1, "newer")).await.unwrap().status, 200);
    until("it goes where the storage says now", async || {
        objects(&export.s3.bucket(BUCKET)).contains_key("moved/8").then_some(())
    })
    .await;
}
