//! `mediagate migrate`: the schema, ahead of the gateways that need it.

use super::{ConfigArg, print, wall_clock};
use crate::{
    store::{Migrated, Store},
    telemetry,
};

/// Bring the database's schema up to date, which `serve` does too, and say from and to which version.
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
            let line = match store.migrated() {
                Migrated { from, to } if from == to => format!("the schema is up to date at version {to}"),
                Migrated { from, to } => format!("the schema went from version {from} to {to}"),
            };
            store.close().await;
            print(&line)
        })
    }
}
