//! Comparisons with two other signers: botocore's URLs, and aws-sigv4's own.

use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SessionTokenMode, SignableBody, SignableRequest,
    SignatureLocation, SigningSettings, UriPathNormalizationMode, sign,
};
use http::{Method, Uri};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::{
    egress::RequestHead,
    object::{Bucket, ObjectKey},
    s3::PresignMethod,
    storage::Addressing,
};

/// One row of `tests/botocore/presigned.json`.
#[derive(Debug, Deserialize)]
struct Case {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    region: String,
    endpoint: Option<String>,
    addressing: Addressing,
    bucket: Bucket,
    key: String,
    method: String,
    time: u64,
    ttl: u32,
    content_type: Option<String>,
    content_disposition: Option<String>,
    url: String,
}

#[test]
fn urls_are_those_of_botocore() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../../tests/botocore/presigned.json")).unwrap();
    assert!(cases.len() >= 200);
    for case in cases {
        let token = case.session_token.clone();
        let credentials = Credentials::new(&case.access_key_id, &case.secret_access_key, token, None, "test");
        let signer = Signer::build(credentials, &case.region).unwrap();
        let endpoint: Option<Uri> = case.endpoint.as_ref().map(|text| text.parse().unwrap());
        let endpoint =
            Endpoint::build(endpoint.as_ref(), &case.region, &case.bucket, case.addressing).unwrap();
        let window = Window { signed_at: case.time, expires: case.ttl };
        let key = ObjectKey::parse(&case.key).unwrap();
        let request = PresignRequest {
            method: if case.method == "HEAD" { PresignMethod::Head } else { PresignMethod::Get },
            key: &key,
            ttl: Duration::from_secs(case.ttl.into()),
            not_after: window.ends(),
            content_type: case.content_type.as_deref(),
            content_disposition: case.content_disposition.as_deref(),
        };
        assert_eq!(signer.presign(&endpoint, &request, window).expose(), case.url, "{case:?}");
    }
}

fn signer(token: Option<&str>) -> Signer {
    let credentials = Credentials::new("AKID", "secret", token.map(Into::into), None, "test");
    Signer::build(credentials, "eu-west-1").unwrap()
}

fn settings(location: SignatureLocation, expires: Option<u32>) -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.session_token_mode = SessionTokenMode::Include;
    settings.signature_location = location;
    settings.expires_in = expires.map(|seconds| Duration::from_secs(seconds.into()));
    settings
}

/// The signature that aws-sigv4 makes.
fn oracle(
    signer: &Signer,
    request: SignableRequest<'_>,
    at: SystemTime,
    settings: SigningSettings,
) -> String {
    let identity = signer.credentials.clone().into();
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region(&signer.region)
        .name("s3")
        .time(at)
        .settings(settings)
        .build()
        .unwrap();
    sign(request, &params.into()).unwrap().into_parts().1
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn presigned_as_aws_sigv4_does(
        key in "[^\0]{1,40}",
        time in 0_u64..4_102_444_800,
        expires in 1_u32..=604_800,
        token in proptest::option::of("[!-~]{1,40}"),
        content_type in proptest::option::of("\\PC{0,20}"),
    ) {
        let Ok(key) = ObjectKey::parse(&key) else { return Ok(()) };
        let signer = signer(token.as_deref());
        let bucket = Bucket::parse("media").unwrap();
        let endpoint = Endpoint::build(None, "eu-west-1", &bucket, Addressing::Auto).unwrap();
        let window = Window { signed_at: time, expires };
        let request = PresignRequest {
            method: PresignMethod::Get,
            key: &key,
            ttl: Duration::from_secs(expires.into()),
            not_after: window.ends(),
            content_type: content_type.as_deref(),
            content_disposition: None,
        };
        let url = signer.presign(&endpoint, &request, window);
        let (_, signature) = url.expose().split_once("&X-Amz-Signature=").unwrap();
        let unsigned = url.expose().split("X-Amz-Algorithm").next().unwrap().trim_end_matches(['&', '?']);
        let host = [("host", text(endpoint.host()))];
        let signable = SignableRequest::new("GET", unsigned, host.into_iter(), SignableBody::UnsignedPayload);
        let settings = settings(SignatureLocation::QueryParams, Some(expires));
        prop_assert_eq!(signature, oracle(&signer, signable.unwrap(), window.signed_at(), settings));
    }

    #[test]
    fn headers_signed_as_aws_sigv4_does(
        key in "[^\0]{1,40}",
        time in 0_u64..4_102_444_800,
        token in proptest::option::of("[!-~]{1,40}"),
        prefix in proptest::option::of("\\PC{0,20}"),
    ) {
        let Ok(key) = ObjectKey::parse(&key) else { return Ok(()) };
        let at = UNIX_EPOCH + Duration::from_secs(time);
        let signer = signer(token.as_deref());
        let bucket = Bucket::parse("me.dia").unwrap();
        let endpoint = Endpoint::build(None, "eu-west-1", &bucket, Addressing::Auto).unwrap();
        let path = endpoint.object_path(&key);
        let query = prefix.map_or_else(String::new, |prefix| format!("list-type=2&max-keys=1&prefix={}", encode(&prefix)));
        let unsigned = Unsigned { method: "GET", host: endpoint.host(), path: &path, query: &query };
        let mut headers = Vec::new();
        signer.sign(&unsigned, at, |name, value| headers.push((name, value.concat())));
        let (_, authorization) = headers.iter().find(|(name, _)| *name == "authorization").unwrap();
        let url = format!("{}{path}?{query}", endpoint.origin().as_str());
        let host = [("host", text(endpoint.host()))];
        let signable = SignableRequest::new("GET", url, host.into_iter(), SignableBody::Bytes(b""));
        let signature = oracle(&signer, signable.unwrap(), at, settings(SignatureLocation::Headers, None));
        prop_assert!(authorization.ends_with(&format!("Signature={signature}")), "{}", authorization);
    }
}

#[test]
fn the_key_of_another_day_is_derived_anew() {
    let signer = signer(None);
    let at = |seconds| signer.moment(UNIX_EPOCH + Duration::from_secs(seconds));
    let (first, again, next) = (at(0), at(86_399), at(86_400));
    assert!(Arc::ptr_eq(&first.day, &again.day));
    assert_eq!((&*first.day.date, &*next.day.date), ("19700101", "19700102"));
    assert_eq!((&*again.stamp, &*next.stamp), ("19700101T235959Z", "19700102T000000Z"));
}

#[test]
fn credentials_that_fit_no_header_sign_nothing() {
    for (id, token, ok) in [
        ("AKID", None, true),
        ("AKID", Some("a/+="), true),
        ("", None, false),
        ("AK ID", None, false),
        ("AKID\r\nx: y", None, false),
        ("ключ", None, false),
        ("AKID", Some(""), false),
        ("AKID", Some("a\nb"), false),
    ] {
        let credentials = Credentials::new(id, "secret", token.map(Into::into), None, "test");
        assert_eq!(Signer::build(credentials, "eu-west-1").is_some(), ok, "{id:?} {token:?}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let signer = signer(Some("session-token"));
    let unsigned = Unsigned { method: "GET", host: &HeaderValue::from_static("h"), path: "/", query: "" };
    let request = RequestHead::build(&Method::GET, "/", |headers| {
        signer.sign(&unsigned, UNIX_EPOCH, |name, value| headers.put(name, value));
    });
    let shown = format!("{signer:?} {:?}", request.unwrap());
    for secret in ["secret", "AKID", "session-token", "Signature"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
