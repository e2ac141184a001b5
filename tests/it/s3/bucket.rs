//! Listing, writing, deleting and looking from outside: against s3s, and against a server that lies.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use mediagate::{
    object::{Bucket, ObjectKey},
    s3::{
        Connection, CredentialsConfig, Error, GetOptions, ListPage, ListRequest, Preflight, PutOptions,
        Timeouts,
    },
};
use prometheus::Registry;

use crate::support::{
    clock,
    s3::{ACCESS_KEY_ID, S3Server, config, connect_observed},
    scripted::{
        Event, Scripted,
        Step::{self, Hang, Head, Reset, Send},
        response,
    },
};

const ALL: ListRequest<'_> = ListRequest { prefix: "", recursive: true, page_size: 1000, continuation: None };

/// Keys that a file system can hold, and that a careless encoder or reader of XML gets wrong.
const ODD_KEYS: [&str; 16] = [
    "a b",
    " a ",
    "a+b",
    "a%20b",
    "%2F",
    "%",
    "a?b=c",
    "a#b",
    "a&b;c",
    "&lt;Key>",
    "a=b",
    "ünï/ключ.png",
    "日本語 1.jpg",
    "a\nb",
    "a'b\"c",
    "~(a)!*,\\",
];

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn keys(page: &ListPage) -> Vec<&str> {
    page.objects.iter().map(|object| object.key.as_str()).collect()
}

async fn connect(server: &Scripted) -> (Connection, Registry) {
    let mut config = config(&server.url(), "media");
    config.timeouts = Timeouts { first_byte: Duration::from_millis(500), idle: Duration::from_millis(500) };
    connect_observed(config).await
}

fn xml(status: &str, body: &str) -> Step {
    let len = body.len().to_string();
    Send(response(status, &[("Content-Length", &len), ("Content-Type", "application/xml")], body.as_bytes()))
}

/// Answers every request in the same way.
async fn always(answer: Step, times: usize) -> Scripted {
    Scripted::start(vec![(0..times).flat_map(|_| [Head, answer.clone()]).collect()]).await
}

/// Whether exactly one was counted.
fn once(registry: &Registry, operation: &str, outcome: &str) -> bool {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == "mediagate_s3_requests_total").unwrap();
    let has = |metric: &&prometheus::proto::Metric, text: &str| {
        metric.get_label().iter().any(|label| label.value() == text)
    };
    let metrics = family.get_metric().iter();
    let found = metrics.filter(|metric| has(metric, operation) && has(metric, outcome));
    (found.map(|metric| metric.get_counter().get_value()).sum::<f64>() - 1.0).abs() < 0.1
}

#[tokio::test]
async fn odd_keys_are_written_listed_read_back_and_deleted() {
    let server = S3Server::start().await;
    server.bucket("media");
    let media = server.connect("media").await;
    for text in ODD_KEYS {
        let options = PutOptions { content_type: Some("text/x-odd"), ..PutOptions::default() };
        media.put(&key(text), Bytes::from_static(text.as_bytes()), &options).await.unwrap();
        let object = media.get(&key(text), GetOptions::default()).await.unwrap();
        assert_eq!(object.meta.content_type.as_ref().unwrap(), "text/x-odd", "{text:?}");
        assert_eq!(object.body.collect().await.unwrap().to_bytes(), text, "{text:?}");
        let listed = media.list(&ALL).await.unwrap();
        assert_eq!(keys(&listed), [text], "{text:?}");
        assert_eq!(listed.objects[0].size, text.len() as u64);
        assert!(listed.objects[0].last_modified.is_some());
        let by_prefix = media.list(&ListRequest { prefix: text, ..ALL }).await.unwrap();
        assert_eq!(keys(&by_prefix), [text], "{text:?}");
        media.delete(&key(text)).await.unwrap();
        assert!(media.list(&ALL).await.unwrap().objects.is_empty(), "{text:?}");
    }
}

