//! The thread of the sidecar: a runtime of its own, so that syncs and exports take time from neither the data path nor the control
//! side's answers.

use std::thread;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Error;
use crate::{
    label_studio::Follower,
    sidecar::{Exporter, Runner},
};

/// Starts the thread; what is sent ends when it does.
pub(super) fn start(
    runner: Runner,
    exporter: Exporter,
    follower: Follower,
    stop: CancellationToken,
) -> Result<oneshot::Receiver<()>, Error> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
    let (ended, end) = oneshot::channel();
    let body = move || {
        runtime.block_on(async {
            tokio::join!(runner.run(stop.clone()), exporter.run(stop.clone()), follower.run(stop.clone()))
        });
        // A blocked reader of a Parquet file must not hold up the process.
        runtime.shutdown_background();
        if ended.send(()).is_err() {
            tracing::debug!("the sidecar ended after the process stopped waiting for it");
        }
    };
    thread::Builder::new().name("sidecar".to_owned()).spawn(body).map_err(Error::Thread)?;
    Ok(end)
}
