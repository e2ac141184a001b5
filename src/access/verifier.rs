//! From a token to a grant.
//!
//! The checks run in one order, and each is final: size, shape, header, key, algorithm, signature, claims, times,
//! issuer, audience, revocation. Nothing of the claims is read before the signature holds. A token that passed is
//! remembered by a fingerprint of its text; a hit is good only under the same keys and revocations, and its times are
//! judged again each time. Refusals are not remembered: they would let strangers fill the memory.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use moka::{Expiry, sync::Cache};

use super::{
    claims::Claims,
    config::{BuildError, Config},
    error::Error,
    grant::Grant,
    internal::InternalKey,
    jwks::JwksSource,
    key::Key,
    present::Presented,
    refresh::Refresh,
    revocation::{Revocation, Revocations},
    token::Unverified,
    trust::{Trust, TrustStore},
};
use crate::fingerprint::{AsItIs, Fingerprint, Fingerprints};

/// Verifies tokens; cheap to share, changed through shared references.
pub struct Verifier {
    rules: Rules,
    trust: TrustStore,
    fingerprints: Fingerprints,
    verified: Cache<Fingerprint, Verified, AsItIs>,
    refresh: Refresh,
}

/// What is asked of claims.
#[derive(Debug)]
struct Rules {
    issuer: Option<String>,
    audience: String,
    leeway: Duration,
    max_lifetime: Option<Duration>,
}

/// A token that passed under a generation.
#[derive(Clone)]
struct Verified {
    generation: u64,
    grant: Arc<Grant>,
    life: Duration,
}

impl Verifier {
    /// Reads keys, key sets and revocations from their files. Sets with a URL are empty until
    /// [`replace_jwks`](Self::replace_jwks).
    pub fn build(config: &Config, now: SystemTime) -> Result<Self, BuildError> {
        Self::build_with(config, None, now)
    }

    /// As [`build`](Self::build); tokens of the internal key pass, too.
    pub fn build_with(
        config: &Config,
        internal: Option<&InternalKey>,
        now: SystemTime,
    ) -> Result<Self, BuildError> {
        if config.audience.is_empty() {
            return Err(BuildError::AudienceEmpty);
        }
        let trust = TrustStore::build(config, internal, now)?;
        let refresh = Refresh::new(trust.sources().len());
        let rules = Rules {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            leeway: config.leeway,
            max_lifetime: config.max_token_lifetime,
        };
        let verified = Cache::builder()
            .max_capacity(config.token_cache_entries)
            .weigher(|_, verified: &Verified| verified.grant.weight())
            .expire_after(EndOfLife)
            .build_with_hasher(AsItIs);
        Ok(Self { rules, trust, fingerprints: Fingerprints::new(), verified, refresh })
    }

    /// Verifies a token as of `now`.
    pub fn verify(&self, presented: &Presented<'_>, now: SystemTime) -> Result<Arc<Grant>, Error> {
        let text = presented.text();
        if text.len() > super::MAX_TOKEN_LEN {
            return Err(Error::TokenTooLong);
        }
        let trust = self.trust.current();
        let key = self.fingerprints.of(text);
        if let Some(hit) = self.verified.get(&key).filter(|hit| hit.generation == trust.generation) {
            return hit.grant.in_force(now).map(|()| hit.grant);
        }
        let grant = Arc::new(self.check(text, &trust, now)?);
        let life = grant.life(now);
        self.verified.insert(key, Verified { generation: trust.generation, grant: Arc::clone(&grant), life });
        Ok(grant)
    }

    /// As [`verify`](Self::verify); where the key is unknown and key sets have URLs, asks for them to be fetched,
    /// waits for at most two seconds, and verifies again.
    pub async fn verify_or_refresh(
        &self,
        presented: &Presented<'_>,
        now: SystemTime,
    ) -> Result<Arc<Grant>, Error> {
        let result = self.verify(presented, now);
        if !matches!(result, Err(Error::KeyUnknown)) {
            return result;
        }
        let Some(mut wait) = self.refresh.ask() else { return result };
        // Boxed, since few requests wait, and every one would have the room for it.
        Box::pin(async move {
            // Once more before the first wait: the keys may have come between the two lines above.
            loop {
                let result = self.verify(presented, now);
                if !matches!(result, Err(Error::KeyUnknown)) || !wait.next().await {
                    return result;
                }
            }
        })
        .await
    }

    /// Whether any token could pass.
    pub fn has_keys(&self) -> bool {
        !self.trust.current().keys.is_empty()
    }

