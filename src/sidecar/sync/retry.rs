//! Trying again what may pass by itself.

use std::time::Duration;

use super::SyncError;

/// Grows with each failure in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Forgets the failures: something succeeded.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next attempt, or gives the error back where there is no point in one.
    pub(super) async fn pause(&mut self, error: SyncError) -> Result<(), SyncError> {
        if !error.is_transient() || self.failures >= ATTEMPTS {
            return Err(error);
        }
        let longest = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures += 1;
        // One failure is nothing; some in a row are what whoever waits for the sync wants to know.
        if self.failures == LOUD {
            tracing::warn!(%error, failures = self.failures, "a sync does not get on; it tries again for some minutes");
        } else {
            tracing::debug!(%error, failures = self.failures, "a sync pauses and tries again");
        }
        // Anything up to the longest, so that many who failed together do not come back together.
        tokio::time::sleep(longest.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        Ok(())
    }
}

/// Tries until it succeeds or there is no point.
pub(super) async fn retry<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, SyncError>
where
    F: Future<Output = Result<T, SyncError>>,
{
    let mut backoff = Backoff::default();
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => backoff.pause(error).await?,
        }
    }
}

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(15);
/// About three minutes of failures without a success between them.
const ATTEMPTS: u32 = 18;
/// Failures in a row that are told of.
const LOUD: u32 = 4;
