//! From the `[[storages]]` of the configuration to connections.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use secrecy::SecretString;

use super::ConfigError;
use crate::{
    egress::Egress,
    gateway::locate::{Storage, StorageConfig},
    id::StorageName,
    s3,
    storage::{DeliveryKind, Direction, EndpointUrl, Keys, Kind, MAX_PRESIGN_MINUTES, PresignTtl, Settings},
    store::FileStorage,
};

/// Why a storage cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Half a key.
    #[error("access_key_id and secret_access_key (or secret_access_key_file) go together; one is missing")]
    KeyIncomplete,
    /// A secret twice.
    #[error("{0} and {0}_file are both set; keep one")]
    SecretTwice(&'static str),
    /// A file that cannot be read.
    #[error("{key} {} cannot be read", path.display())]
    SecretUnreadable {
        /// The configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An external id without a role.
    #[error("external_id is set without role_arn; it is part of assuming a role")]
    ExternalIdAlone,
    /// Rules that nobody reads.
    #[error("rules are set, but delivery is not \"rules\"; set it, or remove them")]
    RulesUnused,
    /// The presign ttl is out of S3's range.
    #[error("presign_ttl must be between 2s and 7days")]
    PresignTtlOutOfRange,
    /// The connection.
    #[error(transparent)]
    Connect(#[from] s3::Error),
}

/// Connects all storages, and gives their keys; none of them is asked for anything yet.
pub(super) async fn connect(
    configs: &[StorageConfig],
    egress: &Arc<Egress>,
    metrics: &s3::S3Metrics,
    clock: fn() -> SystemTime,
) -> Result<(Vec<Arc<Storage>>, HashMap<StorageName, Keys>), ConfigError> {
    refuse_twins(configs)?;
    let mut storages = Vec::with_capacity(configs.len());
    let mut all_keys = HashMap::new();
    for config in configs {
        let named = |source| ConfigError::Storage { name: config.name.clone(), source };
        let keys = keys(config).map_err(named)?;
        let connection = connection(config, &keys).map_err(named)?;
        all_keys.insert(config.name.clone(), keys);
        let connection = s3::Connection::connect(connection, Arc::clone(egress), metrics.clone(), clock)
            .await
            .map_err(|error| named(error.into()))?;
        storages.push(Arc::new(Storage::new(config, connection)));
    }
    Ok((storages, all_keys))
}

/// The storage as the store keeps it: everything but its keys.
pub(super) fn listed(config: &StorageConfig) -> FileStorage {
    let kind = if config.role_arn.is_some() { Kind::S3s } else { Kind::S3 };
    let (name, settings) = (config.name.clone(), settings_of(config));
    FileStorage { name, direction: Direction::Import, kind, settings }
}

/// A storage of the file in the words of all storages.
pub fn settings_of(config: &StorageConfig) -> Settings {
    let minutes = u32::try_from(config.presign_ttl.as_secs().div_ceil(60)).unwrap_or(MAX_PRESIGN_MINUTES);
    Settings {
        project: config.project.clone(),
        title: Some(config.name.to_string()),
        bucket: Some(config.bucket.clone()),
        prefix: (!config.prefix.is_empty()).then(|| config.prefix.clone()),
        region: Some(config.region.clone()),
        endpoint: config.endpoint.clone(),
        public_endpoint: config.public_endpoint.clone(),
        addressing: config.addressing,
        presign: config.delivery != DeliveryKind::Stream,
        presign_ttl: PresignTtl::from_minutes(minutes.clamp(1, MAX_PRESIGN_MINUTES)).unwrap_or_default(),
        delivery: Some(config.delivery),
        rules: config.rules.clone(),
        allow: Some(config.allow.clone()),
        deny: config.deny.clone(),
        role_arn: config.role_arn.clone(),
        external_id: config.external_id.clone(),
        sts_endpoint: config.sts_endpoint.as_deref().and_then(|url| EndpointUrl::parse(url).ok()),
        // What its objects mean has to be said before they are synced.
        synchronizable: config.import.is_some(),
        method: config.import.unwrap_or_default(),
        filter: config.filter.clone(),
        recursive: config.recursive,
        sync_every: config.sync_every,
        on_changed: config.on_changed,
        on_vanished: config.on_vanished,
        duplicates: config.duplicates,
        inventory: config.inventory.clone(),
        ..Settings::default()
    }
}

fn refuse_twins(configs: &[StorageConfig]) -> Result<(), ConfigError> {
    for (at, config) in configs.iter().enumerate() {
        for other in configs.iter().take(at) {
            if other.name == config.name {
                return Err(ConfigError::StorageTwice(config.name.clone()));
            }
            if other.bucket == config.bucket && other.normal_prefix() == config.normal_prefix() {
                return Err(ConfigError::StorageShadowed(other.name.clone(), config.name.clone()));
            }
        }
    }
    Ok(())
}

fn connection(config: &StorageConfig, keys: &Keys) -> Result<s3::ConnectionConfig, Error> {
    if !config.rules.is_empty() && config.delivery != DeliveryKind::Rules {
        return Err(Error::RulesUnused);
    }
    if !(2..=7 * 24 * 60 * 60).contains(&config.presign_ttl.as_secs()) {
        return Err(Error::PresignTtlOutOfRange);
    }
    Ok(s3::ConnectionConfig {
        name: config.name.clone(),
        bucket: config.bucket.clone(),
        region: config.region.clone(),
        endpoint: uri(config.endpoint.as_ref()),
        public_endpoint: uri(config.public_endpoint.as_ref()),
        addressing: config.addressing,
        credentials: credentials(config, keys)?,
        timeouts: s3::Timeouts { first_byte: config.first_byte_timeout, idle: config.stall_timeout },
    })
}

fn uri(endpoint: Option<&EndpointUrl>) -> Option<http::Uri> {
    endpoint.map(|endpoint| endpoint.uri().clone())
}

/// Reads the secrets, each file once.
fn keys(config: &StorageConfig) -> Result<Keys, Error> {
    let secret_access_key = read_secret(
        "secret_access_key",
        config.secret_access_key.as_ref(),
        config.secret_access_key_file.as_deref(),
    )?;
    let session_token =
        read_secret("session_token", config.session_token.as_ref(), config.session_token_file.as_deref())?;
    let access_key_id = config.access_key_id.clone().map(SecretString::from);
    Ok(Keys { access_key_id, secret_access_key, session_token })
}

fn credentials(config: &StorageConfig, keys: &Keys) -> Result<s3::CredentialsConfig, Error> {
    let session_token = keys.session_token.clone();
    let base = match (&config.access_key_id, keys.secret_access_key.clone()) {
        (Some(id), Some(secret_access_key)) => {
            s3::CredentialsConfig::Static { access_key_id: id.clone(), secret_access_key, session_token }
        }
        (None, None) if session_token.is_none() => s3::CredentialsConfig::DefaultChain,
        _ => return Err(Error::KeyIncomplete),
    };
    match (&config.role_arn, &config.external_id) {
        (Some(role_arn), external_id) => Ok(s3::CredentialsConfig::AssumeRole {
            role_arn: role_arn.clone(),
            external_id: external_id.clone(),
            sts_endpoint: config.sts_endpoint.clone(),
            base: Box::new(base),
        }),
        (None, Some(_)) => Err(Error::ExternalIdAlone),
        (None, None) => Ok(base),
    }
}

fn read_secret(
    key: &'static str,
    value: Option<&SecretString>,
    file: Option<&Path>,
) -> Result<Option<SecretString>, Error> {
    match (value, file) {
        (Some(_), Some(_)) => Err(Error::SecretTwice(key)),
        (Some(value), None) => Ok(Some(value.clone())),
        (None, None) => Ok(None),
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(SecretString::from(text.trim().to_owned()))),
            Err(source) => Err(Error::SecretUnreadable { key, path: path.to_owned(), source }),
        },
    }
}
