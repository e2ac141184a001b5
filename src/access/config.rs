//! The `[access]` section, and why it cannot be used.

use std::{io, path::PathBuf, time::Duration};

use ipnet::IpNet;
use jsonwebtoken::Algorithm;
use secrecy::SecretString;
use serde::Deserialize;

use super::{client_ip::ForwardedHeader, network, revocation::ParseRevocationsError};

/// Who may ask.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Client networks that are admitted; an empty list admits nobody.
    #[serde(deserialize_with = "network::deserialize")]
    pub allow: Vec<IpNet>,
    /// Client networks that are refused, also where `allow` has them.
    #[serde(deserialize_with = "network::deserialize")]
    pub deny: Vec<IpNet>,
    /// Peers that may speak for a client.
    #[serde(deserialize_with = "network::deserialize")]
    pub trusted_proxies: Vec<IpNet>,
    /// The one header they do it in.
    pub client_address: ForwardedHeader,
    /// The `iss` that tokens must have; unchecked when absent.
    pub issuer: Option<String>,
    /// The `aud` that tokens must name.
    pub audience: String,
    /// How far the issuer's clock may be ahead of ours. It never lengthens a token's life.
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,
    /// The longest life of a token, from `iat` to `exp`; unlimited when absent.
    #[serde(with = "humantime_serde")]
    pub max_token_lifetime: Option<Duration>,
    /// Keys that tokens are signed with.
    pub keys: Vec<KeyConfig>,
    /// Sets of such keys.
    pub jwks: Vec<JwksConfig>,
    /// Tokens and subjects that are no longer honoured, as JSON lines.
    pub revocations_file: Option<PathBuf>,
    /// How many verified tokens are remembered. One that names many objects counts several times.
    pub token_cache_entries: u64,
}

/// One `[[access.keys]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The `kid` of its tokens.
    pub id: String,
    /// The only algorithm it verifies.
    pub algorithm: Algorithm,
    /// HS256 to HS512: the secret, at least as long as the hash.
    #[serde(default)]
    pub secret: Option<SecretString>,
    /// A file that holds the secret; a final line break is not part of it.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// The other algorithms: a PEM file with the public key.
    #[serde(default)]
    pub public_key_file: Option<PathBuf>,
    /// The other algorithms: a PEM file with the private key (PKCS #8, RSA also PKCS #1), to mint tokens with.
    #[serde(default)]
    pub private_key_file: Option<PathBuf>,
}

/// One `[[access.jwks]]`: a set of public keys (RFC 7517) at a URL or in a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwksConfig {
    /// Where it is fetched; `https`, or `http` to this machine.
    pub url: Option<String>,
    /// Where it is read.
    pub file: Option<PathBuf>,
    /// How often it is fetched.
    #[serde(with = "humantime_serde")]
    pub refresh: Duration,
    /// What a key without `alg` may be used for, as far as it fits the key.
    pub algorithms: Vec<Algorithm>,
}

/// Why the section cannot be used. Each sentence says where.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Empty, longer than 128 bytes, or not visible ASCII.
    #[error("keys: an id is 1 to 128 visible ASCII characters, {0:?} is not")]
    KeyIdInvalid(String),
    /// Two keys, or two keys of one set, have the same id.
    #[error("two keys have the id {0:?}; a token could not say which it means")]
    KeyIdTwice(String),
    /// Neither `secret` nor `secret_file`, or both, or a key file beside an HS algorithm.
    #[error("key {0:?}: an HS algorithm takes exactly one of secret and secret_file, and no key file")]
    SecretExpected(String),
    /// A secret beside another algorithm, or no key file.
    #[error("key {0:?}: this algorithm takes public_key_file or private_key_file, and no secret")]
    KeyFileExpected(String),
    /// Shorter than the hash (RFC 7518 section 3.2).
    #[error("key {id:?}: the secret has {len} bytes; this algorithm needs at least {least}")]
    SecretTooShort {
        /// The key.
        id: String,
        /// Its length in bytes.
        len: usize,
        /// What it needs.
        least: usize,
    },
    /// A public key is no secret: whoever has it could sign.
    #[error("key {0:?}: the secret is a PEM file; set the algorithm of that key instead of an HS one")]
    SecretIsPem(String),
    /// A file is not there or may not be read.
    #[error(
        "cannot read {}, which is named in [access] (a secret is made with: openssl rand -hex 32 > its file)",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not PEM, of another kind than the algorithm, on another curve, or RSA of fewer than 2048 bits.
    #[error(
        "key {0:?}: the key file does not hold a sound key for this algorithm (PEM; private keys in PKCS #8)"
    )]
    KeyInvalid(String),
    /// The public key is not the private key's.
    #[error("key {0:?}: public_key_file and private_key_file are not a pair")]
    KeyPairMismatch(String),
    /// Both or neither of `url` and `file`.
    #[error("jwks {0}: give exactly one of url and file")]
    JwksPlace(usize),
    /// Whoever can change the answer could sign.
    #[error("jwks {0}: the url must be https, or http to this machine")]
    JwksUrlInsecure(usize),
    /// A secret shared with a set of public keys.
    #[error("jwks {0}: an HS algorithm cannot be verified with a public key set")]
    JwksSymmetric(usize),
    /// Not the JSON of a key set.
    ///
    /// Where, and not what: the parser's own words may quote a key.
    #[error("jwks {index}: not a JSON Web Key Set (line {line}, column {column})")]
    JwksMalformed {
        /// Its position.
        index: usize,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// Nothing in it can verify a signature.
    #[error("jwks {0}: no key in it is usable (a key needs a kid and a signature algorithm that we know)")]
    JwksEmpty(usize),
    /// There is no such source.
    #[error("there is no jwks {0}")]
    JwksUnknown(usize),
    /// A line of the revocations file.
    #[error("{}: {source}", path.display())]
    Revocations {
        /// The file.
        path: PathBuf,
        /// The line.
        source: ParseRevocationsError,
    },
    /// Every token would be for it.
    #[error("audience is empty")]
    AudienceEmpty,
}

impl Config {
    /// The files whose change means another section.
    pub fn files(&self) -> Vec<PathBuf> {
        let keys =
            self.keys.iter().flat_map(|key| [&key.secret_file, &key.public_key_file, &key.private_key_file]);
        let sets = self.jwks.iter().map(|set| &set.file);
        keys.chain(sets).chain([&self.revocations_file]).flatten().cloned().collect()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allow: vec![ipnet::Ipv4Net::default().into(), ipnet::Ipv6Net::default().into()],
            deny: Vec::new(),
            trusted_proxies: Vec::new(),
            client_address: ForwardedHeader::default(),
            issuer: None,
            audience: "mediagate".to_owned(),
            leeway: Duration::from_secs(30),
            max_token_lifetime: None,
            keys: Vec::new(),
            jwks: Vec::new(),
            revocations_file: None,
            token_cache_entries: 100_000,
        }
    }
}

impl Default for JwksConfig {
    fn default() -> Self {
        Self { url: None, file: None, refresh: Duration::from_mins(5), algorithms: Vec::new() }
    }
}

/// Reads a file of the configuration.
pub(super) fn read(path: &std::path::Path) -> Result<String, BuildError> {
    std::fs::read_to_string(path).map_err(|source| BuildError::Unreadable { path: path.to_owned(), source })
}
