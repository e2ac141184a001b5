//! Against a server that breaks off, falls silent, changes the object and refuses.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use mediagate::{
    object::{ByteRange, ObjectKey},
    s3::{BodyError, Connection, Error, GetOptions, ObjectBody, Timeouts},
};
use prometheus::Registry;

use crate::support::{
    s3::{config, connect_observed},
    scripted::{
        Event, Scripted,
        Step::{self, Flood, Hang, Head, Pause, Reset, Send, Wait},
        response,
    },
};

const TAG: &str = "\"v1\"";

fn key() -> ObjectKey {
    ObjectKey::parse("a").unwrap()
}

/// Only silence in a body is short.
fn impatient() -> Timeouts {
    Timeouts { idle: Duration::from_millis(200), ..Timeouts::default() }
}

async fn connect(server: &Scripted, timeouts: Timeouts) -> (Connection, Registry) {
    let mut config = config(&server.url(), "media");
    config.timeouts = timeouts;
    connect_observed(config).await
}

/// Reads to the end or to the error.
async fn read(mut body: ObjectBody) -> (Vec<u8>, Option<BodyError>) {
    let mut bytes = Vec::new();
    loop {
        match body.frame().await {
            None => {
                assert_eq!(body.remaining(), 0, "a body that ends early is an error");
                return (bytes, None);
            }
            Some(Ok(frame)) => bytes.extend(frame.into_data().unwrap()),
            Some(Err(error)) => return (bytes, Some(error)),
        }
    }
}

async fn get(server: &Scripted, timeouts: Timeouts) -> (Vec<u8>, Option<BodyError>) {
    let (media, _) = connect(server, timeouts).await;
    read(media.get(&key(), GetOptions::default()).await.unwrap().body).await
}

/// The ten digits, cut after some of them.
fn whole(tag: &str, sent: usize) -> Step {
    let body = b"0123456789".get(..sent).unwrap();
    Send(response("200 OK", &[("Content-Length", "10"), ("ETag", tag)], body))
}

/// The rest of the digits from `first` on, cut before `end`.
fn rest(first: usize, end: usize) -> Step {
    let (len, range) = ((10 - first).to_string(), format!("bytes {first}-9/10"));
    let headers = [("Content-Length", len.as_str()), ("Content-Range", &range), ("ETag", TAG)];
    Send(response("206 Partial Content", &headers, b"0123456789".get(first..end).unwrap()))
}

fn counter(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).unwrap();
    family.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum()
}

#[tokio::test]
async fn a_cut_body_is_resumed_under_if_match() {
    let server = Scripted::start(vec![
        vec![Head, whole(TAG, 4)],
        vec![Head, rest(4, 5)],
        vec![Head, rest(5, 9)],
        vec![Head, rest(9, 10)],
    ])
    .await;
    let (media, registry) = connect(&server, Timeouts::default()).await;
    let object = media.get(&key(), GetOptions::default()).await.unwrap();
    let (bytes, error) = read(object.body).await;
    assert_eq!((bytes.as_slice(), error.is_none()), (b"0123456789".as_slice(), true), "{error:?}");
    assert!((counter(&registry, "mediagate_s3_resumed_total") - 3.0).abs() < 0.1);
    assert!((counter(&registry, "mediagate_s3_read_bytes_total") - 10.0).abs() < 0.1);
    for ((connection, head), range) in server.heads().into_iter().zip(["", "4-9", "5-9", "9-9"]) {
        assert_eq!(head.contains("if-match: \"v1\"\r\n"), connection > 0, "{head}");
        assert_eq!(head.contains(&format!("range: bytes={range}\r\n")), connection > 0, "{head}");
    }
}

