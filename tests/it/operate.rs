//! What an operator relies on: networks, limits, reload, metrics, health.

use std::collections::BTreeSet;

use http_body_util::BodyExt as _;

use crate::support::{
    gateway::{Gateway, claims, open, send, sign, storage, token},
    s3::S3Server,
    scripted::{Scripted, Step, response},
};

#[tokio::test]
async fn an_address_that_is_not_admitted_is_refused_before_any_other_work() {
    let s3 = S3Server::start().await;
    let config = format!(
        "[access]\nallow = [\"192.0.2.0/24\"]\ntrusted_proxies = [\"127.0.0.0/8\"]\n{}",
        storage(&s3.url(), "")
    );
    let gateway = Gateway::start(&config).await;
    for (path, method) in
        [("/media/media/a", "GET"), ("/media/", "GET"), ("/other", "POST"), ("/media/media/a", "OPTIONS")]
    {
        let answer = gateway.send(method, path, &[("authorization", "Bearer rubbish")]).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "address_denied"), "{method} {path}");
    }
    let admitted = gateway.send("GET", "/media/media/a", &[("x-forwarded-for", "192.0.2.1")]).await;
    assert_eq!(admitted.status, 401);
    let malformed = gateway.send("GET", "/media/media/a", &[("x-forwarded-for", "192.0.2.1, junk")]).await;
    assert_eq!((malformed.status, malformed.code().as_str()), (403, "forwarded_malformed"));
}

#[tokio::test]
async fn forwarded_addresses_of_strangers_are_not_read() {
    let s3 = S3Server::start().await;
    let config = format!("[access]\nallow = [\"192.0.2.0/24\"]\n{}", storage(&s3.url(), ""));
    let gateway = Gateway::start(&config).await;
    for header in ["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip", "true-client-ip"] {
        let answer = gateway.send("GET", "/media/media/a", &[(header, "192.0.2.1")]).await;
        assert_eq!(answer.code(), "address_denied", "{header}");
    }
}

#[tokio::test]
async fn a_storage_has_networks_of_its_own() {
    let s3 = S3Server::start().await;
    let gateway = Gateway::start(&storage(&s3.url(), "deny = [\"127.0.0.0/8\"]")).await;
    let answer = gateway.get("/media/media/a").await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "address_denied"));
}

#[tokio::test]
async fn the_longest_prefix_serves() {
    let s3 = S3Server::start().await;
    let common = storage(&s3.url(), "delivery = \"redirect\"\nprefix = \"img\"");
    let inner = storage(
        &s3.url(),
        "delivery = \"redirect\"\nprefix = \"img/special/\"\npublic_endpoint = \"http://special.example\"",
    )
    .replace("name = \"media\"", "name = \"special\"");
    let gateway = Gateway::start(&format!("{common}{inner}")).await;
    for (key, status, start) in [
        ("img/a", 303, s3.url()),
        ("img/special/a", 303, "http://special.example/".to_owned()),
        ("imgs/a", 404, String::new()),
        ("a", 404, String::new()),
    ] {
        let answer = gateway.get(&format!("/media/media/{key}")).await;
        assert_eq!(answer.status, status, "{key}");
        assert!(answer.header("location").starts_with(&start), "{key}: {}", answer.header("location"));
    }
}

#[tokio::test]
async fn only_get_head_and_options_are_answered() {
    let s3 = S3Server::start().await;
    let gateway = Gateway::streaming(&s3).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "TRACE"] {
        let answer = gateway.send(method, "/media/media/a", &[]).await;
        assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"), "{method}");
        assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS", "{method}");
    }
    let options = gateway.send("OPTIONS", "/media/media/a", &[]).await;
    assert_eq!((options.status, options.header("allow")), (204, "GET, HEAD, OPTIONS"));
}

#[tokio::test]
async fn pages_of_configured_origins_may_read_media_and_refusals() {
    let s3 = S3Server::start().await;
    s3.put("media", "a", b"abc");
    let config = format!(
        "[cors]\norigins = [\"https://app.example.org\"]\n{}",
        storage(&s3.url(), "delivery = \"stream\"")
    );
    let gateway = Gateway::start(&config).await;
    let own = ("origin", "https://app.example.org");
    let preflight =
        gateway.send("OPTIONS", "/media/media/a", &[own, ("access-control-request-method", "GET")]).await;
    assert_eq!(preflight.status, 204);
    assert!(preflight.header("access-control-allow-headers").contains("range"));
    for answer in [
        gateway.get_with("/media/media/a", &[own]).await,
        gateway.send("GET", "/media/media/a", &[own]).await,
    ] {
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://app.example.org",
            "{}",
            answer.status
        );
        assert!(
            answer.header("access-control-expose-headers").contains("content-range"),
            "{}",
            answer.status
        );
    }
    let stranger = gateway.get_with("/media/media/a", &[("origin", "https://evil.example")]).await;
    assert_eq!(stranger.header("access-control-allow-origin"), "");
}

