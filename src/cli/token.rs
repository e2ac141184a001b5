//! `mediagate token`: mint, verify, inspect and revoke task-access tokens from the terminal.

use std::{io::Read, time::Duration};

use anyhow::{Context, bail};

use super::{ConfigArg, print, wall_clock};
use crate::access::{
    self, Revocation, Revocations,
    mint::{Minter, TokenRequest},
};

/// What to do with a token.
#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Mint a token with a configured key and print it.
    Mint(Mint),
    /// Verify a token as the gateway would, and print what it grants.
    Verify(Read1),
    /// Print a token's header and claims, unverified.
    Inspect(TokenArg),
    /// Add a token id or a subject to the revocations file, which running gateways notice.
    Revoke(Revoke),
}

#[derive(clap::Args, Debug)]
pub(super) struct Mint {
    #[command(flatten)]
    config: ConfigArg,
    /// The id of the key; the only key that can sign when absent.
    #[arg(long)]
    key: Option<String>,
    /// Who will ask: the `sub` claim.
    #[arg(long)]
    subject: Option<String>,
    /// The task.
    #[arg(long)]
    task: Option<String>,
    /// The project.
    #[arg(long)]
    project: Option<String>,
    /// `s3://bucket/key` or `s3://bucket/prefix/*`; may be given several times.
    #[arg(long = "object", value_name = "URI")]
    objects: Vec<String>,
    /// A network or address that the client must be in; may be given several times.
    #[arg(long = "ip", value_name = "CIDR")]
    ip: Vec<String>,
    /// `redirect` or `stream`, whatever the storage says.
    #[arg(long)]
    delivery: Option<String>,
    /// How long it is valid.
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    ttl: Duration,
}

#[derive(clap::Args, Debug)]
pub(super) struct Read1 {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    token: TokenArg,
}

#[derive(clap::Args, Debug)]
pub(super) struct TokenArg {
    /// The token; `-` reads it from standard input, which keeps it out of the process list.
    token: String,
}

#[derive(clap::Args, Debug)]
pub(super) struct Revoke {
    #[command(flatten)]
    config: ConfigArg,
    /// A token id: the `jti` claim.
    #[arg(long, required_unless_present = "subject")]
    jti: Option<String>,
    /// A subject: every token of it that was issued until now.
    #[arg(long, conflicts_with = "jti")]
    subject: Option<String>,
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Mint(args) => args.run(),
            Self::Verify(args) => args.run(),
            Self::Inspect(args) => args.run(),
            Self::Revoke(args) => args.run(),
        }
    }
}

impl Mint {
    fn run(self) -> anyhow::Result<()> {
        let minter = Minter::build(&self.config.load()?.access)?;
        let request = TokenRequest {
            key: self.key,
            subject: self.subject,
            task: self.task,
            project: self.project,
            objects: self.objects,
            ip: self.ip,
            delivery: self.delivery.as_deref().map(str::parse).transpose()?,
            ttl: self.ttl,
        };
        let token = minter.mint(&request, wall_clock())?;
        print(token.expose())
    }
}

impl Read1 {
    fn run(self) -> anyhow::Result<()> {
        let access = self.config.load()?.access;
        let now = wall_clock();
        let verifier = access::Verifier::build(&access, now)?;
        let grant = verifier.verify(&access::Presented::from_text(&self.token.read()?), now)?;
        print(&serde_json::to_string_pretty(&grant.describe())?)
    }
}

impl TokenArg {
    fn run(self) -> anyhow::Result<()> {
        let inspection = access::inspect(&self.read()?)?;
        print(&serde_json::to_string_pretty(&inspection)?)
    }

    fn read(&self) -> anyhow::Result<String> {
        if self.token != "-" {
            return Ok(self.token.trim().to_owned());
        }
        let mut text = String::new();
        std::io::stdin().take(64 * 1024).read_to_string(&mut text).context("cannot read the token")?;
        Ok(text.trim().to_owned())
    }
}

impl Revoke {
    fn run(self) -> anyhow::Result<()> {
        let config = self.config.load()?;
        let Some(file) = &config.access.revocations_file else {
            bail!(
                "access.revocations_file is not set, so there is no file to add to; name one in {}",
                self.config.config.display()
            );
        };
        let revocation = match (self.jti, self.subject) {
            (Some(jti), _) => Revocation::Token { jti },
            (None, Some(sub)) => Revocation::Subject { sub, before: wall_clock() },
            (None, None) => bail!("name what to revoke with --jti or --subject"),
        };
        Revocations::append(file, &revocation).with_context(|| format!("cannot write {}", file.display()))?;
        print(&format!("revoked; gateways that watch {} honour it within seconds", file.display()))
    }
}
