//! Against s3s: signatures, odd keys, ranges and refusals.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Empty};
use mediagate::{
    egress::{self, Egress},
    object::{ByteRange, ObjectKey},
    s3::{
        Connection, CredentialsConfig, Error, GetOptions, ListRequest, PresignMethod, PresignRequest,
        Presigner,
    },
};

use crate::support::{
    clock,
    s3::{ACCESS_KEY_ID, S3Server, Stored},
};

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

/// Keys that a file system can hold, and that a careless encoder gets wrong.
const ODD_KEYS: [&str; 16] = [
    "a b",
    "a+b",
    "a%20b",
    "%2F",
    "%",
    "a?b=c",
    "a#b",
    "a&b;c",
    "a=b",
    "x//b",
    "ünï/ключ.png",
    "日本語 1.jpg",
    "a
b",
    "a'b\"c",
    "~(a)!*,",
    "a\\b",
];

#[tokio::test]
async fn odd_keys_are_read_and_described() {
    let server = S3Server::start().await;
    let media = server.connect("media").await;
    for text in ODD_KEYS {
        server.put("media", text, text.as_bytes());
        let object = media.get(&key(text), GetOptions::default()).await.unwrap();
        assert_eq!(object.body.collect().await.unwrap().to_bytes(), text.as_bytes(), "{text}");
        assert_eq!(media.head(&key(text)).await.unwrap().size, text.len() as u64, "{text}");
    }
}

#[tokio::test]
async fn presigned_urls_of_odd_keys_are_accepted_for_their_method_only() {
    let server = S3Server::start().await;
    let media = server.connect("media").await;
    let egress = Egress::build(&egress::Config::default()).unwrap();
    for text in ODD_KEYS {
        server.put("media", text, text.as_bytes());
        for (signed, method, ok) in [
            (PresignMethod::Get, "GET", true),
            (PresignMethod::Head, "HEAD", true),
            (PresignMethod::Get, "HEAD", false),
            (PresignMethod::Head, "GET", false),
        ] {
            let now = clock();
            let request = PresignRequest {
                method: signed,
                key: &key(text),
                ttl: Duration::from_mins(1),
                not_after: now + Duration::from_hours(1),
                content_type: Some("text/x-odd; charset=utf-8"),
                content_disposition: None,
            };
            let url = media.presign(&request, now).unwrap();
            let request =
                Request::builder().method(method).uri(url.expose()).body(Empty::<Bytes>::new()).unwrap();
            let answer = egress.client().request(request).await.unwrap();
            let want = if ok { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(answer.status(), want, "{text:?} signed for {signed:?}, asked by {method}");
            if ok && method == "GET" {
                assert_eq!(answer.headers()[CONTENT_TYPE], "text/x-odd; charset=utf-8");
                assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), text.as_bytes());
            }
        }
    }
}

#[tokio::test]
async fn ranges() {
    let server = S3Server::start().await;
    server.put("media", "digits", b"0123456789");
    server.put("media", "empty", b"");
    let media = server.connect("media").await;
    for (object, range, want) in [
        ("digits", ByteRange::FromTo { first: 0, last: 3 }, Some("0123")),
        ("digits", ByteRange::FromTo { first: 4, last: 99 }, Some("456789")),
        ("digits", ByteRange::From { first: 9 }, Some("9")),
        ("digits", ByteRange::Suffix { len: 3 }, Some("789")),
        ("digits", ByteRange::From { first: 10 }, None),
        ("empty", ByteRange::From { first: 0 }, None),
    ] {
        let answer = media.get(&key(object), GetOptions { range: Some(range), if_match: None }).await;
        match (answer, want) {
            (Ok(answer), Some(want)) => {
                assert_eq!(answer.meta.size, want.len() as u64, "{range}");
                assert_eq!(answer.meta.total(), 10, "{range}");
                assert_eq!(answer.meta.content_range.unwrap().range, range.within(10).unwrap(), "{range}");
                assert_eq!(answer.body.collect().await.unwrap().to_bytes(), want, "{range}");
            }
            (Err(Error::RangeNotSatisfiable { .. }), None) => {}
            (answer, want) => panic!("{object} {range}: {answer:?}, not {want:?}"),
        }
    }
}

