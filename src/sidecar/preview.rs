//! Preview: what a sync would take.

use std::time::SystemTime;

use super::ConnectError;
use crate::{s3, storage::Settings};

/// How much to look at.
#[derive(Clone, Debug)]
pub struct PreviewRequest {
    /// The most objects to return.
    pub limit: usize,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// The objects, in the order of their keys.
    pub files: Vec<PreviewFile>,
    /// Whether the limit ended it with more to come.
    pub is_cut: bool,
    /// Whether the time ended it.
    pub is_timed_out: bool,
    /// Objects that match, as far as it was counted.
    pub count: u64,
    /// Their bytes.
    pub total_size: u64,
}

/// One object.
#[derive(Clone, Debug)]
pub struct PreviewFile {
    /// Its key.
    pub key: String,
    /// When it was written.
    pub last_modified: Option<SystemTime>,
    /// Its bytes.
    pub size: u64,
}

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The listing failed.
    #[error(transparent)]
    S3(#[from] s3::Error),
}

pub(super) async fn preview(
    connection: &s3::Connection,
    settings: &Settings,
    request: &PreviewRequest,
) -> Result<Preview, PreviewError> {
    todo!("{connection:?} {settings:?} {request:?}")
}
