//! What a token says, without asking whether it is true: for a terminal.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;

use super::{error::Error, token::MAX_TOKEN_LEN};

/// The header and the claims of a token, unverified. The signature is left out, so that this is no token.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// The first part.
    pub header: serde_json::Value,
    /// The second part.
    pub claims: serde_json::Value,
}

/// Reads a token without verifying it, more leniently than a verifier does: it is to show what is wrong.
pub fn inspect(text: &str) -> Result<Inspection, Error> {
    if text.len() > MAX_TOKEN_LEN {
        return Err(Error::TokenTooLong);
    }
    let parts: Vec<&str> = text.split('.').collect();
    let [header, claims, _] = parts[..] else { return Err(Error::TokenMalformed) };
    Ok(Inspection { header: decode(header)?, claims: decode(claims)? })
}

fn decode(part: &str) -> Result<serde_json::Value, Error> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Error::TokenMalformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Error::TokenMalformed)
}
