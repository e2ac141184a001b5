//! The outside of a token: its three parts and its header, before anything is verified.
//!
//! Sizes are checked before text is decoded, and what a header may ask for is a short list: `alg` and `kid` are
//! read, parameters that would change how the token is verified refuse it, others mean nothing. base64url is taken
//! in its one canonical spelling, so that a token has one text.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    error::Error,
    json::{Json, parse_object},
};

/// The longest token in bytes.
pub const MAX_TOKEN_LEN: usize = 8 * 1024;

/// A token in its parts, unverified.
pub(super) struct Unverified<'a> {
    pub(super) header: Header,
    /// What was signed: the first two parts and the dot between them.
    pub(super) signing_input: &'a str,
    pub(super) claims: &'a str,
    pub(super) signature: &'a str,
}

/// What of a header matters.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) algorithm: String,
    pub(super) key_id: Option<String>,
}

impl<'a> Unverified<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Error> {
        if text.len() > MAX_TOKEN_LEN {
            return Err(Error::TokenTooLong);
        }
        let (signing_input, signature) = text.rsplit_once('.').ok_or(Error::TokenMalformed)?;
        let (header, claims) = signing_input.split_once('.').ok_or(Error::TokenMalformed)?;
        if claims.contains('.') {
            return Err(Error::TokenMalformed);
        }
        let header = Header::parse(header)?;
        Ok(Self { header, signing_input, claims, signature })
    }
}

impl Header {
    fn parse(part: &str) -> Result<Self, Error> {
        if part.len() > MAX_HEADER_LEN {
            return Err(Error::TokenMalformed);
        }
        let (mut algorithm, mut key_id) = (None, None);
        for (name, value) in decode_object(part)? {
            match (name.as_str(), value) {
                ("alg", Json::Text(text)) => algorithm = Some(text),
                ("kid", Json::Text(text)) => key_id = Some(text),
                ("alg" | "kid", _) => return Err(Error::TokenMalformed),
                // RFC 7515 sections 4.1.2 to 4.1.6 and 4.1.11, RFC 7797: keys from elsewhere, and other processing.
                ("jku" | "jwk" | "x5u" | "x5c" | "crit" | "b64", _) => {
                    return Err(Error::HeaderParameterRefused);
                }
                _ => {}
            }
        }
        Ok(Self { algorithm: algorithm.ok_or(Error::TokenMalformed)?, key_id })
    }
}

/// Decodes a part: canonical base64url without padding, of a JSON object of at most four levels.
pub(super) fn decode_object(part: &str) -> Result<Vec<(String, Json)>, Error> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Error::TokenMalformed)?;
    parse_object(&bytes, MAX_DEPTH).ok_or(Error::TokenMalformed)
}

const MAX_HEADER_LEN: usize = 2 * 1024;
const MAX_DEPTH: u8 = 4;
