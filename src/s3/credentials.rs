//! Credentials of one storage: where they come from, and their renewal before they end.
//!
//! The hot path only ever reads the current ones. One background loop asks for the next ones, well ahead of
//! the end; when that fails, the old ones serve until they end, and then the storage is unavailable.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use aws_config::{
    BehaviorVersion, Region, default_provider::credentials::DefaultCredentialsChain, sts::AssumeRoleProvider,
};
use aws_credential_types::{
    Credentials as AwsCredentials,
    provider::{ProvideCredentials as _, SharedCredentialsProvider, error::CredentialsError},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;

use super::{Error, metrics::StorageMetrics, sign::Signer};

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

/// The current credentials and the way to the next ones.
#[derive(Debug)]
pub(crate) struct Credentials {
    region: Box<str>,
    provider: Provider,
    current: ArcSwapOption<Current>,
}

#[derive(Debug)]
enum Provider {
    Fixed,
    Asked(SharedCredentialsProvider),
}

#[derive(Debug)]
struct Current {
    signer: Arc<Signer>,
    expires_at: Option<SystemTime>,
    /// When these credentials were first seen.
    since: SystemTime,
}

/// Why there are no new credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefreshError {
    #[error("the provider gave no credentials")]
    Provider(#[from] CredentialsError),
    #[error("the provider was silent")]
    Silent,
    #[error("the credentials have characters that fit no header")]
    Malformed,
    #[error("the credentials had ended already")]
    Ended,
}

impl Credentials {
    /// Prepares the source; static credentials are there at once, the others after the first
    /// [`Credentials::refresh_once`].
    pub(crate) async fn build(
        config: &CredentialsConfig,
        region: &str,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let fixed = fixed(config);
        let provider = match fixed {
            Some(_) => Provider::Fixed,
            None => Provider::Asked(provider(config, region).await),
        };
        let credentials = Self { region: region.into(), provider, current: ArcSwapOption::empty() };
        if let Some(fixed) = fixed {
            credentials.accept(fixed, now).map_err(|_| Error::CredentialsMalformed)?;
        }
        Ok(credentials)
    }

    /// Who signs now, and until when.
    pub(crate) fn signer(&self, now: SystemTime) -> Result<(Arc<Signer>, Option<SystemTime>), Error> {
        match &*self.current.load() {
            Some(current) if current.expires_at.is_none_or(|end| now < end) => {
                Ok((Arc::clone(&current.signer), current.expires_at))
            }
            _ => Err(Error::CredentialsUnavailable),
        }
    }

    /// When the current credentials end, where they do.
    fn expires_at(&self) -> Option<SystemTime> {
        self.current.load().as_ref().and_then(|current| current.expires_at)
    }

    /// Asks for credentials once.
    async fn refresh(&self, clock: fn() -> SystemTime) -> Result<(), RefreshError> {
        /// IMDS and STS answer within a second; their clients try again by themselves.
        const PATIENCE: Duration = Duration::from_secs(30);
        let Provider::Asked(provider) = &self.provider else { return Ok(()) };
        let asked = tokio::time::timeout(PATIENCE, provider.provide_credentials());
        let credentials = asked.await.map_err(|_| RefreshError::Silent)??;
        self.accept(credentials, clock())
    }

    /// Asks for credentials once and says how that went: in the log, in the gauge, and to the caller.
    pub(crate) async fn refresh_once(&self, clock: fn() -> SystemTime, metrics: &StorageMetrics) -> bool {
        let result = self.refresh(clock).await;
        metrics.credentials_end(self.expires_at());
        if let Err(error) = &result {
            let error: &(dyn std::error::Error + 'static) = error;
            tracing::warn!(error, storage = metrics.storage(), "no new credentials");
        }
        result.is_ok()
    }

    /// Renews ahead of the end until told to stop; returns at once where nothing ends.
    pub(crate) async fn refresh_loop(
        &self,
        clock: fn() -> SystemTime,
        metrics: &StorageMetrics,
        stop: CancellationToken,
    ) {
        let mut failures = 0;
        while let Some(wait) = self.wait(clock(), failures) {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(jittered(wait)) => {}
            }
            failures = if self.refresh_once(clock, metrics).await { 0 } else { failures + 1 };
        }
    }

    fn accept(&self, credentials: AwsCredentials, now: SystemTime) -> Result<(), RefreshError> {
        let expires_at = credentials.expiry();
        if expires_at.is_some_and(|end| end <= now) {
            return Err(RefreshError::Ended);
        }
        // A provider with a cache of its own gives the same ones again until shortly before their end.
        let is_known = |current: &Arc<Current>| *current.signer.credentials() == credentials;
        if self.current.load().as_ref().is_some_and(is_known) {
            return Ok(());
        }
        let signer = Signer::build(credentials, &self.region).ok_or(RefreshError::Malformed)?;
        self.current.store(Some(Arc::new(Current { signer: Arc::new(signer), expires_at, since: now })));
        Ok(())
    }

    /// How long to wait before asking; `None` where nothing ends.
    fn wait(&self, now: SystemTime, failures: u32) -> Option<Duration> {
        let Provider::Asked(_) = self.provider else { return None };
        let backoff = Duration::from_secs(1 << failures.min(5));
        let Some(current) = self.current.load_full() else { return Some(backoff) };
        let end = current.expires_at?;
        let until = |time: SystemTime| time.duration_since(now).unwrap_or_default();
        // Asked early, a provider with a cache of its own has nothing newer yet.
        let again = (until(end) / 4).clamp(Duration::from_secs(1), Duration::from_mins(1));
        Some(until(due(current.since, end)).max(if failures > 0 { backoff } else { again }))
    }
}

/// When to ask for the next credentials: 5 minutes or a fifth of their life before the end, whichever is
/// more, but never in the first half.
fn due(since: SystemTime, expires_at: SystemTime) -> SystemTime {
    let life = expires_at.duration_since(since).unwrap_or_default();
    let ahead = (life / 5).max(Duration::from_mins(5)).min(life / 2);
    expires_at.checked_sub(ahead).unwrap_or(since)
}

/// Up to a tenth less, so that many replicas do not ask at the same moment.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(1.0 - fastrand::f64() / 10.0)
}

