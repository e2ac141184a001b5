//! Keys: what verifies tokens, and what signs them.
//!
//! A key has its algorithm from the configuration or its key set and verifies no other, so that no token can choose
//! one. Whether a key is sound is found out when it is loaded, not when the first token comes.

use std::str::FromStr as _;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, Ed25519KeyPair};
use aws_lc_rs::signature::{KeyPair as _, ParsedPublicKey, VerificationAlgorithm};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey,
    jwk::{AlgorithmParameters, Jwk},
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    config::{BuildError, KeyConfig, read},
    error::Error,
    token::Unverified,
};

/// A key that verifies.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) id: Box<str>,
    /// One; several only for a key of a set that does not say which it is for. All of one family.
    algorithms: Box<[Algorithm]>,
    decoding: DecodingKey,
    /// Whether it is an [`InternalKey`](super::InternalKey)'s.
    pub(super) is_internal: bool,
}

/// A key that signs.
#[derive(Debug)]
pub(super) struct SigningKey {
    pub(super) id: Box<str>,
    algorithm: Algorithm,
    encoding: EncodingKey,
}

impl Key {
    /// Loads a configured key; a private key file alone is enough, since it implies the public key.
    pub(super) fn load(config: &KeyConfig) -> Result<Self, BuildError> {
        check_id(&config.id)?;
        let id = || config.id.clone();
        let decoding = match Material::read(config)? {
            Material::Secret(secret) => DecodingKey::from_secret(secret.expose_secret().as_bytes()),
            Material::Pair { public: Some(public), .. } => {
                from_public_pem(config.algorithm, public.as_bytes())
                    .ok_or_else(|| BuildError::KeyInvalid(id()))?
            }
            Material::Pair { public: None, private } => {
                let private = from_private_pem(config.algorithm, private.expose_secret().as_bytes());
                let public = private.and_then(|private| public_of(config.algorithm, &private));
                public.ok_or_else(|| BuildError::KeyInvalid(id()))?
            }
        };
        let hashed = config.algorithm.family() == AlgorithmFamily::Hmac;
        if !hashed && !is_sound(config.algorithm, &decoding) {
            return Err(BuildError::KeyInvalid(id()));
        }
        Ok(Self { id: id().into(), algorithms: [config.algorithm].into(), decoding, is_internal: false })
    }

    /// A key of a public key set; `None` unless it is sound for all the algorithms, of which there is one at least.
    pub(super) fn public(id: &str, algorithms: Vec<Algorithm>, decoding: DecodingKey) -> Option<Self> {
        check_id(id).ok()?;
        let sound =
            !algorithms.is_empty() && algorithms.iter().all(|algorithm| is_sound(*algorithm, &decoding));
        sound.then(|| Self { id: id.into(), algorithms: algorithms.into(), decoding, is_internal: false })
    }

    /// The key of this process alone.
    pub(super) fn internal(id: &str, secret: &[u8]) -> Self {
        let decoding = DecodingKey::from_secret(secret);
        Self { id: id.into(), algorithms: [Algorithm::HS256].into(), decoding, is_internal: true }
    }

    /// Checks the algorithm, then the signature, over the text exactly as it came.
    pub(super) fn verify(&self, token: &Unverified<'_>) -> Result<(), Error> {
        let named = Algorithm::from_str(&token.header.algorithm).ok();
        let algorithm =
            named.filter(|named| self.algorithms.contains(named)).ok_or(Error::AlgorithmMismatch)?;
        let valid = self.verifies(algorithm, token.signing_input.as_bytes(), token.signature);
        if valid { Ok(()) } else { Err(Error::SignatureInvalid) }
    }

    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, message, &self.decoding, algorithm).unwrap_or(false)
    }
}

impl SigningKey {
    /// Loads what can sign of a configured key, which is nothing where only the public key is known.
    pub(super) fn load(config: &KeyConfig) -> Result<Option<Self>, BuildError> {
        let invalid = || BuildError::KeyInvalid(config.id.clone());
        let encoding = match Material::read(config)? {
            Material::Secret(secret) => EncodingKey::from_secret(secret.expose_secret().as_bytes()),
            Material::Pair { private, .. } if private.expose_secret().is_empty() => return Ok(None),
            Material::Pair { private, .. } => {
                from_private_pem(config.algorithm, private.expose_secret().as_bytes()).ok_or_else(invalid)?
            }
        };
        let key = Self { id: config.id.as_str().into(), algorithm: config.algorithm, encoding };
        let probe = key.sign(PROBE).ok_or_else(invalid)?;
        if Key::load(config)?.verifies(key.algorithm, PROBE.as_bytes(), &probe) {
            Ok(Some(key))
        } else {
            Err(BuildError::KeyPairMismatch(config.id.clone()))
        }
    }

    /// The key of this process alone.
    pub(super) fn internal(id: &str, secret: &[u8]) -> Self {
        Self { id: id.into(), algorithm: Algorithm::HS256, encoding: EncodingKey::from_secret(secret) }
    }

    /// The `alg` of its tokens.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The third part of a token whose first two are `signing_input`.
    pub(super) fn sign(&self, signing_input: &str) -> Option<String> {
        jsonwebtoken::crypto::sign(signing_input.as_bytes(), &self.encoding, self.algorithm).ok()
    }
}

