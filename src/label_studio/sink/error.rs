//! Why tasks do not reach Label Studio, in words for whoever reads the storage's status.

use http::StatusCode;

use crate::{label_studio::ClientError, sidecar::sync::SinkError};

/// Why Label Studio does not take tasks now, or at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum SinkFault {
    /// It does not answer, or not to our token.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Our own mistake.
    #[error("a task cannot be written as JSON")]
    Unwritable(#[from] serde_json::Error),
    /// It asks to wait again and again.
    #[error(
        "Label Studio asks to wait (429 or 503) again and again; raise its limit, or sync when it has less to do"
    )]
    Busy,
    /// It fails whatever it is sent.
    #[error("Label Studio fails at every import, and its log says why: {0}")]
    Broken(String),
    /// It imports behind its answer, and its tasks are looked for.
    #[error("Label Studio does not tell the numbers of the tasks that it imports")]
    Later,
    /// Its list would have no end.
    #[error("Label Studio does not list tasks in the order that it was asked for")]
    Unordered,
    /// A proxy before it, or it itself, does not get on.
    #[error("Label Studio answered {0}")]
    Failing(StatusCode),
    /// Its own rule.
    #[error(
        "Label Studio does not let the user of label_studio.token_file change project {0} (403); take the token of one \
         who may"
    )]
    Forbidden(u64),
    /// Deleted, or of another organization.
    #[error(
        "Label Studio has no project {0} for the user of label_studio.token_file (404); check the storage's project and \
         whose token it is"
    )]
    ProjectMissing(u64),
    /// Something else than what its API promises.
    #[error(
        "Label Studio answered {0} to a request of its import API; check that upstream.url leads to Label Studio itself"
    )]
    Unexpected(StatusCode),
}

impl SinkFault {
    fn is_transient(&self) -> bool {
        match self {
            Self::Client(error) => error.is_transient(),
            Self::Busy | Self::Broken(_) | Self::Later | Self::Failing(_) => true,
            Self::Unwritable(_)
            | Self::Unordered
            | Self::Forbidden(_)
            | Self::ProjectMissing(_)
            | Self::Unexpected(_) => false,
        }
    }
}

impl From<SinkFault> for SinkError {
    fn from(fault: SinkFault) -> Self {
        if fault.is_transient() { Self::Unavailable(fault.into()) } else { Self::Denied(fault.into()) }
    }
}
