//! The `[label_studio]` section, and why it cannot be used.

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// `[label_studio]`: what is done for the Label Studio that `[upstream]` names; read where its `kind` is `label-studio`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A personal access token, or a legacy one: for syncs, the reconciliation of exports and webhooks.
    pub token: Option<SecretString>,
    /// A file that holds it.
    pub token_file: Option<PathBuf>,
    /// Which objects a person who may see a task may see.
    pub scope: Scope,
    /// How long what Label Studio said of a person and a task is taken for true; access outlives a logout or a removal by
    /// no more.
    #[serde(with = "humantime_serde")]
    pub decision_ttl: Duration,
    /// How much longer it is taken for true while Label Studio does not answer.
    #[serde(with = "humantime_serde")]
    pub stale_on_outage: Duration,
    /// How many such answers are remembered.
    pub decisions: u64,
    /// Whether the browser gets the answer as a token in a cookie of the task's path.
    pub cookie: bool,
    /// How long Label Studio may take for an answer.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Whether Label Studio's own pages and API for S3 storages work on ours, and tasks show media URLs in place of
    /// `s3://` ones.
    pub storages: bool,
    /// The longest answer with tasks in which URIs are replaced; a longer one passes as it is.
    pub rewrite_limit: ByteSize,
    /// Whether the media URLs in tasks carry a token each, for clients that send neither cookie nor credentials.
    pub url_tokens: bool,
    /// How long such a token lives.
    #[serde(with = "humantime_serde")]
    pub url_token_ttl: Duration,
    /// How many tasks are imported with one request.
    pub import_batch: usize,
    /// How long an import whose answer was lost is left alone before its tasks are looked for.
    #[serde(with = "humantime_serde")]
    pub import_settle: Duration,
    /// What Label Studio calls when an annotation changes, such as `http://mediagate:9090/hooks/label-studio`; absent: no
    /// webhook is kept there.
    pub webhook_url: Option<String>,
    /// How often annotations are looked for that no webhook told of; zero: never.
    #[serde(with = "humantime_serde")]
    pub reconcile_every: Duration,
}

/// Which objects a person who may see a task may see.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Those that the task's data mentions.
    #[default]
    TaskData,
    /// Those under the prefixes of the project's storages.
    Prefix,
    /// Those of the buckets of the project's storages, as Label Studio has it: of these, what the storages serve.
    Bucket,
}

/// Why `[label_studio]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The token twice.
    #[error("label_studio.token and label_studio.token_file are both set; keep one")]
    TokenTwice,
    /// The file cannot be read.
    #[error("label_studio.token_file {} cannot be read", path.display())]
    TokenUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing that could stand in a header.
    #[error(
        "label_studio.token (or what label_studio.token_file holds) is empty or has a character that no token has; take \
         one from Account & Settings of Label Studio"
    )]
    TokenInvalid,
    /// Label Studio's address.
    #[error(transparent)]
    Upstream(#[from] crate::gateway::forward::ConfigError),
    /// What nobody could call.
    #[error(
        "label_studio.webhook_url has to be an address that Label Studio can call, such as \
         http://mediagate:9090/hooks/label-studio"
    )]
    WebhookUrl,
    /// A webhook that anybody could call.
    #[error(
        "label_studio.webhook_url needs a secret that Label Studio sends with each event; set hooks.secret_file (or \
         hooks.secret)"
    )]
    WebhookSecretMissing,
    /// Nobody to make the webhook as.
    #[error("label_studio.webhook_url needs label_studio.token_file: the webhook is made with that token")]
    WebhookTokenMissing,
    /// A time that cannot be.
    #[error("label_studio.{0} must be {1}")]
    OutOfRange(&'static str, &'static str),
}

impl Config {
    /// Files whose change means that the configuration should be loaded again.
    pub fn files(&self) -> Vec<PathBuf> {
        self.token_file.iter().cloned().collect()
    }

    /// Reads the token; `None` where there is none.
    pub(super) fn service_token(&self) -> Result<Option<SecretString>, ConfigError> {
        let token = match (&self.token, &self.token_file) {
            (Some(_), Some(_)) => return Err(ConfigError::TokenTwice),
            (Some(token), None) => token.expose_secret().to_owned(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|source| ConfigError::TokenUnreadable { path: path.clone(), source })?,
            (None, None) => return Ok(None),
        };
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::TokenInvalid);
        }
        Ok(Some(SecretString::from(token.to_owned())))
    }

    /// Whether a webhook is to be kept that cannot be.
    pub fn check_webhook(&self, has_secret: bool) -> Result<(), ConfigError> {
        let Some(url) = &self.webhook_url else { return Ok(()) };
        let is_callable = url
            .parse::<http::Uri>()
            .is_ok_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some());
        if !is_callable || url.len() > 2048 {
            Err(ConfigError::WebhookUrl)
        } else if !has_secret {
            Err(ConfigError::WebhookSecretMissing)
        } else if self.token.is_none() && self.token_file.is_none() {
            Err(ConfigError::WebhookTokenMissing)
        } else {
            Ok(())
        }
    }

    /// Says what cannot be.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let seconds = Duration::from_secs(1)..=Duration::from_hours(1);
        if !seconds.contains(&self.decision_ttl) {
            return Err(ConfigError::OutOfRange("decision_ttl", "from 1s to 1h"));
        }
        if self.stale_on_outage > Duration::from_hours(24) {
            return Err(ConfigError::OutOfRange("stale_on_outage", "at most 24h"));
        }
        if !(Duration::from_secs(1)..=Duration::from_hours(7 * 24)).contains(&self.url_token_ttl) {
            return Err(ConfigError::OutOfRange("url_token_ttl", "from 1s to 7days"));
        }
        if !(1..=10_000).contains(&self.import_batch) {
            return Err(ConfigError::OutOfRange("import_batch", "from 1 to 10000"));
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            token: None,
            token_file: None,
            scope: Scope::default(),
            decision_ttl: Duration::from_mins(1),
            stale_on_outage: Duration::ZERO,
            decisions: 100_000,
            cookie: true,
            timeout: Duration::from_secs(30),
            storages: false,
            rewrite_limit: ByteSize::mib(32),
            url_tokens: false,
            url_token_ttl: Duration::from_hours(1),
            import_batch: 500,
            import_settle: Duration::from_mins(1),
            webhook_url: None,
            reconcile_every: Duration::from_mins(10),
        }
    }
}

#[cfg(test)]
mod tests;
