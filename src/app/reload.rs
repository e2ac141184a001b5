//! Loads the configuration again when a file of it changes or on SIGHUP.
//!
//! All or nothing: what cannot be used is logged and counted, and what runs goes on. Files are compared by stamp
//! every two seconds rather than watched: mounted secrets are swapped by symbolic link, and network file systems
//! tell no one. Listeners stay as they are.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;

use super::{
    context::Context,
    generation::{Assembled, assemble},
};
use crate::{
    config::{self, Config},
    gateway::State,
};

/// What tells one content of a file from another without reading it.
type Stamp = Option<(SystemTime, u64, u64)>;

/// Runs until it is dropped, when the process drains.
pub(super) async fn watch(context: Arc<Context>, path: PathBuf, mut asked: watch::Receiver<u64>) {
    let mut files = watched(&path, Config::load(&path).ok().as_ref());
    let mut stamps = stamp_all(&files).await;
    loop {
        tokio::select! {
            Ok(()) = asked.changed() => {}
            () = tokio::time::sleep(EVERY) => {
                let now = stamp_all(&files).await;
                if now == stamps {
                    continue;
                }
            }
        }
        // Stamps before contents: a change while we read is seen the next time.
        stamps = stamp_all(&files).await;
        let config = Config::load(&path);
        if let Ok(config) = &config {
            let named = watched(&path, Some(config));
            if named != files {
                // The file itself was read by now; the ones it names were not.
                let own = stamps.first().copied();
                stamps = own.into_iter().chain(stamp_all(named.get(1..).unwrap_or_default()).await).collect();
                files = named;
            }
        }
        Box::pin(reload(&context, &path, config)).await;
    }
}

async fn reload(context: &Arc<Context>, path: &Path, config: Result<Config, config::Error>) {
    let before = context.generation.load_full();
    let loaded = match config {
        Ok(config) => assemble(&config, &context.s3_metrics, context.clock, Some(&before))
            .await
            .map(|assembled| (config, assembled))
            .map_err(|error| sentence(&error)),
        Err(error) => Err(sentence(&error)),
    };
    match loaded {
        Ok((config, assembled)) => {
            replace(context, assembled).await;
            before.ended.cancel();
            if let Err(error) = context.keep_file_storages(&config.storages).await {
                let error = sentence(&error);
                tracing::warn!(%error, "the API shows the storages of the file as they were before");
            }
            context.metrics.reloads.with_label_values(&["loaded"]).inc();
            context.metrics.loaded_at.set(seconds((context.clock)()));
            tracing::info!(file = %path.display(), "configuration loaded");
        }
        Err(error) => {
            context.metrics.reloads.with_label_values(&["refused"]).inc();
            tracing::error!(file = %path.display(), %error, "configuration refused; the one before stays in force");
        }
    }
}

/// Puts a generation in force, with the storages of the store connected anew, since the way out may be another.
async fn replace(context: &Arc<Context>, assembled: Assembled) {
    let generation = Arc::new(assembled.generation);
    let mut served = context.served.lock().await;
    served.reconnect(&context.means(&generation)).await;
    generation.verifier.revoke_all(served.revocations.iter().cloned());
    context.start(&generation);
    let takeover = context.takeover(&generation);
    context.gateway.replace(State { takeover, ..assembled.state });
    context.serve(&generation, &served);
    context.generation.store(generation);
}

/// An error with its sources in one line.
fn sentence(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn watched(path: &Path, config: Option<&Config>) -> Vec<PathBuf> {
    let named = config.map(Config::files).unwrap_or_default();
    std::iter::once(path.to_owned()).chain(named).collect()
}

async fn stamp_all(files: &[PathBuf]) -> Vec<Stamp> {
    let mut stamps = Vec::with_capacity(files.len());
    for file in files {
        stamps.push(tokio::fs::metadata(file).await.ok().map(|data| stamp(&data)));
    }
    stamps
}

fn stamp(data: &std::fs::Metadata) -> (SystemTime, u64, u64) {
    (data.modified().unwrap_or(UNIX_EPOCH), data.len(), std::os::unix::fs::MetadataExt::ino(data))
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

const EVERY: Duration = Duration::from_secs(2);
