//! What is wrong with a connection, and how to mend it, in sentences.

use std::time::Duration;

use super::examine::Probe;
use crate::{
    object::Bucket,
    s3::{self, Connection, CredentialsFailure},
    storage::Settings,
};

/// What is wrong, in a sentence, and what to do about it, in another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What is wrong.
    pub problem: String,
    /// How to mend it.
    pub advice: String,
}

/// What was asked when it went wrong.
pub(super) struct Asked<'a> {
    pub(super) probe: Probe,
    pub(super) connection: &'a Connection,
    pub(super) settings: &'a Settings,
    /// Why there are no credentials, where that is what is wrong.
    pub(super) credentials: Option<CredentialsFailure>,
}

/// What a failure of S3 means for whoever set the storage up.
pub(super) fn of(error: &s3::Error, asked: &Asked<'_>) -> Finding {
    let bucket = asked.connection.bucket();
    let problem = format!("{}: {error}", doing(asked.probe, bucket));
    let advice = match error {
        s3::Error::NoSuchBucket => return no_bucket(bucket, asked),
        s3::Error::NoSuchKey if asked.probe == Probe::List => return no_bucket(bucket, asked),
        s3::Error::NoSuchKey => "the object vanished while it was tested; test again".to_owned(),
        s3::Error::AccessDenied => denied(asked),
        s3::Error::CredentialsRejected => {
            "check access_key_id and secret_access_key, and the age of a session token".to_owned()
        }
        s3::Error::ClockSkewed => {
            "set the clock of this machine; S3 refuses what is signed more than 15 minutes off".to_owned()
        }
        s3::Error::MovedRegion { region: Some(region) } => format!("set the region to {region}"),
        s3::Error::MovedRegion { region: None } => "set the region to the bucket's own".to_owned(),
        s3::Error::EgressRefused(refused) => return refused_address(refused, asked),
        s3::Error::FirstByteTimeout => {
            "check the endpoint, security groups, routes and VPC endpoints between here and S3".to_owned()
        }
        s3::Error::Unreachable(source) => unreachable(source),
        s3::Error::Throttled { .. } => "test again in a moment".to_owned(),
        s3::Error::CredentialsUnavailable => {
            asked.credentials.map_or_else(no_credentials, |why| why.to_string())
        }
        s3::Error::CredentialsMalformed => {
            "the keys have characters that no key has; set them again".to_owned()
        }
        s3::Error::EndpointInvalid => "write the endpoint as https://host[:port]".to_owned(),
        s3::Error::RegionInvalid => "a region is a name such as eu-west-1".to_owned(),
        s3::Error::ObjectArchived => {
            "restore the object from its archive, or leave it out by the prefix".to_owned()
        }
        s3::Error::Status { .. } | s3::Error::AnswerMalformed => addressing(asked),
        s3::Error::RangeNotSatisfiable { .. }
        | s3::Error::PreconditionFailed
        | s3::Error::PresignLifeOver => "test again; the object changed meanwhile".to_owned(),
    };
    Finding { problem, advice }
}

pub(super) fn nothing_under(bucket: &Bucket, prefix: &str) -> Finding {
    Finding {
        problem: format!("s3://{bucket}/{prefix} not found: there is no object under this prefix"),
        advice: "check the prefix; it is the path to a folder, without the bucket".to_owned(),
    }
}

pub(super) fn prefix_unusable() -> Finding {
    Finding {
        problem: "no object can be written under this prefix".to_owned(),
        advice: "use a prefix without . and .. between slashes, and shorter than 900 bytes".to_owned(),
    }
}

pub(super) fn other_body() -> Finding {
    Finding {
        problem: "the probe object reads back other than it was written".to_owned(),
        advice: "does something between here and S3 change or cache objects?".to_owned(),
    }
}

pub(super) fn too_slow(patience: Duration) -> Finding {
    Finding {
        problem: format!("the test was given up after {} s", patience.as_secs()),
        advice: "check the endpoint and the network to it".to_owned(),
    }
}

