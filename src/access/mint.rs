//! Making tokens with a configured key: for the terminal and the control API.
//!
//! What is minted is what the verifier of the same configuration takes: the same limits hold here, so that a
//! mistake is a sentence for whoever asks and not a refusal for somebody's client later.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ipnet::IpNet;
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    claims::{MAX_NETWORKS, MAX_OBJECTS},
    config::{BuildError, Config},
    grant::ForcedDelivery,
    internal::InternalKey,
    key::SigningKey,
    network::parse_network,
    token::MAX_TOKEN_LEN,
};
use crate::{
    id::{ParseIdError, ProjectId, TaskId},
    object::{ObjectPattern, ParseObjectError},
};

/// The longest life of a minted token.
pub const MAX_TTL: Duration = Duration::from_hours(24 * 7);

/// Mints tokens. One without a key that can sign is made, too, and refuses to.
#[derive(Debug)]
pub struct Minter {
    keys: Vec<SigningKey>,
    issuer: Option<String>,
    audience: String,
    max_ttl: Duration,
}

/// What a token is to permit.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenRequest {
    /// The id of the key; the only one that can sign when absent.
    pub key: Option<String>,
    /// The `sub` claim.
    pub subject: Option<String>,
    /// The `task` claim; in JSON a text or an integer.
    #[serde(deserialize_with = "text_or_integer")]
    pub task: Option<String>,
    /// The `project` claim; in JSON a text or an integer.
    #[serde(deserialize_with = "text_or_integer")]
    pub project: Option<String>,
    /// `s3://bucket/key` or `s3://bucket/prefix/*`.
    pub objects: Vec<String>,
    /// Networks or addresses that the client must be in; none binds the token to no address.
    pub ip: Vec<String>,
    /// The `delivery` claim.
    pub delivery: Option<ForcedDelivery>,
    /// How long it lives: a second to a week.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
}

/// A token just minted. It prints nothing of itself; in JSON it is `token`, `key`, `jti` and `expires_at`.
#[derive(Serialize)]
pub struct MintedToken {
    token: String,
    key: String,
    jti: String,
    /// In seconds since 1970.
    expires_at: u64,
}

/// Why a token was not minted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MintError {
    /// Only public keys, or none.
    #[error("no configured key can sign; add [[access.keys]] with a secret or a private_key_file")]
    KeyMissing,
    /// Several could.
    #[error("several keys can sign; name one of {0}")]
    KeyAmbiguous(String),
    /// The one that was named.
    #[error("no key that can sign has this id")]
    KeyUnknown,
    /// It would cover nothing.
    #[error("the token would grant nothing; name objects, or a task or a project")]
    NothingGranted,
    /// The number of it, from zero, and why.
    #[error("objects[{0}]: {1}")]
    ObjectInvalid(usize, ParseObjectError),
    /// The number of it, from zero.
    #[error("ip[{0}] is neither a network such as 10.0.0.0/8 nor an address")]
    NetworkInvalid(usize),
    /// The task.
    #[error("task: {0}")]
    TaskInvalid(ParseIdError),
    /// The project.
    #[error("project: {0}")]
    ProjectInvalid(ParseIdError),
    /// Empty, too long, or with control characters.
    #[error("subject is 1 to 512 bytes without control characters")]
    SubjectInvalid,
    /// Too long or too short.
    #[error("ttl must be from 1s to {}", humantime::format_duration(*.0))]
    TtlOutOfBounds(Duration),
    /// More than a verifier takes.
    #[error("a token has at most {MAX_OBJECTS} objects and {MAX_NETWORKS} networks")]
    TooMany,
    /// Longer than a verifier takes.
    #[error("the token has more than {MAX_TOKEN_LEN} bytes; name fewer objects, or prefixes")]
    TooLong,
    /// The key refused.
    #[error("the key did not sign")]
    NotSigned,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: Algorithm,
    kid: &'a str,
    typ: &'static str,
}

#[derive(Serialize)]
struct Claims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    aud: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    iat: u64,
    exp: u64,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<ProjectId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    objects: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ip: Vec<IpNet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<ForcedDelivery>,
}

impl Minter {
    /// Reads the keys that can sign.
    pub fn build(config: &Config) -> Result<Self, BuildError> {
        let keys = config.keys.iter().filter_map(|key| SigningKey::load(key).transpose());
        Ok(Self {
            keys: keys.collect::<Result<_, _>>()?,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            max_ttl: config.max_token_lifetime.unwrap_or(MAX_TTL).min(MAX_TTL),
        })
    }

    /// Mints with the internal key what a verifier of the same configuration takes.
    pub fn internal(key: &InternalKey, config: &Config) -> Self {
        Self {
            keys: vec![key.signing()],
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            max_ttl: MAX_TTL,
        }
    }

