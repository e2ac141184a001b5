//! What S3 may answer, and what is said about it.

use mediagate::{
    s3::{Connection, CredentialsConfig, Timeouts},
    sidecar::{Probe, Report, Use, examine},
    storage::{Direction, EndpointUrl, Settings},
};

use super::{
    answer, assert_says, done, error, examine_source, examine_target, findings, first_byte, listing, only,
    outline, serve, source, target,
};
use crate::support::{
    clock,
    s3::{ACCESS_KEY_ID, S3Server, config, connect},
    scripted::{
        Scripted,
        Step::{Head, Send},
    },
};

/// The SDK asks up to three times.
fn thrice(answer: &[u8]) -> Vec<Vec<u8>> {
    vec![answer.to_vec(); 3]
}

async fn connect_to(server: &Scripted) -> Connection {
    let mut config = config(&server.url(), "media");
    config.timeouts = Timeouts { first_byte: std::time::Duration::from_millis(500), ..Timeouts::default() };
    connect(config).await
}

/// Settings that know that the endpoint is not AWS.
fn elsewhere(settings: Settings) -> Settings {
    Settings { endpoint: EndpointUrl::parse("http://s3.example.org").ok(), ..settings }
}

async fn source_of(answers: Vec<Vec<u8>>, settings: &Settings) -> Report {
    let server = serve(answers).await;
    examine_source(&connect_to(&server).await, settings).await
}

async fn target_of(answers: Vec<Vec<u8>>, settings: &Settings) -> Report {
    let server = serve(answers).await;
    examine_target(&connect_to(&server).await, settings).await
}

#[tokio::test]
async fn what_listing_is_answered_with() {
    let aws = source();
    let whole = Settings { prefix: None, ..source() };
    let other = elsewhere(source());
    for (answered, settings, problem, advice) in [
        (
            error("403 Forbidden", "AccessDenied"),
            &aws,
            "cannot list s3://media/img/: S3 denied access",
            "allow s3:ListBucket on arn:aws:s3:::media for s3:prefix img/*; `mediagate policy role`",
        ),
        (
            error("403 Forbidden", "AccessDenied"),
            &whole,
            "cannot list s3://media/: S3 denied access",
            "allow s3:ListBucket on arn:aws:s3:::media; `mediagate policy role`",
        ),
        (
            error("403 Forbidden", "AccessDenied"),
            &other,
            "S3 denied access",
            "s3:prefix img/*, or check access_key_id and secret_access_key",
        ),
        (
            error("403 Forbidden", "InvalidAccessKeyId"),
            &aws,
            "S3 rejected the credentials",
            "check access_key_id",
        ),
        (
            error("403 Forbidden", "SignatureDoesNotMatch"),
            &aws,
            "S3 rejected the credentials",
            "secret_access_key",
        ),
        (
            error("400 Bad Request", "ExpiredToken"),
            &aws,
            "S3 rejected the credentials",
            "session token has ended",
        ),
        (
            error("403 Forbidden", "RequestTimeTooSkewed"),
            &aws,
            "too far from its own",
            "set the clock of this machine, which says 2",
        ),
        (
            error("404 Not Found", "NoSuchBucket"),
            &aws,
            "Cannot find bucket media in S3 at http://127",
            "bucket's name",
        ),
        (
            answer("404 Not Found", &[], b"no"),
            &other,
            "Cannot find bucket media",
            "set addressing to virtual",
        ),
        (
            error("301 Moved Permanently", "PermanentRedirect"),
            &aws,
            "the bucket media is in another region than us-east-1, and S3 does not say in which",
            "set the region to the bucket's own",
        ),
        (error("503 Slow Down", "SlowDown"), &aws, "S3 throttled the request", "test again in a moment"),
        (
            error("500 Internal Server Error", "InternalError"),
            &aws,
            "S3 answered with status 500 Internal Server Error (InternalError)",
            "the S3 server failed",
        ),
        (
            error("405 Method Not Allowed", "MethodNotAllowed"),
            &other,
            "status 405 Method Not Allowed (MethodNotAllowed)",
            "is an S3 server; the bucket's name stands in the path",
        ),
        (
            answer("200 OK", &[("Content-Type", "text/html")], b"<html>hello</html>"),
            &other,
            "the answer of S3 is malformed",
            "is an S3 server; the bucket's name stands in the path",
        ),
    ] {
        let report = source_of(thrice(&answered), settings).await;
        assert_says(only(&report, Probe::List), problem, advice);
    }
}

