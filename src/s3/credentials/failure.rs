//! Why there are no new credentials, in words of a closed set.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::{
    error::ProvideErrorMetadata as _,
    operation::{
        assume_role::AssumeRoleError, assume_role_with_web_identity::AssumeRoleWithWebIdentityError,
    },
};

use crate::s3::Error;

/// Why there are no new credentials, and what to do about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CredentialsFailure {
    /// Whoever was asked refused: the role, the external id, or the keys that asked for it.
    #[error(
        "the credentials were refused: check role_arn, that the role's trust policy names who asks for it and \
         this external_id, and the keys that ask"
    )]
    Denied,
    /// Whoever was asked wants fewer requests.
    #[error("the token service asks for fewer requests; it is asked again")]
    Throttled,
    /// Whoever was asked could not be reached, or may not be connected to.
    #[error("the token service cannot be reached: check sts_endpoint, DNS, TLS and egress.allow")]
    Unreachable,
    /// No answer in time.
    #[error("the token service did not answer in time: check routes, security groups and VPC endpoints")]
    Silent,
    /// What came is no credentials.
    #[error("what the token service answered is no credentials: check sts_endpoint")]
    Malformed,
    /// What came had ended already.
    #[error("the credentials that came had ended already: check this machine's clock")]
    Expired,
    /// Nobody to ask.
    #[error(
        "no source has credentials: set access_key_id and secret_access_key, AWS_ACCESS_KEY_ID, AWS_PROFILE, a web \
         identity or an instance role"
    )]
    Absent,
    /// Anything else.
    #[error("no credentials came; the log says why")]
    Failed,
}

impl CredentialsFailure {
    pub(crate) const ALL: [Self; 8] = [
        Self::Denied,
        Self::Throttled,
        Self::Unreachable,
        Self::Silent,
        Self::Malformed,
        Self::Expired,
        Self::Absent,
        Self::Failed,
    ];

    /// The word for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
            Self::Silent => "silent",
            Self::Malformed => "malformed",
            Self::Expired => "expired",
            Self::Absent => "absent",
            Self::Failed => "failed",
        }
    }
}

/// How asking once went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefreshError {
    #[error("the provider gave no credentials")]
    Provider(#[from] CredentialsError),
    #[error("the provider was silent")]
    Silent,
    #[error("the credentials have characters that fit no header")]
    Malformed,
    #[error("the credentials had ended already")]
    Ended,
}

impl RefreshError {
    pub(crate) fn failure(&self) -> CredentialsFailure {
        match self {
            Self::Provider(error) => of_provider(error),
            Self::Silent => CredentialsFailure::Silent,
            Self::Malformed => CredentialsFailure::Malformed,
            Self::Ended => CredentialsFailure::Expired,
        }
    }
}

/// Sources of the SDK wrap what happened in many ways; what is known of it is somewhere among its causes.
fn of_provider(error: &CredentialsError) -> CredentialsFailure {
    let causes =
        std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source());
    let known = causes.filter_map(|cause| {
        if let Some(error) = cause.downcast_ref::<Error>() {
            return Some(of_answer(error));
        }
        let code = cause
            .downcast_ref::<AssumeRoleWithWebIdentityError>()
            .and_then(|error| error.code())
            .or_else(|| cause.downcast_ref::<AssumeRoleError>()?.code())?;
        Error::of_code(code).map(|error| of_answer(&error))
    });
    let by_kind = match error {
        CredentialsError::CredentialsNotLoaded(_) => CredentialsFailure::Absent,
        CredentialsError::ProviderTimedOut(_) => CredentialsFailure::Silent,
        CredentialsError::InvalidConfiguration(_) => CredentialsFailure::Malformed,
        _ => CredentialsFailure::Failed,
    };
    known.last().unwrap_or(by_kind)
}

fn of_answer(error: &Error) -> CredentialsFailure {
    match error {
        Error::AccessDenied | Error::CredentialsRejected | Error::ClockSkewed => CredentialsFailure::Denied,
        Error::Throttled { .. } => CredentialsFailure::Throttled,
        Error::Unreachable(_) | Error::EgressRefused(_) => CredentialsFailure::Unreachable,
        Error::FirstByteTimeout => CredentialsFailure::Silent,
        Error::AnswerMalformed => CredentialsFailure::Malformed,
        _ => CredentialsFailure::Failed,
    }
}
