//! Sealing: what the database may keep of a secret.
//!
//! AES-256-GCM with a random nonce. The seal is bound to table, column and row, so that a value moved to another
//! place does not open there. In front stands the name of the key, so that values of several keys can lie side by
//! side while keys change. Layout: 1 byte format, 8 bytes key id, 12 bytes nonce, ciphertext, 16 bytes tag.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest::{SHA256, digest},
};
use secrecy::zeroize::Zeroizing;

/// The name of a key: the beginning of its SHA-256, which tells nothing of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyId([u8; KEY_ID_LEN]);

/// A key that seals and opens.
#[derive(Debug)]
pub(super) struct Key {
    id: KeyId,
    cipher: RandomizedNonceKey,
}

/// The key that seals, and those that still open.
#[derive(Debug)]
pub(super) struct Keyring {
    current: Key,
    previous: Vec<Key>,
}

/// The place that a value is sealed for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
    pub(super) row: i64,
}

/// Why a value does not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unopened {
    /// None of ours sealed it.
    UnknownKey(KeyId),
    /// Cut, changed, or sealed for another place.
    Broken,
}

impl Key {
    /// A key of 32 bytes.
    pub(super) fn new(bytes: &[u8; KEY_LEN]) -> Option<Self> {
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, bytes).ok()?;
        let id = digest(&SHA256, bytes).as_ref().first_chunk().copied().map(KeyId)?;
        Some(Self { id, cipher })
    }
}

impl Keyring {
    pub(super) fn new(current: Key, previous: Vec<Key>) -> Self {
        Self { current, previous }
    }

    /// The name of the key that seals.
    pub(super) fn current(&self) -> KeyId {
        self.current.id
    }

    /// Seals a value for a place; `None` if the cryptographic library fails.
    pub(super) fn seal(&self, cell: Cell, plain: &[u8]) -> Option<Vec<u8>> {
        // Room for all of it, so that no copy of the plain text is left behind by growing.
        let mut sealed = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(plain);
        let nonce = self.current.cipher.seal_in_place_append_tag(cell.aad(), &mut sealed).ok()?;
        Some([&[FORMAT][..], &self.current.id.0, nonce.as_ref(), &sealed].concat())
    }

    /// Opens what was sealed for this place with any of the keys.
    pub(super) fn open(&self, cell: Cell, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let (id, nonce, sealed) = split(sealed).ok_or(Unopened::Broken)?;
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        let key = keys.find(|key| key.id == id).ok_or(Unopened::UnknownKey(id))?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        let opened = key.cipher.open_in_place(nonce, cell.aad(), &mut plain);
        let len = opened.map_err(|_| Unopened::Broken)?.len();
        plain.truncate(len);
        Ok(plain)
    }
}

impl Cell {
    fn aad(self) -> Aad<Vec<u8>> {
        let Self { table, column, row } = self;
        Aad::from(format!("{table}\0{column}\0{row}").into_bytes())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

fn split(sealed: &[u8]) -> Option<(KeyId, Nonce, &[u8])> {
    let (&format, rest) = sealed.split_first()?;
    let (&id, rest) = rest.split_first_chunk()?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
    (format == FORMAT).then(|| (KeyId(id), Nonce::assume_unique_for_key(*nonce), rest))
}

pub(super) const KEY_LEN: usize = 32;
const KEY_ID_LEN: usize = 8;
const FORMAT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: Cell = Cell { table: "storages", column: "keys", row: 7 };

    fn key(byte: u8) -> Key {
        Key::new(&[byte; KEY_LEN]).unwrap()
    }

    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let ring = Keyring::new(key(1), Vec::new());
        let sealed = ring.seal(CELL, b"secret").unwrap();
        assert_eq!(ring.open(CELL, &sealed).unwrap().as_slice(), b"secret");
        for elsewhere in [
            Cell { row: 8, ..CELL },
            Cell { column: "other", ..CELL },
            Cell { table: "others", ..CELL },
            Cell { table: "storages\0keys", column: "7", ..CELL },
        ] {
            assert_eq!(ring.open(elsewhere, &sealed).err(), Some(Unopened::Broken), "{elsewhere:?}");
        }
    }

    #[test]
    fn two_seals_of_one_value_differ() {
        let ring = Keyring::new(key(1), Vec::new());
        let (first, second) = (ring.seal(CELL, b"secret").unwrap(), ring.seal(CELL, b"secret").unwrap());
        assert_ne!(first, second);
        assert!(!first.windows(6).any(|window| window == b"secret"), "{first:?}");
    }

    #[test]
    fn previous_keys_open_and_others_are_named() {
        let old = Keyring::new(key(1), Vec::new());
        let sealed = old.seal(CELL, b"secret").unwrap();
        let both = Keyring::new(key(2), vec![key(1)]);
        assert_eq!(both.open(CELL, &sealed).unwrap().as_slice(), b"secret");
        let new = Keyring::new(key(2), Vec::new());
        assert_eq!(new.open(CELL, &sealed).err(), Some(Unopened::UnknownKey(old.current())));
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let ring = Keyring::new(key(1), Vec::new());
        let sealed = ring.seal(CELL, b"secret").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(ring.open(CELL, &changed).is_err(), "byte {at}");
            assert!(ring.open(CELL, &sealed[..at]).is_err(), "cut at {at}");
        }
    }
}
