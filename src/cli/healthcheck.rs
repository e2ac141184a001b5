//! `mediagate healthcheck`: for images without a shell or curl.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail};

use super::{ConfigArg, reachable};

/// Ask a running gateway whether it is ready.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// The control address; the configuration's `admin.listen` when absent.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let address = match self.admin {
            Some(address) => address,
            None => self.config.load()?.admin.listen,
        };
        let address = reachable(address);
        let answer = ask(address).with_context(|| format!("no gateway answers at {address}"))?;
        if answer.starts_with("HTTP/1.1 200 ") {
            return Ok(());
        }
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
        bail!("not ready: {body}");
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(
        format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    Ok(answer)
}

const TIMEOUT: Duration = Duration::from_secs(3);
