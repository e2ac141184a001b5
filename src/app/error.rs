//! Why the program does not start: the configuration, or what it asks for.

use std::path::PathBuf;

use crate::{
    access, egress,
    gateway::{cors, forward},
    id::StorageName,
    label_studio, server, store, telemetry,
};

/// Why a configuration that could be read cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `[access]`.
    #[error("access")]
    Access(#[from] access::BuildError),
    /// `[egress]`.
    #[error("egress")]
    Egress(#[from] egress::Error),
    /// `[upstream]`.
    #[error(transparent)]
    Upstream(#[from] forward::ConfigError),
    /// `[label_studio]`.
    #[error(transparent)]
    LabelStudio(#[from] label_studio::ConfigError),
    /// `[cors]`.
    #[error(transparent)]
    Cors(#[from] cors::ConfigError),
    /// `[[storages]]`.
    #[error("storage {name}")]
    Storage {
        /// Which.
        name: StorageName,
        /// Why.
        source: super::storages::Error,
    },
    /// Two storages of one name.
    #[error("two storages are named {0}; names are metric labels, so each needs its own")]
    StorageTwice(StorageName),
    /// Two storages for one bucket and prefix.
    #[error("storages {0} and {1} serve the same bucket and prefix; give one of them another prefix")]
    StorageShadowed(StorageName, StorageName),
    /// `[hooks]`.
    #[error(transparent)]
    Hooks(#[from] crate::control::SecretError),
    /// `[admin]`.
    #[error("admin.token (or what admin.token_file holds) is empty; set one, or neither for a fresh one")]
    AdminTokenEmpty,
    /// `[admin]`.
    #[error("admin.token_file {} cannot be read", path.display())]
    AdminTokenUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Why the gateway did not start or broke.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A listener.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// The registry.
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    /// A metric family of one name twice.
    #[error("a metric family was registered twice")]
    Registry(#[from] prometheus::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The control thread.
    #[error("the control thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// The control thread is gone.
    #[error("the control thread ended by itself; the log says why")]
    ThreadEnded,
}
