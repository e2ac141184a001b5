//! `mediagate export`: one export from the terminal, with its progress.

use super::sync::RunArgs;
use crate::run::Job;

/// Export to a storage: write all annotations that are known of its project again.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    run: RunArgs,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        self.run.run(Job::Export)
    }
}