/// What the folder behind s3s cannot hold.
#[tokio::test]
async fn slashes_are_sent_as_they_are() {
    for text in ["/a", "a//b", "//", "a/", "...", "a/.b"] {
        let server = Scripted::start(vec![vec![Head, xml("200 OK", "")]]).await;
        let (media, _) = connect(&server).await;
        media.put(&key(text), Bytes::from_static(b"x"), &PutOptions::default()).await.unwrap();
        let (_, head) = server.heads().remove(0);
        assert!(head.starts_with(&format!("PUT /media/{text}?x-id=PutObject HTTP/1.1\r\n")), "{head}");
        assert!(head.contains("x-amz-checksum-crc32: "), "{head}");
    }
}

#[tokio::test]
async fn encryption_is_asked_for_as_configured() {
    for (options, has, has_not) in [
        (PutOptions::default(), "", "x-amz-server-side-encryption"),
        (PutOptions { sse_s3: true, ..PutOptions::default() }, "x-amz-server-side-encryption: AES256", "kms"),
        (
            PutOptions { sse_kms_key_id: Some("alias/k".to_owned()), sse_s3: true, ..PutOptions::default() },
            "x-amz-server-side-encryption-aws-kms-key-id: alias/k",
            "AES256",
        ),
    ] {
        let server = Scripted::start(vec![vec![Head, xml("200 OK", "")]]).await;
        let (media, _) = connect(&server).await;
        media.put(&key("a"), Bytes::from_static(b"x"), &options).await.unwrap();
        let (_, head) = server.heads().remove(0);
        assert!(head.contains(has) && !head.contains(has_not), "{options:?}: {head}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_and_folders_are_folded() {
    let server = S3Server::start().await;
    for text in ["a", "b/1", "b/2", "c", "d/e/f"] {
        server.put("media", text, b"x");
    }
    let media = server.connect("media").await;
    let (mut found, mut next, mut pages) = (Vec::new(), None, 0);
    loop {
        let request = ListRequest { page_size: 2, continuation: next.as_deref(), ..ALL };
        let page = media.list(&request).await.unwrap();
        assert!(page.prefixes.is_empty() && page.objects.len() <= 2);
        found.extend(page.objects.into_iter().map(|object| object.key));
        pages += 1;
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!((found, pages), (["a", "b/1", "b/2", "c", "d/e/f"].map(str::to_owned).to_vec(), 3));

    let top = media.list(&ListRequest { recursive: false, ..ALL }).await.unwrap();
    assert_eq!(keys(&top), ["a", "c"]);
    assert_eq!(top.prefixes, ["b/", "d/"]);
    let below = media.list(&ListRequest { recursive: false, prefix: "d/", ..ALL }).await.unwrap();
    assert_eq!((below.objects.len(), below.prefixes), (0, vec!["d/e/".to_owned()]));
}

#[tokio::test]
async fn a_bucket_that_is_not_there_and_a_key_that_is_not_known() {
    let server = S3Server::start().await;
    server.bucket("media");
    let mut absent = server.config("media");
    absent.bucket = Bucket::parse("absent").unwrap();
    let mut wrong = server.config("media");
    wrong.credentials = CredentialsConfig::Static {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: "wrong".into(),
        session_token: None,
    };
    let (nowhere, registry) = connect_observed(absent).await;
    let listed = nowhere.list(&ALL).await;
    assert!(matches!(listed, Err(Error::NoSuchBucket)), "{listed:?}");
    assert!(once(&registry, "list", "absent"));
    let (stranger, registry) = connect_observed(wrong).await;
    let listed = stranger.list(&ALL).await;
    assert!(matches!(listed, Err(Error::CredentialsRejected)), "{listed:?}");
    let written = stranger.put(&key("a"), Bytes::from_static(b"x"), &PutOptions::default()).await;
    assert!(matches!(written, Err(Error::CredentialsRejected)), "{written:?}");
    assert!(once(&registry, "list", "denied") && once(&registry, "put", "denied"));
}

#[tokio::test]
async fn deleting_what_is_not_there_is_no_error() {
    let absent = xml("404 X", "<Error><Code>NoSuchKey</Code></Error>");
    let no_bucket = xml("404 X", "<Error><Code>NoSuchBucket</Code></Error>");
    let gone = Send(response("204 No Content", &[], b""));
    let server = Scripted::start(vec![vec![Head, gone, Head, absent, Head, no_bucket]]).await;
    let (media, _) = connect(&server).await;
    media.delete(&key("a b")).await.unwrap();
    media.delete(&key("a b")).await.unwrap();
    let answer = media.delete(&key("a b")).await;
    assert!(matches!(answer, Err(Error::NoSuchBucket)), "{answer:?}");
    assert!(server.heads()[0].1.starts_with("DELETE /media/a%20b?x-id=DeleteObject HTTP/1.1\r\n"));
}

#[tokio::test]
async fn what_an_answer_to_the_sdk_means() {
    let code = |code: &str| format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
    for (status, extra, body, want) in [
        (
            "301 X",
            ("x-amz-bucket-region", "eu-west-1"),
            code("PermanentRedirect"),
            "MovedRegion { region: Some(\"eu-west-1\") }",
        ),
        (
            "400 X",
            ("x-amz-bucket-region", "eu-west-1"),
            code("AuthorizationHeaderMalformed"),
            "MovedRegion { region: Some(\"eu-west-1\") }",
        ),
        ("307 X", ("Location", "http://127.0.0.1:1/"), String::new(), "MovedRegion { region: None }"),
        ("403 X", ("A", "b"), code("AccessDenied"), "AccessDenied"),
        ("403 X", ("A", "b"), code("RequestTimeTooSkewed"), "ClockSkewed"),
        ("200 OK", ("A", "b"), String::new(), "AnswerMalformed"),
        ("200 OK", ("A", "b"), code("InternalError"), "AnswerMalformed"),
        ("200 OK", ("A", "b"), "<html></html>".to_owned(), "AnswerMalformed"),
        ("400 X", ("A", "b"), code("MalformedXML"), "Status { status: 400, code: Some(\"MalformedXML\") }"),
    ] {
        let len = body.len().to_string();
        let answer = response(status, &[("Content-Length", &len), extra], body.as_bytes());
        let server = always(Send(answer), 3).await;
        let (media, _) = connect(&server).await;
        let error = media.list(&ALL).await.unwrap_err();
        assert_eq!(format!("{error:?}"), want, "{status} {extra:?} {body:?}");
    }
}

/// A listing of two keys, each of its parts a line.
fn listing(next: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n\
         <Name>media</Name>\n<IsTruncated>{}</IsTruncated>\n{next}\n\
         <Contents>\n<Key>a&#x1;&amp;&#13;</Key>\n<Size>1</Size>\n</Contents>\n\
         <Contents>\n<Key>a//b</Key>\n<Size>2</Size>\n</Contents>\n\
         <CommonPrefixes>\n<Prefix>ab/</Prefix>\n</CommonPrefixes>\n</ListBucketResult>\n",
        !next.is_empty()
    )
}

#[tokio::test]
async fn a_listing_is_whole_or_an_error() {
    let (whole, more) = (listing(""), listing("<NextContinuationToken>t2</NextContinuationToken>"));
    let server = Scripted::start(vec![vec![Head, xml("200 OK", &whole), Head, xml("200 OK", &more)]]).await;
    let (media, _) = connect(&server).await;
    let page = media.list(&ALL).await.unwrap();
    assert_eq!(keys(&page), ["a\u{1}&\r", "a//b"], "keys are verbatim");
    assert_eq!((page.prefixes, page.next), (vec!["ab/".to_owned()], None));
    assert_eq!(media.list(&ALL).await.unwrap().next.as_deref(), Some("t2"));
    let head = &server.heads()[0].1;
    assert!(head.starts_with("GET /media/?list-type=2&max-keys=1000&prefix= HTTP/1.1\r\n"), "{head}");

    let cut = whole.lines().count();
    let mut broken: Vec<String> =
        (1..cut).map(|lines| whole.lines().take(lines).collect::<Vec<_>>().join("\n")).collect();
    broken.extend([
        whole.replace("<Size>1</Size>", "<Size>many</Size>"),
        whole.replace("<Size>1</Size>", "<Size>-1</Size>"),
        whole.replace("<Size>1</Size>", ""),
        whole.replace("<Size>1</Size>", "<Size>1</Siz>"),
        whole.replace("<Key>a//b</Key>", ""),
        whole.replace("</Contents>\n<Contents>", "</Contents>\n<&<Contents>"),
        whole.replace("<IsTruncated>false", "<IsTruncated>true"),
    ]);
    for text in broken {
        let server = always(xml("200 OK", &text), 3).await;
        let (media, registry) = connect(&server).await;
        let error = media.list(&ALL).await.unwrap_err();
        assert!(matches!(error, Error::AnswerMalformed), "{error:?}: {text}");
        assert!(once(&registry, "list", "failed"));
    }
    for request in [ListRequest { prefix: "b", ..ALL }, ListRequest { continuation: Some("t2"), ..ALL }] {
        let server = Scripted::start(vec![vec![Head, xml("200 OK", &more)]]).await;
        let (media, _) = connect(&server).await;
        let error = media.list(&request).await.unwrap_err();
        assert!(matches!(error, Error::AnswerMalformed), "{error:?}: {request:?}");
    }
}

#[tokio::test]
async fn a_throttled_request_is_tried_three_times() {
    let slow = xml("503 Slow Down", "<Error><Code>SlowDown</Code></Error>");
    let server = always(slow.clone(), 5).await;
    let (media, registry) = connect(&server).await;
    let error = media.list(&ALL).await.unwrap_err();
    assert!(matches!(error, Error::Throttled { .. }), "{error:?}");
    assert_eq!(server.heads().len(), 3);
    assert!(once(&registry, "list", "throttled"));

    let server = Scripted::start(vec![vec![Head, slow, Head, xml("200 OK", &listing(""))]]).await;
    let (media, _) = connect(&server).await;
    assert_eq!(media.list(&ALL).await.unwrap().objects.len(), 2);
}

#[tokio::test]
async fn a_silent_or_broken_server_is_given_up() {
    let head = Send(response("200 OK", &[("Content-Length", "9999")], b"<ListBucketResult>"));
    for (case, script, want) in [
        ("no head", vec![Head, Hang], "FirstByteTimeout"),
        ("no body", vec![Head, head.clone(), Hang], "FirstByteTimeout"),
        ("cut body", vec![Head, head], "AnswerMalformed"),
        ("reset", vec![Head, Reset], "Unreachable"),
    ] {
        let mut server = Scripted::start(vec![script; 3]).await;
        let (media, _) = connect(&server).await;
        let error = media.list(&ALL).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(want), "{case}: {error:?}");
        assert_eq!(server.heads().len(), 3, "{case}: asked three times in all");
        assert!(matches!(server.next().await, Event::Head { .. }));
    }
    let server = Scripted::start(vec![]).await;
    let (media, _) = connect(&server).await;
    drop(server);
    assert!(matches!(media.delete(&key("a")).await, Err(Error::Unreachable(_))));
}

#[tokio::test]
async fn a_presigned_url_is_tried_as_a_browser_would() {
    let server = S3Server::start().await;
    server.put("media", "a b", b"0123");
    server.put("media", "empty", b"");
    let media = server.connect("media").await;
    media.probe_presigned(&key("a b"), clock()).await.unwrap();
    media.probe_presigned(&key("empty"), clock()).await.unwrap();
    let seen = server.seen().pop().unwrap();
    assert_eq!(
        (&seen.headers["range"], &seen.headers["origin"]),
        (&"bytes=0-0".parse().unwrap(), &"null".parse().unwrap())
    );
    assert!(!seen.headers.contains_key("authorization"), "{seen:?}");
    let absent = media.probe_presigned(&key("absent"), clock()).await;
    assert!(matches!(absent, Err(Error::NoSuchKey)), "{absent:?}");
    let late = media.probe_presigned(&key("a b"), clock() - Duration::from_hours(1)).await;
    assert!(matches!(late, Err(Error::AccessDenied | Error::CredentialsRejected)), "{late:?}");
}

#[tokio::test]
async fn a_preflight_is_asked_as_a_browser_would() {
    const ORIGIN: &str = "https://app.example.org";
    let allowed = |origin: &str, methods: &str| {
        let headers = [
            ("Content-Length", "0"),
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Methods", methods),
        ];
        Send(response("200 OK", &headers, b""))
    };
    let forbidden = xml("403 X", "<Error><Code>AccessForbidden</Code></Error>");
    for (case, answer, want) in [
        ("named", allowed(ORIGIN, "PUT, GET"), Some(true)),
        ("any", allowed("*", "GET"), Some(true)),
        ("other origin", allowed("https://other.example.org", "GET"), Some(false)),
        ("other method", allowed(ORIGIN, "PUT"), Some(false)),
        ("none", Send(response("204 X", &[], b"")), Some(false)),
        ("refused", forbidden, Some(false)),
        ("unknown", xml("501 X", "<Error><Code>NotImplemented</Code></Error>"), Some(false)),
        ("absent", xml("404 X", "<Error><Code>NoSuchBucket</Code></Error>"), None),
        ("moved", Send(response("307 X", &[("Location", "http://127.0.0.1:1/")], b"")), None),
    ] {
        let server = Scripted::start(vec![vec![Head, answer]]).await;
        let (media, _) = connect(&server).await;
        let preflight = media.preflight(&key("a b"), ORIGIN).await;
        assert_eq!(
            preflight.as_ref().ok().map(|answer| answer.allows_get(ORIGIN)),
            want,
            "{case}: {preflight:?}"
        );
        let head = server.heads().remove(0).1.to_ascii_lowercase();
        assert!(head.starts_with("options /media/a%20b http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\norigin: https://app.example.org\r\n"), "{head}");
        assert!(head.contains("\r\naccess-control-request-method: get\r\n"), "{head}");
        assert!(!head.contains("authorization"), "{head}");
    }
    assert!(!Preflight::default().allows_get(ORIGIN));
}

/// The text of an answer by itself is read as the answer is.
#[test]
fn pages_are_read_from_their_text() {
    let text = |next: &str, items: &str| format!("<ListBucketResult>{next}{items}</ListBucketResult>");
    let object = "<Contents><Key>a/b&amp;c</Key><Size>3</Size><ETag>\"e\"</ETag></Contents>";
    let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
    let request = ListRequest { prefix: "a/", recursive: true, page_size: 10, continuation: Some("s") };
    let page = ListPage::read(text(more, object).as_bytes(), &request).unwrap();
    assert_eq!((page.objects[0].key.as_str(), page.objects[0].size), ("a/b&c", 3));
    assert_eq!(page.next.as_deref(), Some("t"));
    let again = ListRequest { continuation: Some("t"), ..request };
    assert!(ListPage::read(text(more, object).as_bytes(), &again).is_err(), "the same page for ever");
    for cut in 0..text(more, object).len() {
        let page = ListPage::read(&text(more, object).as_bytes()[..cut], &request);
        assert!(matches!(page, Err(Error::AnswerMalformed)), "{cut}: {page:?}");
    }
}