#[tokio::test]
async fn what_reading_is_answered_with() {
    for (answered, problem, advice) in [
        (
            error("403 Forbidden", "AccessDenied"),
            "cannot read from s3://media/img/: S3 denied access",
            "allow s3:GetObject on arn:aws:s3:::media/img/*",
        ),
        (error("404 Not Found", "NoSuchKey"), "the key does not exist", "a moment ago"),
        (error("403 Forbidden", "InvalidObjectState"), "the object is archived", "restore the object"),
        (
            answer("206 Partial Content", &[("Content-Range", "bytes 1-1/3")], b"b"),
            "the answer of S3 is malformed",
            "is an S3 server",
        ),
    ] {
        let report = source_of(vec![listing(&["img/a"]), answered], &source()).await;
        assert_eq!(outline(&report)[0], (Probe::List, true));
        assert_says(only(&report, Probe::Get), problem, advice);
    }
}

#[tokio::test]
async fn the_region_is_followed_once() {
    let moved = || {
        answer(
            "301 Moved Permanently",
            &[("x-amz-bucket-region", "cn-north-1")],
            b"<Error><Code>PermanentRedirect</Code></Error>",
        )
    };
    let server = serve(vec![moved(), listing(&["img/a"]), error("403 Forbidden", "AccessDenied")]).await;
    let report = examine_source(&connect_to(&server).await, &source()).await;
    assert_eq!(outline(&report), [(Probe::List, false), (Probe::List, true), (Probe::Get, false)]);
    let found = findings(&report);
    assert_says(
        found[0].1,
        "media is in the region cn-north-1, not in us-east-1",
        "set the region to cn-north-1",
    );
    // By the partition of the region that it really has.
    assert_says(found[1].1, "S3 denied access", "s3:GetObject on arn:aws-cn:s3:::media/img/*");
    assert_eq!(report.region.as_deref(), Some("cn-north-1"));
    for ((_, head), region) in server.heads().iter().zip(["us-east-1", "cn-north-1", "cn-north-1"]) {
        assert!(head.contains(&format!("/{region}/s3/aws4_request")), "{head}");
    }
    let report = source_of(vec![moved(), moved(), listing(&["img/a"])], &source()).await;
    assert_eq!(outline(&report), [(Probe::List, false), (Probe::List, false)]);
    assert_says(
        findings(&report)[1].1,
        "does not serve the bucket media",
        "set the endpoint to that of the region",
    );
}

#[tokio::test]
async fn a_target_follows_the_region_too() {
    let moved = answer(
        "400 Bad Request",
        &[("x-amz-bucket-region", "eu-west-1")],
        b"<Error><Code>AuthorizationHeaderMalformed</Code></Error>",
    );
    let server = serve(vec![moved, done(), error("403 Forbidden", "AccessDenied")]).await;
    let report = examine_target(&connect_to(&server).await, &target(false)).await;
    assert_eq!(outline(&report), [(Probe::Put, false), (Probe::Put, true), (Probe::ReadBack, false)]);
    assert_says(findings(&report)[0].1, "in the region eu-west-1", "set the region to eu-west-1");
}

#[tokio::test]
async fn what_writing_is_answered_with() {
    let kms = Settings { sse_kms_key_id: Some("alias/annotations".to_owned()), ..target(true) };
    for (answered, settings, problem, advice) in [
        (
            error("403 Forbidden", "AccessDenied"),
            &target(true),
            "cannot write to s3://media/img/: S3 denied access",
            "allow s3:PutObject on arn:aws:s3:::media/img/*; `mediagate",
        ),
        (
            error("403 Forbidden", "AccessDenied"),
            &kms,
            "S3 denied access",
            "and kms:GenerateDataKey and kms:Decrypt on the key",
        ),
        (
            error("400 Bad Request", "KMS.DisabledException"),
            &kms,
            "status 400 Bad Request (KMS.DisabledException)",
            "check that the KMS key exists",
        ),
    ] {
        let server = serve(vec![answered]).await;
        let report = examine_target(&connect_to(&server).await, settings).await;
        assert_says(only(&report, Probe::Put), problem, advice);
        assert_eq!(outline(&report).len(), 1);
    }
    let absurd = Settings { prefix: Some("a/../b".to_owned()), ..target(true) };
    let report = target_of(vec![], &absurd).await;
    assert_says(only(&report, Probe::Put), "no object can be written under this prefix", "without . and ..");
}

