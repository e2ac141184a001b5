//! What is wrong with a connection, and how to mend it, in sentences.
//!
//! The one table from what S3 answers to what a person can do about it; the control API and `mediagate check` say the
//! same.

mod unreachable;

use std::time::{Duration, SystemTime};

use crate::{
    object::{Bucket, ObjectKey},
    s3::{self, BodyError, Connection, CredentialsFailure},
    storage::Settings,
};

use super::examine::Probe;

/// What is wrong, in a sentence, and what to do about it, in another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What is wrong.
    pub problem: String,
    /// How to mend it.
    pub advice: String,
}

/// How a probe went wrong.
#[derive(Debug)]
pub(super) enum Failure {
    S3(s3::Error),
    Body(BodyError),
    /// What was read is not what was written.
    Differs,
}

/// What was asked when it went wrong.
pub(super) struct Asked<'a> {
    pub(super) probe: Probe,
    pub(super) connection: &'a Connection,
    pub(super) settings: &'a Settings,
    /// Why there are no credentials, where that is what is wrong.
    pub(super) credentials: Option<CredentialsFailure>,
    pub(super) now: SystemTime,
    /// Whether the object was read already, by the endpoint and without a presigned URL.
    pub(super) reads_directly: bool,
}

/// What a failure means for whoever set the storage up.
pub(super) fn of(failure: Failure, asked: &Asked<'_>) -> Finding {
    match failure {
        Failure::S3(error) => of_s3(&error, asked),
        Failure::Body(error) => Finding {
            problem: format!("{}: {error}", asked.doing()),
            advice: "the connection broke off in the middle of an object; check proxies and firewalls between here \
                     and S3, and test again"
                .to_owned(),
        },
        Failure::Differs => Finding {
            problem: format!("{}: it is not what was written", asked.doing()),
            advice: "look for something between here and S3 that caches or changes objects, and for another \
                     program that writes under this prefix"
                .to_owned(),
        },
    }
}

fn of_s3(error: &s3::Error, asked: &Asked<'_>) -> Finding {
    let problem = format!("{}: {error}", asked.doing());
    let connection = asked.connection;
    let advice = match error {
        s3::Error::NoSuchBucket => return asked.no_bucket(),
        s3::Error::NoSuchKey => match asked.probe {
            // A server that knows no listing answers as for an object that is absent.
            Probe::List | Probe::Put | Probe::Delete => return asked.no_bucket(),
            Probe::Presigned | Probe::Cors => asked.public_place(),
            Probe::Get | Probe::ReadBack => "the object was there a moment ago; test again".to_owned(),
        },
        s3::Error::AccessDenied => asked.denied(),
        s3::Error::CredentialsRejected => asked.rejected(),
        s3::Error::ClockSkewed => format!(
            "set the clock of this machine, which says {}; S3 refuses what is signed more than 15 minutes off",
            humantime::format_rfc3339_seconds(asked.now)
        ),
        s3::Error::MovedRegion { region } => return asked.moved(region.as_deref()),
        s3::Error::EgressRefused(refused) => {
            return Finding {
                problem: format!(
                    "{}: it is at {} ({}), where endpoints given through the API may not be",
                    asked.doing(),
                    refused.address(),
                    refused.reason().as_str()
                ),
                advice: format!(
                    "to open it, set egress.allow = [\"{}\"] or a network in it in the configuration of the gateway",
                    refused.network()
                ),
            };
        }
        s3::Error::FirstByteTimeout => {
            "check the endpoint, and routes, security groups, proxies and VPC endpoints between here and it"
                .to_owned()
        }
        s3::Error::Unreachable(source) => {
            let (cause, advice) = unreachable::explain(&**source, asked);
            return Finding { problem: format!("{}: {cause}", asked.doing()), advice };
        }
        s3::Error::Throttled { .. } => "S3 asks for fewer requests; test again in a moment".to_owned(),
        s3::Error::CredentialsUnavailable => asked.credentials.map_or_else(
            || CredentialsFailure::Absent.to_string(),
            |failure| failure.to_string(),
        ),
        s3::Error::CredentialsMalformed => {
            "access_key_id, secret_access_key or the session token has characters that no key has, such as a line \
             end; set it again"
                .to_owned()
        }
        s3::Error::PresignLifeOver => {
            "the session token ends too soon to sign a URL with it; give one that lives longer, or a role".to_owned()
        }
        s3::Error::EndpointInvalid => "write the endpoint as https://host[:port]".to_owned(),
        s3::Error::RegionInvalid => "set the region to a name such as eu-west-1".to_owned(),
        s3::Error::ObjectArchived => {
            "restore the object from its archive, or leave archived objects out by prefix or filter".to_owned()
        }
        s3::Error::Status { status, code } => return asked.status(*status, code.as_deref()),
        s3::Error::AnswerMalformed
        | s3::Error::RangeNotSatisfiable { .. }
        | s3::Error::PreconditionFailed => {
            format!("check that {} is an S3 server{}", connection.origin(), asked.addressing())
        }
    };
    Finding { problem, advice }
}

