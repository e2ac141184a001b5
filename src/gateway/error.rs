//! Everything that can go wrong on the data path, and the one table of what the client is told.
//!
//! No other place of the data path chooses a status. The four questions are [`Error::status`], [`Error::code`],
//! [`Error::fault`] and [`Error::public_message`]; all matches are exhaustive, so that a new variant does not
//! compile until it has an answer. Sources are for the log, never for the client.

use std::time::Duration;

use http::StatusCode;

use super::{permission::Refusal, route::ParseRouteError};
use crate::{access, s3, store};

/// What ended a request of the data path.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Who asks may not, or did not say who they are.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// The application behind the gateway does not permit it, or cannot say.
    #[error(transparent)]
    Permission(#[from] Refusal),
    /// The path is ours but does not name an object.
    #[error("the request names no object")]
    Route(#[from] ParseRouteError),
    /// Only GET, HEAD and OPTIONS are answered.
    #[error("the method is not GET, HEAD or OPTIONS")]
    MethodRefused,
    /// A request for media has no body.
    #[error("the request has a body")]
    BodyRefused,
    /// No storage serves the bucket and key.
    #[error("no storage serves the object")]
    StorageUnknown,
    /// A precondition of the client does not hold.
    #[error("a precondition does not hold")]
    PreconditionFailed,
    /// No requested range lies within the object.
    #[error("no range lies within the {size} bytes of the object")]
    RangeNotSatisfiable {
        /// The size of the object in bytes.
        size: u64,
    },
    /// The object changed again and again while it was read.
    #[error("the object changes while it is read")]
    ObjectUnstable,
    /// The storage failed.
    #[error(transparent)]
    S3(#[from] s3::Error),
    /// The store cannot say now what a task mentions.
    #[error("the objects of a task cannot be looked up")]
    LinksUnavailable(#[source] std::sync::Arc<store::Error>),
    /// The process has as many requests in flight as it may.
    #[error("too many requests in flight")]
    InFlightExhausted,
    /// The process has as many streams as its memory budget carries.
    #[error("the memory budget carries no more streams")]
    StreamsExhausted,
    /// This client has as many streams as one client may.
    #[error("the client has too many streams")]
    ClientStreamsExhausted,
    /// Nothing of ours, and there is no application behind the gateway.
    #[error("no upstream is configured")]
    UpstreamUnset,
    /// The request cannot be forwarded safely.
    #[error("the request cannot be forwarded")]
    ForwardRefused,
    /// The application behind the gateway cannot be reached, or broke off before it answered.
    #[error("the upstream cannot be reached")]
    UpstreamUnreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The application behind the gateway is silent.
    #[error("the upstream did not answer in time")]
    UpstreamTimeout,
}

/// Whose fault an error is: it decides the log level and who should be woken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The request is wrong.
    Client,
    /// The request is right and refused.
    Policy,
    /// S3 or the application behind the gateway.
    Upstream,
    /// The gateway is over a limit.
    Overload,
}

impl Error {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Access(error) => access_status(error),
            Self::Permission(refusal) => permission_row(refusal).0,
            Self::Route(_) | Self::BodyRefused | Self::ForwardRefused => StatusCode::BAD_REQUEST,
            Self::MethodRefused => StatusCode::METHOD_NOT_ALLOWED,
            Self::StorageUnknown | Self::UpstreamUnset => StatusCode::NOT_FOUND,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::S3(error) => s3_row(error).0,
            Self::ObjectUnstable
            | Self::LinksUnavailable(_)
            | Self::InFlightExhausted
            | Self::StreamsExhausted => StatusCode::SERVICE_UNAVAILABLE,
            Self::ClientStreamsExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::UpstreamUnreachable(_) => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// A stable word for clients, logs and the metric label: a closed set.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Access(error) => error.reason(),
            Self::Permission(refusal) => permission_row(refusal).1,
            Self::Route(ParseRouteError::FileUriMissing) => "fileuri_missing",
            Self::Route(_) => "object_uri_invalid",
            Self::MethodRefused => "method_not_allowed",
            Self::BodyRefused => "body_not_allowed",
            Self::StorageUnknown => "storage_not_found",
            Self::PreconditionFailed => "precondition_failed",
            Self::RangeNotSatisfiable { .. } => "range_not_satisfiable",
            Self::ObjectUnstable => "object_unstable",
            Self::S3(error) => s3_row(error).1,
            Self::LinksUnavailable(_) => "links_unavailable",
            Self::InFlightExhausted => "in_flight_exhausted",
            Self::StreamsExhausted => "streams_exhausted",
            Self::ClientStreamsExhausted => "client_streams_exhausted",
            Self::UpstreamUnset => "not_found",
            Self::ForwardRefused => "request_invalid",
            Self::UpstreamUnreachable(_) => "upstream_unreachable",
            Self::UpstreamTimeout => "upstream_timeout",
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Access(_)
            | Self::Permission(Refusal::LoginNeeded | Refusal::Denied)
            | Self::S3(s3::Error::PresignLifeOver) => Fault::Policy,
            Self::Permission(Refusal::TaskNotFound | Refusal::ProjectNotFound)
            | Self::Route(_)
            | Self::MethodRefused
            | Self::BodyRefused
            | Self::StorageUnknown
            | Self::PreconditionFailed
            | Self::RangeNotSatisfiable { .. }
            | Self::UpstreamUnset
            | Self::ForwardRefused
            | Self::S3(s3::Error::NoSuchKey) => Fault::Client,
            Self::Permission(Refusal::Unavailable(_) | Refusal::Timeout)
            | Self::S3(_)
            | Self::ObjectUnstable
            | Self::LinksUnavailable(_)
            | Self::UpstreamUnreachable(_)
            | Self::UpstreamTimeout => Fault::Upstream,
            Self::InFlightExhausted | Self::StreamsExhausted | Self::ClientStreamsExhausted => {
                Fault::Overload
            }
        }
    }

    /// A fixed sentence for the client.
    pub fn public_message(&self) -> &'static str {
        match self {
            Self::Access(error) => access_message(error),
            Self::Permission(refusal) => permission_row(refusal).2,
            Self::Route(ParseRouteError::FileUriMissing) => "The query parameter fileuri is missing.",
            Self::Route(_) => "The request does not name an object.",
            Self::MethodRefused => "Only GET, HEAD and OPTIONS are answered here.",
            Self::BodyRefused => "A request for media has no body.",
            Self::StorageUnknown => "No storage serves this object.",
            Self::PreconditionFailed => "A precondition of the request does not hold.",
            Self::RangeNotSatisfiable { .. } => "No requested range lies within the object.",
            Self::ObjectUnstable => "The object is changing; ask again.",
            Self::S3(error) => s3_row(error).2,
            Self::LinksUnavailable(_) => "The objects of the task cannot be looked up right now; ask again.",
            Self::InFlightExhausted | Self::StreamsExhausted => "The gateway is busy; ask again.",
            Self::ClientStreamsExhausted => "This address has too many downloads at once.",
            Self::UpstreamUnset => "There is nothing here.",
            Self::ForwardRefused => "The request cannot be forwarded.",
            Self::UpstreamUnreachable(_) => "The application behind the gateway cannot be reached.",
            Self::UpstreamTimeout => "The application behind the gateway did not answer in time.",
        }
    }

    /// How long the client should wait, where waiting helps.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::S3(s3::Error::Throttled { retry_after }) => Some(retry_after.unwrap_or(SOON)),
            _ if matches!(self.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => {
                Some(SOON)
            }
            _ => None,
        }
    }

    /// Whether the connection must end with this answer: what follows on it is not to be trusted.
    pub fn closes_connection(&self) -> bool {
        matches!(self, Self::BodyRefused | Self::MethodRefused | Self::ForwardRefused)
    }
}

