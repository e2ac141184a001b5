//! `mediagate check`: would this configuration work?

use anyhow::bail;

use super::{ConfigArg, print};
use crate::{app, gateway::locate::Storage, s3, telemetry};

/// Check the configuration, and whether every storage can be reached and read.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Only read the configuration; connect to nothing.
    #[arg(long)]
    offline: bool,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let config = self.config.load()?;
        let runtime = super::runtime()?;
        let storages = runtime.block_on(app::try_out(&config, &telemetry::registry()?, app::wall_clock))?;
        print(&format!("{}: the configuration is valid", self.config.config.display()))?;
        for warning in warnings(&config) {
            print(&format!("warning: {warning}"))?;
        }
        if self.offline {
            return Ok(());
        }
        let mut failed = 0;
        for storage in storages.iter() {
            let found = runtime.block_on(storage.connection.probe(storage.prefix()));
            failed += usize::from(found.is_err());
            print(&line(storage, found))?;
        }
        if failed > 0 {
            bail!("{failed} of {} storages cannot be used", config.storages.len());
        }
        Ok(())
    }
}

fn line(storage: &Storage, found: Result<(), s3::Error>) -> String {
    let name = storage.name();
    let bucket = storage.connection.bucket();
    match found {
        Ok(()) => format!("storage {name}: ok, s3://{bucket}/{} can be listed", storage.prefix()),
        Err(error) => format!("storage {name}: {error}; {}", advice(&error, storage)),
    }
}

/// What an operator should do about it.
fn advice(error: &s3::Error, storage: &Storage) -> String {
    let bucket = storage.connection.bucket();
    match error {
        s3::Error::NoSuchBucket | s3::Error::NoSuchKey => {
            format!("check the bucket name {bucket:?}, and endpoint and addressing for S3-compatible servers")
        }
        s3::Error::AccessDenied => format!(
            "allow s3:ListBucket on arn:aws:s3:::{bucket} and s3:GetObject on arn:aws:s3:::{bucket}/* \
             (serving alone needs s3:GetObject; without s3:ListBucket absent objects answer 403)"
        ),
        s3::Error::CredentialsRejected => "check access_key_id and secret_access_key, or the session token's age".to_owned(),
        s3::Error::ClockSkewed => "set this machine's clock; S3 refuses signatures 15 minutes off".to_owned(),
        s3::Error::MovedRegion { region: Some(region) } => format!("set region = {region:?}"),
        s3::Error::MovedRegion { region: None } => "set region to the bucket's own".to_owned(),
        s3::Error::FirstByteTimeout => "check endpoint, security groups and VPC endpoints".to_owned(),
        s3::Error::Unreachable(source) => match std::error::Error::source(source) {
            Some(cause) => format!("check endpoint, DNS and TLS ({cause})"),
            None => "check endpoint, DNS and TLS".to_owned(),
        },
        s3::Error::Throttled { .. } => "try again; S3 asks for fewer requests".to_owned(),
        s3::Error::CredentialsUnavailable => {
            "set access_key_id and secret_access_key, or AWS_ACCESS_KEY_ID, AWS_PROFILE, a web identity or an \
             instance role"
                .to_owned()
        }
        s3::Error::ObjectArchived
        | s3::Error::RangeNotSatisfiable { .. }
        | s3::Error::PreconditionFailed
        | s3::Error::Status { .. }
        | s3::Error::AnswerMalformed
        | s3::Error::CredentialsMalformed
        | s3::Error::PresignLifeOver
        | s3::Error::EndpointInvalid
        | s3::Error::RegionInvalid => "is the endpoint an S3 server?".to_owned(),
    }
}

/// What is allowed but seldom meant.
fn warnings(config: &crate::config::Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.access.keys.is_empty() && config.access.jwks.is_empty() {
        warnings.push(
            "no [[access.keys]] and no [[access.jwks]]: every request for media will be refused".to_owned(),
        );
    }
    if config.access.allow.is_empty() {
        warnings.push("access.allow is empty: nobody is admitted".to_owned());
    }
    if config.storages.is_empty() {
        warnings.push("no [[storages]]: there is nothing to serve".to_owned());
    }
    if !config.admin.listen.ip().is_loopback() {
        warnings.push(format!(
            "admin.listen {} is not loopback: keep it off public networks",
            config.admin.listen
        ));
    }
    let public = config.access.trusted_proxies.iter().filter(|network| network.prefix_len() == 0);
    warnings.extend(public.map(|network| {
        format!("access.trusted_proxies has {network}: anybody may claim any client address")
    }));
    warnings
}
