//! Any token: the input as a text, and its two lines as header and claims under a good signature. What passes says
//! of itself what a lenient reader of the same JSON reads.
#![no_main]

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use mediagate::{
    access::{Config, Covered, Error, KeyConfig, Presented, Verifier, inspect, looks_like_ours, present},
    object::ObjectUri,
};
use serde_json::Value;

const NOW: u64 = 1_700_000_000;
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const HEADER: &str = r#"{"alg":"HS256","kid":"k1"}"#;

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let key = KeyConfig {
        id: "k1".to_owned(),
        algorithm: "HS256".parse().expect("an algorithm"),
        secret: Some(SECRET.to_owned().into()),
        secret_file: None,
        public_key_file: None,
        private_key_file: None,
    };
    // A small memory, so that it is filled and emptied.
    let config = Config { keys: vec![key], token_cache_entries: 64, ..Config::default() };
    Verifier::build(&config, at(NOW)).expect("a configuration")
});

fuzz_target!(|input: &[u8]| {
    carried(input);
    let Ok(text) = str::from_utf8(input) else { return };
    // Nobody but us can sign, so nothing passes.
    assert!(VERIFIER.verify(&Presented::from_text(text), at(NOW)).is_err());
    let _is_ours = looks_like_ours(text, &VERIFIER);
    let _inspection = inspect(text);
    let (header, claims) = text.split_once('\n').unwrap_or((HEADER, text));
    signed(header, claims);
});

/// The input in each place that carries a token.
fn carried(input: &[u8]) {
    let mut headers = HeaderMap::new();
    for (name, line) in
        [header::AUTHORIZATION, header::COOKIE].into_iter().zip(input.split(|byte| *byte == b'\n'))
    {
        headers.extend(HeaderValue::from_bytes(line).ok().map(|value| (name, value)));
    }
    if let Ok(presented) = present(&headers, str::from_utf8(input).ok()) {
        assert!(VERIFIER.verify(&presented, at(NOW)).is_err());
    }
}

fn signed(header: &str, claims: &str) {
    let signing_input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), signing_input.as_bytes());
    let token = format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(tag));
    let verify = |now| VERIFIER.verify(&Presented::from_text(&token), at(now));
    let Ok(grant) = verify(NOW) else { return };
    let header: Value = serde_json::from_str(header).expect("a header that passed is JSON");
    let claims: Value = serde_json::from_str(claims).expect("claims that passed are JSON");
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("kid").is_none_or(|kid| kid == "k1"));
    assert!(["crit", "jku", "jwk", "x5u", "x5c", "b64"].iter().all(|name| header.get(name).is_none()));
    let exp = claims["exp"].as_u64().expect("an integer");
    assert!(exp > NOW && grant.expires_at() == at(exp));
    let is_us = |value: &Value| value == "mediagate";
    assert!(is_us(&claims["aud"]) || claims["aud"].as_array().is_some_and(|list| list.iter().any(is_us)));
    assert_eq!(grant.subject(), claims.get("sub").and_then(Value::as_str));
    assert!(looks_like_ours(&token, &VERIFIER));
    assert_eq!(verify(exp).err(), Some(Error::TokenExpired), "also when it is remembered");
    let object = ObjectUri::parse("s3://media/a/b").expect("an object");
    match grant.covers(&object, None, None) {
        Ok(Covered::Named) => {
            let names = |value: &Value| value.as_str().is_some_and(|text| text.starts_with("s3://media/"));
            assert!(claims["objects"].as_array().is_some_and(|list| list.iter().any(names)));
        }
        Ok(Covered::IfLinkedTo(_)) => {
            assert!(claims.get("objects").is_none() && claims.get("task").is_some())
        }
        Err(_) => {}
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}