const SOON: Duration = Duration::from_secs(1);

/// 403 where another token would not help, or only one with another right; 401 where the token is not accepted.
fn access_status(error: &access::Error) -> StatusCode {
    match error {
        access::Error::AddressDenied
        | access::Error::ForwardedMalformed
        | access::Error::TokenAddressDenied
        | access::Error::ObjectNotGranted => StatusCode::FORBIDDEN,
        access::Error::TokenMissing
        | access::Error::TokenAmbiguous
        | access::Error::TokenTooLong
        | access::Error::TokenMalformed
        | access::Error::HeaderParameterRefused
        | access::Error::KeyIdMissing
        | access::Error::KeyUnknown
        | access::Error::AlgorithmMismatch
        | access::Error::SignatureInvalid
        | access::Error::ClaimInvalid(_)
        | access::Error::TokenExpired
        | access::Error::TokenNotYetValid
        | access::Error::LifetimeExceeded
        | access::Error::IssuerMismatch
        | access::Error::AudienceMismatch
        | access::Error::TokenRevoked => StatusCode::UNAUTHORIZED,
    }
}

fn access_message(error: &access::Error) -> &'static str {
    match error {
        access::Error::AddressDenied => "This address is not admitted.",
        access::Error::ForwardedMalformed => "The chain of forwarded addresses is malformed.",
        access::Error::TokenMissing => "A task-access token is needed.",
        access::Error::TokenAmbiguous => "There are two tokens in one place.",
        access::Error::TokenTooLong => "The token is too long.",
        access::Error::TokenMalformed => "The token is malformed.",
        access::Error::HeaderParameterRefused => "The token's header has a parameter that is not supported.",
        access::Error::KeyIdMissing => "The token names no key.",
        access::Error::KeyUnknown => "The token's key is unknown.",
        access::Error::AlgorithmMismatch => "The token's algorithm is not the key's.",
        access::Error::SignatureInvalid => "The token's signature is invalid.",
        access::Error::ClaimInvalid(_) => "A claim of the token is missing or invalid.",
        access::Error::TokenExpired => "The token has expired.",
        access::Error::TokenNotYetValid => "The token is not valid yet.",
        access::Error::LifetimeExceeded => "The token lives longer than allowed.",
        access::Error::IssuerMismatch => "The token is from another issuer.",
        access::Error::AudienceMismatch => "The token is for another audience.",
        access::Error::TokenRevoked => "The token is revoked.",
        access::Error::TokenAddressDenied => "The token is bound to another address.",
        access::Error::ObjectNotGranted => "The token does not cover this object.",
    }
}