#[tokio::test]
async fn the_description_is_verbatim() {
    let server = S3Server::start().await;
    let stored = Stored {
        content_type: Some("image/svg+xml; a=b"),
        content_encoding: Some("gzip"),
        content_disposition: Some("attachment; filename=\"x\""),
        cache_control: Some("max-age=60"),
    };
    server.put_with("media", "a.svgz", b"<svg/>", stored);
    let media = server.connect("media").await;
    let described = media.head(&key("a.svgz")).await.unwrap();
    let opened = media.get(&key("a.svgz"), GetOptions::default()).await.unwrap().meta;
    for meta in [described, opened] {
        assert_eq!(meta.size, 6);
        assert_eq!(meta.total(), 6);
        assert!(meta.content_range.is_none());
        assert!(meta.etag.as_ref().is_some_and(|etag| !etag.is_weak()));
        assert!(meta.modified_at().is_some_and(|at| at <= clock()));
        assert_eq!(meta.content_type.unwrap(), "image/svg+xml; a=b");
        assert_eq!(meta.content_encoding.unwrap(), "gzip");
        assert_eq!(meta.content_disposition.unwrap(), "attachment; filename=\"x\"");
        assert_eq!(meta.cache_control.unwrap(), "max-age=60");
        assert!(meta.content_language.is_none() && meta.expires.is_none());
    }
}

#[tokio::test]
async fn a_body_knows_its_size_and_its_end() {
    let server = S3Server::start().await;
    server.put("media", "big", &vec![7; 3_000_000]);
    server.put("media", "empty", b"");
    let media = server.connect("media").await;
    let mut body = media.get(&key("big"), GetOptions::default()).await.unwrap().body;
    let mut read = 0;
    while !body.is_end_stream() {
        assert_eq!(body.size_hint().exact(), Some(3_000_000 - read));
        read += body.frame().await.unwrap().unwrap().into_data().unwrap().len() as u64;
    }
    assert_eq!((read, body.remaining(), body.size_hint().exact()), (3_000_000, 0, Some(0)));
    assert!(body.frame().await.is_none());
    let body = media.get(&key("empty"), GetOptions::default()).await.unwrap().body;
    assert!(body.is_end_stream());
}

#[tokio::test]
async fn absent_objects_and_buckets() {
    let server = S3Server::start().await;
    server.bucket("media");
    let media = server.connect("media").await;
    assert!(matches!(media.get(&key("a"), GetOptions::default()).await, Err(Error::NoSuchKey)));
    assert!(matches!(media.head(&key("a")).await, Err(Error::NoSuchKey)));
    look(&media, "a b/+").await.unwrap();
    let other = server.connect("other").await;
    assert!(matches!(look(&other, "").await, Err(Error::NoSuchBucket)));
}

#[tokio::test]
async fn wrong_keys_are_rejected() {
    let server = S3Server::start().await;
    server.put("media", "a", b"a");
    for (id, secret) in [(ACCESS_KEY_ID, "wrong"), ("AKIAUNKNOWN", "wrong")] {
        let mut config = server.config("media");
        config.credentials = CredentialsConfig::Static {
            access_key_id: id.to_owned(),
            secret_access_key: secret.into(),
            session_token: None,
        };
        let media = crate::support::s3::connect(config).await;
        assert!(matches!(look(&media, "").await, Err(Error::CredentialsRejected)), "{id}");
        let answer = media.get(&key("a"), GetOptions::default()).await;
        assert!(matches!(answer, Err(Error::CredentialsRejected)), "{id}");
    }
}

#[tokio::test]
async fn s3_sees_our_headers_only() {
    let server = S3Server::start().await;
    server.put("media", "a", b"abc");
    let media = server.connect("media").await;
    let range = Some(ByteRange::FromTo { first: 0, last: 1 });
    let etag = media.head(&key("a")).await.unwrap().etag;
    media.get(&key("a"), GetOptions { range, if_match: etag }).await.unwrap().body.collect().await.unwrap();
    let seen = server.seen().pop().unwrap();
    let mut names: Vec<_> = seen.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let known =
        ["authorization", "host", "if-match", "range", "user-agent", "x-amz-content-sha256", "x-amz-date"];
    assert_eq!(names, known);
    assert_eq!((seen.method.as_str(), seen.uri.to_string().as_str()), ("GET", "/media/a"));
}