#[tokio::test]
async fn a_cut_range_is_resumed_inside_it() {
    let part = [("Content-Length", "6"), ("Content-Range", "bytes 2-7/10"), ("ETag", TAG)];
    let more = [("Content-Length", "3"), ("Content-Range", "bytes 5-7/10"), ("ETag", TAG)];
    let server = Scripted::start(vec![
        vec![Head, Send(response("206 Partial Content", &part, b"234"))],
        vec![Head, Send(response("206 Partial Content", &more, b"567"))],
    ])
    .await;
    let (media, _) = connect(&server, Timeouts::default()).await;
    let range = Some(ByteRange::FromTo { first: 2, last: 7 });
    let object = media.get(&key(), GetOptions { range, if_match: None }).await.unwrap();
    let (bytes, error) = read(object.body).await;
    assert_eq!((bytes.as_slice(), error.is_none()), (b"234567".as_slice(), true), "{error:?}");
    assert!(server.heads().pop().unwrap().1.contains("range: bytes=5-7\r\n"));
}

#[tokio::test]
async fn a_reset_body_is_resumed() {
    let server = Scripted::start(vec![vec![Head, whole(TAG, 4), Wait, Reset], vec![Head, rest(4, 10)]]).await;
    let (media, _) = connect(&server, Timeouts::default()).await;
    let mut body = media.get(&key(), GetOptions::default()).await.unwrap().body;
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, Bytes::from_static(b"0123"));
    server.go();
    let (bytes, error) = read(body).await;
    assert_eq!((bytes.as_slice(), error.is_none()), (b"456789".as_slice(), true), "{error:?}");
}

#[tokio::test]
async fn a_silent_body_is_resumed() {
    let server = Scripted::start(vec![vec![Head, whole(TAG, 4), Hang], vec![Head, rest(4, 10)]]).await;
    let (bytes, error) = get(&server, impatient()).await;
    assert_eq!((bytes.as_slice(), error.is_none()), (b"0123456789".as_slice(), true), "{error:?}");
}

#[tokio::test]
async fn a_body_that_cannot_be_resumed_is_an_error() {
    let other = |status: &str, range: &str, tag: &str, body: &[u8]| {
        let len = body.len().to_string();
        Send(response(status, &[("Content-Length", &len), ("Content-Range", range), ("ETag", tag)], body))
    };
    let good = "206 Partial Content";
    for (case, scripts, sent) in [
        ("no tag", vec![vec![Head, whole("", 4)], vec![Head, rest(4, 10)]], 4),
        ("weak tag", vec![vec![Head, whole("W/\"v1\"", 4)], vec![Head, rest(4, 10)]], 4),
        ("closed connection", vec![vec![Head, whole(TAG, 4)]], 4),
        (
            "other tag",
            vec![vec![Head, whole(TAG, 4)], vec![Head, other(good, "bytes 4-9/10", "\"v2\"", b"456789")]],
            4,
        ),
        (
            "weak again",
            vec![vec![Head, whole(TAG, 4)], vec![Head, other(good, "bytes 4-9/10", "W/\"v1\"", b"456789")]],
            4,
        ),
        (
            "other start",
            vec![vec![Head, whole(TAG, 4)], vec![Head, other(good, "bytes 3-9/10", TAG, b"3456789")]],
            4,
        ),
        (
            "other end",
            vec![vec![Head, whole(TAG, 4)], vec![Head, other(good, "bytes 4-8/10", TAG, b"45678")]],
            4,
        ),
        (
            "other size",
            vec![vec![Head, whole(TAG, 4)], vec![Head, other(good, "bytes 4-9/11", TAG, b"456789")]],
            4,
        ),
        (
            "other length",
            vec![vec![Head, whole(TAG, 4)], vec![Head, other(good, "bytes 4-9/10", TAG, b"45678")]],
            4,
        ),
        ("no range", vec![vec![Head, whole(TAG, 4)], vec![Head, other(good, "", TAG, b"456789")]], 4),
        ("the whole", vec![vec![Head, whole(TAG, 4)], vec![Head, whole(TAG, 10)]], 4),
        (
            "412",
            vec![
                vec![Head, whole(TAG, 4)],
                vec![Head, Send(response("412 X", &[("Content-Length", "0")], b""))],
            ],
            4,
        ),
        (
            "404",
            vec![
                vec![Head, whole(TAG, 4)],
                vec![Head, Send(response("404 X", &[("Content-Length", "0")], b""))],
            ],
            4,
        ),
        (
            "503",
            vec![
                vec![Head, whole(TAG, 4)],
                vec![Head, Send(response("503 X", &[("Content-Length", "0")], b""))],
            ],
            4,
        ),
        ("no progress", vec![vec![Head, whole(TAG, 4)], vec![Head, rest(4, 4)], vec![Head, rest(4, 10)]], 4),
        (
            "a fourth time",
            vec![
                vec![Head, whole(TAG, 1)],
                vec![Head, rest(1, 2)],
                vec![Head, rest(2, 3)],
                vec![Head, rest(3, 4)],
                vec![Head, rest(4, 10)],
            ],
            4,
        ),
    ] {
        let server = Scripted::start(scripts).await;
        let (bytes, error) = get(&server, Timeouts::default()).await;
        assert_eq!(bytes.len(), sent, "{case}");
        assert!(error.is_some(), "{case}");
        let asked_again = server.heads().len() > 1;
        assert_eq!(asked_again, !["no tag", "weak tag", "closed connection"].contains(&case), "{case}");
        let is_changed = matches!(error, Some(BodyError::ObjectChanged));
        let changes = ["other tag", "weak again", "other size", "412", "404"];
        assert_eq!(is_changed, changes.contains(&case), "{case}: {error:?}");
    }
}

