//! The `[store]` section.

use std::{path::PathBuf, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{error::Error, url::Place};

/// Where state is kept, and the key that its secrets are sealed with.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `sqlite://` and a file, or `postgres://user:password@host/database`; `sqlite://mediagate.db` when absent.
    pub url: Option<SecretString>,
    /// A file that holds the URL.
    pub url_file: Option<PathBuf>,
    /// The key: 32 bytes as 64 hexadecimal digits or in base64.
    pub key: Option<SecretString>,
    /// A file that holds the key; made beside a SQLite file where neither is set.
    pub key_file: Option<PathBuf>,
    /// Files with keys that still open what they sealed.
    pub previous_key_files: Vec<PathBuf>,
    /// The most connections; one more listens for changes.
    pub max_connections: u32,
    /// How long a call waits for a connection.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
}

impl Config {
    /// The files that it names.
    pub fn files(&self) -> Vec<PathBuf> {
        let single = [&self.url_file, &self.key_file].into_iter().flatten();
        single.chain(&self.previous_key_files).cloned().collect()
    }

    /// Reads and parses the URL.
    pub(super) fn place(&self) -> Result<Place, Error> {
        let url = setting("url", self.url.as_ref(), self.url_file.as_ref())?;
        let url = url.as_ref().map_or(DEFAULT_URL, |url| url.expose_secret());
        Ok(Place::parse(url)?)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            key: None,
            key_file: None,
            previous_key_files: Vec::new(),
            max_connections: 8,
            acquire_timeout: Duration::from_secs(2),
        }
    }
}

/// A secret that is set, or that a file holds.
pub(super) fn setting(
    name: &'static str,
    value: Option<&SecretString>,
    file: Option<&PathBuf>,
) -> Result<Option<SecretString>, Error> {
    match (value, file) {
        (Some(_), Some(_)) => Err(Error::SettingTwice(name)),
        (Some(value), None) => Ok(Some(value.clone())),
        (None, Some(path)) => read(path).map(Some),
        (None, None) => Ok(None),
    }
}

/// Reads a file with a secret; the space around it is not part of it.
pub(super) fn read(path: &PathBuf) -> Result<SecretString, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::FileUnreadable { path: path.clone(), source })?;
    Ok(SecretString::from(text.trim().to_owned()))
}

const DEFAULT_URL: &str = "sqlite://mediagate.db";
