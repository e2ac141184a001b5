//! The configuration: one file, then environment variables, into the structs that the modules own.
//!
//! This module composes and never interprets. Unknown keys are errors that name the file, the key and the nearest
//! key there is, so that a typing error cannot silently open or close a door.

use std::path::{Path, PathBuf};

use figment::{
    Figment,
    error::Kind,
    providers::{Env, Format, Toml},
};
use serde::Deserialize;

use crate::{access, control, egress, gateway, label_studio, server, sidecar, store, telemetry};

/// Everything an operator can set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The public listener.
    pub server: server::Config,
    /// The control listener.
    pub admin: control::Config,
    /// What Label Studio tells by itself.
    pub hooks: control::HooksConfig,
    /// Who may ask.
    pub access: access::Config,
    /// State: storages made through the API, revocations.
    pub store: store::Config,
    /// The application behind the gateway.
    pub upstream: Option<gateway::forward::Config>,
    /// What is done for the Label Studio behind the gateway.
    pub label_studio: label_studio::Config,
    /// The buckets.
    pub storages: Vec<gateway::locate::StorageConfig>,
    /// Pages of other origins.
    pub cors: gateway::cors::Config,
    /// What is carried at once.
    pub limits: gateway::limits::Config,
    /// Syncs and exports.
    pub sidecar: sidecar::Config,
    /// Outgoing connections.
    pub egress: egress::Config,
    /// Log lines.
    pub log: telemetry::Config,
}

/// Why the configuration cannot be used. Each sentence says where and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there or may not be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A key or a value is wrong.
    #[error("{0}")]
    Invalid(String),
}

impl Config {
    /// Reads the file, then the environment variables `MEDIAGATE__SECTION__KEY`.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        Self::merge(Figment::from(Toml::string(&text)), path)
    }

    fn merge(file: Figment, path: &Path) -> Result<Self, Error> {
        let merged = file.merge(Env::prefixed(ENV_PREFIX).split("__"));
        merged.extract().map_err(|errors| {
            let sentences: Vec<String> = errors.into_iter().map(|error| sentence(&error, path)).collect();
            Error::Invalid(sentences.join("; "))
        })
    }

    /// Files whose change means that the configuration should be loaded again.
    pub fn files(&self) -> Vec<PathBuf> {
        let storages = self.storages.iter();
        let secrets = storages.flat_map(|storage| {
            [storage.secret_access_key_file.clone(), storage.session_token_file.clone()].into_iter().flatten()
        });
        let sections =
            self.access.files().into_iter().chain(self.store.files()).chain(self.label_studio.files());
        let egress = [self.egress.ca_file.clone(), self.egress.proxy_file.clone()];
        secrets.chain(sections).chain(egress.into_iter().flatten()).collect()
    }
}

/// Says what is wrong, where, and what was probably meant.
fn sentence(error: &figment::Error, path: &Path) -> String {
    let key = error.path.join(".");
    let from_environment = error.metadata.as_ref().is_some_and(|data| data.name.contains("environment"));
    let place = if from_environment {
        format!("environment variable {ENV_PREFIX}{}", key.to_uppercase().replace('.', "__"))
    } else {
        path.display().to_string()
    };
    match &error.kind {
        Kind::UnknownField(field, known) => {
            let section =
                if key.is_empty() || key == *field { String::new() } else { format!(" in [{key}]") };
            let nearest =
                nearest(field, known).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            format!("{place}: unknown key {field:?}{section}{nearest} (known keys: {})", known.join(", "))
        }
        Kind::MissingField(field) => format!("{place}: {key} lacks the key {field:?}"),
        // Without the value that was found: it may be a secret in the wrong place or of the wrong type.
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            format!("{place}: {key}: expected {expected}")
        }
        Kind::Message(text) if key.is_empty() => format!("{place}: {}", without_excerpt(text)),
        kind => format!("{place}: {key}: {kind}"),
    }
}

/// The message of the TOML parser without the lines of the file that it quotes: one may be that of a secret.
fn without_excerpt(message: &str) -> String {
    let quoted = |line: &&str| {
        let gutter = line.split_once('|').map(|(gutter, _)| gutter);
        gutter.is_some_and(|gutter| gutter.chars().all(|c| c == ' ' || c.is_ascii_digit()))
    };
    message.lines().filter(|line| !quoted(line)).collect::<Vec<_>>().join(": ")
}

fn nearest<'a>(field: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |candidate: &&&str| strsim::damerau_levenshtein(field, candidate);
    let near = known.iter().min_by_key(distance)?;
    (distance(&near) <= (field.len() / 2).max(2)).then_some(near)
}

const ENV_PREFIX: &str = "MEDIAGATE__";
