//! The admin token: configured, or made once, shown once, and kept as a hash.

use secrecy::{ExposeSecret as _, SecretString};

use super::{ConfigError, Error};
use crate::{
    access,
    control::{self, Bearer},
    store::Store,
};

/// The configured token; without one that which an earlier start made, or a fresh one, which is printed.
pub(super) async fn bearer(config: &control::Config, store: &Store) -> Result<Bearer, Error> {
    if let Some(bearer) = configured(config)? {
        return Ok(bearer);
    }
    if let Some(hash) = store.admin_token_hash().await? {
        tracing::info!(
            "the admin token is the one that was printed at the first start; set admin.token_file for another"
        );
        return Ok(Bearer::from_hash(hash));
    }
    let fresh = access::mint::random_id();
    let bearer = Bearer::new(&SecretString::from(fresh.clone()));
    let kept = store.keep_admin_token_hash(bearer.hash()).await?;
    // Another process on the same database may have been first; then it printed the one in force.
    if kept == bearer.hash() {
        print(&fresh);
    }
    Ok(Bearer::from_hash(kept))
}

fn configured(config: &control::Config) -> Result<Option<Bearer>, ConfigError> {
    let token = match (&config.token, &config.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::AdminTokenUnreadable { path: path.clone(), source })?;
            SecretString::from(text.trim().to_owned())
        }
        (None, None) => return Ok(None),
    };
    if token.expose_secret().trim().is_empty() {
        return Err(ConfigError::AdminTokenEmpty);
    }
    Ok(Some(Bearer::new(&token)))
}

/// Not through the log, which is kept and shipped: this is the one time the token is shown.
fn print(token: &str) {
    let line = format!("admin token, shown this once (or set admin.token_file): {token}\n");
    if std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).is_err() {
        tracing::warn!("the admin token could not be printed; set admin.token_file");
    }
}
