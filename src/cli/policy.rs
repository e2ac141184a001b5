//! `mediagate policy`: documents for AWS, filled in from a storage, ready to paste.

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use ipnet::IpNet;
use serde_json::Value;

use super::{ConfigArg, print};
use crate::{
    object::Bucket,
    s3::policy::{self, Access, Inside, LOCK_OUT_WARNING, Scope},
};

/// Print an IAM, trust, CORS or bucket policy for a storage, or a script that puts one.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What the role, or the user whose keys the storage has, must be allowed.
    Role {
        #[command(flatten)]
        about: About,
        /// What the storage does with the bucket.
        #[arg(long, value_enum, default_value_t = AccessArg::Source)]
        access: AccessArg,
    },
    /// Who may assume the role, and with which external id.
    Trust {
        /// Who assumes it: the ARN of the gateway's own role or user.
        #[arg(long, value_name = "ARN")]
        principal: String,
        /// What it must be told; the storage's `external_id`.
        #[arg(long, value_name = "ID")]
        external_id: String,
        /// Print the `aws` commands that create this role instead.
        #[arg(long, value_name = "ROLE")]
        script: Option<String>,
    },
    /// CORS, which presigned URLs need and streams do not.
    Cors {
        #[command(flatten)]
        about: About,
        /// The origin of a page; none means those of `cors.origins`, or any.
        #[arg(long = "origin", value_name = "ORIGIN")]
        origins: Vec<String>,
    },
    /// Deny everybody outside given networks, VPCs or VPC endpoints. With presigned redirects the source is the browser,
    /// with streams the gateway.
    Bucket {
        #[command(flatten)]
        about: About,
        /// A public network that may reach the bucket.
        #[arg(long = "network", value_name = "CIDR")]
        networks: Vec<IpNet>,
        /// A VPC that may.
        #[arg(long = "vpc", value_name = "VPC")]
        vpcs: Vec<String>,
        /// A VPC endpoint that may.
        #[arg(long = "vpc-endpoint", value_name = "VPCE")]
        vpc_endpoints: Vec<String>,
        /// A principal that may from everywhere, so that it can mend a wrong policy.
        #[arg(long, value_name = "ARN")]
        exempt: Option<String>,
    },
}

/// The bucket, by itself or by the storage that has it.
#[derive(clap::Args, Debug)]
struct About {
    #[command(flatten)]
    config: ConfigArg,
    /// A storage of the configuration file.
    #[arg(long, value_name = "NAME", conflicts_with = "bucket")]
    storage: Option<String>,
    /// A bucket, without a configuration.
    #[arg(long, required_unless_present = "storage")]
    bucket: Option<String>,
    /// Only what is under it.
    #[arg(long, default_value = "")]
    prefix: String,
    /// The bucket's region.
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Print the `aws` command that puts the document instead; for `role`, the name of the role.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "mediagate")]
    script: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AccessArg {
    /// List and read.
    Source,
    /// And write.
    Target,
    /// And delete.
    TargetWithDeletes,
    /// One role for a source and a target that deletes.
    Both,
}

/// What a document is about, read.
struct Subject {
    bucket: Bucket,
    prefix: String,
    region: String,
    origins: Vec<String>,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        match &self.what {
            What::Role { about, access } => {
                let subject = about.subject()?;
                let document = policy::role(subject.scope(), (*access).into());
                about.print(&document, |role| {
                    format!(
                        "aws iam put-role-policy --role-name {role} --policy-name mediagate --policy-document"
                    )
                })
            }
            What::Trust { principal, external_id, script } => {
                let document = policy::trust(principal, external_id);
                output(&document, script.as_deref(), |role| {
                    format!("aws iam create-role --role-name {role} --assume-role-policy-document")
                })
            }
            What::Cors { about, origins } => {
                let subject = about.subject()?;
                let rules = policy::cors(if origins.is_empty() { &subject.origins } else { origins });
                let document =
                    if about.script.is_some() { serde_json::json!({ "CORSRules": rules }) } else { rules };
                let bucket = quoted(subject.bucket.as_str());
                about.print(&document, |_| {
                    format!("aws s3api put-bucket-cors --bucket {bucket} --cors-configuration")
                })
            }
            What::Bucket { about, networks, vpcs, vpc_endpoints, exempt } => {
                let subject = about.subject()?;
                let inside = Inside {
                    networks: networks.clone(),
                    vpcs: vpcs.clone(),
                    vpc_endpoints: vpc_endpoints.clone(),
                };
                let document = policy::bucket(subject.scope(), &inside, exempt.as_deref())
                    .context("use --network, --vpc or --vpc-endpoint")?;
                let bucket = quoted(subject.bucket.as_str());
                // On standard error, so that the document alone can be piped.
                std::io::Write::write_all(
                    &mut std::io::stderr(),
                    format!("{LOCK_OUT_WARNING}\n").as_bytes(),
                )?;
                about.print(&document, |_| format!("aws s3api put-bucket-policy --bucket {bucket} --policy"))
            }
        }
    }
}

impl About {
    fn subject(&self) -> anyhow::Result<Subject> {
        let Some(name) = &self.storage else {
            let bucket = self.bucket.as_deref().unwrap_or_default();
            let bucket = Bucket::parse(bucket).with_context(|| format!("--bucket {bucket:?}"))?;
            let prefix = self.prefix.trim_end_matches('/');
            let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
            return Ok(Subject { bucket, prefix, region: self.region.clone(), origins: Vec::new() });
        };
        let config = self.config.load()?;
        let Some(storage) = config.storages.iter().find(|storage| storage.name.as_str() == name) else {
            let known: Vec<&str> = config.storages.iter().map(|storage| storage.name.as_str()).collect();
            bail!("no storage is named {name:?}; the configuration has {}", known.join(", "));
        };
        Ok(Subject {
            bucket: storage.bucket.clone(),
            prefix: storage.normal_prefix(),
            region: storage.region.clone(),
            origins: config.cors.origins.clone(),
        })
    }

    fn print(&self, document: &Value, command: impl FnOnce(String) -> String) -> anyhow::Result<()> {
        output(document, self.script.as_deref(), command)
    }
}

impl Subject {
    fn scope(&self) -> Scope<'_> {
        Scope { bucket: &self.bucket, prefix: &self.prefix, region: &self.region }
    }
}

impl From<AccessArg> for Access {
    fn from(access: AccessArg) -> Self {
        match access {
            AccessArg::Source => Self::Source,
            AccessArg::Target => Self::Target,
            AccessArg::TargetWithDeletes => Self::TargetWithDeletes,
            AccessArg::Both => Self::Both,
        }
    }
}

/// The document, or the command that puts it.
fn output(
    document: &Value,
    script: Option<&str>,
    command: impl FnOnce(String) -> String,
) -> anyhow::Result<()> {
    match script {
        None => print(&serde_json::to_string_pretty(document)?),
        Some(name) => {
            let command = command(quoted(name));
            print(&format!("#!/bin/sh\nset -eu\n{command} {}", quoted(&document.to_string())))
        }
    }
}

/// One word of a POSIX shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_a_word() {
        for (text, want) in [("media", "'media'"), ("it's", "'it'\\''s'"), ("$(rm -r x)", "'$(rm -r x)'")] {
            assert_eq!(quoted(text), want);
        }
    }
}
