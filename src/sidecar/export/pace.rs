//! How long to wait after a failure, and when to give up.

use std::time::Duration;

use crate::s3;

/// A random time up to a bound that doubles with each failure in a row.
pub(super) fn wait(failures: u32, first: Duration, most: Duration) -> Duration {
    let bound = first.saturating_mul(2_u32.saturating_pow(failures.min(20))).min(most);
    bound.mul_f64(fastrand::f64())
}

/// Whether the same request may be answered later without anybody changing anything. Wider than what a person who waits
/// is told: whoever exports has time.
pub(super) fn is_passing(error: &s3::Error) -> bool {
    match error {
        s3::Error::AnswerMalformed | s3::Error::ClockSkewed => true,
        s3::Error::Status { code: Some(code), .. } if is_passing_code(code) => true,
        error => error.is_transient(),
    }
}

/// A closed set of words for metrics.
pub(super) fn reason(error: &s3::Error) -> &'static str {
    match error {
        s3::Error::AccessDenied => "denied",
        s3::Error::CredentialsRejected
        | s3::Error::CredentialsUnavailable
        | s3::Error::CredentialsMalformed => "credentials",
        s3::Error::NoSuchBucket | s3::Error::NoSuchKey | s3::Error::MovedRegion { .. } => "bucket",
        s3::Error::Throttled { .. } => "throttled",
        s3::Error::FirstByteTimeout => "silent",
        s3::Error::Unreachable(_) | s3::Error::EgressRefused(_) => "unreachable",
        s3::Error::ClockSkewed => "clock",
        s3::Error::Status { status, .. } if status.is_server_error() => "failed",
        _ => "refused",
    }
}

/// Amazon S3 API Reference, "Error responses": those that say to try again, and have a status that does not.
fn is_passing_code(code: &str) -> bool {
    ["RequestTimeout", "OperationAborted", "ConditionalRequestConflict", "IncompleteBody", "InternalError"]
        .contains(&code)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_differ() {
        let second = Duration::from_secs(1);
        for (failures, most) in [(0, 1), (1, 2), (3, 8), (20, 300), (u32::MAX, 300)] {
            for _ in 0..50 {
                assert!(wait(failures, second, second * 300) <= second * most, "{failures}");
            }
        }
        let waits: std::collections::HashSet<_> = (0..10).map(|_| wait(9, second, second * 300)).collect();
        assert!(waits.len() > 1, "writers that failed together come back apart");
    }

    #[test]
    fn what_passes_by_itself_is_told_from_what_does_not() {
        let status = |status: u16, code: Option<&str>| s3::Error::Status {
            status: StatusCode::from_u16(status).unwrap(),
            code: code.map(Into::into),
        };
        for (error, passes, word) in [
            (s3::Error::AccessDenied, false, "denied"),
            (s3::Error::NoSuchBucket, false, "bucket"),
            (s3::Error::CredentialsRejected, false, "credentials"),
            (s3::Error::CredentialsUnavailable, true, "credentials"),
            (s3::Error::Throttled { retry_after: None }, true, "throttled"),
            (s3::Error::FirstByteTimeout, true, "silent"),
            (s3::Error::AnswerMalformed, true, "refused"),
            (s3::Error::ClockSkewed, true, "clock"),
            (status(500, None), true, "failed"),
            (status(400, Some("RequestTimeout")), true, "refused"),
            (status(409, Some("OperationAborted")), true, "refused"),
            (status(400, Some("InvalidArgument")), false, "refused"),
            (status(400, Some("KMS.DisabledException")), false, "refused"),
        ] {
            assert_eq!((is_passing(&error), reason(&error)), (passes, word), "{error:?}");
        }
    }
}
