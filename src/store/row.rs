//! A row of the table of storages, and the noun that it stands for.

use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Serialize, de::IntoDeserializer as _};
use sqlx::{ColumnIndex, Decode, FromRow, Type};

use super::{
    Error, from_micros,
    seal::{Cell, Keyring, Unopened},
};
use crate::{
    id::{StorageId, StorageName},
    storage::{Direction, Keys, Kind, Origin, Settings, Storage},
};

/// The columns that a [`Row`] is read from, in the text of a statement.
macro_rules! columns {
    () => {
        "id, direction, kind, name, absent, settings, keys, revision, created_at"
    };
}
pub(super) use columns;

/// A row as it is stored.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) direction: String,
    pub(super) kind: String,
    pub(super) name: Option<String>,
    pub(super) absent: bool,
    pub(super) settings: String,
    pub(super) keys: Option<Vec<u8>>,
    revision: i64,
    created_at: i64,
}

/// What is sealed.
#[derive(Serialize)]
struct Sealing<'a> {
    access_key_id: Option<&'a str>,
    secret_access_key: Option<&'a str>,
    session_token: Option<&'a str>,
}

/// What is opened.
#[derive(Deserialize)]
struct Opened {
    access_key_id: Option<SecretString>,
    secret_access_key: Option<SecretString>,
    session_token: Option<SecretString>,
}

impl Row {
    /// Parses the row and opens its keys.
    pub(super) fn into_storage(self, keyring: &Keyring) -> Result<Storage, Error> {
        let id = StorageId(self.id);
        let malformed = |column| Error::Malformed { storage: id, column };
        let direction: Direction = word(&self.direction).ok_or(malformed("direction"))?;
        let kind: Kind = word(&self.kind).ok_or(malformed("kind"))?;
        let keys = self.open_keys(kind, keyring)?;
        let name = self.name.as_deref().map(StorageName::parse).transpose().map_err(|_| malformed("name"))?;
        Ok(Storage {
            id,
            direction,
            kind,
            origin: name.map_or(Origin::Api, Origin::File),
            settings: self.settings().ok_or(malformed("settings"))?,
            keys,
            created_at: from_micros(self.created_at),
            revision: self.revision,
        })
    }

    /// The settings, where they can be read.
    pub(super) fn settings(&self) -> Option<Settings> {
        serde_json::from_str(&self.settings).ok()
    }

    fn open_keys(&self, kind: Kind, keyring: &Keyring) -> Result<Keys, Error> {
        let Some(sealed) = &self.keys else { return Ok(Keys::default()) };
        let storage = || StorageName::numbered(kind.as_str(), StorageId(self.id));
        let plain = keyring.open(cell(self.id), sealed).map_err(|unopened| match unopened {
            Unopened::UnknownKey(key) => Error::SealUnknownKey { storage: storage(), key },
            Unopened::Broken => Error::SealBroken { storage: storage() },
        })?;
        let opened: Opened =
            serde_json::from_slice(&plain).map_err(|_| Error::SealBroken { storage: storage() })?;
        Ok(Keys {
            access_key_id: opened.access_key_id,
            secret_access_key: opened.secret_access_key,
            session_token: opened.session_token,
        })
    }
}

/// Seals the keys of a storage for its row; `None` where there are none.
pub(super) fn seal_keys(keys: &Keys, id: i64, keyring: &Keyring) -> Result<Option<Vec<u8>>, Error> {
    if keys.is_empty() {
        return Ok(None);
    }
    let sealing = Sealing {
        access_key_id: keys.access_key_id.as_ref().map(SecretString::expose_secret),
        secret_access_key: keys.secret_access_key.as_ref().map(SecretString::expose_secret),
        session_token: keys.session_token.as_ref().map(SecretString::expose_secret),
    };
    let plain = serde_json::to_vec(&sealing).map(Zeroizing::new).map_err(|_| Error::SealFailed)?;
    keyring.seal(cell(id), &plain).map(Some).ok_or(Error::SealFailed)
}

/// Settings as they are stored. They are plain data, which JSON can always say.
pub(super) fn settings_text(settings: &Settings) -> Result<String, Error> {
    serde_json::to_string(settings).map_err(|error| Error::Database(sqlx::Error::Encode(error.into())))
}

/// The place of a storage's keys.
pub(super) fn cell(id: i64) -> Cell {
    Cell { table: "storages", column: "keys", row: id }
}

/// A word of a closed set, as serde spells it.
pub(super) fn word<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    let text: serde::de::value::StrDeserializer<'a, serde::de::value::Error> = text.into_deserializer();
    T::deserialize(text).ok()
}

/// What the derive of sqlx would write, which comes with all of its macros.
impl<'r, R> FromRow<'r, R> for Row
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            direction: row.try_get("direction")?,
            kind: row.try_get("kind")?,
            name: row.try_get("name")?,
            absent: row.try_get("absent")?,
            settings: row.try_get("settings")?,
            keys: row.try_get("keys")?,
            revision: row.try_get("revision")?,
            created_at: row.try_get("created_at")?,
        })
    }
}
