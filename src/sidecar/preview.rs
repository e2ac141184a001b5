//! Preview: what a sync would take.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout_at};

use super::ConnectError;
use crate::{
    s3::{self, ListRequest, Listed},
    storage::{MatchError, Settings},
};

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
    /// The filter gave up on a key.
    #[error(transparent)]
    Filter(#[from] MatchError),
}

/// Lists until the limit is passed or the time is over. A page that does not come in time leaves what was found.
pub(super) async fn preview(
    connection: &s3::Connection,
    settings: &Settings,
    request: &PreviewRequest,
    deadline: Instant,
) -> Result<Preview, PreviewError> {
    let prefix = settings.normal_prefix();
    let mut preview = Preview::default();
    let mut continuation: Option<String> = None;
    loop {
        let list = ListRequest {
            prefix: &prefix,
            recursive: settings.recursive,
            page_size: PAGE,
            continuation: continuation.as_deref(),
        };
        let Ok(page) = timeout_at(deadline, connection.list(&list)).await else {
            preview.is_timed_out = true;
            return Ok(preview);
        };
        let page = page?;
        for listed in page.objects {
            if !is_meant(&listed, settings)? {
                continue;
            }
            if preview.files.len() == request.limit {
                preview.is_cut = true;
                return Ok(preview);
            }
            preview.take(listed);
        }
        match page.next {
            Some(next) => continuation = Some(next),
            None => return Ok(preview),
        }
    }
}

/// Whether a sync would take the object: not a folder's own mark, and as the filter says.
pub(super) fn is_meant(listed: &Listed, settings: &Settings) -> Result<bool, MatchError> {
    let is_object = !listed.key.ends_with('/');
    Ok(is_object && settings.filter.as_ref().map_or(Ok(true), |filter| filter.matches(&listed.key))?)
}

impl Preview {
    fn take(&mut self, listed: Listed) {
        self.count += 1;
        self.total_size += listed.size;
        let Listed { key, size, last_modified, .. } = listed;
        self.files.push(PreviewFile { key, last_modified, size });
    }
}

/// The most that S3 gives at once.
const PAGE: u16 = 1000;
/// Label Studio's.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