#[tokio::test]
async fn what_reading_back_and_deleting_is_answered_with() {
    let denied = error("403 Forbidden", "AccessDenied");
    for (read, deleted, probe, problem, advice) in [
        (
            denied.clone(),
            done(),
            Probe::ReadBack,
            "cannot read back what was written to s3://media/img/: S3 denied access",
            "allow s3:GetObject on arn:aws:s3:::media/img/*",
        ),
        // As long as what was written.
        (
            answer("200 OK", &[("ETag", "\"e\"")], &[b'x'; 43]),
            done(),
            Probe::ReadBack,
            "it is not what was written",
            "caches or changes objects",
        ),
        (answer("200 OK", &[], b"short"), done(), Probe::ReadBack, "it is not what was written", "caches"),
    ] {
        let report = target_of(vec![done(), read, deleted], &target(true)).await;
        assert_eq!(outline(&report), [(Probe::Put, true), (Probe::ReadBack, false), (Probe::Delete, true)]);
        assert_says(only(&report, probe), problem, advice);
    }
    let report = target_of(vec![done(), denied.clone(), denied], &target(true)).await;
    let found = findings(&report);
    assert_eq!(found[1].0, Probe::Delete);
    assert_says(
        found[1].1,
        "cannot delete from s3://media/img/",
        "allow s3:DeleteObject on arn:aws:s3:::media/img/*",
    );
    assert!(report.notes.concat().contains("is left behind; delete it"), "{report:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_finding() {
    let mut cut = answer("200 OK", &[], &[b'x'; 43]);
    cut.truncate(cut.len() - 10);
    let report = target_of(vec![done(), cut, done()], &target(true)).await;
    assert_says(only(&report, Probe::ReadBack), "the body broke off", "proxies and firewalls");
}

#[tokio::test]
async fn what_a_presigned_url_is_answered_with() {
    let settings = Settings { presign: true, ..source() };
    let origins = ["https://app.example.org".to_owned()];
    for (answered, problem, advice) in [
        (
            error("403 Forbidden", "SignatureDoesNotMatch"),
            "a presigned URL at http://127.0.0.1:",
            "it must pass the Host header, the path and the query on as they are",
        ),
        (error("403 Forbidden", "AccessDenied"), "S3 denied access", "bucket policies with aws:SourceIp"),
        (error("404 Not Found", "NoSuchKey"), "the key does not exist", "leads to the same bucket"),
        (error("404 Not Found", "NoSuchBucket"), "Cannot find bucket media", "bucket's name"),
    ] {
        let real = S3Server::start().await;
        real.put("media", "img/a", b"abc");
        let public = serve(vec![answered]).await;
        let mut config = real.config("media");
        config.public_endpoint = Some(public.url().parse().unwrap());
        let usage = Use { direction: Direction::Import, settings: &settings, origins: &origins };
        let report = examine(&connect(config).await, usage, clock).await;
        assert_eq!(outline(&report), [(Probe::List, true), (Probe::Get, true), (Probe::Presigned, false)]);
        assert_says(only(&report, Probe::Presigned), problem, advice);
    }
}

#[tokio::test]
async fn cors_is_asked_for_each_page() {
    let settings = Settings { presign: true, ..source() };
    let origins = ["https://good.example".to_owned(), "https://bad.example".to_owned()];
    let allowed = answer(
        "200 OK",
        &[
            ("Access-Control-Allow-Origin", "https://good.example"),
            ("Access-Control-Allow-Methods", "GET, HEAD"),
        ],
        b"",
    );
    let refused = error("403 Forbidden", "AccessForbidden");
    let server = serve(vec![listing(&["img/a"]), first_byte(), first_byte(), allowed, refused]).await;
    let usage = Use { direction: Direction::Import, settings: &settings, origins: &origins };
    let report = examine(&connect_to(&server).await, usage, clock).await;
    assert_eq!(
        outline(&report),
        [
            (Probe::List, true),
            (Probe::Get, true),
            (Probe::Presigned, true),
            (Probe::Cors, true),
            (Probe::Cors, false),
        ]
    );
    let finding = only(&report, Probe::Cors);
    assert_says(finding, "pages of https://bad.example", "allow GET and HEAD from https://bad.example");
}

#[tokio::test]
async fn credentials_that_do_not_come_say_why() {
    let refusal = error("403 Forbidden", "AccessDenied");
    let sts = Scripted::start(vec![vec![Head, Send(refusal)]; 3]).await;
    let mut config = config("http://127.0.0.1:1", "media");
    config.credentials = CredentialsConfig::AssumeRole {
        role_arn: "arn:aws:iam::123456789012:role/reader".to_owned(),
        external_id: None,
        sts_endpoint: Some(sts.url()),
        base: Box::new(config.credentials),
    };
    let report = examine_source(&connect(config).await, &source()).await;
    assert_says(only(&report, Probe::List), "there are no valid credentials", "check role_arn");
    // Nor is a broken key tried on S3.
    let mut config = super::super::support::s3::config("http://127.0.0.1:1", "media");
    config.credentials = CredentialsConfig::Static {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: "s".into(),
        session_token: Some("a\nb".into()),
    };
    let egress = mediagate::egress::Egress::build(&mediagate::egress::Config::default()).unwrap();
    let metrics = mediagate::s3::S3Metrics::register(&prometheus::Registry::new()).unwrap();
    let refused = Connection::connect(config, std::sync::Arc::new(egress), metrics, clock).await;
    assert!(matches!(refused, Err(mediagate::s3::Error::CredentialsMalformed)));
}
