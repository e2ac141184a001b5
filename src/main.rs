//! Arguments, then the command; the only place with exit codes.

use std::process::ExitCode;

use clap::Parser;
use mediagate::cli::{Cli, Failure};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let Failure { error, code } = failure;
            // The chain in one line: operators grep.
            let line = format!("mediagate: {error:#}\n");
            let written = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
            ExitCode::from(if written.is_ok() { code } else { 74 })
        }
    }
}
