//! Streams: every row of the semantics table that concerns bytes, and how streams begin, stall and end.

use http_body_util::BodyExt as _;
use hyper::body::Body as _;

use crate::support::{
    gateway::{Gateway, open, storage, token},
    s3::{S3Server, Stored},
    scripted::{Event, Scripted, Step, response},
};

const DIGITS: &[u8] = b"0123456789";

async fn digits() -> (S3Server, Gateway) {
    let s3 = S3Server::start().await;
    s3.put_with(
        "media",
        "digits.txt",
        DIGITS,
        Stored { content_type: Some("text/plain"), ..Stored::default() },
    );
    let gateway = Gateway::streaming(&s3).await;
    (s3, gateway)
}

#[tokio::test]
async fn the_whole_object() {
    let (_s3, gateway) = digits().await;
    let answer = gateway.get("/media/media/digits.txt").await;
    assert_eq!((answer.status, &*answer.body), (200, DIGITS));
    for (name, want) in [
        ("content-type", "text/plain"),
        ("content-length", "10"),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "private, max-age=3600, must-revalidate"),
        // Another bearer is another right.
        ("vary", "Authorization"),
    ] {
        assert_eq!(answer.header(name), want, "{name}");
    }
    assert!(answer.header("etag").starts_with('"'));
    assert!(!answer.header("last-modified").is_empty());
    assert!(!answer.header("x-request-id").is_empty());
}

#[tokio::test]
async fn ranges() {
    let (_s3, gateway) = digits().await;
    for (range, status, content_range, body) in [
        ("bytes=0-3", 206, "bytes 0-3/10", &b"0123"[..]),
        ("bytes=7-", 206, "bytes 7-9/10", b"789"),
        ("bytes=-2", 206, "bytes 8-9/10", b"89"),
        ("bytes=5-99", 206, "bytes 5-9/10", b"56789"),
        ("bytes=0-", 206, "bytes 0-9/10", DIGITS),
        ("bytes=5-2", 200, "", DIGITS),
        ("items=0-1", 200, "", DIGITS),
        ("bytes=x", 200, "", DIGITS),
        // Overlapping ranges are one.
        ("bytes=0-3,2-5", 206, "bytes 0-5/10", b"012345"),
    ] {
        let answer = gateway.get_with("/media/media/digits.txt", &[("range", range)]).await;
        assert_eq!((answer.status, answer.header("content-range")), (status, content_range), "{range}");
        assert_eq!(&*answer.body, body, "{range}");
    }
    for range in ["bytes=10-", "bytes=99-", "bytes=-0", "bytes=50-60,70-80"] {
        let answer = gateway.get_with("/media/media/digits.txt", &[("range", range)]).await;
        assert_eq!((answer.status, answer.header("content-range")), (416, "bytes */10"), "{range}");
        assert_eq!(answer.code(), "range_not_satisfiable", "{range}");
    }
}

#[tokio::test]
async fn several_ranges_are_multipart() {
    let (_s3, gateway) = digits().await;
    let answer = gateway.get_with("/media/media/digits.txt", &[("range", "bytes=0-1, 8-, 40-50")]).await;
    assert_eq!(answer.status, 206);
    let content_type = answer.header("content-type").to_owned();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let want = format!(
        "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
         \r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\
         \r\n--{boundary}--\r\n"
    );
    assert_eq!(answer.text(), want);
    assert_eq!(answer.header("content-length"), want.len().to_string());
    assert_eq!(answer.header("content-range"), "");
}

#[tokio::test]
async fn seventeen_ranges_are_the_whole_object() {
    let (_s3, gateway) = digits().await;
    let ranges: Vec<String> = (0..17).map(|_| "0-0,2-2".to_owned()).collect();
    let answer = gateway
        .get_with("/media/media/digits.txt", &[("range", &format!("bytes={}", ranges.join(",")))])
        .await;
    assert_eq!((answer.status, &*answer.body), (200, DIGITS));
}