    /// Whether any key can sign.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Mints a token that is valid from `now` on.
    pub fn mint(&self, request: &TokenRequest, now: SystemTime) -> Result<MintedToken, MintError> {
        let key = self.key(request.key.as_deref())?;
        if !(Duration::from_secs(1)..=self.max_ttl).contains(&request.ttl) {
            return Err(MintError::TtlOutOfBounds(self.max_ttl));
        }
        let iat = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (exp, jti) = (iat + request.ttl.as_secs(), random_id());
        let claims = Claims {
            iss: self.issuer.as_deref(),
            aud: &self.audience,
            sub: request.checked_subject()?,
            iat,
            exp,
            jti: &jti,
            task: request.task.as_deref().map(TaskId::parse).transpose().map_err(MintError::TaskInvalid)?,
            project: request
                .project
                .as_deref()
                .map(ProjectId::parse)
                .transpose()
                .map_err(MintError::ProjectInvalid)?,
            objects: request.checked_objects()?,
            ip: request.checked_networks()?,
            delivery: request.delivery,
        };
        if claims.objects.is_empty() && claims.task.is_none() && claims.project.is_none() {
            return Err(MintError::NothingGranted);
        }
        let token = sign(key, &claims)?;
        Ok(MintedToken { token, key: key.id.to_string(), jti, expires_at: exp })
    }

    fn key(&self, id: Option<&str>) -> Result<&SigningKey, MintError> {
        match (id, self.keys.as_slice()) {
            (_, []) => Err(MintError::KeyMissing),
            (Some(id), keys) => keys.iter().find(|key| *key.id == *id).ok_or(MintError::KeyUnknown),
            (None, [key]) => Ok(key),
            (None, keys) => {
                let ids: Vec<&str> = keys.iter().map(|key| &*key.id).collect();
                Err(MintError::KeyAmbiguous(ids.join(", ")))
            }
        }
    }
}

impl MintedToken {
    /// The token itself.
    pub fn into_token(self) -> String {
        self.token
    }
}

impl TokenRequest {
    fn checked_subject(&self) -> Result<Option<&str>, MintError> {
        match self.subject.as_deref() {
            Some(text)
                if text.is_empty() || text.len() > MAX_SUBJECT_LEN || text.chars().any(char::is_control) =>
            {
                Err(MintError::SubjectInvalid)
            }
            subject => Ok(subject),
        }
    }

    fn checked_objects(&self) -> Result<Vec<String>, MintError> {
        if self.objects.len() > MAX_OBJECTS || self.ip.len() > MAX_NETWORKS {
            return Err(MintError::TooMany);
        }
        let check = |(number, text): (usize, &String)| match ObjectPattern::parse(text) {
            Ok(pattern) => Ok(pattern.to_string()),
            Err(error) => Err(MintError::ObjectInvalid(number, error)),
        };
        self.objects.iter().enumerate().map(check).collect()
    }

    fn checked_networks(&self) -> Result<Vec<IpNet>, MintError> {
        let check =
            |(number, text): (usize, &String)| parse_network(text).ok_or(MintError::NetworkInvalid(number));
        self.ip.iter().enumerate().map(check).collect()
    }
}

impl Default for TokenRequest {
    /// An hour, and nothing granted.
    fn default() -> Self {
        Self {
            key: None,
            subject: None,
            task: None,
            project: None,
            objects: Vec::new(),
            ip: Vec::new(),
            delivery: None,
            ttl: Duration::from_hours(1),
        }
    }
}

impl MintedToken {
    /// The token itself.
    pub fn expose(&self) -> &str {
        &self.token
    }

    /// The end of its life: the `exp` claim.
    pub fn expires_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.expires_at)
    }

    /// Its `jti` claim.
    pub fn jti(&self) -> &str {
        &self.jti
    }
}

impl fmt::Debug for MintedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintedToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A fresh random id: 122 bits, in the form of a version 4 UUID (RFC 9562).
///
/// # Panics
/// Where the system has no randomness to give.
pub fn random_id() -> String {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    let id = (u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{id:032x}");
    let at = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", at(0, 8), at(8, 12), at(12, 16), at(16, 20), at(20, 32))
}

fn sign(key: &SigningKey, claims: &Claims<'_>) -> Result<String, MintError> {
    let header = Header { alg: key.algorithm(), kid: &key.id, typ: "JWT" };
    let encode = |json: serde_json::Result<Vec<u8>>| json.map(|json| URL_SAFE_NO_PAD.encode(json));
    let header = encode(serde_json::to_vec(&header)).map_err(|_| MintError::NotSigned)?;
    let claims = encode(serde_json::to_vec(claims)).map_err(|_| MintError::NotSigned)?;
    let signing_input = format!("{header}.{claims}");
    let signature = key.sign(&signing_input).ok_or(MintError::NotSigned)?;
    let token = format!("{signing_input}.{signature}");
    if token.len() > MAX_TOKEN_LEN { Err(MintError::TooLong) } else { Ok(token) }
}

fn text_or_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Text(String),
        Integer(u64),
    }
    Ok(Option::<Id>::deserialize(deserializer)?.map(|id| match id {
        Id::Text(text) => text,
        Id::Integer(number) => number.to_string(),
    }))
}

const MAX_SUBJECT_LEN: usize = 512;

#[cfg(test)]
mod tests;
