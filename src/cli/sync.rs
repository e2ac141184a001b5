//! `mediagate sync`: one sync from the terminal, with its progress.
//!
//! The store is opened and the run is done in this process. A SQLite file that a running gateway has is left to it: then
//! that gateway is asked over its control port, and its run is followed.

use std::{io::IsTerminal as _, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{ConfigArg, follow::Follow, print, wall_clock};
use crate::{
    app,
    config::Config,
    id::RunId,
    run::{Job, Run, RunStatus, Trigger},
    sidecar::Runner,
    storage::{Direction, Storage},
    store::{self, Store},
    telemetry,
};

/// Sync a storage: make tasks of what is new in its bucket.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    run: RunArgs,
}

/// What syncs and exports are told.
#[derive(clap::Args, Debug)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The storage: its name, or its number.
    storage: String,
    /// Only ask for the run, and do not wait for its end.
    #[arg(long)]
    detach: bool,
    /// A file with the admin token, where a running gateway has the SQLite file; that of the configuration when absent.
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        self.run.run(Job::Sync)
    }
}

impl RunArgs {
    /// Runs the job to its end.
    pub(super) fn run(&self, job: Job) -> anyhow::Result<()> {
        let config = self.config.load()?;
        let _logs = telemetry::init_logs(&log(&config.log), wall_clock, None)?;
        super::runtime()?.block_on(async {
            match Store::open(&config.store, wall_clock).await {
                Ok(store) => Box::pin(self.here(&config, store, job)).await,
                Err(store::Error::Locked(_)) => self.over_there(&config, job).await,
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Does the run in this process.
    async fn here(&self, config: &Config, store: Store, job: Job) -> anyhow::Result<()> {
        let runner = app::runner(config, &store, wall_clock).await?;
        let storage = self.find(&store, job).await?;
        let queued = store.enqueue_run(storage.id, job, Trigger::Terminal).await?.run;
        if self.detach {
            return print(&format!("run {} is queued; a gateway with the same store takes it", queued.id));
        }
        let stop = CancellationToken::new();
        tokio::spawn(stop_when_asked(stop.clone())?);
        let shown = Shown::new(&storage.name().to_string());
        let run = shown.see_through(&runner, &store, queued.id, &stop).await?;
        let faults = store.faults(run.id, FAULTS).await?;
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        shown.end(&Told::of(&run), &lines)
    }

    /// Asks the gateway that has the database.
    async fn over_there(&self, config: &Config, job: Job) -> anyhow::Result<()> {
        let follow = Follow::new(config, self.admin_token_file.as_deref())?;
        let started = follow.start(&self.storage, job).await?;
        if self.detach {
            return print(&format!("run {} is queued", started.id));
        }
        let shown = Shown::new(&self.storage);
        let mut told = started;
        while !told.is_ended() {
            shown.show(&told);
            tokio::time::sleep(OFTEN).await;
            told = follow.run(told.id).await?;
        }
        let faults = follow.faults(told.id).await?;
        shown.end(&told, &faults)
    }

    async fn find(&self, store: &Store, job: Job) -> anyhow::Result<Storage> {
        let direction = match job {
            Job::Sync => Direction::Import,
            Job::Export => Direction::Export,
        };
        let storages = store.storages_of(direction, None, None).await?;
        let names: Vec<String> = storages.iter().map(|storage| storage.name().to_string()).collect();
        let is_meant = |storage: &&Storage| {
            storage.name().as_str() == self.storage || storage.id.to_string() == self.storage
        };
        let Some(storage) = storages.iter().find(is_meant) else {
            let others = if names.is_empty() {
                "no storage is made for that yet".to_owned()
            } else {
                format!("there are: {}", names.join(", "))
            };
            bail!("there is no storage {:?} to {}; {others}", self.storage, job.as_str());
        };
        if !storage.settings.synchronizable {
            bail!(
                "the storage {} is not meant to be synced; set import = \"files\" or \"tasks\" in the configuration file, or \
                 synchronizable through the API",
                self.storage
            );
        }
        Ok(storage.clone())
    }
}

/// Waits for a terminal's interrupt, or for a supervisor's request to end, so that the run is given back.
fn stop_when_asked(stop: CancellationToken) -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    })
}

/// The bar and the log would write over each other: beside it only warnings are logged.
fn log(config: &telemetry::Config) -> telemetry::Config {
    let mut log = config.clone();
    if std::io::stderr().is_terminal() {
        "warn".clone_into(&mut log.filter);
    }
    log
}

/// What is shown of a run, wherever it comes from.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) id: i64,
    pub(super) status: String,
    pub(super) listed: i64,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) existed: i64,
    pub(super) changed: i64,
    pub(super) vanished: i64,
    pub(super) failed: i64,
    pub(super) error: Option<String>,
}

