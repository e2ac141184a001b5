//! Where the sealing key comes from.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use aws_lc_rs::rand;
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};

use super::{
    Config, Error, Place,
    config::{read, setting},
    file::{DatabaseFile, write_private},
    on,
    pool::Pool,
    seal::{KEY_LEN, Key, Keyring},
};

/// Where a key was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeySource {
    /// `store.key`.
    Setting,
    /// A file.
    File(PathBuf),
}

/// The keys of the configuration.
pub(super) struct KeySettings {
    current: Option<Key>,
    previous: Vec<Key>,
}

impl KeySettings {
    /// Reads and parses them.
    pub(super) fn read(config: &Config) -> Result<Self, Error> {
        let text = setting("key", config.key.as_ref(), config.key_file.as_ref())?;
        let source = config.key_file.clone().map_or(KeySource::Setting, KeySource::File);
        let current = text.map(|text| parse(&text).ok_or(Error::KeyInvalid(source))).transpose()?;
        let previous = config.previous_key_files.iter().map(load);
        Ok(Self { current, previous: previous.collect::<Result<_, _>>()? })
    }

    /// Refuses a place that several processes share and no key that they could share.
    pub(super) fn suit(&self, place: &Place) -> Result<(), Error> {
        match (&self.current, place) {
            (None, Place::Postgres(_)) => Err(Error::KeyMissing),
            _ => Ok(()),
        }
    }

    /// Adds what the configuration leaves open: the key beside the database file, or a fresh one.
    pub(super) async fn into_keyring(
        self,
        file: Option<&DatabaseFile>,
        pool: &Pool,
    ) -> Result<Keyring, Error> {
        let current = match (self.current, file) {
            (Some(key), _) => key,
            (None, Some(file)) if file.key_path().exists() => load(&file.key_path())?,
            (None, Some(file)) => {
                let path = file.key_path();
                if self.previous.is_empty() && any_sealed(pool).await? {
                    return Err(Error::KeyLost(path));
                }
                make(&path)?
            }
            (None, None) => random().and_then(|bytes| Key::new(&bytes)).ok_or(Error::SealFailed)?,
        };
        Ok(Keyring::new(current, self.previous))
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting => f.write_str("store.key"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

fn load(path: &PathBuf) -> Result<Key, Error> {
    parse(&read(path)?).ok_or_else(|| Error::KeyInvalid(KeySource::File(path.clone())))
}

/// Makes a key and keeps it in a file.
fn make(path: &Path) -> Result<Key, Error> {
    let bytes = random().ok_or(Error::SealFailed)?;
    let mut text = Zeroizing::new(String::with_capacity(2 * KEY_LEN + 1));
    for byte in bytes.iter() {
        text.extend(
            [byte >> 4, byte & 15].iter().filter_map(|digit| char::from_digit(u32::from(*digit), 16)),
        );
    }
    text.push('\n');
    write_private(path, &text).map_err(|source| Error::File { path: path.to_owned(), source })?;
    tracing::warn!(
        file = %path.display(),
        "made a key that seals the keys of storages; keep a copy of it, apart from those of the database"
    );
    Key::new(&bytes).ok_or(Error::SealFailed)
}

fn random() -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    rand::fill(bytes.as_mut_slice()).ok()?;
    Some(bytes)
}

/// 64 hexadecimal digits, or base64 in either alphabet, padded or not.
fn parse(text: &SecretString) -> Option<Key> {
    let text = text.expose_secret().trim();
    let bytes = Zeroizing::new(if text.len() == 2 * KEY_LEN { from_hex(text)? } else { from_base64(text)? });
    Key::new(bytes.as_slice().try_into().ok()?)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| match pair {
        &[high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(byte).collect()
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { alphabet::URL_SAFE } else { alphabet::STANDARD };
    GeneralPurpose::new(&alphabet, lenient).decode(text).ok()
}

async fn any_sealed(pool: &Pool) -> Result<bool, Error> {
    let (count,): (i64,) = on!(pool, pool => {
        sqlx::query_as("SELECT COUNT(*) FROM storages WHERE keys IS NOT NULL").fetch_one(pool).await
    })?;
    Ok(count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::seal::Cell;

    #[test]
    fn a_key_is_32_bytes_in_hex_or_base64() {
        let hex = "00fF".repeat(16);
        let bytes = [0, 255].repeat(16);
        let padded = base64::engine::general_purpose::STANDARD.encode(&bytes);
        let bare = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&bytes);
        let want = Key::new(&bytes.try_into().unwrap()).unwrap();
        let cell = Cell { table: "t", column: "c", row: 1 };
        let sealed = Keyring::new(want, Vec::new()).seal(cell, b"x").unwrap();
        for text in [hex.clone(), format!(" {hex}\n"), padded, bare] {
            let key = parse(&text.clone().into()).unwrap();
            assert!(Keyring::new(key, Vec::new()).open(cell, &sealed).is_ok(), "{text}");
        }
        for text in ["", "00ff", "password", &hex.replacen('0', "g", 1), &hex.repeat(2), &"é".repeat(32)] {
            assert!(parse(&text.to_owned().into()).is_none(), "{text}");
        }
    }
}