#[tokio::test]
async fn conditions_in_the_order_of_rfc_9110() {
    let (_s3, gateway) = digits().await;
    let path = "/media/media/digits.txt";
    let first = gateway.get(path).await;
    let (etag, date) = (first.header("etag").to_owned(), first.header("last-modified").to_owned());
    let old = "Thu, 01 Jan 1998 00:00:00 GMT";
    for (headers, want) in [
        (&[("if-none-match", etag.as_str())][..], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", &format!("\"x\", W/{etag}"))], 304),
        (&[("if-none-match", "\"x\"")], 200),
        (&[("if-modified-since", &date)], 304),
        (&[("if-modified-since", old)], 200),
        (&[("if-none-match", "\"x\""), ("if-modified-since", &date)], 200),
        (&[("if-match", &etag)], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", "\"x\"")], 412),
        (&[("if-match", &format!("W/{etag}"))], 412),
        (&[("if-unmodified-since", old)], 412),
        (&[("if-unmodified-since", &date)], 200),
        (&[("if-match", "\"x\""), ("range", "bytes=99-")], 412),
        (&[("if-none-match", &etag), ("range", "bytes=99-")], 304),
        (&[("if-match", &etag), ("range", "bytes=0-1")], 206),
        (&[("if-match", &etag), ("range", "bytes=99-")], 416),
        (&[("if-range", &etag), ("range", "bytes=0-1")], 206),
        (&[("if-range", "\"x\""), ("range", "bytes=0-1")], 200),
        (&[("if-range", "\"x\""), ("range", "bytes=99-")], 200),
        (&[("if-range", &date), ("range", "bytes=0-1")], 206),
        (&[("if-range", old), ("range", "bytes=0-1")], 200),
        (&[("if-range", &format!("W/{etag}")), ("range", "bytes=0-1")], 200),
        (&[("if-range", "rubbish"), ("range", "bytes=0-1")], 200),
        (&[("if-range", "\"x\"")], 200),
    ] {
        let answer = gateway.get_with(path, headers).await;
        assert_eq!(answer.status, want, "{headers:?}");
        if want == 304 {
            assert_eq!(answer.header("etag"), etag, "{headers:?}");
            assert!(answer.body.is_empty() && !answer.header("cache-control").is_empty(), "{headers:?}");
        }
    }
}