impl Told {
    fn of(run: &Run) -> Self {
        Self {
            id: run.id.0,
            status: run.status.as_str().to_owned(),
            listed: run.counters.listed,
            created: run.counters.created,
            updated: run.counters.updated,
            existed: run.counters.existed,
            changed: run.counters.changed,
            vanished: run.counters.vanished,
            failed: run.counters.failed,
            error: run.error.clone(),
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        !["queued", "in_progress"].contains(&self.status.as_str())
    }

    fn line(&self) -> String {
        let mut parts = vec![format!("{} seen", self.listed), format!("{} new", self.created)];
        for (count, word) in [
            (self.existed, "known"),
            (self.updated, "updated"),
            (self.changed, "changed"),
            (self.vanished, "vanished"),
            (self.failed, "refused"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        }
        parts.join(", ")
    }
}

/// A bar on a terminal, and lines where there is none.
struct Shown {
    bar: ProgressBar,
    storage: String,
    is_terminal: bool,
}

impl Shown {
    fn new(storage: &str) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed}: {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(storage.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, storage: storage.to_owned(), is_terminal }
    }

    fn show(&self, told: &Told) {
        let line = told.line();
        if self.is_terminal {
            self.bar.set_message(line);
        } else if self.bar.message() != line {
            self.bar.set_message(line.clone());
            tracing::info!(storage = self.storage, run.id = told.id, "{line}");
        }
    }

    /// Works on a run to its end. While another process has it, it is followed, and taken over if that one falls silent.
    async fn see_through(
        &self,
        runner: &Runner,
        store: &Store,
        id: RunId,
        stop: &CancellationToken,
    ) -> anyhow::Result<Run> {
        loop {
            let mut work = std::pin::pin!(runner.run_one(id, stop.clone()));
            let run = loop {
                tokio::select! {
                    done = &mut work => break done?.context("the run is gone")?,
                    () = tokio::time::sleep(OFTEN) => self.look(store, id).await?,
                }
            };
            if run.status.is_ended() {
                return Ok(run);
            }
            self.show(&Told::of(&run));
            tokio::select! {
                () = stop.cancelled() => bail!(
                    "interrupted; run {} goes on when a sidecar takes it up, or with this command",
                    run.id
                ),
                () = tokio::time::sleep(OFTEN) => {}
            }
        }
    }

    async fn look(&self, store: &Store, id: RunId) -> anyhow::Result<()> {
        if let Some(run) = store.run(id).await? {
            self.show(&Told::of(&run));
        }
        Ok(())
    }

    fn end(&self, told: &Told, faults: &[String]) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        print(&format!("{}: {}: {}", self.storage, told.status.replace('_', " "), told.line()))?;
        for fault in faults {
            print(&format!("  {fault}"))?;
        }
        if told.status == RunStatus::Completed.as_str() {
            return Ok(());
        }
        match &told.error {
            Some(error) => bail!("run {}: {error}", told.id),
            None => bail!("run {} is {}", told.id, told.status.replace('_', " ")),
        }
    }
}

/// Who may ask a running gateway.
pub(super) fn admin_token(config: &Config, file: Option<&std::path::Path>) -> anyhow::Result<SecretString> {
    if let Some(token) = config.admin.token.as_ref().filter(|_| file.is_none()) {
        return Ok(token.clone());
    }
    let Some(path) = file.or(config.admin.token_file.as_deref()) else {
        bail!(
            "a running gateway has the database, and it is asked with the admin token: set admin.token_file, or name a file \
             with --admin-token-file (the token was printed at the first start)"
        );
    };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(SecretString::from(text.trim().to_owned()))
}

const OFTEN: Duration = Duration::from_millis(500);
const FAULTS: i64 = 20;
