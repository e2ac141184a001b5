//! What a verified token permits.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{claims::Claims, client_ip::ClientIp, error::Error, key::Key, revocation};
use crate::{
    id::{ProjectId, TaskId},
    object::{ObjectPattern, ObjectUri},
};

/// Proof that a token was verified, and all that it permits. Only a [`Verifier`](super::Verifier) makes one.
#[derive(Debug)]
pub struct Grant {
    key_id: Box<str>,
    is_permission: bool,
    subject: Option<Box<str>>,
    jti_hash: Option<Box<str>>,
    task: Option<TaskId>,
    project: Option<ProjectId>,
    coverage: Coverage,
    networks: Option<Box<[IpNet]>>,
    delivery: Option<ForcedDelivery>,
    valid_from: SystemTime,
    expires_at: SystemTime,
}

/// Which objects a token covers.
#[derive(Debug)]
enum Coverage {
    /// These.
    Objects(Box<[ObjectPattern]>),
    /// Those that a store links to the task; without such a store, none.
    Linked,
}

/// Whether a token covers an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Covered<'a> {
    /// It names it.
    Named,
    /// If the store links it to this task.
    IfLinkedTo(&'a TaskId),
}

/// The delivery that a token insists on, whatever the storage says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ForcedDelivery {
    /// A presigned URL.
    Redirect,
    /// The bytes.
    Stream,
}

/// A text that is neither `redirect` nor `stream`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a delivery is redirect or stream")]
pub struct ParseDeliveryError;

/// A grant for people to read; it has the id of the token only as a hash.
#[derive(Debug, Serialize)]
pub struct Description {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<ProjectId>,
    /// Absent where the token names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<Vec<String>>,
    /// Absent where any client may use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<ForcedDelivery>,
    /// In seconds since 1970.
    expires_at: u64,
}

impl Grant {
    /// Makes the proof. `valid_from` is the earliest moment that its times allow, leeway included.
    pub(super) fn new(claims: Claims, key: &Key, valid_from: SystemTime) -> Self {
        Self {
            key_id: key.id.clone(),
            is_permission: key.is_internal,
            subject: claims.subject.map(Into::into),
            jti_hash: claims.token_id.as_deref().map(|jti| revocation::short_hash(jti).into()),
            task: claims.task,
            project: claims.project,
            coverage: claims.objects.map_or(Coverage::Linked, |objects| Coverage::Objects(objects.into())),
            networks: claims.networks.map(Into::into),
            delivery: claims.delivery,
            valid_from,
            expires_at: claims.expires_at,
        }
    }

    /// The `sub` claim.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The id of the key that signed it.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Whether it is what the application behind us permitted, written down by this process, and not what an issuer
    /// granted.
    pub fn is_permission(&self) -> bool {
        self.is_permission
    }

    /// The first 16 hexadecimal digits of the SHA-256 of the `jti` claim, for logs.
    pub fn jti_hash(&self) -> Option<&str> {
        self.jti_hash.as_deref()
    }

    /// The task it is for.
    pub fn task(&self) -> Option<&TaskId> {
        self.task.as_ref()
    }

    /// The project it is for.
    pub fn project(&self) -> Option<&ProjectId> {
        self.project.as_ref()
    }

    /// The moment it ends: the `exp` claim, without leeway.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// The delivery it insists on.
    pub fn delivery(&self) -> Option<ForcedDelivery> {
        self.delivery
    }

    /// Fails with [`Error::TokenAddressDenied`] unless the client is in one of the networks the token is bound to.
    pub fn admits(&self, client: ClientIp) -> Result<(), Error> {
        match &self.networks {
            Some(networks) if !networks.iter().any(|network| network.contains(&client.ip())) => {
                Err(Error::TokenAddressDenied)
            }
            _ => Ok(()),
        }
    }

    /// Fails with [`Error::ObjectNotGranted`] unless the token covers the object, asked for through this task or
    /// project, or would if the object were linked to its task. A token of one task is not good for another, whatever
    /// objects it names.
    pub fn covers(
        &self,
        object: &ObjectUri,
        task: Option<&TaskId>,
        project: Option<&ProjectId>,
    ) -> Result<Covered<'_>, Error> {
        let other_task = task.zip(self.task()).is_some_and(|(asked, own)| asked != own);
        let other_project = project.zip(self.project()).is_some_and(|(asked, own)| asked != own);
        if other_task || other_project {
            return Err(Error::ObjectNotGranted);
        }
        match (&self.coverage, self.task()) {
            (Coverage::Objects(patterns), _)
                if patterns.iter().any(|own| own.covers(&object.bucket, &object.key)) =>
            {
                Ok(Covered::Named)
            }
            (Coverage::Linked, Some(task)) => Ok(Covered::IfLinkedTo(task)),
            (Coverage::Objects(_) | Coverage::Linked, _) => Err(Error::ObjectNotGranted),
        }
    }

    /// What it permits, for people to read.
    pub fn describe(&self) -> Description {
        Description {
            key: self.key_id.to_string(),
            subject: self.subject().map(str::to_owned),
            jti_hash: self.jti_hash().map(str::to_owned),
            task: self.task.clone(),
            project: self.project.clone(),
            objects: match &self.coverage {
                Coverage::Objects(patterns) => Some(patterns.iter().map(ToString::to_string).collect()),
                Coverage::Linked => None,
            },
            ip: self.networks.as_ref().map(|networks| networks.iter().map(ToString::to_string).collect()),
            delivery: self.delivery,
            expires_at: self.expires_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        }
    }

    /// Fails unless `now` lies within the token's times.
    pub(super) fn in_force(&self, now: SystemTime) -> Result<(), Error> {
        if now >= self.expires_at {
            Err(Error::TokenExpired)
        } else if now < self.valid_from {
            Err(Error::TokenNotYetValid)
        } else {
            Ok(())
        }
    }

    /// What is left of its life.
    pub(super) fn life(&self, now: SystemTime) -> Duration {
        self.expires_at.duration_since(now).unwrap_or_default()
    }

    /// What it occupies, in KiB rounded up; about, since allocators differ.
    pub(super) fn weight(&self) -> u32 {
        let patterns = match &self.coverage {
            Coverage::Objects(patterns) => patterns.iter().map(pattern_bytes).sum(),
            Coverage::Linked => 0,
        };
        let bytes = 512 + patterns + 20 * self.networks.as_ref().map_or(0, |networks| networks.len());
        u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
    }
}

fn pattern_bytes(pattern: &ObjectPattern) -> usize {
    let (bucket, key) = match pattern {
        ObjectPattern::Object(uri) => (&uri.bucket, uri.key.as_str()),
        ObjectPattern::Prefix { bucket, prefix } => (bucket, &**prefix),
    };
    // Two counted texts, each with its two counters and the allocator's own.
    size_of::<ObjectPattern>() + 2 * 32 + bucket.as_str().len() + key.len()
}

impl FromStr for ForcedDelivery {
    type Err = ParseDeliveryError;

    fn from_str(text: &str) -> Result<Self, ParseDeliveryError> {
        match text {
            "redirect" => Ok(Self::Redirect),
            "stream" => Ok(Self::Stream),
            _ => Err(ParseDeliveryError),
        }
    }
}

impl fmt::Display for ForcedDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redirect => "redirect",
            Self::Stream => "stream",
        })
    }
}
