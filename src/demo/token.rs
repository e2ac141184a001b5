//! The frontend's half of the token contract: what an annotation application does to hand out media.
//!
//! Written with a common JWT crate instead of the gateway's own minting, as a foreign application would.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use super::{Demo, Error, random_text, sample};

/// Signs tokens with the demo's secret.
#[derive(Clone)]
pub(super) struct Minter {
    key: EncodingKey,
    clock: fn() -> SystemTime,
}

/// A token and what is in it, for the page to explain.
#[derive(Debug, Serialize)]
pub(super) struct MintedToken {
    pub(super) text: String,
    header: Header,
    claims: Claims,
}

/// The claims in the order in which the page lists them.
#[derive(Clone, Debug, Serialize)]
struct Claims {
    aud: &'static str,
    sub: &'static str,
    task: u32,
    objects: Vec<String>,
    iat: u64,
    exp: u64,
    jti: String,
}

/// Why a token was not minted.
#[derive(Debug, thiserror::Error)]
pub(super) enum MintError {
    #[error(transparent)]
    NoTokenId(Error),
    #[error("the token was not signed")]
    NotSigned(#[source] jsonwebtoken::errors::Error),
    #[error("the claims were not encoded")]
    NotEncoded(#[source] serde_json::Error),
}

impl Minter {
    /// How long a token is good for.
    const TTL: Duration = Duration::from_hours(1);

    pub(super) fn new(secret: &SecretString, clock: fn() -> SystemTime) -> Self {
        Self { key: EncodingKey::from_secret(secret.expose_secret().as_bytes()), clock }
    }

    /// A token for the objects of the page's task, good from now on.
    pub(super) fn valid(&self) -> Result<MintedToken, MintError> {
        self.sign(claims(sample::TASK, (self.clock)())?)
    }

    /// A token that was good until an hour ago.
    pub(super) fn expired(&self) -> Result<MintedToken, MintError> {
        self.sign(claims(sample::TASK, (self.clock)() - 2 * Self::TTL)?)
    }

    /// A valid token whose claims were edited afterwards to cover task 8, under the old signature.
    pub(super) fn tampered(&self) -> Result<String, MintError> {
        let now = (self.clock)();
        let honest = self.sign(claims(sample::TASK, now)?)?.text;
        let edited = serde_json::to_vec(&claims(sample::TASK + 1, now)?).map_err(MintError::NotEncoded)?;
        let parts: Vec<&str> = honest.split('.').collect();
        Ok(match parts[..] {
            [header, _, signature] => format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(edited)),
            _ => honest,
        })
    }

    fn sign(&self, claims: Claims) -> Result<MintedToken, MintError> {
        let header = Header { kid: Some(Demo::TOKEN_KEY_ID.to_owned()), ..Header::new(Algorithm::HS256) };
        let text = jsonwebtoken::encode(&header, &claims, &self.key).map_err(MintError::NotSigned)?;
        Ok(MintedToken { text, header, claims })
    }
}

fn claims(task: u32, issued_at: SystemTime) -> Result<Claims, MintError> {
    let iat = issued_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let buckets = [Demo::STREAM_BUCKET, Demo::REDIRECT_BUCKET];
    Ok(Claims {
        aud: Demo::TOKEN_AUDIENCE,
        sub: "annotator@example.org",
        task,
        objects: buckets.map(|bucket| format!("s3://{bucket}/tasks/{task}/*")).into(),
        iat,
        exp: iat + Minter::TTL.as_secs(),
        jti: random_text(12).map_err(MintError::NoTokenId)?,
    })
}
