//! Storages of the API: nothing of theirs leads to the gateway's own network.

use std::sync::Arc;

use bytes::Bytes;
use mediagate::{
    egress::{self, Egress},
    object::ObjectKey,
    s3::{
        Connection, ConnectionConfig, CredentialsConfig, CredentialsFailure, Error, GetOptions, ListRequest,
        PutOptions, S3Metrics,
    },
};
use prometheus::Registry;

use crate::support::{
    clock,
    s3::{S3Server, config},
    sts::{EXTERNAL_ID, ROLE, Sts},
};

async fn connect(config: ConnectionConfig, allow: &[&str]) -> (Connection, Registry) {
    let registry = Registry::new();
    let metrics = S3Metrics::register(&registry).unwrap();
    let allow = allow.iter().map(|network| network.parse().unwrap()).collect();
    let egress = Egress::build(&egress::Config { allow, ..egress::Config::default() }).unwrap();
    let egress = Arc::new(egress.guarded());
    (Connection::connect(config, egress, metrics, clock).await.unwrap(), registry)
}

fn refusals(registry: &Registry, reason: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == "mediagate_egress_refusals_total").unwrap();
    let of_reason = |metric: &&prometheus::proto::Metric| metric.get_label()[0].value() == reason;
    family.get_metric().iter().find(of_reason).unwrap().get_counter().get_value()
}

#[tokio::test]
async fn every_operation_is_refused_at_the_door() {
    let server = S3Server::start().await;
    server.put("media", "a", b"x");
    let (media, registry) = connect(server.config("media"), &[]).await;
    let key = ObjectKey::parse("a").unwrap();
    let list =
        ListRequest { prefix: "", recursive: true, page_size: 10, continuation: None, start_after: None };
    let results: [(&str, Result<(), Error>); 7] = [
        ("get", media.get(&key, GetOptions::default()).await.map(drop)),
        ("head", media.head(&key).await.map(drop)),
        ("list", media.list(&list).await.map(drop)),
        ("put", media.put(&key, Bytes::from_static(b"y"), &PutOptions::default()).await),
        ("delete", media.delete(&key).await),
        ("presigned", media.probe_presigned(&key, clock()).await),
        ("preflight", media.preflight(&key, "https://app.example.org").await.map(drop)),
    ];
    let count = results.len();
    for (operation, result) in results {
        let Err(Error::EgressRefused(refused)) = &result else { panic!("{operation}: {result:?}") };
        assert_eq!(refused.address().to_string(), "127.0.0.1", "{operation}");
        let sentence = result.unwrap_err().to_string();
        assert!(sentence.contains("egress.allow = [\"127.0.0.0/8\"]"), "{sentence}");
    }
    assert!(server.seen().is_empty());
    let counted = refusals(&registry, "loopback");
    assert!((counted - f64::from(u8::try_from(count).unwrap())).abs() < 0.1, "{counted}: each once");

    let (media, registry) = connect(server.config("media"), &["127.0.0.0/8"]).await;
    media.list(&list).await.unwrap();
    assert!(refusals(&registry, "loopback") < 0.1);
}

#[tokio::test]
async fn the_token_service_of_a_storage_is_behind_the_same_door() {
    let sts = Sts::start([]).await;
    let with_role = || {
        let mut config = config("http://127.0.0.1:1", "media");
        config.credentials = CredentialsConfig::AssumeRole {
            role_arn: ROLE.to_owned(),
            external_id: Some(EXTERNAL_ID.to_owned()),
            sts_endpoint: Some(sts.url()),
            base: Box::new(config.credentials),
        };
        config
    };
    let (media, registry) = connect(with_role(), &[]).await;
    assert_eq!(media.credentials_failure().await, Some(CredentialsFailure::Unreachable));
    assert!((refusals(&registry, "loopback") - 1.0).abs() < 0.1);
    assert_eq!(sts.waiting(), 0);
    let (media, _) = connect(with_role(), &["127.0.0.1/32"]).await;
    assert!(media.credentials_ready());
}
