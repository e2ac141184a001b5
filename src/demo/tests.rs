use std::time::Duration;

use aws_credential_types::Credentials as Identity;
use aws_sigv4::{
    http_request::{
        PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::*;
use crate::demo::sample::{FOREIGN, SAMPLES};

const KEY: &str = "tasks/7/street.jpg";

#[expect(clippy::disallowed_methods, reason = "s3s compares presigned URLs with the real time")]
fn clock() -> SystemTime {
    SystemTime::now()
}

async fn start() -> Demo {
    Demo::start(&Options::new(clock)).await.unwrap()
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn send(method: Method, url: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = client().request(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

async fn get(url: &str) -> Answer {
    send(Method::GET, url, &[]).await
}

/// A presigned URL of the path, which starts with the bucket and is encoded already.
fn presign(demo: &Demo, method: &Method, path: &str, secret: &str) -> String {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_mins(1));
    let identity = Identity::new(demo.access_key_id(), secret, None, None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(demo.region())
        .name("s3")
        .time(clock())
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let url = format!("{}/{path}", demo.s3_endpoint());
    let body = SignableBody::UnsignedPayload;
    let request = SignableRequest::new(method.as_str(), &url, std::iter::empty(), body).unwrap();
    let mut signed = Request::builder().method(method).uri(&url).body(()).unwrap();
    sign(request, &params).unwrap().into_parts().0.apply_to_request_http1x(&mut signed);
    signed.uri().to_string()
}

fn presigned(demo: &Demo, method: &Method, path: &str) -> String {
    presign(demo, method, path, demo.secret_access_key().expose_secret())
}

async fn task(demo: &Demo) -> Value {
    let answer = get(&format!("{}/task.json", demo.frontend_url())).await;
    assert_eq!((answer.status, answer.header(header::CACHE_CONTROL)), (StatusCode::OK, "no-store"));
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn the_page_and_what_it_loads_are_served() {
    let demo = start().await;
    for (path, content_type, text) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/style.css", "text/css; charset=utf-8", ":root"),
        ("/app.js", "text/javascript; charset=utf-8", "EventSource"),
        ("/favicon.svg", "image/svg+xml", "<svg"),
    ] {
        let answer = get(&format!("{}{path}", demo.frontend_url())).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header(header::CONTENT_TYPE), content_type, "{path}");
        assert!(str::from_utf8(&answer.body).unwrap().contains(text), "{path}");
    }
    let page = get(demo.frontend_url()).await;
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(policy.contains(&format!("img-src 'self' {}", demo.s3_endpoint())), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(get(&format!("{}/absent", demo.frontend_url())).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_page_has_no_inline_code_and_no_foreign_resource() {
    let page = include_str!("page/index.html");
    for forbidden in ["<style", " style=", " onclick=", " onload=", "https://", "http://", "<script>"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[tokio::test]
async fn every_object_is_in_both_buckets() {
    let demo = start().await;
    let task = task(&demo).await;
    assert_eq!(task["objects"].as_array().unwrap().len(), SAMPLES.len());
    for (sample, object) in SAMPLES.iter().zip(task["objects"].as_array().unwrap()) {
        for (delivery, bucket) in [("stream", Demo::STREAM_BUCKET), ("redirect", Demo::REDIRECT_BUCKET)] {
            let link = object[delivery].as_str().unwrap();
            let path = link.strip_prefix("/media/").unwrap().split('?').next().unwrap();
            assert!(path.starts_with(&format!("{bucket}/tasks/7/")), "{path}");
            let answer = get(&presigned(&demo, &Method::GET, path)).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            assert_eq!(answer.header(header::CONTENT_TYPE), sample.media_type, "{path}");
            assert_eq!(answer.header(header::ACCEPT_RANGES), "bytes", "{path}");
            assert!(answer.body == sample.object(), "{path}");
        }
    }
    let foreign = get(&presigned(&demo, &Method::GET, "media/tasks/8/secret.png")).await;
    assert_eq!(foreign.body, FOREIGN.object());
}

#[tokio::test]
async fn s3_refuses_what_is_not_signed_right() {
    let demo = start().await;
    let path = format!("media/{KEY}");
    let good = presigned(&demo, &Method::GET, &path);
    for (what, url) in [
        ("no signature", format!("{}/{path}", demo.s3_endpoint())),
        ("another secret", presign(&demo, &Method::GET, &path, "another")),
        ("another object", good.replace("street.jpg", "cells.webp")),
        ("another method", presigned(&demo, &Method::HEAD, &path)),
        ("a longer life", good.replace("X-Amz-Expires=60", "X-Amz-Expires=600")),
    ] {
        assert_ne!(url, good, "{what}");
        let answer = get(&url).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}");
        assert!(!answer.body.windows(4).any(|bytes| bytes == b"JFIF"), "{what}");
    }
    assert_eq!(get(&good).await.status, StatusCode::OK);
}

#[tokio::test]
async fn ranges_are_those_of_rfc_9110() {
    let demo = start().await;
    let url = presigned(&demo, &Method::GET, &format!("media/{KEY}"));
    let whole = SAMPLES[0].object();
    let size = whole.len();
    for (range, want) in [
        ("bytes=0-99", Some(0..100)),
        ("bytes=100-", Some(100..size)),
        ("bytes=-100", Some(size - 100..size)),
        ("bytes=-9999999", Some(0..size)),
        ("bytes=5-9999999", Some(5..size)),
        ("bytes=0-0,5-6", None),
        ("bytes=9-5", None),
        ("pages=1-2", None),
    ] {
        let answer = send(Method::GET, &url, &[("range", range)]).await;
        if let Some(want) = want {
            let content_range = format!("bytes {}-{}/{size}", want.start, want.end - 1);
            assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{range}");
            assert_eq!(answer.header(header::CONTENT_RANGE), content_range, "{range}");
            assert_eq!(answer.header(header::CONTENT_LENGTH), want.len().to_string(), "{range}");
            assert!(answer.body == whole[want], "{range}");
        } else {
            assert_eq!(answer.status, StatusCode::OK, "{range}");
            assert!(answer.body == whole, "{range}");
        }
    }
    for range in ["bytes=9999999-", "bytes=-0"] {
        let answer = send(Method::GET, &url, &[("range", range)]).await;
        assert_eq!(answer.status, StatusCode::RANGE_NOT_SATISFIABLE, "{range}");
        assert_eq!(answer.header(header::CONTENT_RANGE), format!("bytes */{size}"), "{range}");
    }
}

#[tokio::test]
async fn conditions_are_those_of_rfc_9110() {
    let demo = start().await;
    let path = format!("media/{KEY}");
    let first = get(&presigned(&demo, &Method::GET, &path)).await;
    let (etag, date) = (first.header(header::ETAG), first.header(header::LAST_MODIFIED));
    let weak = format!("W/{etag}");
    let (past, future) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 06 Nov 2099 08:49:37 GMT");
    for (name, value, want) in [
        ("if-none-match", etag, StatusCode::NOT_MODIFIED),
        ("if-none-match", &weak, StatusCode::NOT_MODIFIED),
        ("if-none-match", "*", StatusCode::NOT_MODIFIED),
        ("if-none-match", "\"other\"", StatusCode::OK),
        ("if-match", etag, StatusCode::OK),
        ("if-match", &weak, StatusCode::PRECONDITION_FAILED),
        ("if-match", "\"other\"", StatusCode::PRECONDITION_FAILED),
        ("if-modified-since", date, StatusCode::NOT_MODIFIED),
        ("if-modified-since", past, StatusCode::OK),
        ("if-modified-since", future, StatusCode::NOT_MODIFIED),
        ("if-unmodified-since", date, StatusCode::OK),
        ("if-unmodified-since", past, StatusCode::PRECONDITION_FAILED),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let url = presigned(&demo, &method, &path);
            let answer = send(method.clone(), &url, &[(name, value)]).await;
            assert_eq!(answer.status, want, "{method} {name}: {value}");
            if want == StatusCode::NOT_MODIFIED {
                assert_eq!(answer.header(header::ETAG), etag, "{method} {name}: {value}");
                assert_eq!(answer.header(header::CONTENT_TYPE), "", "{method} {name}: {value}");
            }
        }
    }
    let url = presigned(&demo, &Method::GET, &path);
    for (if_range, want) in [
        (etag, StatusCode::PARTIAL_CONTENT),
        (date, StatusCode::PARTIAL_CONTENT),
        (&weak, StatusCode::OK),
        ("\"other\"", StatusCode::OK),
        (past, StatusCode::OK),
    ] {
        let answer = send(Method::GET, &url, &[("range", "bytes=0-9"), ("if-range", if_range)]).await;
        assert_eq!(answer.status, want, "{if_range}");
    }
}

#[tokio::test]
async fn head_is_a_get_without_body() {
    let demo = start().await;
    let path = format!("media-direct/{KEY}?response-content-type=image%2Fx");
    let answer = send(Method::HEAD, &presigned(&demo, &Method::HEAD, &path), &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header(header::CONTENT_TYPE), "image/x");
    assert_eq!(answer.header(header::CONTENT_LENGTH), SAMPLES[0].object().len().to_string());
    assert!(answer.body.is_empty());
    for path in ["media/tasks/7/absent", "media/tasks/7", "absent/tasks/7/street.jpg"] {
        for method in [Method::GET, Method::HEAD] {
            let answer = send(method.clone(), &presigned(&demo, &method, path), &[]).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_may_read_the_answer() {
    let demo = start().await;
    let url = presigned(&demo, &Method::GET, &format!("media/{KEY}"));
    let origin = [("origin", "http://127.0.0.1:8080"), ("range", "bytes=0-9")];
    for (method, url) in [
        (Method::GET, url.as_str()),
        (Method::GET, &format!("{}/media/{KEY}", demo.s3_endpoint())),
        (Method::OPTIONS, &url),
    ] {
        let answer = send(method.clone(), url, &origin).await;
        assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*", "{method} {}", answer.status);
        assert!(answer.header(header::ACCESS_CONTROL_EXPOSE_HEADERS).contains("content-range"), "{method}");
    }
    let preflight = send(Method::OPTIONS, &url, &origin).await;
    assert_eq!(preflight.status, StatusCode::NO_CONTENT);
    assert!(preflight.header(header::ACCESS_CONTROL_ALLOW_HEADERS).contains("range"));
}

#[tokio::test]
async fn tokens_are_what_the_gateway_expects() {
    let demo = start().await;
    let task = task(&demo).await;
    let text = task["token"]["text"].as_str().unwrap();
    assert_eq!(jsonwebtoken::decode_header(text).unwrap().kid.as_deref(), Some(Demo::TOKEN_KEY_ID));
    assert_eq!(verify(&demo, text), Ok(task["token"]["claims"].clone()));

    let claims = &task["token"]["claims"];
    let objects = serde_json::json!(["s3://media/tasks/7/*", "s3://media-direct/tasks/7/*"]);
    assert_eq!((&claims["objects"], &claims["task"]), (&objects, &Value::from(7)));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    for name in ["aud", "sub", "jti"] {
        assert!(claims[name].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
}

#[tokio::test]
async fn refusals_are_each_wrong_in_one_way() {
    let demo = start().await;
    let task = task(&demo).await;
    let link = |name: &str| task["refusals"][name].as_str().unwrap().to_owned();
    let verdict = |link: &str| verify(&demo, link.split_once("?token=").unwrap().1);

    assert_eq!(verdict(&link("expired")), Err("ExpiredSignature".to_owned()));
    assert_eq!(verdict(&link("tampered")), Err("InvalidSignature".to_owned()));
    assert!(verdict(&link("foreign")).is_ok());
    assert!(link("foreign").starts_with("/media/media/tasks/8/secret.png?"));
    assert!(link("tampered").starts_with("/media/media/tasks/8/secret.png?"));
    assert_eq!(link("missing"), format!("/media/media/{KEY}"));
}

fn verify(demo: &Demo, token: &str) -> Result<Value, String> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[Demo::TOKEN_AUDIENCE]);
    let key = DecodingKey::from_secret(demo.token_secret().expose_secret().as_bytes());
    let verified = jsonwebtoken::decode::<Value>(token, &key, &validation);
    verified.map(|token| token.claims).map_err(|error| format!("{:?}", error.kind()))
}

#[tokio::test]
async fn the_log_is_replayed_and_followed() {
    fn clock() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1500)
    }
    let event = |n: u32| format!("id: {n}\ndata: {{\"at\":1500,\"request\":{{\"n\":{n}}}}}\n\n");
    let demo = Demo::start(&Options::new(clock)).await.unwrap();
    let sink = demo.log_sink();
    for line in ["{\"n\":1}", "{\"n\":2}"] {
        sink.send(line.to_owned()).unwrap();
    }
    let mut early = Events::open(&demo, None).await;
    assert_eq!(early.next().await, event(1));
    assert_eq!(early.next().await, event(2));
    sink.send("{\"n\":3}".to_owned()).unwrap();
    assert_eq!(early.next().await, event(3));
    let mut again = Events::open(&demo, Some("2")).await;
    assert_eq!(again.next().await, event(3));

    demo.stop().await;
    assert_eq!(early.next().await, "");
}

/// An open event stream.
struct Events(hyper::body::Incoming);

impl Events {
    async fn open(demo: &Demo, last_id: Option<&str>) -> Self {
        let mut request = Request::get(format!("{}/log", demo.frontend_url()));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let answer = client().request(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self(answer.into_body())
    }

    /// The next chunk, which is one event, or nothing at the end.
    async fn next(&mut self) -> String {
        match self.0.frame().await {
            Some(frame) => String::from_utf8(frame.unwrap().into_data().unwrap().into()).unwrap(),
            None => String::new(),
        }
    }
}

#[tokio::test]
async fn nothing_is_left_behind() {
    for stop in [true, false] {
        let demo = start().await;
        let root = demo.root.path().to_owned();
        assert!(root.join("media").join(KEY).is_file());
        if stop {
            demo.stop().await;
        } else {
            drop(demo);
        }
        assert!(!root.exists(), "stopped: {stop}");
    }
}

#[tokio::test]
async fn two_demos_share_no_secret() {
    let (one, other) = (start().await, start().await);
    assert_ne!(one.access_key_id(), other.access_key_id());
    assert_ne!(one.secret_access_key().expose_secret(), other.secret_access_key().expose_secret());
    assert_ne!(one.token_secret().expose_secret(), other.token_secret().expose_secret());
    let shown = format!("{one:?}");
    for secret in [one.secret_access_key(), one.token_secret()] {
        assert!(!shown.contains(secret.expose_secret()));
    }
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let one = start().await;
    let taken: SocketAddr = one.s3_endpoint().strip_prefix("http://").unwrap().parse().unwrap();
    let error = Demo::start(&Options { s3_listen: taken, ..Options::new(clock) }).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{taken} cannot be listened on"));
}