/// What the client is told where the application behind the gateway was asked: status, code and sentence.
fn permission_row(refusal: &Refusal) -> (StatusCode, &'static str, &'static str) {
    match refusal {
        Refusal::LoginNeeded => (StatusCode::UNAUTHORIZED, "login_needed", "Log in to see this."),
        Refusal::Denied => (
            StatusCode::FORBIDDEN,
            "permission_denied",
            "You may not see what belongs to this task or project.",
        ),
        Refusal::TaskNotFound => (StatusCode::NOT_FOUND, "task_not_found", "There is no such task."),
        Refusal::ProjectNotFound => (StatusCode::NOT_FOUND, "project_not_found", "There is no such project."),
        Refusal::Unavailable(_) => (
            StatusCode::BAD_GATEWAY,
            "permission_unavailable",
            "The application that decides who may see this cannot be asked right now.",
        ),
        Refusal::Timeout => (
            StatusCode::GATEWAY_TIMEOUT,
            "permission_timeout",
            "The application that decides who may see this did not answer in time.",
        ),
    }
}

/// What the client is told of a failure of S3: status, code and sentence. It learns what to do, not what is wrong behind
/// the gateway: that is in the log.
fn s3_row(error: &s3::Error) -> (StatusCode, &'static str, &'static str) {
    const FAILED: &str = "The storage failed.";
    match error {
        s3::Error::NoSuchKey => (StatusCode::NOT_FOUND, "object_not_found", "The object does not exist."),
        s3::Error::RangeNotSatisfiable { .. } => (
            StatusCode::RANGE_NOT_SATISFIABLE,
            "range_not_satisfiable",
            "No requested range lies within the object.",
        ),
        s3::Error::PreconditionFailed => {
            (StatusCode::SERVICE_UNAVAILABLE, "object_unstable", "The object is changing; ask again.")
        }
        s3::Error::ObjectArchived => {
            (StatusCode::BAD_GATEWAY, "object_archived", "The object is archived and must be restored first.")
        }
        s3::Error::Throttled { .. } => (
            StatusCode::SERVICE_UNAVAILABLE,
            "s3_throttled",
            "The storage asks for fewer requests; ask again.",
        ),
        s3::Error::FirstByteTimeout => {
            (StatusCode::GATEWAY_TIMEOUT, "s3_timeout", "The storage did not answer in time.")
        }
        s3::Error::CredentialsUnavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "credentials_unavailable",
            "The storage cannot be used right now; ask again.",
        ),
        s3::Error::PresignLifeOver => (StatusCode::UNAUTHORIZED, "token_expired", "The token has expired."),
        s3::Error::AccessDenied | s3::Error::CredentialsRejected | s3::Error::ClockSkewed => {
            (StatusCode::BAD_GATEWAY, "s3_denied", "The storage refused the gateway.")
        }
        s3::Error::NoSuchBucket | s3::Error::MovedRegion { .. } | s3::Error::EgressRefused(_) => {
            (StatusCode::BAD_GATEWAY, "s3_misconfigured", FAILED)
        }
        s3::Error::Unreachable(_) => {
            (StatusCode::BAD_GATEWAY, "s3_unreachable", "The storage cannot be reached.")
        }
        s3::Error::Status { .. }
        | s3::Error::AnswerMalformed
        | s3::Error::CredentialsMalformed
        | s3::Error::EndpointInvalid
        | s3::Error::RegionInvalid => (StatusCode::BAD_GATEWAY, "s3_failed", FAILED),
    }
}