impl Asked<'_> {
    fn place(&self) -> String {
        format!("s3://{}/{}", self.connection.bucket(), self.settings.normal_prefix())
    }

    fn doing(&self) -> String {
        doing(self.probe, self.connection, &self.place())
    }

    /// Label Studio's words, and where it was looked for.
    fn no_bucket(&self) -> Finding {
        let (bucket, origin) = (self.connection.bucket(), self.connection.origin());
        Finding {
            problem: format!("Cannot find bucket {bucket} in S3 at {origin}"),
            advice: format!("check the bucket's name, the endpoint and the region{}", self.addressing()),
        }
    }

    /// Names the permission that is missing.
    fn denied(&self) -> String {
        if self.reads_directly && self.probe == Probe::Presigned {
            return format!(
                "reading without a presigned URL works, so look at bucket policies with aws:SourceIp or \
                 aws:SourceVpce, and at what stands before {}: it must pass the Host header on",
                self.connection.public_origin()
            );
        }
        let region = self.connection.region();
        let bucket = format!("arn:{}:s3:::{}", s3::partition(region), self.connection.bucket());
        let objects = format!("{bucket}/{}*", self.settings.normal_prefix());
        let permission = match self.probe {
            Probe::List if self.settings.normal_prefix().is_empty() => format!("s3:ListBucket on {bucket}"),
            Probe::List => {
                format!("s3:ListBucket on {bucket} for s3:prefix {}*", self.settings.normal_prefix())
            }
            Probe::Get | Probe::ReadBack | Probe::Presigned | Probe::Cors => {
                format!("s3:GetObject on {objects}")
            }
            Probe::Put if self.settings.sse_kms_key_id.is_some() => {
                format!("s3:PutObject on {objects}, and kms:GenerateDataKey and kms:Decrypt on the key")
            }
            Probe::Put => format!("s3:PutObject on {objects}"),
            Probe::Delete => format!("s3:DeleteObject on {objects}"),
        };
        // Of a wrong secret, too.
        let others = if self.settings.endpoint.is_some() {
            ", or check access_key_id and secret_access_key"
        } else {
            ""
        };
        format!("allow {permission}{others}; `mediagate policy role` prints the policy")
    }

    fn rejected(&self) -> String {
        if self.reads_directly && self.probe == Probe::Presigned {
            return format!(
                "reading without a presigned URL works, so what stands before {} changes what was signed: it must \
                 pass the Host header, the path and the query on as they are",
                self.connection.public_origin()
            );
        }
        "check access_key_id and secret_access_key, and whether a session token has ended".to_owned()
    }

    fn moved(&self, region: Option<&str>) -> Finding {
        let (bucket, ours) = (self.connection.bucket(), self.connection.region());
        let (problem, advice) = match region {
            Some(region) if region == ours => (
                format!(
                    "{} does not serve the bucket {bucket}, which is in {region}",
                    self.connection.origin()
                ),
                "set the endpoint to that of the region, or leave it out at AWS".to_owned(),
            ),
            Some(region) => (
                format!("the bucket {bucket} is in the region {region}, not in {ours}"),
                format!("set the region to {region}"),
            ),
            None => (
                format!("the bucket {bucket} is in another region than {ours}, and S3 does not say in which"),
                "set the region to the bucket's own; the S3 console shows it".to_owned(),
            ),
        };
        Finding { problem, advice }
    }

    fn status(&self, status: http::StatusCode, code: Option<&str>) -> Finding {
        let named = code.map(|code| format!(" ({code})")).unwrap_or_default();
        let advice = if code.is_some_and(|code| code.starts_with("KMS.")) {
            "check that the KMS key exists in the bucket's region and is enabled".to_owned()
        } else if status.is_server_error() && status != http::StatusCode::NOT_IMPLEMENTED {
            "the S3 server failed; test again, and look into its log if it is yours".to_owned()
        } else {
            format!("check that {} is an S3 server{}", self.connection.origin(), self.addressing())
        };
        Finding { problem: format!("{}: S3 answered with status {status}{named}", self.doing()), advice }
    }

    fn public_place(&self) -> String {
        format!(
            "check that {} leads to the same bucket as the endpoint: public endpoint and addressing",
            self.connection.public_origin()
        )
    }

    /// Where the bucket's name stands, for whom it may stand in the wrong place.
    fn addressing(&self) -> &'static str {
        match (self.settings.endpoint.is_some(), self.is_bucket_in_host()) {
            (false, _) => "",
            (true, true) => {
                "; the bucket's name stands in the host, so if the server has no such hosts, set addressing to path"
            }
            (true, false) => {
                "; the bucket's name stands in the path, so if the server wants it in the host, set addressing to \
                 virtual"
            }
        }
    }

    fn is_bucket_in_host(&self) -> bool {
        let host = self.connection.origin().split_once("://").map_or("", |(_, host)| host);
        host.strip_prefix(self.connection.bucket().as_str()).is_some_and(|rest| rest.starts_with('.'))
    }
}