/// What the configuration gives for one key.
enum Material {
    Secret(SecretString),
    /// `private` is empty where there is none; then there is a public one.
    Pair {
        public: Option<String>,
        private: SecretString,
    },
}

impl Material {
    fn read(config: &KeyConfig) -> Result<Self, BuildError> {
        match hash_len(config.algorithm) {
            Some(least) => Self::read_secret(config, least),
            None => Self::read_pair(config),
        }
    }

    fn read_secret(config: &KeyConfig, least: usize) -> Result<Self, BuildError> {
        let id = || config.id.clone();
        let secret = match (&config.secret, &config.secret_file) {
            (Some(secret), None) => secret.clone(),
            (None, Some(path)) => read(path)?.trim_end_matches(['\r', '\n']).to_owned().into(),
            _ => return Err(BuildError::SecretExpected(id())),
        };
        let text = secret.expose_secret();
        if config.public_key_file.is_some() || config.private_key_file.is_some() {
            return Err(BuildError::SecretExpected(id()));
        }
        if text.trim_start().starts_with("-----BEGIN") {
            return Err(BuildError::SecretIsPem(id()));
        }
        if text.len() < least {
            return Err(BuildError::SecretTooShort { id: id(), len: text.len(), least });
        }
        Ok(Self::Secret(secret))
    }

    fn read_pair(config: &KeyConfig) -> Result<Self, BuildError> {
        let without_key = config.public_key_file.is_none() && config.private_key_file.is_none();
        if without_key || config.secret.is_some() || config.secret_file.is_some() {
            return Err(BuildError::KeyFileExpected(config.id.clone()));
        }
        let public = config.public_key_file.as_deref().map(read).transpose()?;
        let private = config.private_key_file.as_deref().map(read).transpose()?;
        Ok(Self::Pair { public, private: private.unwrap_or_default().into() })
    }
}

fn check_id(id: &str) -> Result<(), BuildError> {
    let visible = id.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && (1..=MAX_ID_LEN).contains(&id.len()) {
        Ok(())
    } else {
        Err(BuildError::KeyIdInvalid(id.into()))
    }
}

/// The length of an HMAC's hash in bytes, which is the shortest secret (RFC 7518 section 3.2).
fn hash_len(algorithm: Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::HS256 => Some(32),
        Algorithm::HS384 => Some(48),
        Algorithm::HS512 => Some(64),
        _ => None,
    }
}

fn from_public_pem(algorithm: Algorithm, pem: &[u8]) -> Option<DecodingKey> {
    match algorithm.family() {
        AlgorithmFamily::Hmac => None,
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem).ok(),
        AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem).ok(),
        AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem).ok(),
    }
}

fn from_private_pem(algorithm: Algorithm, pem: &[u8]) -> Option<EncodingKey> {
    match algorithm.family() {
        AlgorithmFamily::Hmac => None,
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(pem).ok(),
        AlgorithmFamily::Ec => EncodingKey::from_ec_pem(pem).ok(),
        AlgorithmFamily::Ed => EncodingKey::from_ed_pem(pem).ok(),
    }
}

fn public_of(algorithm: Algorithm, private: &EncodingKey) -> Option<DecodingKey> {
    if algorithm.family() == AlgorithmFamily::Ed {
        let pair = Ed25519KeyPair::from_pkcs8(private.as_bytes()).ok()?;
        return Some(DecodingKey::from_ed_der(pair.public_key().as_ref()));
    }
    DecodingKey::from_jwk(&Jwk::from_encoding_key(private, algorithm).ok()?).ok()
}

/// Whether a public key is of the algorithm's kind, on its curve, and strong enough.
fn is_sound(algorithm: Algorithm, key: &DecodingKey) -> bool {
    if algorithm.family() != key.family() {
        return false;
    }
    let is_point = |on: &'static dyn VerificationAlgorithm, len| {
        key.try_get_as_bytes()
            .is_ok_and(|bytes| bytes.len() == len && ParsedPublicKey::new(on, bytes).is_ok())
    };
    match algorithm {
        Algorithm::ES256 => is_point(&ECDSA_P256_SHA256_FIXED, 65),
        Algorithm::ES384 => is_point(&ECDSA_P384_SHA384_FIXED, 97),
        Algorithm::EdDSA => is_point(&ED25519, 32),
        _ => is_strong_rsa(key).unwrap_or(false),
    }
}

/// 2048 to 8192 bits, and an odd public exponent from 3 up.
fn is_strong_rsa(key: &DecodingKey) -> Option<bool> {
    let AlgorithmParameters::RSA(parameters) = Jwk::from_decoding_key(key, None).ok()?.algorithm else {
        return None;
    };
    let modulus = URL_SAFE_NO_PAD.decode(parameters.n).ok()?;
    let exponent = URL_SAFE_NO_PAD.decode(parameters.e).ok()?;
    let modulus: Vec<u8> = modulus.into_iter().skip_while(|byte| *byte == 0).collect();
    let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
    let last = *exponent.last()?;
    let large = last >= 3 || exponent.iter().rev().skip(1).any(|byte| *byte != 0);
    Some((2048..=8192).contains(&bits) && last % 2 == 1 && large)
}

const MAX_ID_LEN: usize = 128;
const PROBE: &str = "mediagate";

#[cfg(test)]
mod tests;
