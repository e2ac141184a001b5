//! Tokens of any shape for tests, signed for real and without the code under test.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;

use super::{Config, Error, Grant, KeyConfig, Presented, Verifier};

/// 32 bytes: as short as HS256 allows.
pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The moment at which the tests judge.
pub(super) const NOW: u64 = 1_700_000_000;
pub(super) const HEADER: &str = r#"{"alg":"HS256","kid":"k1","typ":"JWT"}"#;
pub(super) const CLAIMS: &str = r#"{"exp":1700003600,"iat":1700000000,"aud":"mediagate","sub":"ann","jti":"t-1","objects":["s3://media/a/*"]}"#;

pub(super) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// One HS256 key `k1`.
pub(super) fn config() -> Config {
    Config { keys: vec![key("k1", SECRET)], ..Config::default() }
}

pub(super) fn key(id: &str, secret: &str) -> KeyConfig {
    KeyConfig {
        id: id.to_owned(),
        algorithm: Algorithm::HS256,
        secret: Some(secret.to_owned().into()),
        secret_file: None,
        public_key_file: None,
        private_key_file: None,
    }
}

/// A key of which only a file with the public key is known.
pub(super) fn public(id: &str, algorithm: Algorithm, file: std::path::PathBuf) -> KeyConfig {
    KeyConfig { algorithm, secret: None, public_key_file: Some(file), ..key(id, "") }
}

/// A token of these two texts, signed with HS256 and the secret.
pub(super) fn hs256(header: &str, claims: &str, secret: &[u8]) -> String {
    let input = format!("{}.{}", b64(header), b64(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    format!("{input}.{}", b64(tag))
}

/// A token with these claims that `k1` signed.
pub(super) fn claiming(claims: &str) -> String {
    hs256(HEADER, claims, SECRET.as_bytes())
}

/// What a verifier of this configuration says now.
pub(super) fn judge(config: &Config, token: &str) -> Result<std::sync::Arc<Grant>, Error> {
    Verifier::build(config, at(NOW)).unwrap().verify(&Presented::from_text(token), at(NOW))
}
