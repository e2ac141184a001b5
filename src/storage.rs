//! A storage: a bucket that tasks come from or annotations go to, as a person sets it up.
//!
//! The noun and nothing else: no I/O, no wire format. It is kept by `store`, connected by `sidecar`, served by
//! `gateway` and spoken of by `control`, each of which has its own idea of what to do with it. Values that exist
//! here were parsed; secrets do not print.

mod delivery;
mod endpoint;
mod filter;
mod layout;
mod settings;
mod state;

use std::time::SystemTime;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use self::{
    delivery::{Addressing, DeliveryKind, Disposition, Mode, RuleConfig},
    endpoint::{EndpointUrl, ParseEndpointError},
    filter::{KeyFilter, MatchError, ParseFilterError},
    layout::{Layout, Names, ParseLayoutError, Unit},
    settings::{
        ImportMethod, Inventory, MAX_PRESIGN_MINUTES, MIN_SYNC_PAUSE, OnChanged, OnVanished,
        ParseInventoryError, ParsePresignTtlError, ParseSyncEveryError, PresignTtl, Settings, SyncEvery,
        normal_prefix,
    },
    state::{Status, SyncState},
};
use crate::id::{StorageId, StorageName};

/// A storage as it is kept.
#[derive(Clone, Debug)]
pub struct Storage {
    /// Its number, unique among all storages of all kinds; never used again.
    pub id: StorageId,
    /// Whether tasks come from it or annotations go to it.
    pub direction: Direction,
    /// How it signs in.
    pub kind: Kind,
    /// Who made it.
    pub origin: Origin,
    /// What a person set.
    pub settings: Settings,
    /// Who signs; empty for the default chain.
    pub keys: Keys,
    /// When it was made.
    pub created_at: SystemTime,
    /// Counts the changes of settings and keys, so that two writers notice each other.
    pub revision: i64,
}

/// Where the objects go. Label Studio says "source" and "target", and `import` and `export` in its paths.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the bucket into tasks.
    Import,
    /// From annotations into the bucket.
    Export,
}

/// How a storage signs in: the two storage types of Label Studio's S3 page.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// With keys, or the default chain where there are none.
    S3,
    /// By assuming an IAM role.
    S3s,
}

/// Who made a storage, and so where it is changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// The control API.
    Api,
    /// The configuration file, under this name.
    File(StorageName),
}

/// Keys of access; all absent means the AWS default chain.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// The public half. Label Studio never shows it either.
    pub access_key_id: Option<SecretString>,
    /// The secret half.
    pub secret_access_key: Option<SecretString>,
    /// Present where a token service made the two.
    pub session_token: Option<SecretString>,
}

impl Storage {
    /// The name for logs and metric labels: that of the configuration, or kind and number, such as `s3-12`.
    pub fn name(&self) -> StorageName {
        match &self.origin {
            Origin::File(name) => name.clone(),
            Origin::Api => StorageName::numbered(self.kind.as_str(), self.id),
        }
    }
}

impl Direction {
    /// The word in paths and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Export => "export",
        }
    }
}

impl Kind {
    /// The word in paths and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::S3s => "s3s",
        }
    }
}

impl Keys {
    /// Whether there is none, so that the default chain signs.
    pub fn is_empty(&self) -> bool {
        self.access_key_id.is_none() && self.secret_access_key.is_none() && self.session_token.is_none()
    }
}