#[tokio::test]
async fn a_body_that_stays_silent_is_an_error() {
    let server = Scripted::start(vec![vec![Head, whole("", 4), Hang]]).await;
    let (bytes, error) = get(&server, impatient()).await;
    assert_eq!(bytes, b"0123");
    assert!(matches!(error, Some(BodyError::Silent)), "{error:?}");
}

#[tokio::test]
async fn a_slow_body_is_not_a_silent_one() {
    let digit = |n: u8| [Pause(Duration::from_millis(150)), Send(vec![b'0' + n])];
    let script = [vec![Head, whole("", 0)], (0..10).flat_map(digit).collect()].concat();
    let server = Scripted::start(vec![script]).await;
    let timeouts = Timeouts { idle: Duration::from_secs(1), ..Timeouts::default() };
    let (bytes, error) = get(&server, timeouts).await;
    assert_eq!((bytes.as_slice(), error.is_none()), (b"0123456789".as_slice(), true), "{error:?}");
}

#[tokio::test]
async fn a_silent_head_is_a_timeout() {
    let mut server = Scripted::start(vec![vec![Head, Hang]]).await;
    let timeouts = Timeouts { first_byte: Duration::from_millis(200), ..Timeouts::default() };
    let (media, _) = connect(&server, timeouts).await;
    let answer = media.get(&key(), GetOptions::default()).await;
    assert!(matches!(answer, Err(Error::FirstByteTimeout)), "{answer:?}");
    assert!(answer.unwrap_err().is_transient());
    // The connection is given up, not left behind.
    assert!(matches!(server.next().await, Event::Head { .. }));
    assert_eq!(server.next().await, Event::ClientLeft { sent: 0 });
}

#[tokio::test]
async fn a_get_on_a_dead_pooled_connection_is_replayed_once() {
    for (case, end) in [("closed", vec![]), ("reset", vec![Reset])] {
        let first = [vec![Head, whole(TAG, 10), Head], end].concat();
        let server = Scripted::start(vec![first, vec![Head, whole(TAG, 10)]]).await;
        let (media, registry) = connect(&server, Timeouts::default()).await;
        for _ in 0..2 {
            let object = media.get(&key(), GetOptions::default()).await.unwrap();
            assert_eq!(read(object.body).await.0, b"0123456789", "{case}");
        }
        let connections: Vec<_> = server.heads().into_iter().map(|(connection, _)| connection).collect();
        assert_eq!(connections, [0, 0, 1], "{case}");
        assert!((counter(&registry, "mediagate_s3_replayed_total") - 1.0).abs() < 0.1, "{case}");
    }
}

