//! Credentials of one storage: where they come from, and their renewal before they end.
//!
//! The hot path only ever reads the current ones. One background loop asks for the next ones, well ahead of
//! the end; when that fails, the old ones serve until they end, and then the storage is unavailable.

mod failure;
mod source;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use aws_credential_types::{
    Credentials as AwsCredentials,
    provider::{ProvideCredentials as _, SharedCredentialsProvider},
};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{Error, metrics::StorageMetrics, sign::Signer};

pub use failure::CredentialsFailure;
pub use source::CredentialsConfig;

use failure::RefreshError;
pub(crate) use source::Means;

/// The current credentials and the way to the next ones.
#[derive(Debug)]
pub(crate) struct Credentials {
    region: Box<str>,
    provider: Provider,
    current: ArcSwapOption<Current>,
    /// How asking went the last time; held while somebody asks.
    last: Mutex<Result<(), CredentialsFailure>>,
    /// Counts how often it was asked.
    rounds: AtomicU64,
    clock: fn() -> SystemTime,
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

impl Credentials {
    /// Prepares the source; static credentials are there at once, the others after the first
    /// [`Credentials::refresh`].
    pub(crate) async fn build(
        config: &CredentialsConfig,
        region: &str,
        means: &Means,
    ) -> Result<Self, Error> {
        let fixed = source::fixed(config);
        let provider = match fixed {
            Some(_) => Provider::Fixed,
            None => Provider::Asked(source::provider(config, region, means).await),
        };
        let credentials = Self::new(provider, region, means.clock);
        if let Some(fixed) = fixed {
            credentials.accept(fixed, (means.clock)()).map_err(|_| Error::CredentialsMalformed)?;
        }
        Ok(credentials)
    }

    fn new(provider: Provider, region: &str, clock: fn() -> SystemTime) -> Self {
        Self {
            region: region.into(),
            provider,
            current: ArcSwapOption::empty(),
            last: Mutex::new(Ok(())),
            rounds: AtomicU64::new(0),
            clock,
        }
    }

    /// The region that is signed for.
    pub(crate) fn region(&self) -> &str {
        &self.region
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

    /// Why there are no credentials, as far as that was seen when they were last asked for.
    pub(crate) async fn failure(&self) -> Option<CredentialsFailure> {
        self.last.lock().await.err()
    }

    /// Asks for credentials and says how that went: in the log, in the metrics, and to the caller.
    ///
    /// Whoever comes while another one asks waits for the answer to that.
    pub(crate) async fn refresh(&self, metrics: &StorageMetrics) -> Result<(), CredentialsFailure> {
        let Provider::Asked(provider) = &self.provider else { return Ok(()) };
        let round = self.rounds.load(Ordering::Acquire);
        let mut last = self.last.lock().await;
        if self.rounds.load(Ordering::Acquire) == round {
            *last = self.ask(provider, metrics).await;
            self.rounds.fetch_add(1, Ordering::Release);
        }
        *last
    }

    async fn ask(
        &self,
        provider: &SharedCredentialsProvider,
        metrics: &StorageMetrics,
    ) -> Result<(), CredentialsFailure> {
        let result = self.ask_once(provider).await;
        if let Some(current) = &*self.current.load() {
            metrics.credentials(current.since, current.expires_at);
        }
        result.map_err(|error| {
            let failure = error.failure();
            metrics.credentials_failed(failure);
            let error: &(dyn std::error::Error + 'static) = &error;
            let (storage, reason) = (metrics.storage(), failure.as_str());
            tracing::warn!(storage, reason, error, "no new credentials: {failure}");
            failure
        })
    }

    async fn ask_once(&self, provider: &SharedCredentialsProvider) -> Result<(), RefreshError> {
        let asked = tokio::time::timeout(PATIENCE, provider.provide_credentials());
        let credentials = asked.await.map_err(|_| RefreshError::Silent)??;
        self.accept(credentials, (self.clock)())
    }

    /// Renews ahead of the end until told to stop; returns at once where nothing ends.
    pub(crate) async fn refresh_loop(&self, metrics: &StorageMetrics, stop: CancellationToken) {
        let mut failures = 0;
        while let Some(wait) = self.wait((self.clock)(), failures) {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(jittered(wait)) => {}
            }
            failures = if self.refresh(metrics).await.is_ok() { 0 } else { failures + 1 };
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

/// IMDS and STS answer within a second; their clients try again by themselves.
const PATIENCE: Duration = Duration::from_secs(30);

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

#[cfg(test)]
mod tests;
