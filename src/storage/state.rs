//! What syncs and exports leave on their storage, in Label Studio's words.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// The state of a storage's last sync or export.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SyncState {
    /// How it ended, or how far it is.
    pub status: Status,
    /// When it ended well.
    pub last_sync: Option<SystemTime>,
    /// Tasks made, or annotations written, by it.
    pub last_sync_count: Option<i64>,
    /// The run that it was.
    pub last_sync_job: Option<String>,
    /// Its errors, for a person to read.
    pub traceback: Option<String>,
    /// Counters and times under Label Studio's keys.
    pub meta: serde_json::Map<String, serde_json::Value>,
}

/// Label Studio's states of a storage.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Never synced.
    #[default]
    Initialized,
    /// Waits for a sidecar.
    Queued,
    /// Runs.
    InProgress,
    /// Broke off.
    Failed,
    /// Ended well.
    Completed,
    /// Ended, and some items were refused.
    CompletedWithErrors,
}

impl Status {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initialized => "initialized",
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::CompletedWithErrors => "completed_with_errors",
        }
    }
}