#[tokio::test]
async fn a_condition_is_no_way_past_the_token() {
    let (_s3, gateway) = digits().await;
    let etag = gateway.get("/media/media/digits.txt").await.header("etag").to_owned();
    let answer = gateway.send("GET", "/media/media/digits.txt", &[("if-none-match", &etag)]).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_missing"));
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let (_s3, gateway) = digits().await;
    let path = format!("/media/media/digits.txt?token={}", token());
    let get = gateway.send("GET", &path, &[]).await;
    let head = gateway.send("HEAD", &path, &[("range", "bytes=0-1")]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["content-length", "content-type", "etag", "last-modified", "accept-ranges", "cache-control"]
    {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_404_and_a_directory_of_another_bucket_too() {
    let (_s3, gateway) = digits().await;
    let absent = gateway.get("/media/media/absent").await;
    assert_eq!((absent.status, absent.code().as_str()), (404, "object_not_found"));
    let mut all = crate::support::gateway::claims();
    all["objects"] = serde_json::json!(["s3://media/*", "s3://elsewhere/*"]);
    let token = crate::support::gateway::sign(&all);
    let elsewhere = gateway.send("GET", &format!("/media/elsewhere/a?token={token}"), &[]).await;
    assert_eq!((elsewhere.status, elsewhere.code().as_str()), (404, "storage_not_found"));
}

#[tokio::test]
async fn an_object_not_granted_is_403_whether_it_exists_or_not() {
    let (_s3, gateway) = digits().await;
    let mut narrow = crate::support::gateway::claims();
    narrow["objects"] = serde_json::json!(["s3://media/tasks/7/*"]);
    let token = crate::support::gateway::sign(&narrow);
    let mut answers = Vec::new();
    for key in ["digits.txt", "absent.txt"] {
        let answer = gateway.send("GET", &format!("/media/media/{key}?token={token}"), &[]).await;
        let mut problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        problem["request_id"].take();
        answers.push((answer.status, problem));
    }
    assert_eq!(answers[0].0, 403);
    assert_eq!(answers[0].1["code"], "object_not_granted");
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn documents_cannot_run_scripts_and_types_are_never_guessed_by_browsers() {
    let s3 = S3Server::start().await;
    for (key, content_type) in [
        ("page.html", Some("text/html; charset=utf-8")),
        ("drawing.svg", Some("image/svg+xml")),
        ("data.xml", Some("application/xml")),
        ("typeless.svg", None),
        ("photo.jpg", Some("binary/octet-stream")),
    ] {
        s3.put_with("media", key, b"<x/>", Stored { content_type, ..Stored::default() });
    }
    let gateway = Gateway::streaming(&s3).await;
    for (key, content_type, sandbox) in [
        ("page.html", "text/html; charset=utf-8", "sandbox"),
        ("drawing.svg", "image/svg+xml", "sandbox"),
        ("data.xml", "application/xml", "sandbox"),
        ("typeless.svg", "image/svg+xml", "sandbox"),
        ("photo.jpg", "image/jpeg", ""),
    ] {
        let answer = gateway.get(&format!("/media/media/{key}")).await;
        assert_eq!(answer.header("content-type"), content_type, "{key}");
        assert_eq!(answer.header("content-security-policy"), sandbox, "{key}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{key}");
    }
}

#[tokio::test]
async fn content_encoding_is_kept_and_disposition_is_ours() {
    let s3 = S3Server::start().await;
    let stored = Stored {
        content_encoding: Some("gzip"),
        content_disposition: Some("attachment; filename=evil"),
        ..Stored::default()
    };
    s3.put_with("media", "a b.json", b"not really gzip", stored);
    let gateway =
        Gateway::start(&storage(&s3.url(), "delivery = \"stream\"\ncontent_disposition = \"inline\"")).await;
    let answer = gateway.get("/media/media/a%20b.json").await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert_eq!(answer.header("content-disposition"), "inline; filename=\"a b.json\"");
}

#[tokio::test]
async fn s3_sees_nothing_of_the_client() {
    let (s3, gateway) = digits().await;
    let headers = [
        ("cookie", "session=1"),
        ("x-amz-acl", "public-read"),
        ("x-custom", "1"),
        ("accept-encoding", "gzip"),
        ("expect", "100-continue"),
    ];
    let answer = gateway.get_with("/media/media/digits.txt", &headers).await;
    assert_eq!(answer.status, 200);
    for seen in s3.seen() {
        let names: Vec<_> = seen.headers.keys().map(http::HeaderName::as_str).collect();
        for (name, _) in headers {
            assert!(!names.contains(&name), "{name} in {names:?}");
        }
        let authorization = seen.headers["authorization"].to_str().unwrap();
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 "), "{authorization}");
        assert!(!seen.uri.to_string().contains("token"));
    }
}

/// What S3 does wrong is told apart, and its own words stay with us.
#[tokio::test]
async fn faults_of_s3_have_their_own_answers() {
    let xml = |code: &str| {
        format!("<Error><Code>{code}</Code><Message>secret words</Message></Error>").into_bytes()
    };
    for (status, code, want, reason) in [
        ("403 Forbidden", "AccessDenied", 502, "s3_denied"),
        ("403 Forbidden", "SignatureDoesNotMatch", 502, "s3_denied"),
        ("404 Not Found", "NoSuchKey", 404, "object_not_found"),
        ("404 Not Found", "NoSuchBucket", 502, "s3_misconfigured"),
        ("301 Moved Permanently", "PermanentRedirect", 502, "s3_misconfigured"),
        ("500 Internal Server Error", "InternalError", 502, "s3_failed"),
        ("503 Slow Down", "SlowDown", 503, "s3_throttled"),
    ] {
        let body = xml(code);
        let length = body.len().to_string();
        let script = vec![Step::Head, Step::Send(response(status, &[("content-length", &length)], &body))];
        let s3 = Scripted::start(vec![script.clone(), script.clone(), script]).await;
        let gateway = Gateway::start(&storage(&s3.url(), "delivery = \"stream\"")).await;
        let answer = gateway.get("/media/media/a").await;
        assert_eq!((answer.status, answer.code().as_str()), (want, reason), "{status} {code}");
        assert!(!answer.text().contains("secret") && !answer.text().contains(code), "{}", answer.text());
        assert_eq!(answer.headers.contains_key("retry-after"), want == 503, "{code}");
    }
}

#[tokio::test]
async fn a_silent_s3_is_504() {
    let s3 = Scripted::start(vec![vec![Step::Head, Step::Hang]]).await;
    let gateway =
        Gateway::start(&storage(&s3.url(), "delivery = \"stream\"\nfirst_byte_timeout = \"200ms\"")).await;
    let answer = gateway.get("/media/media/a").await;
    assert_eq!((answer.status, answer.code().as_str()), (504, "s3_timeout"));
}

#[tokio::test]
async fn an_s3_that_is_away_is_502() {
    let gateway = Gateway::start(&storage("http://127.0.0.1:1", "delivery = \"stream\"")).await;
    let answer = gateway.get("/media/media/a").await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "s3_unreachable"));
}

const HUGE: &str = "1073741824";

fn flood() -> Vec<Step> {
    vec![
        Step::Head,
        Step::Send(response("200 OK", &[("content-length", HUGE), ("etag", "\"e\"")], b"")),
        Step::Flood,
    ]
}

/// The first of the four streaming tests that stay: a client that stops reading stops S3.
#[tokio::test]
async fn a_slow_client_stalls_s3() {
    let mut s3 = Scripted::start(vec![flood()]).await;
    let gateway = Gateway::start(&storage(&s3.url(), "delivery = \"stream\"")).await;
    let bearer = format!("Bearer {}", token());
    let answer = open(gateway.address, "GET", "/media/media/a", &[("authorization", &bearer)]).await;
    assert_eq!(answer.body().size_hint().exact(), Some(1 << 30));
    // The gateway's own figure stops moving once all buffers on the way are full.
    let mut last = -1.0;
    loop {
        let now = gateway.metric("mediagate_streams_in_flight", &[]).await;
        assert!((now - 1.0).abs() < f64::EPSILON);
        if (now - last).abs() < f64::EPSILON {
            break;
        }
        last = now;
    }
    drop(answer);
    let sent = loop {
        if let Event::ClientLeft { sent } = s3.next().await {
            break sent;
        }
    };
    assert!(sent < 64 << 20, "S3 sent {sent} bytes to a client that read none");
}

/// The second: a client that leaves gives its permit back and ends the read at S3.
#[tokio::test]
async fn a_client_that_leaves_ends_the_read_and_gives_its_permit_back() {
    let mut s3 = Scripted::start(vec![flood()]).await;
    let gateway = Gateway::start(&storage(&s3.url(), "delivery = \"stream\"")).await;
    let bearer = format!("Bearer {}", token());
    let mut answer = open(gateway.address, "GET", "/media/media/a", &[("authorization", &bearer)]).await;
    answer.body_mut().frame().await.unwrap().unwrap();
    gateway.metric_becomes("mediagate_streams_in_flight", &[], 1.0).await;
    drop(answer);
    while !matches!(s3.next().await, Event::ClientLeft { .. }) {}
    gateway.metric_becomes("mediagate_streams_in_flight", &[], 0.0).await;
    gateway
        .metric_becomes("mediagate_requests_total", &["outcome=\"client_gone\"", "route=\"media\""], 1.0)
        .await;
}

/// The third: S3 that breaks in mid-body without a way to resume gives a short body that is seen to be short.
#[tokio::test]
async fn a_body_that_breaks_off_is_cut_and_never_looks_complete() {
    let head = response("200 OK", &[("content-length", "1000")], &[b'x'; 100]);
    let s3 = Scripted::start(vec![vec![Step::Head, Step::Send(head), Step::Wait, Step::Reset]]).await;
    let gateway = Gateway::start(&storage(&s3.url(), "delivery = \"stream\"")).await;
    let bearer = format!("Bearer {}", token());
    let answer = open(gateway.address, "GET", "/media/media/a", &[("authorization", &bearer)]).await;
    assert_eq!(answer.status(), 200);
    s3.go();
    assert!(answer.into_body().collect().await.is_err(), "a short body came as if it were whole");
    gateway.metric_becomes("mediagate_requests_total", &["outcome=\"upstream_failed\""], 1.0).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_resumed_under_if_match() {
    let first = response("200 OK", &[("content-length", "10"), ("etag", "\"e\"")], b"0123");
    let rest = response(
        "206 Partial Content",
        &[("content-length", "6"), ("etag", "\"e\""), ("content-range", "bytes 4-9/10")],
        b"456789",
    );
    let s3 = Scripted::start(vec![
        vec![Step::Head, Step::Send(first), Step::Reset],
        vec![Step::Head, Step::Send(rest)],
    ])
    .await;
    let gateway = Gateway::start(&storage(&s3.url(), "delivery = \"stream\"")).await;
    let answer = gateway.get("/media/media/a").await;
    assert_eq!((answer.status, &*answer.body), (200, DIGITS));
    let (_, second) = s3.heads().remove(1);
    assert!(second.contains("bytes=4-9") && second.contains("if-match: \"e\""), "{second}");
}

/// The fourth: a shutdown lets the body finish.
#[tokio::test]
async fn a_shutdown_lets_the_body_finish() {
    let head = response("200 OK", &[("content-length", "10")], b"01234");
    let s3 =
        Scripted::start(vec![vec![Step::Head, Step::Send(head), Step::Wait, Step::Send(b"56789".to_vec())]])
            .await;
    let gateway = Gateway::start(&storage(&s3.url(), "delivery = \"stream\"")).await;
    let bearer = format!("Bearer {}", token());
    let mut answer = open(gateway.address, "GET", "/media/media/a", &[("authorization", &bearer)]).await;
    answer.body_mut().frame().await.unwrap().unwrap();
    gateway.life.shutdown().soft().cancel();
    assert_eq!(gateway.admin("/readyz").await.status, 503);
    assert!(tokio::net::TcpStream::connect(gateway.address).await.is_err(), "a new connection was taken");
    s3.go();
    let rest = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(b"0123456789".ends_with(&rest[..]) && rest.ends_with(b"56789"), "{rest:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_hard_shutdown_cuts_the_body() {
    let head = response("200 OK", &[("content-length", "10")], b"01234");
    let s3 = Scripted::start(vec![vec![Step::Head, Step::Send(head), Step::Hang]]).await;
    let gateway = Gateway::start(&storage(&s3.url(), "delivery = \"stream\"")).await;
    let bearer = format!("Bearer {}", token());
    let answer = open(gateway.address, "GET", "/media/media/a", &[("authorization", &bearer)]).await;
    gateway.life.shutdown().now();
    assert!(answer.into_body().collect().await.is_err());
    gateway.stop().await;
}
