//! `mediagate serve`: the gateway itself.

use std::sync::Arc;

use super::ConfigArg;
use crate::{
    app::{self, App},
    config::Config,
    lifecycle::Lifecycle,
    telemetry,
};

/// Run the gateway.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let config = self.config.load()?;
        let _logs = telemetry::init_logs(&config.log, app::wall_clock, None)?;
        super::runtime()?.block_on(self.serve(config))
    }

    async fn serve(&self, config: Config) -> anyhow::Result<()> {
        let life = Arc::new(Lifecycle::new());
        let app = App::build(&config, Arc::clone(&life), app::wall_clock).await?;
        tracing::info!(
            public = %app.public_addr(),
            admin = %app.admin_addr(),
            storages = config.storages.len(),
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );
        app.watch(self.config.config.clone());
        super::run_to_the_end(app, &life, config.server.drain_timeout).await
    }
}