    /// The key sets that the caller is to fetch.
    pub fn jwks_sources(&self) -> Vec<JwksSource> {
        self.trust.sources()
    }

    /// Puts a fetched key set in force and returns the number of its keys. On an error the keys before stay.
    pub fn replace_jwks(&self, index: usize, json: &str, now: SystemTime) -> Result<usize, BuildError> {
        let keys = self.trust.replace_set(index, json, now)?;
        self.refresh.report();
        Ok(keys)
    }

    /// Says that a key set could not be fetched or replaced, so that nobody waits for it any longer.
    pub fn jwks_unchanged(&self, _index: usize) {
        self.refresh.report();
    }

    /// Takes over the key sets that `before` had fetched from the same URLs.
    pub fn inherit_jwks(&self, before: &Self) {
        self.trust.inherit(&before.trust);
    }

    /// Waits until a token names a key that may be in a set by now. The one who fetches waits here.
    pub async fn refresh_wanted(&self) {
        self.refresh.wanted().await;
    }

    /// The age of each key set in the order of the configuration; `None` for one that was never fetched.
    pub fn jwks_ages(&self, now: SystemTime) -> Vec<Option<Duration>> {
        self.trust.ages(now)
    }

    /// Revokes a token or a subject from now on, in memory only.
    pub fn revoke(&self, revocation: Revocation) {
        self.revoke_all([revocation]);
    }

    /// Revokes several at once. Where nothing is new, what was verified before stays remembered.
    pub fn revoke_all(&self, fresh: impl IntoIterator<Item = Revocation>) {
        self.trust.revoke(|revocations| {
            let mut is_news = false;
            for revocation in fresh {
                is_news |= revocations.add(revocation);
            }
            is_news
        });
    }

    /// Puts another list of revocations in force.
    pub fn replace_revocations(&self, fresh: Revocations) {
        self.trust.revoke(|revocations| {
            *revocations = fresh;
            true
        });
    }

    fn check(&self, text: &str, trust: &Trust, now: SystemTime) -> Result<Grant, Error> {
        let token = Unverified::parse(text)?;
        let key = trust.keys.find(token.header.key_id.as_deref())?;
        key.verify(&token)?;
        let claims = Claims::parse(token.claims)?;
        self.rules.judge(&claims, key, now)?;
        if trust.revocations.revoke(&claims) {
            return Err(Error::TokenRevoked);
        }
        let valid_from = self.rules.valid_from(&claims);
        Ok(Grant::new(claims, key, valid_from))
    }
}

impl Rules {
    fn judge(&self, claims: &Claims, key: &Key, now: SystemTime) -> Result<(), Error> {
        if now >= claims.expires_at {
            return Err(Error::TokenExpired);
        }
        if now < self.valid_from(claims) {
            return Err(Error::TokenNotYetValid);
        }
        let born = claims.issued_at.unwrap_or(now);
        let lifetime = claims.expires_at.duration_since(born).unwrap_or_default();
        // How long a decision may live is said elsewhere.
        if !key.is_internal && self.max_lifetime.is_some_and(|most| lifetime > most) {
            return Err(Error::LifetimeExceeded);
        }
        if self.issuer.is_some() && self.issuer != claims.issuer {
            return Err(Error::IssuerMismatch);
        }
        if !claims.audience.contains(&self.audience) {
            return Err(Error::AudienceMismatch);
        }
        Ok(())
    }

    /// The first moment that `nbf` and `iat` allow for an issuer whose clock is ahead by the leeway.
    fn valid_from(&self, claims: &Claims) -> SystemTime {
        let latest = claims.not_before.max(claims.issued_at).unwrap_or(SystemTime::UNIX_EPOCH);
        latest.checked_sub(self.leeway).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// Forgets a token when it ends.
struct EndOfLife;

impl Expiry<Fingerprint, Verified> for EndOfLife {
    fn expire_after_create(&self, _: &Fingerprint, verified: &Verified, _: Instant) -> Option<Duration> {
        Some(verified.life)
    }

    fn expire_after_update(
        &self,
        _: &Fingerprint,
        verified: &Verified,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(verified.life)
    }
}

/// Whether a text is a token that one of our keys is named for. It need not be valid: an expired token of ours is no
/// business of anybody behind us either. A token that names no key is ours where the only key signed it.
pub fn looks_like_ours(text: &str, verifier: &Verifier) -> bool {
    let Ok(token) = Unverified::parse(text) else { return false };
    let trust = verifier.trust.current();
    let Ok(key) = trust.keys.find(token.header.key_id.as_deref()) else { return false };
    token.header.key_id.is_some() || key.verify(&token).is_ok()
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
