//! What can go wrong between us and S3, by what it means to whoever asked.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::egress::{Refused, retry_after};

/// Why S3 gave no object, or no URL could be signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object is absent.
    #[error("the key does not exist")]
    NoSuchKey,
    /// The bucket is absent.
    #[error("the bucket does not exist")]
    NoSuchBucket,
    /// S3 knows us and refuses. Without permission to list, absent keys are refused like this too.
    #[error("S3 denied access")]
    AccessDenied,
    /// S3 does not know our credentials, or not any more.
    #[error("S3 rejected the credentials")]
    CredentialsRejected,
    /// Our clock and that of S3 are more than 15 minutes apart.
    #[error("S3 found the time of the request too far from its own")]
    ClockSkewed,
    /// The object is in an archive and has to be restored first.
    #[error("the object is archived")]
    ObjectArchived,
    /// The range starts at or behind the end of the object.
    #[error("the range is not satisfiable")]
    RangeNotSatisfiable {
        /// The object's size, where S3 told it.
        size: Option<u64>,
    },
    /// The object is no longer the one that `If-Match` named.
    #[error("the object was changed")]
    PreconditionFailed,
    /// S3 asks for fewer requests.
    #[error("S3 throttled the request")]
    Throttled {
        /// How long S3 asks to wait.
        retry_after: Option<Duration>,
    },
    /// No response head came in time.
    #[error("S3 was silent until the first-byte timeout")]
    FirstByteTimeout,
    /// No connection could be made, or it broke before the response head.
    #[error("S3 could not be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The endpoint is where endpoints given through the API may not be. Says what would open it.
    #[error(transparent)]
    EgressRefused(Refused),
    /// The bucket is in another region than configured.
    #[error("the bucket is in another region")]
    MovedRegion {
        /// The region, where S3 told it.
        region: Option<Box<str>>,
    },
    /// Any other status.
    #[error("S3 answered with status {status}")]
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// S3's own code: at most 64 letters, digits, dots and hyphens.
        code: Option<Box<str>>,
    },
    /// The answer has no length, is not what was asked for, or broke off.
    #[error("the answer of S3 is malformed")]
    AnswerMalformed,
    /// There are no credentials yet, or they have ended and no new ones came.
    #[error("there are no valid credentials")]
    CredentialsUnavailable,
    /// The configured credentials have characters that fit no header.
    #[error("the credentials are malformed")]
    CredentialsMalformed,
    /// The token would end before the URL begins.
    #[error("nothing is left of the life that the URL may have")]
    PresignLifeOver,
    /// An endpoint is `http://` or `https://`, a host, and perhaps a port and a path.
    #[error("the endpoint is not a plain http or https URL")]
    EndpointInvalid,
    /// A region is a name such as `eu-west-1`.
    #[error("the region is not valid")]
    RegionInvalid,
}

impl Error {
    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Throttled { .. }
            | Self::FirstByteTimeout
            | Self::Unreachable(_)
            | Self::CredentialsUnavailable => true,
            Self::Status { status, .. } => status.is_server_error(),
            _ => false,
        }
    }

    /// Reads a failure to connect or to be answered.
    pub(super) fn of_connection(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        match Refused::among(&*error) {
            Some(refused) => Self::EgressRefused(refused),
            None => Self::Unreachable(error),
        }
    }

    /// What a code of AWS means by itself, where it is known.
    pub(super) fn of_code(code: &str) -> Option<Self> {
        of_code(code, &HeaderMap::new(), &[])
    }

    /// Reads an answer that is no success.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let code = element(body, "Code");
        if let Some(error) = code.and_then(|code| of_code(code, headers, body)) {
            return error;
        }
        match status {
            StatusCode::NOT_FOUND => Self::NoSuchKey,
            StatusCode::FORBIDDEN => Self::AccessDenied,
            StatusCode::UNAUTHORIZED => Self::CredentialsRejected,
            StatusCode::PRECONDITION_FAILED => Self::PreconditionFailed,
            StatusCode::RANGE_NOT_SATISFIABLE => {
                Self::RangeNotSatisfiable { size: object_size(headers, body) }
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Self::Throttled { retry_after: retry_after(headers) }
            }
            StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT => {
                Self::MovedRegion { region: region(headers) }
            }
            _ if names_other_region(status, headers) => Self::MovedRegion { region: region(headers) },
            _ => Self::Status { status, code: code.map(Into::into) },
        }
    }
}

/// Amazon S3 API Reference, "Error responses"; AWS STS API Reference, "Common errors".
fn of_code(code: &str, headers: &HeaderMap, body: &[u8]) -> Option<Error> {
    Some(match code {
        "NoSuchKey" | "NoSuchVersion" => Error::NoSuchKey,
        "NoSuchBucket" => Error::NoSuchBucket,
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => Error::AccessDenied,
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidIdentityToken"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "NotSignedUp" => Error::CredentialsRejected,
        "RequestTimeTooSkewed" => Error::ClockSkewed,
        "InvalidObjectState" => Error::ObjectArchived,
        "PreconditionFailed" => Error::PreconditionFailed,
        "SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequests" => {
            Error::Throttled { retry_after: retry_after(headers) }
        }
        "PermanentRedirect" | "TemporaryRedirect" | "Redirect" | "IllegalLocationConstraintException" => {
            Error::MovedRegion { region: region(headers) }
        }
        // S3-compatible servers name the region in the body, AWS there or in a header.
        "AuthorizationHeaderMalformed" => {
            let region = region(headers).or_else(|| element(body, "Region").map(Into::into))?;
            Error::MovedRegion { region: Some(region) }
        }
        _ => return None,
    })
}

/// `AuthorizationHeaderMalformed` is answered as 400 with the region in a header.
fn names_other_region(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::BAD_REQUEST && headers.contains_key("x-amz-bucket-region")
}

fn region(headers: &HeaderMap) -> Option<Box<str>> {
    headers.get("x-amz-bucket-region")?.to_str().ok().filter(|text| is_plain(text)).map(Into::into)
}

fn object_size(headers: &HeaderMap, body: &[u8]) -> Option<u64> {
    let header = headers.get(http::header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let size = header.and_then(|text| text.strip_prefix("bytes */"));
    size.or_else(|| element(body, "ActualObjectSize"))?.parse().ok()
}

/// The text of the first element of this name. S3's errors are one flat element; anything that is not plain
/// text is not read.
fn element<'a>(body: &'a [u8], name: &str) -> Option<&'a str> {
    let body = std::str::from_utf8(body).ok()?;
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim()).filter(|text| is_plain(text))
}

fn is_plain(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}
