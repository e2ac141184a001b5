//! The commands of the binary: what an operator types, turned into calls.
//!
//! Every command says on standard error what is wrong and how to mend it; results go to standard output, so that
//! they can be piped. Exit codes: 0 done, 1 failed, 2 wrong usage (clap), 78 wrong configuration (sysexits).

mod check;
#[cfg(feature = "demo")]
mod demo;
mod export;
mod follow;
mod healthcheck;
mod migrate;
mod policy;
mod rotate_key;
mod serve;
mod sync;
mod token;

use std::{
    io::Write,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::{
    app::{self, App},
    config::{self, Config},
    lifecycle::Lifecycle,
    store,
};

/// Serves private S3 media to annotation frontends.
#[derive(Debug, Parser)]
#[command(name = "mediagate", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(serve::Args),
    /// Try it: an embedded S3 server, sample media and a page that shows them through the gateway.
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Check the configuration, and whether every storage can be reached and read.
    Check(check::Args),
    /// Mint, verify, inspect and revoke task-access tokens.
    #[command(subcommand)]
    Token(token::Command),
    /// Sync a storage: make tasks of what is new in its bucket.
    Sync(sync::Args),
    /// Export to a target storage: write all annotations that are known of its project again.
    Export(export::Args),
    /// Bring the database's schema up to date, which `serve` does too, and say from and to which version.
    Migrate(migrate::Args),
    /// Seal the stored keys of storages anew with the current key of [store].
    RotateKey(rotate_key::Args),
    /// Print an IAM, trust, CORS or bucket policy for a storage, or a script that puts one.
    Policy(policy::Args),
    /// Ask a running gateway whether it is ready; for container health checks.
    Healthcheck(healthcheck::Args),
}

/// Why a command failed, and the exit code that says so.
#[derive(Debug)]
pub struct Failure {
    /// The reason, with its sources.
    pub error: anyhow::Error,
    /// The exit code.
    pub code: u8,
}

/// Where the configuration is.
#[derive(clap::Args, Clone, Debug)]
struct ConfigArg {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", env = "MEDIAGATE_CONFIG", default_value = "mediagate.toml")]
    config: PathBuf,
}

impl Cli {
    /// Runs the command to its end.
    pub fn run(self) -> Result<(), Failure> {
        let done = match self.command {
            Command::Serve(args) => args.run(),
            #[cfg(feature = "demo")]
            Command::Demo(args) => args.run(),
            Command::Check(args) => args.run(),
            Command::Token(command) => command.run(),
            Command::Sync(args) => args.run(),
            Command::Export(args) => args.run(),
            Command::Migrate(args) => args.run(),
            Command::RotateKey(args) => args.run(),
            Command::Policy(args) => args.run(),
            Command::Healthcheck(args) => args.run(),
        };
        done.map_err(|error| {
            let refused = match error.downcast_ref() {
                Some(app::Error::Config(_)) => true,
                Some(app::Error::Store(error)) => error.is_configuration(),
                _ => error.downcast_ref().is_some_and(store::Error::is_configuration),
            };
            let code = if refused || error.is::<config::Error>() { CONFIG } else { 1 };
            Failure { error, code }
        })
    }
}

impl ConfigArg {
    fn load(&self) -> anyhow::Result<Config> {
        let hint = "start from config/minimal.toml, or name another file with --config";
        match Config::load(&self.config) {
            Err(error @ config::Error::Unreadable { .. }) => Err(error).context(hint),
            loaded => Ok(loaded?),
        }
    }
}

/// The wall clock: the one place besides `app` that may read it.
#[expect(clippy::disallowed_methods, reason = "the commands hand the time down from here")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// The runtime of a command.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("cannot start the runtime")
}

/// Serves until a signal ends it.
async fn run_to_the_end(app: App, life: &Lifecycle, drain_timeout: Duration) -> anyhow::Result<()> {
    let mut run = std::pin::pin!(app.run_on_all_cores());
    tokio::select! {
        ended = &mut run => return Ok(ended?),
        followed = life.follow_signals(drain_timeout) => followed.context("cannot listen for signals")?,
    }
    Ok(run.await?)
}

/// Where a listener of this machine is reached: one that listens everywhere, on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Writes a result to standard output; a closed pipe is the reader's choice.
fn print(line: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the result")
        }
        _ => Ok(()),
    }
}

/// `EX_CONFIG` of sysexits.
const CONFIG: u8 = 78;