fn fixed(config: &CredentialsConfig) -> Option<AwsCredentials> {
    let CredentialsConfig::Static { access_key_id, secret_access_key, session_token } = config else {
        return None;
    };
    let token = session_token.as_ref().map(|token| token.expose_secret().to_owned());
    Some(AwsCredentials::new(access_key_id, secret_access_key.expose_secret(), token, None, "configuration"))
}

/// Boxed where it calls itself for the base of a role.
async fn provider(config: &CredentialsConfig, region: &str) -> SharedCredentialsProvider {
    let region = Region::new(region.to_owned());
    match config {
        CredentialsConfig::Static { .. } => SharedCredentialsProvider::new(fixed(config).expect("matched")),
        CredentialsConfig::DefaultChain => {
            SharedCredentialsProvider::new(DefaultCredentialsChain::builder().region(region).build().await)
        }
        CredentialsConfig::AssumeRole { role_arn, external_id, sts_endpoint, base } => {
            let base = Box::pin(provider(base, region.as_ref())).await;
            let mut sdk = aws_config::defaults(BehaviorVersion::latest())
                .region(region)
                .credentials_provider(base.clone());
            if let Some(url) = sts_endpoint {
                sdk = sdk.endpoint_url(url);
            }
            let mut role =
                AssumeRoleProvider::builder(role_arn).session_name("mediagate").configure(&sdk.load().await);
            if let Some(id) = external_id {
                role = role.external_id(id);
            }
            SharedCredentialsProvider::new(role.build_from_provider(base).await)
        }
    }
}

#[cfg(test)]
mod tests;
