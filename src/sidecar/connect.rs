//! From a storage to a connection.

use std::{sync::Arc, time::SystemTime};

use crate::{
    egress::Egress,
    s3::{self, ConnectionConfig, CredentialsConfig, S3Metrics, Timeouts},
    storage::{Keys, Kind, Storage},
};

/// Makes connections for storages; those of the API go through the guarded egress.
#[derive(Clone, Debug)]
pub struct Connector {
    egress: Arc<Egress>,
    metrics: S3Metrics,
    clock: fn() -> SystemTime,
}

/// Why a storage cannot be connected to; each says what to set.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing to connect to.
    #[error("the storage has no bucket; set bucket")]
    BucketMissing,
    /// Half a key.
    #[error("aws_access_key_id and aws_secret_access_key go together; one is missing")]
    KeyIncomplete,
    /// An `s3s` storage without its role.
    #[error("a storage of type s3s needs role_arn")]
    RoleMissing,
    /// The parts make no connection.
    #[error(transparent)]
    S3(#[from] s3::Error),
}

impl Connector {
    /// Joins the parts.
    pub fn new(egress: Arc<Egress>, metrics: S3Metrics, clock: fn() -> SystemTime) -> Self {
        Self { egress, metrics, clock }
    }

    /// Connects; the bucket itself is not asked yet.
    pub async fn connect(&self, storage: &Storage) -> Result<s3::Connection, ConnectError> {
        let config = connection_config(storage)?;
        let connection =
            s3::Connection::connect(config, Arc::clone(&self.egress), self.metrics.clone(), self.clock).await;
        Ok(connection?)
    }
}

/// What a connection needs, from what a person set.
pub fn connection_config(storage: &Storage) -> Result<ConnectionConfig, ConnectError> {
    let settings = &storage.settings;
    Ok(ConnectionConfig {
        name: storage.name(),
        bucket: settings.bucket.clone().ok_or(ConnectError::BucketMissing)?,
        region: settings.region().to_owned(),
        endpoint: settings.endpoint.as_ref().map(|endpoint| endpoint.uri().clone()),
        public_endpoint: settings.public_endpoint.as_ref().map(|endpoint| endpoint.uri().clone()),
        addressing: settings.addressing,
        credentials: credentials(storage)?,
        timeouts: Timeouts::default(),
    })
}

fn credentials(storage: &Storage) -> Result<CredentialsConfig, ConnectError> {
    let base = base_credentials(&storage.keys)?;
    match (storage.kind, &storage.settings.role_arn) {
        (Kind::S3, _) => Ok(base),
        (Kind::S3s, None) => Err(ConnectError::RoleMissing),
        (Kind::S3s, Some(role_arn)) => Ok(CredentialsConfig::AssumeRole {
            role_arn: role_arn.clone(),
            external_id: storage.settings.external_id.clone(),
            sts_endpoint: storage.settings.sts_endpoint.as_ref().map(ToString::to_string),
            base: Box::new(base),
        }),
    }
}

fn base_credentials(keys: &Keys) -> Result<CredentialsConfig, ConnectError> {
    use secrecy::ExposeSecret as _;
    match (&keys.access_key_id, &keys.secret_access_key) {
        (Some(id), Some(secret)) => Ok(CredentialsConfig::Static {
            access_key_id: id.expose_secret().to_owned(),
            secret_access_key: secret.clone(),
            session_token: keys.session_token.clone(),
        }),
        (None, None) if keys.session_token.is_none() => Ok(CredentialsConfig::DefaultChain),
        _ => Err(ConnectError::KeyIncomplete),
    }
}
