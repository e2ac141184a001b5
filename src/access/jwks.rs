//! Sets of public keys (RFC 7517).
//!
//! A set comes from elsewhere, so less is believed of it: it brings no secrets, a key says or is told what it may
//! be used for, and keys that we cannot use are passed over, since a set serves other readers too. A set in which
//! two usable keys share an id is refused as a whole.

use std::{collections::HashSet, net::IpAddr, sync::Arc, time::Duration};

use http::Uri;
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;

use super::{
    config::{BuildError, JwksConfig},
    key::Key,
};

/// A key set that is to be fetched.
#[derive(Clone, Debug)]
pub struct JwksSource {
    /// Its position in the configuration.
    pub index: usize,
    /// Where it is.
    pub url: String,
    /// How often it is to be fetched.
    pub refresh: Duration,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// Checks what the configuration says of a set.
pub(super) fn check(index: usize, config: &JwksConfig) -> Result<(), BuildError> {
    match (&config.url, &config.file) {
        (Some(url), None) if !is_safe(url) => return Err(BuildError::JwksUrlInsecure(index)),
        (Some(_), None) | (None, Some(_)) => {}
        _ => return Err(BuildError::JwksPlace(index)),
    }
    let symmetric = config.algorithms.iter().any(|algorithm| algorithm.family() == AlgorithmFamily::Hmac);
    if symmetric { Err(BuildError::JwksSymmetric(index)) } else { Ok(()) }
}

/// The usable keys of a set, at least one. `defaults` are the algorithms for keys that do not name theirs.
pub(super) fn parse(index: usize, text: &str, defaults: &[Algorithm]) -> Result<Vec<Arc<Key>>, BuildError> {
    let set: Set = serde_json::from_str(text).map_err(|error| BuildError::JwksMalformed {
        index,
        line: error.line(),
        column: error.column(),
    })?;
    let defaults = if defaults.is_empty() { DEFAULTS } else { defaults };
    let keys = set.keys.into_iter().take(MAX_KEYS).filter_map(|key| usable(key, defaults));
    let keys: Vec<Arc<Key>> = keys.map(Arc::new).collect();
    if keys.is_empty() {
        return Err(BuildError::JwksEmpty(index));
    }
    let mut ids = HashSet::new();
    match keys.iter().find(|key| !ids.insert(&*key.id)) {
        Some(twice) => Err(BuildError::KeyIdTwice(twice.id.to_string())),
        None => Ok(keys),
    }
}

fn usable(key: serde_json::Value, defaults: &[Algorithm]) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    if !is_for_signatures(&jwk.common) {
        return None;
    }
    let wanted = match jwk.common.key_algorithm {
        Some(algorithm) => vec![Algorithm::try_from(algorithm).ok()?],
        None => defaults.to_vec(),
    };
    let algorithms = wanted.into_iter().filter(|algorithm| fits(*algorithm, &jwk.algorithm)).collect();
    Key::public(jwk.common.key_id.as_deref()?, algorithms, DecodingKey::from_jwk(&jwk).ok()?)
}

fn is_for_signatures(common: &CommonParameters) -> bool {
    let used = common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
    let operations = common.key_operations.as_ref();
    used && operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify))
}

/// Whether the kind of key is the algorithm's; a symmetric one never is.
fn fits(algorithm: Algorithm, key: &AlgorithmParameters) -> bool {
    match key {
        AlgorithmParameters::RSA(_) => algorithm.family() == AlgorithmFamily::Rsa,
        AlgorithmParameters::EllipticCurve(point) => match point.curve {
            EllipticCurve::P256 => algorithm == Algorithm::ES256,
            EllipticCurve::P384 => algorithm == Algorithm::ES384,
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(point) => {
            point.curve == EllipticCurve::Ed25519 && algorithm == Algorithm::EdDSA
        }
        _ => false,
    }
}

/// Whoever can change the answer on its way could sign tokens.
fn is_safe(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => local,
        _ => false,
    }
}

/// What issuers that leave `alg` out sign with.
const DEFAULTS: &[Algorithm] = &[Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
const MAX_KEYS: usize = 256;

#[cfg(test)]
mod tests;
