//! The `[sidecar]` section.

use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use super::{items, sync};

/// How much syncs and exports do at once, and how large things may be.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Runs at once in this process; 0 leaves them to others that share the store.
    pub runs: usize,
    /// Objects that are written at once to one target; 0 leaves exports to others that share the store.
    pub exports: usize,
    /// Listings at once in a run.
    pub listings: usize,
    /// How long a run waits for a process that went silent before another takes it over.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// The largest item of a file of tasks.
    pub max_item_size: ByteSize,
    /// The largest file of tasks, unpacked.
    pub max_object_size: ByteSize,
}

impl Config {
    pub(super) fn limits(&self) -> sync::Limits {
        let items = items::Limits {
            item_size: self.max_item_size.as_u64(),
            object_size: self.max_object_size.as_u64(),
        };
        sync::Limits { listings: self.listings, items }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            runs: 2,
            exports: 16,
            listings: 4,
            lease: Duration::from_secs(30),
            max_item_size: ByteSize::mib(16),
            max_object_size: ByteSize::gib(16),
        }
    }
}
