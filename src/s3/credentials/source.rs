//! Where credentials come from: the configuration, the default chain of AWS, or STS for a role.

use std::{sync::Arc, time::SystemTime};

use aws_config::{
    BehaviorVersion, Region, default_provider::credentials::DefaultCredentialsChain,
    provider_config::ProviderConfig,
};
use aws_credential_types::{
    Credentials as AwsCredentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use aws_sdk_sts::{config::IdentityCache, types::Credentials as StsCredentials};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    egress::Egress,
    s3::{
        Error, Timeouts, client,
        metrics::StorageMetrics,
        sdk::{self, SdkHttp},
    },
};

/// Where credentials come from.
#[derive(Clone, Debug)]
pub enum CredentialsConfig {
    /// From the configuration, good for ever.
    Static {
        /// The public half.
        access_key_id: String,
        /// The secret half.
        secret_access_key: SecretString,
        /// Present where a token service made the two.
        session_token: Option<SecretString>,
    },
    /// From the environment, a profile, a web identity, ECS or EC2 metadata: whichever answers first.
    DefaultChain,
    /// From STS, for a role.
    AssumeRole {
        /// The role.
        role_arn: String,
        /// What the role's owner asks to be told.
        external_id: Option<String>,
        /// A URL instead of the region's STS.
        sts_endpoint: Option<String>,
        /// Who asks for the role.
        base: Box<Self>,
    },
}

/// With what credentials are asked for.
#[derive(Debug)]
pub(crate) struct Means {
    /// The door of the storage. The default chain, which only the operator's machine can answer, goes through the
    /// operator's all the same.
    pub(crate) egress: Arc<Egress>,
    pub(crate) timeouts: Timeouts,
    pub(crate) metrics: Arc<StorageMetrics>,
    pub(crate) clock: fn() -> SystemTime,
}

impl Means {
    fn http(&self, egress: &Egress) -> SdkHttp {
        SdkHttp::new(egress, self.timeouts, Arc::clone(&self.metrics))
    }
}

/// The configured ones, where they are.
pub(super) fn fixed(config: &CredentialsConfig) -> Option<AwsCredentials> {
    let CredentialsConfig::Static { access_key_id, secret_access_key, session_token } = config else {
        return None;
    };
    let token = session_token.as_ref().map(|token| token.expose_secret().to_owned());
    Some(AwsCredentials::new(access_key_id, secret_access_key.expose_secret(), token, None, "configuration"))
}

/// Boxed where it calls itself for the base of a role.
pub(super) async fn provider(
    config: &CredentialsConfig,
    region: &str,
    means: &Means,
) -> SharedCredentialsProvider {
    match config {
        CredentialsConfig::Static { .. } => SharedCredentialsProvider::new(fixed(config).expect("matched")),
        CredentialsConfig::DefaultChain => default_chain(region, means).await,
        CredentialsConfig::AssumeRole { role_arn, external_id, sts_endpoint, base } => {
            let base = Box::pin(provider(base, region, means)).await;
            let sts = sts(region, sts_endpoint.as_deref(), base, means).await;
            SharedCredentialsProvider::new(Role {
                sts,
                arn: role_arn.clone(),
                external_id: external_id.clone(),
                session_name: session_name(means.metrics.storage()),
            })
        }
    }
}

async fn default_chain(region: &str, means: &Means) -> SharedCredentialsProvider {
    let region = Region::new(region.to_owned());
    let config = ProviderConfig::without_region()
        .with_region(Some(region.clone()))
        .with_http_client(means.http(&means.egress.operator()))
        .with_sleep_impl(sdk::sleep())
        .with_time_source(sdk::time(means.clock));
    let chain = DefaultCredentialsChain::builder().configure(config).region(region).build().await;
    SharedCredentialsProvider::new(chain)
}

async fn sts(
    region: &str,
    endpoint: Option<&str>,
    base: SharedCredentialsProvider,
    means: &Means,
) -> aws_sdk_sts::Client {
    let mut config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(base)
        // A role is asked for once an hour, and then by whoever signs at that time.
        .identity_cache(IdentityCache::no_cache())
        .http_client(means.http(&means.egress))
        .retry_config(client::retries())
        .sleep_impl(sdk::sleep())
        .time_source(sdk::time(means.clock));
    if let Some(url) = endpoint {
        config = config.endpoint_url(url);
    }
    aws_sdk_sts::Client::new(&config.load().await)
}

/// What the role's owner sees in the log of AWS. A storage's name has only characters that are allowed there.
fn session_name(storage: &str) -> String {
    const LONGEST: usize = 64;
    format!("mediagate-{storage}").chars().take(LONGEST).collect()
}

/// Asks STS for a role, for as long as STS gives it by itself: an hour.
#[derive(Debug)]
struct Role {
    sts: aws_sdk_sts::Client,
    arn: String,
    external_id: Option<String>,
    session_name: String,
}

impl Role {
    async fn assume(&self) -> Result<AwsCredentials, CredentialsError> {
        let asked = self.sts.assume_role().role_arn(&self.arn).role_session_name(&self.session_name);
        let granted = asked.set_external_id(self.external_id.clone()).send().await;
        let granted = granted.map_err(|error| CredentialsError::provider_error(sdk::error(error)))?;
        let credentials = granted.credentials.and_then(credentials);
        credentials.ok_or_else(|| CredentialsError::provider_error(Error::AnswerMalformed))
    }
}

fn credentials(granted: StsCredentials) -> Option<AwsCredentials> {
    let ends = granted.expiration.try_into().ok()?;
    let token = Some(granted.session_token).filter(|token| !token.is_empty())?;
    Some(AwsCredentials::new(
        granted.access_key_id,
        granted.secret_access_key,
        Some(token),
        Some(ends),
        "AssumeRole",
    ))
}

impl ProvideCredentials for Role {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_after_its_storage() {
        assert_eq!(session_name("media"), "mediagate-media");
        let long = session_name(&"x".repeat(128));
        assert_eq!((long.len(), long.starts_with("mediagate-xxx")), (64, true));
    }
}
