//! Who may ask: the client's address, the networks admitted, and task-access tokens with what they grant.
//!
//! A request passes three doors, cheapest first: [`client_ip()`] finds the address, [`Allowlist::admit`] lets it in,
//! and [`Verifier::verify`] turns the token that [`present()`] found into a [`Grant`], which alone says what may be
//! read. Nothing here waits for a network or reads a clock: the time is an argument, key sets are fetched by the
//! caller. Every door fails closed: what cannot be understood is refused, and nothing is tried twice in another
//! way. A token never appears in an error, a log line or a `Debug` text.

mod claims;
mod client_ip;
mod config;
mod error;
#[cfg(test)]
mod forge;
mod forwarded;
mod grant;
mod inspect;
mod internal;
mod json;
mod jwks;
mod key;
pub mod mint;
mod network;
mod present;
mod refresh;
mod revocation;
mod token;
mod trust;
mod verifier;

pub use self::{
    client_ip::{ClientIp, ForwardedHeader, TrustedProxies, client_ip},
    config::{BuildError, Config, JwksConfig, KeyConfig},
    error::Error,
    grant::{Covered, Description, ForcedDelivery, Grant, ParseDeliveryError},
    inspect::{Inspection, inspect},
    internal::InternalKey,
    jwks::JwksSource,
    network::{Allowlist, Networks},
    present::{
        COOKIE, PERMISSION_COOKIE, Presented, TokenSource, cookies_without_ours, permission_cookie, present,
        present_ours,
    },
    revocation::{ParseRevocationsError, Revocation, Revocations},
    token::MAX_TOKEN_LEN,
    verifier::{Verifier, looks_like_ours},
};
pub use jsonwebtoken::Algorithm;
