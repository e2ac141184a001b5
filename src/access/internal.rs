//! The key that a process makes for itself.
//!
//! What the application behind the gateway permits is written down as a token of this key, so that it goes through the
//! same door as every other. The key is random, never leaves the process and is in no configuration; a token of another
//! process is one of an unknown key.

use std::fmt;

use aws_lc_rs::rand;

use super::key::{Key, SigningKey};

/// A random HS256 key with an id of its own.
pub struct InternalKey {
    id: String,
    secret: [u8; 32],
}

impl InternalKey {
    /// Makes another one.
    ///
    /// # Panics
    /// Where the system has no randomness to give.
    pub fn generate() -> Self {
        let (mut id, mut secret) = ([0; 8], [0; 32]);
        rand::fill(&mut id).expect("the system has randomness");
        rand::fill(&mut secret).expect("the system has randomness");
        Self { id: format!("mediagate-task-{:016x}", u64::from_be_bytes(id)), secret }
    }

    pub(super) fn verifying(&self) -> Key {
        Key::internal(&self.id, &self.secret)
    }

    pub(super) fn signing(&self) -> SigningKey {
        SigningKey::internal(&self.id, &self.secret)
    }
}

impl fmt::Debug for InternalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InternalKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::access::{
        Config, Error, Presented, Verifier,
        forge::{CLAIMS, NOW, at, config, hs256},
        looks_like_ours,
        mint::{Minter, TokenRequest},
    };

    fn request() -> TokenRequest {
        TokenRequest { task: Some("7".to_owned()), ttl: Duration::from_mins(1), ..TokenRequest::default() }
    }

    #[test]
    fn its_tokens_pass_whatever_is_asked_of_others() {
        let strict = Config {
            issuer: Some("app".to_owned()),
            audience: "other".to_owned(),
            max_token_lifetime: Some(Duration::from_secs(1)),
            keys: Vec::new(),
            ..config()
        };
        let key = InternalKey::generate();
        let verifier = Verifier::build_with(&strict, Some(&key), at(NOW)).unwrap();
        let token = Minter::internal(&key, &strict).mint(&request(), at(NOW)).unwrap().into_token();
        let grant = verifier.verify(&Presented::from_text(&token), at(NOW)).unwrap();
        assert!(grant.is_permission() && verifier.has_keys());
        assert!(looks_like_ours(&token, &verifier), "so that it is never forwarded");
    }

    #[test]
    fn another_process_does_not_know_it() {
        let (own, other) = (InternalKey::generate(), InternalKey::generate());
        let verifier = Verifier::build_with(&config(), Some(&own), at(NOW)).unwrap();
        let token = Minter::internal(&other, &config()).mint(&request(), at(NOW)).unwrap().into_token();
        let outcome = verifier.verify(&Presented::from_text(&token), at(NOW));
        assert_eq!(outcome.err(), Some(Error::KeyUnknown));
    }

    /// Nor may a configured key be meant where it alone is there.
    #[test]
    fn a_token_without_kid_never_means_it() {
        let key = InternalKey::generate();
        let alone = Config { keys: Vec::new(), ..config() };
        let nameless = hs256(r#"{"alg":"HS256","typ":"JWT"}"#, CLAIMS, &key.secret);
        for (config, want) in [(alone, Error::KeyUnknown), (config(), Error::SignatureInvalid)] {
            let verifier = Verifier::build_with(&config, Some(&key), at(NOW)).unwrap();
            let outcome = verifier.verify(&Presented::from_text(&nameless), at(NOW));
            assert_eq!(outcome.err(), Some(want));
            assert!(!looks_like_ours(&nameless, &verifier));
        }
    }

    #[test]
    fn it_prints_no_secret() {
        let key =
            InternalKey { id: "mediagate-task-1".to_owned(), secret: *b"0123456789abcdef0123456789abcdef" };
        assert_eq!(format!("{key:?}"), "InternalKey { id: \"mediagate-task-1\", .. }");
    }
}
