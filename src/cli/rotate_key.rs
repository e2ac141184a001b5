//! `mediagate rotate-key`: what the old key sealed, sealed with the new one.

use super::{ConfigArg, print, wall_clock};
use crate::{store::Store, telemetry};

/// Seal the stored keys of storages anew with the key that `store.key_file` holds.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let config = self.config.load()?;
        let _logs = telemetry::init_logs(&config.log, wall_clock, None)?;
        super::runtime()?.block_on(async {
            let store = Store::open(&config.store, wall_clock).await?;
            let count = store.reseal().await?;
            let key = store.key_id();
            store.close().await;
            print(&format!(
                "sealed the keys of {count} storages with the key {key}; previous keys open nothing now"
            ))
        })
    }
}