pub(super) fn cors(connection: &Connection, origin: &str) -> Finding {
    Finding {
        problem: format!("the bucket {} does not let pages of {origin} read it (CORS)", connection.bucket()),
        advice: format!(
            "allow GET and HEAD from {origin} in the bucket's CORS configuration (`mediagate policy cors` prints one), \
             or turn presigned URLs off"
        ),
    }
}

fn no_bucket(bucket: &Bucket, asked: &Asked<'_>) -> Finding {
    let at = asked.settings.endpoint.as_ref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
    Finding {
        problem: format!("Cannot find bucket {bucket} in S3{at}"),
        advice: "check the bucket's name, and endpoint and addressing of an S3-compatible server".to_owned(),
    }
}

fn doing(probe: Probe, bucket: &Bucket) -> String {
    match probe {
        Probe::List => format!("cannot list the bucket {bucket}"),
        Probe::Get => format!("cannot read from the bucket {bucket}"),
        Probe::Put => format!("cannot write to the bucket {bucket}"),
        Probe::ReadBack => format!("cannot read back what was written to the bucket {bucket}"),
        Probe::Delete => format!("cannot delete from the bucket {bucket}"),
        Probe::Presigned => format!("a presigned URL of the bucket {bucket} does not work"),
        Probe::Cors => format!("cannot ask the bucket {bucket} for CORS"),
    }
}

/// Names the permission that is missing. Some S3-compatible servers say the same of a wrong secret.
fn denied(asked: &Asked<'_>) -> String {
    let bucket = asked.connection.bucket();
    let prefix = asked.settings.normal_prefix();
    let action = match asked.probe {
        Probe::List => return format!("allow s3:ListBucket on arn:aws:s3:::{bucket}, or check {KEYS}"),
        Probe::Get | Probe::ReadBack | Probe::Presigned | Probe::Cors => "s3:GetObject",
        Probe::Put if asked.settings.sse_kms_key_id.is_some() => {
            "s3:PutObject, and kms:GenerateDataKey on the key,"
        }
        Probe::Put => "s3:PutObject",
        Probe::Delete => "s3:DeleteObject",
    };
    format!("allow {action} on arn:aws:s3:::{bucket}/{prefix}*, or check {KEYS}")
}

fn refused_address(refused: &crate::egress::Refused, asked: &Asked<'_>) -> Finding {
    let doing = doing(asked.probe, asked.connection.bucket());
    let (address, network) = (refused.address(), refused.network());
    Finding {
        problem: format!(
            "{doing}: the endpoint is at {address}, where endpoints given through the API may not be"
        ),
        advice: format!(
            "to open it, set egress.allow = [\"{network}\"] or a network in it in the configuration"
        ),
    }
}

fn unreachable(source: &hyper_util::client::legacy::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(source), |cause| cause.source());
    let text = causes.last().map(ToString::to_string).unwrap_or_default();
    if text.contains("UnknownIssuer") || text.contains("certificate") {
        return format!("its certificate is not trusted ({text}); name the issuing CA in egress.ca_file");
    }
    if text.contains("lookup") || text.contains("resolve") {
        return format!("check the endpoint's host name and DNS ({text})");
    }
    format!("check the endpoint, its port, and the network to it ({text})")
}

fn no_credentials() -> String {
    "set access_key_id and secret_access_key, or give the gateway AWS_ACCESS_KEY_ID, AWS_PROFILE, a web identity or an \
     instance role"
        .to_owned()
}

fn addressing(asked: &Asked<'_>) -> String {
    if asked.settings.endpoint.is_some() {
        "is the endpoint an S3 server? Some want addressing = \"path\", others \"virtual\"".to_owned()
    } else {
        "test again; if it stays, ask AWS".to_owned()
    }
}

const KEYS: &str = "access_key_id and secret_access_key";
