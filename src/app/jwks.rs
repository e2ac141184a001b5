//! Fetches the key sets of `[[access.jwks]]` in the background.
//!
//! One task for all of them: a token with an unknown key id asks it to look at once, however many clients ask. What
//! cannot be fetched or read leaves the keys that are there; they are kept through an outage of the issuer.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};

use crate::{access::Verifier, egress::Egress};

/// Why a key set was not taken.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the URL is not valid")]
    Url(#[from] http::Error),
    #[error("the issuer cannot be reached")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("the issuer answered {0}")]
    Status(StatusCode),
    #[error("the issuer did not answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error("the key set is larger than 1 MiB or broke off")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the key set is not UTF-8")]
    Utf8(#[from] std::str::Utf8Error),
    #[error(transparent)]
    Refused(#[from] crate::access::BuildError),
}

/// Runs until it is dropped, with its generation.
pub(super) async fn refresh(verifier: Arc<Verifier>, egress: Arc<Egress>, clock: fn() -> SystemTime) {
    let sources = verifier.jwks_sources();
    if sources.is_empty() {
        return;
    }
    loop {
        for source in &sources {
            let fetched = fetch(&egress, &source.url).await;
            let taken = fetched.and_then(|text| Ok(verifier.replace_jwks(source.index, &text, clock())?));
            match taken {
                Ok(keys) => tracing::debug!(source = source.index, keys, "key set fetched"),
                Err(error) => {
                    verifier.jwks_unchanged(source.index);
                    let reason = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(source = source.index, %error, reason, "key set not fetched; the last good keys stay");
                }
            }
        }
        let every = sources.iter().map(|source| source.refresh).min().unwrap_or(DEFAULT_EVERY);
        tokio::select! {
            () = verifier.refresh_wanted() => {}
            () = tokio::time::sleep(every) => {}
        }
    }
}

async fn fetch(egress: &Egress, url: &str) -> Result<String, Error> {
    let request = Request::get(url).header(header::ACCEPT, "application/json").body(Empty::new())?;
    let response = tokio::time::timeout(TIMEOUT, egress.client().request(request)).await??;
    if response.status() != StatusCode::OK {
        return Err(Error::Status(response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_BYTES).collect();
    let bytes = tokio::time::timeout(TIMEOUT, body).await?.map_err(Error::Body)?.to_bytes();
    Ok(std::str::from_utf8(&bytes)?.to_owned())
}

const TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_EVERY: Duration = Duration::from_mins(5);
const MAX_BYTES: usize = 1 << 20;
