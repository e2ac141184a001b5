//! Why somebody is refused.

/// Why a request is refused. No variant carries anything that the client sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The client's network is denied, or not allowed.
    #[error("the client address is not admitted")]
    AddressDenied,
    /// A trusted proxy handed on a chain of addresses that cannot be followed.
    #[error("the forwarded client address is malformed")]
    ForwardedMalformed,
    /// Neither a bearer nor the query parameter nor the cookie.
    #[error("there is no token")]
    TokenMissing,
    /// The same place holds two tokens.
    #[error("there are two tokens in one place")]
    TokenAmbiguous,
    /// Longer than [`MAX_TOKEN_LEN`](super::MAX_TOKEN_LEN).
    #[error("the token is too long")]
    TokenTooLong,
    /// Not three parts of canonical base64url, or not strict JSON within.
    #[error("the token is malformed")]
    TokenMalformed,
    /// The header has a parameter that asks for other processing: `crit`, `jku`, `jwk`, `x5u`, `x5c` or `b64`.
    #[error("the token's header has a parameter that is not supported")]
    HeaderParameterRefused,
    /// No `kid`, and more than one key it could mean.
    #[error("the token names no key")]
    KeyIdMissing,
    /// The `kid` is none of ours.
    #[error("the token's key is unknown")]
    KeyUnknown,
    /// The header's `alg` is not the one that the key is for.
    #[error("the token's algorithm is not the key's")]
    AlgorithmMismatch,
    /// The signature is not the key's.
    #[error("the token's signature is invalid")]
    SignatureInvalid,
    /// A claim is missing, of the wrong type, or out of bounds; the name is one of ours, never the token's.
    #[error("the token's claim {0} is invalid")]
    ClaimInvalid(&'static str),
    /// `exp` has come.
    #[error("the token has expired")]
    TokenExpired,
    /// `nbf` or `iat` is in the future.
    #[error("the token is not valid yet")]
    TokenNotYetValid,
    /// It lives longer than `max_token_lifetime`.
    #[error("the token lives longer than allowed")]
    LifetimeExceeded,
    /// `iss` is not the configured issuer.
    #[error("the token is from another issuer")]
    IssuerMismatch,
    /// `aud` does not name us.
    #[error("the token is for another audience")]
    AudienceMismatch,
    /// The token, or all of its subject's tokens of that age, are revoked.
    #[error("the token is revoked")]
    TokenRevoked,
    /// The client is in none of the networks of the token's `ip`.
    #[error("the token is bound to another address")]
    TokenAddressDenied,
    /// The object is not covered by the token.
    #[error("the token does not cover the object")]
    ObjectNotGranted,
}

impl Error {
    /// A stable word for clients, logs and the metric label: a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::AddressDenied => "address_denied",
            Self::ForwardedMalformed => "forwarded_malformed",
            Self::TokenMissing => "token_missing",
            Self::TokenAmbiguous => "token_ambiguous",
            Self::TokenTooLong => "token_too_long",
            Self::TokenMalformed => "token_malformed",
            Self::HeaderParameterRefused => "token_header_refused",
            Self::KeyIdMissing => "key_id_missing",
            Self::KeyUnknown => "key_unknown",
            Self::AlgorithmMismatch => "algorithm_mismatch",
            Self::SignatureInvalid => "signature_invalid",
            Self::ClaimInvalid(_) => "claim_invalid",
            Self::TokenExpired => "token_expired",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::LifetimeExceeded => "token_lifetime_exceeded",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::AudienceMismatch => "audience_mismatch",
            Self::TokenRevoked => "token_revoked",
            Self::TokenAddressDenied => "token_address_denied",
            Self::ObjectNotGranted => "object_not_granted",
        }
    }
}