#[tokio::test]
async fn a_window_has_one_url_and_the_cache_knows_what_it_depends_on() {
    let server = S3Server::start().await;
    let media = server.connect("media").await;
    let same_bucket = server.connect("media").await;
    let presigner = Presigner::new(bytesize::ByteSize::mib(1));
    let now = std::time::UNIX_EPOCH + Duration::from_hours(500_000);
    let (a, b) = (key("a"), key("b"));
    let request = PresignRequest {
        method: PresignMethod::Get,
        key: &a,
        ttl: Duration::from_mins(15),
        not_after: now + Duration::from_hours(1),
        content_type: None,
        content_disposition: None,
    };
    let url = |connection: &_, request: PresignRequest<'_>, now| {
        let [first, second, third] = [1, 2, 3].map(|_| presigner.presign(connection, &request, now).unwrap());
        assert!(Arc::ptr_eq(&second, &third), "remembered when it is asked for again");
        assert_eq!(first.expose(), third.expose());
        third.expose().to_owned()
    };
    let first = url(&media, request, now);
    assert_eq!(first, media.presign(&request, now).unwrap().expose());
    assert_eq!(first, url(&media, request, now + Duration::from_secs(449)));
    assert_eq!(first, url(&same_bucket, request, now), "replicas make the same URL");
    let mut urls = vec![first];
    let soon = now + Duration::from_secs(100);
    for other in [
        PresignRequest { method: PresignMethod::Head, ..request },
        PresignRequest { key: &b, ..request },
        PresignRequest { ttl: Duration::from_mins(16), ..request },
        PresignRequest { not_after: soon, ..request },
        PresignRequest { content_type: Some("x/y"), ..request },
        PresignRequest { content_type: Some(""), ..request },
        PresignRequest { content_disposition: Some("x/y"), ..request },
    ] {
        let fresh = url(&media, other, now);
        assert_eq!(fresh, media.presign(&other, now).unwrap().expose(), "{other:?}");
        assert_eq!(fresh, url(&media, other, now), "{other:?}");
        urls.push(fresh);
    }
    urls.push(url(&media, request, now + Duration::from_secs(450)));
    let count = urls.len();
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), count, "each is another URL");
    let over = PresignRequest { not_after: now, ..request };
    assert!(matches!(presigner.presign(&media, &over, now), Err(Error::PresignLifeOver)));
}

#[tokio::test]
async fn a_presigned_url_is_not_printed() {
    let server = S3Server::start().await;
    let media = server.connect("media").await;
    let now = clock();
    let request = PresignRequest {
        method: PresignMethod::Get,
        key: &key("hidden"),
        ttl: Duration::from_mins(15),
        not_after: now + Duration::from_hours(1),
        content_type: None,
        content_disposition: None,
    };
    let url = media.presign(&request, now).unwrap();
    let presigner = Presigner::new(bytesize::ByteSize::mib(1));
    presigner.presign(&media, &request, now).unwrap();
    let shown = format!("{url:?} {url} {:?} {presigner:?} {media:?}", url.to_header());
    assert!(!shown.contains("hidden") && !shown.contains("X-Amz"), "{shown}");
    assert!(url.expose().starts_with(media.public_origin()));
}

#[tokio::test]
async fn urls_are_for_the_public_endpoint_and_requests_for_the_other() {
    let server = S3Server::start().await;
    server.put("media", "a", b"abc");
    let mut config = server.config("media");
    config.public_endpoint = Some("https://s3.example.com".parse().unwrap());
    let media = crate::support::s3::connect(config).await;
    let now = clock();
    let request = PresignRequest {
        method: PresignMethod::Get,
        key: &key("//evil.example/a"),
        ttl: Duration::from_mins(15),
        not_after: now + Duration::from_hours(1),
        content_type: None,
        content_disposition: None,
    };
    assert_eq!(media.public_origin(), "https://s3.example.com");
    let url = media.presign(&request, now).unwrap();
    assert!(
        url.expose().starts_with("https://s3.example.com/media///evil.example/a?X-Amz-"),
        "{}",
        url.expose()
    );
    assert_eq!(media.head(&key("a")).await.unwrap().size, 3);
}

/// Whether the bucket answers.
async fn look(bucket: &Connection, prefix: &str) -> Result<(), Error> {
    let request =
        ListRequest { prefix, recursive: true, page_size: 1, continuation: None, start_after: None };
    bucket.list(&request).await.map(drop)
}
