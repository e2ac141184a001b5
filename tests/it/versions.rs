//! One answer is of one version of an object, however many requests to S3 it takes.

use http_body_util::BodyExt as _;

use crate::support::{
    gateway::{Gateway, open, storage, token},
    scripted::{Scripted, Step, response},
};

const PATH: &str = "/media/media/a";

/// The description of ten digits under this tag, and nothing more on its connection.
fn described(tag: &str) -> Vec<Step> {
    let headers = [("content-length", "10"), ("etag", tag), ("connection", "close")];
    vec![Step::Head, Step::Send(response("200 OK", &headers, b""))]
}

/// Two of the ten digits.
fn part(first: usize, tag: &str) -> Vec<Step> {
    let range = format!("bytes {first}-{}/10", first + 1);
    let headers =
        [("content-length", "2"), ("content-range", &range), ("etag", tag), ("connection", "close")];
    let digits = b"0123456789".get(first..first + 2).unwrap();
    vec![Step::Head, Step::Send(response("206 Partial Content", &headers, digits))]
}

fn changed() -> Vec<Step> {
    let headers = [("content-length", "0"), ("connection", "close")];
    vec![Step::Head, Step::Send(response("412 Precondition Failed", &headers, b""))]
}

async fn start(scripts: Vec<Vec<Step>>) -> (Scripted, Gateway) {
    let s3 = Scripted::start(scripts).await;
    let gateway = Gateway::start(&storage(&s3.url(), "delivery = \"stream\"")).await;
    (s3, gateway)
}

#[tokio::test]
async fn what_follows_the_description_is_read_under_its_tag() {
    for (range, condition, scripts) in [
        ("bytes=0-1", ("if-range", "\"e\""), vec![described("\"e\""), part(0, "\"e\"")]),
        ("bytes=0-1", ("if-match", "\"e\""), vec![described("\"e\""), part(0, "\"e\"")]),
        ("bytes=0-1,4-5", ("x", "x"), vec![described("\"e\""), part(0, "\"e\""), part(4, "\"e\"")]),
    ] {
        let (s3, gateway) = start(scripts).await;
        let answer = gateway.get_with(PATH, &[("range", range), condition]).await;
        assert_eq!(answer.status, 206, "{range} {condition:?}");
        for (connection, head) in s3.heads() {
            let under_tag = head.contains("\r\nif-match: \"e\"\r\n");
            assert_eq!(under_tag, connection > 0, "{range} {condition:?}: {head}");
        }
    }
}

#[tokio::test]
async fn an_object_that_changed_after_its_description_is_described_anew() {
    let scripts = vec![described("\"e\""), changed(), described("\"f\""), part(0, "\"f\"")];
    let (s3, gateway) = start(scripts).await;
    let answer = gateway.get_with(PATH, &[("range", "bytes=0-1"), ("if-none-match", "\"x\"")]).await;
    assert_eq!((answer.status, answer.header("etag"), answer.text().as_str()), (206, "\"f\"", "01"));
    assert!(s3.heads().remove(3).1.contains("\r\nif-match: \"f\"\r\n"));

    let (_s3, gateway) = start(vec![described("\"e\""), changed(), described("\"f\""), changed()]).await;
    let answer = gateway.get_with(PATH, &[("range", "bytes=0-1"), ("if-none-match", "\"x\"")]).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "object_unstable"));
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn an_object_that_changes_between_two_parts_cuts_the_answer() {
    let (_s3, gateway) = start(vec![described("\"e\""), part(0, "\"e\""), changed()]).await;
    let bearer = format!("Bearer {}", token());
    let headers = [("authorization", bearer.as_str()), ("range", "bytes=0-1,4-5")];
    let answer = open(gateway.address, "GET", PATH, &headers).await;
    assert_eq!(answer.status(), 206);
    let body = answer.into_body().collect().await;
    assert!(body.is_err(), "{:?}", body.unwrap().to_bytes());
}
