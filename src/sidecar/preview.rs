//! Preview: what a sync would take.

use std::time::{Duration, SystemTime};

use tokio::{
    task::coop::consume_budget,
    time::{Instant, timeout_at},
};

use super::ConnectError;
use crate::{
    s3::{self, ListPage, ListRequest, Listed},
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
    /// The filter could not judge a key. Leaving it out in silence would be a wrong answer.
    #[error(transparent)]
    Filter(#[from] MatchError),
}

/// How long a person waits for a preview.
pub const PREVIEW_LIMIT: Duration = Duration::from_secs(30);

/// Lists under the storage's prefix what its filter takes, page by page, until one more than the limit is found or
/// the deadline has come. Keys that end in `/` stand for folders and are no objects to a sync.
pub async fn preview(
    connection: &s3::Connection,
    settings: &Settings,
    request: &PreviewRequest,
    deadline: Instant,
) -> Result<Preview, PreviewError> {
    let prefix = settings.normal_prefix();
    let (mut found, mut continuation) = (Preview::default(), None);
    loop {
        let page = ListRequest {
            prefix: &prefix,
            recursive: settings.recursive,
            page_size: PAGE_SIZE,
            continuation: continuation.as_deref(),
            start_after: None,
        };
        let Ok(page) = timeout_at(deadline, connection.list(&page)).await else {
            found.is_timed_out = true;
            return Ok(found);
        };
        let ListPage { objects, next, .. } = page?;
        for object in objects {
            // A filter may be slow on every key.
            consume_budget().await;
            if Instant::now() >= deadline {
                found.is_timed_out = true;
                return Ok(found);
            }
            found.consider(object, settings, request.limit)?;
        }
        if next.is_none() || found.is_cut {
            return Ok(found);
        }
        continuation = next;
    }
}

impl Preview {
    fn consider(&mut self, object: Listed, settings: &Settings, limit: usize) -> Result<(), MatchError> {
        let Listed { key, size, last_modified, .. } = object;
        if self.is_cut || key.ends_with('/') {
            return Ok(());
        }
        if !settings.filter.as_ref().map_or(Ok(true), |filter| filter.matches(&key))? {
            return Ok(());
        }
        if self.files.len() == limit {
            self.is_cut = true;
            return Ok(());
        }
        self.count += 1;
        self.total_size = self.total_size.saturating_add(size);
        self.files.push(PreviewFile { key, last_modified, size });
        Ok(())
    }
}

/// The most that S3 gives at once.
const PAGE_SIZE: u16 = 1000;