/// What was being done, to begin a sentence with.
fn doing(probe: Probe, connection: &Connection, place: &str) -> String {
    match probe {
        Probe::List => format!("cannot list {place}"),
        Probe::Get => format!("cannot read from {place}"),
        Probe::Put => format!("cannot write to {place}"),
        Probe::ReadBack => format!("cannot read back what was written to {place}"),
        Probe::Delete => format!("cannot delete from {place}"),
        Probe::Presigned => format!("a presigned URL at {} does not work", connection.public_origin()),
        Probe::Cors => format!("cannot ask {} for CORS", connection.public_origin()),
    }
}

/// Begins with Label Studio's words.
pub(super) fn nothing_under(place: &str) -> Finding {
    Finding {
        problem: format!("{place} not found: it holds no object"),
        advice: "check the prefix: it is the path of a folder, without the bucket's name".to_owned(),
    }
}

pub(super) fn filter_too_hard(key: &ObjectKey) -> Finding {
    Finding {
        problem: format!("the file name filter takes too many steps on the key {key:?}", key = key.as_str()),
        advice: "write it without repeats within repeats, such as (a+)+".to_owned(),
    }
}

pub(super) fn prefix_unusable() -> Finding {
    Finding {
        problem: "no object can be written under this prefix".to_owned(),
        advice: "use a prefix shorter than 980 bytes, without . and .. between slashes".to_owned(),
    }
}

pub(super) fn too_slow(probe: Probe, connection: &Connection, limit: Duration) -> Finding {
    let bucket: &Bucket = connection.bucket();
    let doing = doing(probe, connection, &format!("s3://{bucket}/"));
    Finding {
        problem: format!(
            "{doing}: the test took longer than {} and was cut",
            humantime::format_duration(limit)
        ),
        advice: "check the endpoint and the network between here and it; what follows was not tested"
            .to_owned(),
    }
}

pub(super) fn cors(connection: &Connection, origin: &str) -> Finding {
    Finding {
        problem: format!("the bucket {} does not let pages of {origin} read it (CORS)", connection.bucket()),
        advice: format!(
            "allow GET and HEAD from {origin} in the bucket's CORS rules, which `mediagate policy cors` prints, or \
             turn presigned URLs off"
        ),
    }
}

impl From<s3::Error> for Failure {
    fn from(error: s3::Error) -> Self {
        Self::S3(error)
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}