#[tokio::test]
async fn a_request_is_replayed_only_once() {
    let server = Scripted::start(vec![vec![Head], vec![Head], vec![Head, whole(TAG, 10)]]).await;
    let (media, _) = connect(&server, Timeouts::default()).await;
    let answer = media.get(&key(), GetOptions::default()).await;
    assert!(matches!(answer, Err(Error::Unreachable(_))), "{answer:?}");
    assert_eq!(server.heads().len(), 2);
}

#[tokio::test]
async fn nobody_listens() {
    let server = Scripted::start(vec![]).await;
    let (media, _) = connect(&server, Timeouts::default()).await;
    drop(server);
    let answer = media.head(&key()).await;
    assert!(matches!(answer, Err(Error::Unreachable(_))), "{answer:?}");
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_reading() {
    const GIB: &str = "1073741824";
    let head = Send(response("200 OK", &[("Content-Length", GIB), ("ETag", TAG)], b""));
    let mut server = Scripted::start(vec![vec![Head, head, Flood]]).await;
    let (media, registry) = connect(&server, Timeouts::default()).await;
    let mut body = media.get(&key(), GetOptions::default()).await.unwrap().body;
    let mut taken = 0;
    while taken < 1024 * 1024 {
        taken += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
    assert_eq!(body.size_hint().exact(), Some((1 << 30) - taken as u64));
    drop(body);
    assert!(matches!(server.next().await, Event::Head { .. }));
    let Event::ClientLeft { sent } = server.next().await else { panic!("the flood goes on") };
    // Sockets of the kernel hold some megabytes; nothing of ours reads ahead.
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes were sent");
    assert!(counter(&registry, "mediagate_s3_resumed_total") < 0.1);
}

#[tokio::test]
async fn what_an_answer_means() {
    let xml = |code: &str| {
        format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>m</Message></Error>")
    };
    let huge = format!("<Error>{}<Code>NoSuchBucket</Code></Error>", " ".repeat(20_000));
    for (status, extra, body, want) in [
        ("404 X", ("A", "b"), xml("NoSuchKey"), "NoSuchKey"),
        ("404 X", ("A", "b"), xml("NoSuchBucket"), "NoSuchBucket"),
        ("404 X", ("A", "b"), String::new(), "NoSuchKey"),
        ("404 X", ("A", "b"), huge, "NoSuchKey"),
        ("403 X", ("A", "b"), xml("AccessDenied"), "AccessDenied"),
        ("403 X", ("A", "b"), xml("SignatureDoesNotMatch"), "CredentialsRejected"),
        ("403 X", ("A", "b"), xml("InvalidAccessKeyId"), "CredentialsRejected"),
        ("400 X", ("A", "b"), xml("ExpiredToken"), "CredentialsRejected"),
        ("403 X", ("A", "b"), xml("RequestTimeTooSkewed"), "ClockSkewed"),
        ("403 X", ("A", "b"), xml("InvalidObjectState"), "ObjectArchived"),
        ("403 X", ("A", "b"), "<html>".to_owned(), "AccessDenied"),
        ("412 X", ("A", "b"), String::new(), "PreconditionFailed"),
        ("416 X", ("Content-Range", "bytes */10"), String::new(), "RangeNotSatisfiable { size: Some(10) }"),
        (
            "416 X",
            ("A", "b"),
            "<ActualObjectSize>7</ActualObjectSize>".to_owned(),
            "RangeNotSatisfiable { size: Some(7) }",
        ),
        ("416 X", ("A", "b"), xml("InvalidRange"), "RangeNotSatisfiable { size: None }"),
        ("503 X", ("Retry-After", "7"), xml("SlowDown"), "Throttled { retry_after: Some(7s) }"),
        ("503 X", ("A", "b"), xml("ServiceUnavailable"), "Throttled { retry_after: None }"),
        ("429 X", ("Retry-After", "soon"), String::new(), "Throttled { retry_after: None }"),
        (
            "301 X",
            ("x-amz-bucket-region", "eu-west-1"),
            xml("PermanentRedirect"),
            "MovedRegion { region: Some(\"eu-west-1\") }",
        ),
        ("307 X", ("Location", "http://127.0.0.1:1/"), String::new(), "MovedRegion { region: None }"),
        (
            "400 X",
            ("x-amz-bucket-region", "eu-west-1"),
            xml("AuthorizationHeaderMalformed"),
            "MovedRegion { region: Some(\"eu-west-1\") }",
        ),
        ("301 X", ("x-amz-bucket-region", "<script>"), String::new(), "MovedRegion { region: None }"),
        ("500 X", ("A", "b"), xml("InternalError"), "Status { status: 500, code: Some(\"InternalError\") }"),
        ("400 X", ("A", "b"), xml("<b>odd</b>"), "Status { status: 400, code: None }"),
        ("204 X", ("A", "b"), String::new(), "Status { status: 204, code: None }"),
        ("304 X", ("A", "b"), String::new(), "Status { status: 304, code: None }"),
        ("206 X", ("Content-Range", "bytes 0-3/10"), "0123".to_owned(), "AnswerMalformed"),
    ] {
        let len = body.len().to_string();
        let answer = response(status, &[("Content-Length", &len), extra], body.as_bytes());
        let server = Scripted::start(vec![vec![Head, Send(answer)]]).await;
        let (media, _) = connect(&server, Timeouts::default()).await;
        let error = media.get(&key(), GetOptions::default()).await.unwrap_err();
        assert_eq!(format!("{error:?}"), want, "{status} {extra:?} {body:?}");
    }
}

#[tokio::test]
async fn an_answer_of_no_length_or_of_another_range_is_malformed() {
    let range = ByteRange::FromTo { first: 2, last: 5 };
    for (status, headers, body) in [
        ("200 OK", vec![("Transfer-Encoding", "chunked")], "0\r\n\r\n"),
        ("200 OK", vec![("Transfer-Encoding", "chunked"), ("Content-Length", "1")], "2\r\nab\r\n0\r\n\r\n"),
        ("200 OK", vec![("Content-Length", "1"), ("Transfer-Encoding", "chunked")], "2\r\nab\r\n0\r\n\r\n"),
        ("206 X", vec![("Content-Length", "4")], "2345"),
        ("206 X", vec![("Content-Length", "4"), ("Content-Range", "bytes 0-3/10")], "0123"),
        ("206 X", vec![("Content-Length", "3"), ("Content-Range", "bytes 2-4/10")], "234"),
        ("206 X", vec![("Content-Length", "3"), ("Content-Range", "bytes 2-5/10")], "234"),
        ("206 X", vec![("Content-Length", "4"), ("Content-Range", "bytes 2-5/*")], "2345"),
        ("206 X", vec![("Content-Length", "0"), ("Content-Type", "multipart/byteranges")], ""),
    ] {
        let server =
            Scripted::start(vec![vec![Head, Send(response(status, &headers, body.as_bytes()))]]).await;
        let (media, _) = connect(&server, Timeouts::default()).await;
        let answer = media.get(&key(), GetOptions { range: Some(range), if_match: None }).await;
        assert!(matches!(answer, Err(Error::AnswerMalformed)), "{status} {headers:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_range_answered_with_the_whole_is_the_whole() {
    let server = Scripted::start(vec![vec![Head, whole(TAG, 10)]]).await;
    let (media, _) = connect(&server, Timeouts::default()).await;
    let range = Some(ByteRange::From { first: 3 });
    let object = media.get(&key(), GetOptions { range, if_match: None }).await.unwrap();
    assert!(object.meta.content_range.is_none());
    assert_eq!(read(object.body).await.0, b"0123456789");
}
