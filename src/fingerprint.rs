//! What stands for a value in a memory that is asked for each request: the value itself is not kept. Tokens that passed and
//! presigned URLs are found by it.
//!
//! It is `SipHash-1-3` of 128 bits under a key that each memory draws for itself and nobody sees. Two values of one
//! fingerprint would be taken for one, and whoever comes second would get the grant, or the URL, of the first. Whoever wants
//! another's that way has to hit, unseen, one fingerprint among those remembered: with a million of them, each attempt
//! succeeds once in 2^108. That his own value gets his own grant helps him nothing. With SHA-256 a remembered
//! token takes twice as long.

use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// The fingerprint of a value, under the key of its [`Fingerprints`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fingerprint(u64, u64);

/// Takes fingerprints under one key; clones take the same.
#[derive(Clone)]
pub(crate) struct Fingerprints(SipHasher13);

/// Hashes a [`Fingerprint`] to a part of itself: it is a hash with a key already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsItIs;

/// See [`AsItIs`].
#[derive(Debug, Default)]
pub(crate) struct Part(u64);

impl Fingerprints {
    /// Draws a key.
    pub(crate) fn new() -> Self {
        // Hashes of nothing secret, under 128 bits that the system draws at random.
        let [first, second] = [0_u8, 1].map(|half| RandomState::new().hash_one(half));
        Self(SipHasher13::new_with_keys(first, second))
    }

    pub(crate) fn of(&self, value: &(impl Hash + ?Sized)) -> Fingerprint {
        let mut hasher = self.0;
        value.hash(&mut hasher);
        let hash = hasher.finish128();
        Fingerprint(hash.h1, hash.h2)
    }
}

impl Fingerprint {
    /// Two halves, which tell nothing of each other.
    pub(crate) fn halves(self) -> (u64, u64) {
        (self.0, self.1)
    }
}

impl fmt::Debug for Fingerprints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprints")
    }
}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

impl BuildHasher for AsItIs {
    type Hasher = Part;

    fn build_hasher(&self) -> Part {
        Part::default()
    }
}

impl Hasher for Part {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, part: u64) {
        self.0 = part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_fingerprint_which_nobody_else_can_tell() {
        let (ours, others) = (Fingerprints::new(), Fingerprints::new());
        for text in ["", "a", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"] {
            assert_eq!(ours.of(text), ours.of(text));
            assert_ne!(ours.of(text), others.of(text), "each has a key of its own");
            assert_ne!(ours.of(text), ours.of(&format!("{text} ")));
        }
        assert_eq!(format!("{ours:?}"), "Fingerprints", "a key is not printed");
    }

    #[test]
    fn what_a_map_goes_by_is_spread() {
        let ours = Fingerprints::new();
        let mut low = [0; 16];
        for number in 0..1600 {
            let hash = AsItIs.hash_one(ours.of(&number.to_string()));
            low[usize::try_from(hash % 16).unwrap()] += 1;
        }
        assert!(low.iter().all(|count| (40..200).contains(count)), "{low:?}");
    }
}