/// Limits hold until the last byte of an answer, and no longer.
#[tokio::test]
async fn limits_answer_with_retry_after() {
    let begin = |body: &[u8]| response("200 OK", &[("content-length", "4"), ("connection", "close")], body);
    for (limits, status, code) in [
        ("streams_per_client = 1", 429, "client_streams_exhausted"),
        ("memory = \"1 KiB\"", 503, "streams_exhausted"),
        ("in_flight = 1", 503, "in_flight_exhausted"),
    ] {
        let s3 = Scripted::start(vec![
            vec![Step::Head, Step::Send(begin(b"12")), Step::Wait, Step::Send(b"34".to_vec())],
            vec![Step::Head, Step::Send(begin(b"1234"))],
        ])
        .await;
        let config = format!("[limits]\n{limits}\n{}", storage(&s3.url(), "delivery = \"stream\""));
        let gateway = Gateway::start(&config).await;
        let bearer = format!("Bearer {}", token());
        let mut held = open(gateway.address, "GET", "/media/media/a", &[("authorization", &bearer)]).await;
        assert_eq!(held.status(), 200);
        held.body_mut().frame().await.unwrap().unwrap();
        let answer = gateway.get("/media/media/b").await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
        assert_eq!(answer.header("retry-after"), "1", "{code}");
        s3.go();
        held.into_body().collect().await.unwrap();
        gateway.metric_becomes("mediagate_requests_in_flight", &[], 0.0).await;
        assert_eq!(gateway.get("/media/media/b").await.text(), "1234", "{code}");
    }
}

#[tokio::test]
async fn a_reload_is_whole_or_not_at_all() {
    let s3 = S3Server::start().await;
    s3.put("media", "a", b"abc");
    let good = storage(&s3.url(), "delivery = \"stream\"");
    let gateway = Gateway::start(&good).await;
    assert_eq!(gateway.get("/media/media/a").await.status, 200);
    for bad in [
        format!("[access]\nalow = []\n{good}"),
        format!("[access]\nallow = []\n{}", storage("not a url", "")),
        format!("{good}{good}"),
        "not toml [".to_owned(),
    ] {
        let before = gateway.metric("mediagate_config_reloads_total", &["refused"]).await;
        gateway.reload(&bad);
        gateway.metric_becomes("mediagate_config_reloads_total", &["refused"], before + 1.0).await;
        assert_eq!(gateway.get("/media/media/a").await.status, 200, "{bad}");
    }
    gateway.reload(&storage(&s3.url(), "delivery = \"redirect\""));
    gateway.metric_becomes("mediagate_config_reloads_total", &["loaded"], 1.0).await;
    assert_eq!(gateway.get("/media/media/a").await.status, 303);
}

#[tokio::test]
async fn health_tells_what_is_missing() {
    let gateway = Gateway::start("[access]\nkeys = []\n").await;
    assert_eq!(gateway.admin("/livez").await.status, 200);
    let ready = gateway.admin("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("\"keys\""), "{}", ready.text());
    let s3 = S3Server::start().await;
    assert_eq!(Gateway::streaming(&s3).await.admin("/readyz").await.status, 200);
}

/// Whatever is asked, the label values come from closed sets: nothing of a request becomes one.
#[tokio::test]
async fn label_values_are_closed_sets() {
    let s3 = S3Server::start().await;
    s3.put("media", "seen-by-nobody.png", b"abc");
    let gateway = Gateway::streaming(&s3).await;
    let mut named = claims();
    named["sub"] = "a-person".into();
    named["task"] = "task-4711".into();
    named["jti"] = "jti-4711".into();
    let token = sign(&named);
    for path in [
        "/media/media/seen-by-nobody.png",
        "/media/media/absent-key",
        "/media/other-bucket/k",
        "/tasks/task-9/resolve/?fileuri=s3://media/k",
        "/forwarded/path",
    ] {
        let joint = if path.contains('?') { '&' } else { '?' };
        gateway.send("GET", &format!("{path}{joint}token={token}"), &[("user-agent", "agent-4711")]).await;
    }
    gateway.send("BREW", "/media/media/x", &[]).await;
    let text = gateway.admin("/metrics").await.text();
    for secret in [
        "seen-by-nobody",
        "absent-key",
        "other-bucket",
        "task-4711",
        "task-9",
        "a-person",
        "jti-4711",
        "agent-4711",
        "127.0.0.1",
        "BREW",
        &token,
    ] {
        assert!(!text.contains(secret), "{secret} is in the metrics");
    }
    let own = text.lines().filter(|line| line.starts_with("mediagate_"));
    let label_names: BTreeSet<&str> = own
        .filter_map(|line| Some(line.split_once('{')?.1.rsplit_once('}')?.0))
        .flat_map(|labels| labels.split("\","))
        .filter_map(|pair| pair.split('=').next())
        .collect();
    let known = BTreeSet::from([
        "cache",
        "delivery",
        "job",
        "le",
        "listener",
        "operation",
        "outcome",
        "reason",
        "result",
        "route",
        "source",
        "state",
        "status",
        "storage",
        "version",
    ]);
    assert!(label_names.is_subset(&known), "{:?}", label_names.difference(&known));
}

#[tokio::test]
async fn a_request_id_comes_back_and_a_strangers_is_not_taken() {
    let gateway = Gateway::start("").await;
    let answer = send(gateway.address, "GET", "/", &[("x-request-id", "mine")]).await;
    let id = answer.header("x-request-id").to_owned();
    assert!(id.len() == 32 && id != "mine", "{id}");
    assert!(answer.text().contains(&id));
}

/// The id goes to logs, answers and the application: even a trusted proxy's is taken only if it is a plain word.
#[tokio::test]
async fn a_trusted_proxys_request_id_is_a_word() {
    let gateway = Gateway::start("[access]\ntrusted_proxies = [\"127.0.0.0/8\"]\n").await;
    let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
    for (given, taken) in [
        ("id-1", true),
        (longest.as_str(), true),
        (&too_long, false),
        ("", false),
        ("a b", false),
        ("a\tb", false),
        ("\u{e9}", false),
    ] {
        let answer = send(gateway.address, "GET", "/", &[("x-request-id", given)]).await;
        let id = answer.header("x-request-id");
        assert_eq!((id == given, id.len() == 32), (taken, !taken), "{given:?}: {id}");
    }
}
