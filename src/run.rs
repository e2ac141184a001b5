//! A run: one execution of a sync or an export, as it is kept and shown.
//!
//! The noun and nothing else. A storage has at most one open run, which is queued or in progress; whoever asks for
//! another gets that one. A run is worked on by whoever holds its claim; a claim that is not renewed passes to another,
//! and its number rises, so that the one who lost it is refused when it comes back.

use std::{fmt, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::id::{RunId, StorageId};

/// One execution.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its number; never used again.
    pub id: RunId,
    /// Whose storage.
    pub storage: StorageId,
    /// What is done.
    pub job: Job,
    /// Who asked for it.
    pub trigger: Trigger,
    /// How far it is, or how it ended.
    pub status: RunStatus,
    /// Whether somebody asked it to stop.
    pub is_cancelling: bool,
    /// How often it was claimed: once, and again after each loss of a sidecar and each retry.
    pub claims: i64,
    /// Which of the storage's runs it is, from 1.
    pub attempt: i64,
    /// What it found and did so far.
    pub counters: Counters,
    /// Why it failed, for a person to read.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: SystemTime,
    /// When it was first claimed.
    pub started_at: Option<SystemTime>,
    /// When its claim was last renewed.
    pub last_ping: Option<SystemTime>,
    /// When it ended.
    pub ended_at: Option<SystemTime>,
}

/// The right to work on a run, until another has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Claim {
    /// The run.
    pub run: RunId,
    /// Which of its claims this is.
    pub number: i64,
}

/// What is done in a run.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// From a source storage into tasks.
    Sync,
    /// From annotations into a target storage.
    Export,
}

/// Who asked for a run.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The control API.
    Api,
    /// `sync_every` of the storage.
    Schedule,
    /// A command.
    Terminal,
}

/// How far a run is, or how it ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Waits for a sidecar.
    Queued,
    /// Is worked on, or waits for another sidecar after the loss of one.
    InProgress,
    /// Ended well.
    Completed,
    /// Ended, and something in it was refused.
    CompletedWithErrors,
    /// Broke off; a retry goes on where it stopped.
    Failed,
    /// Was stopped by somebody; a retry goes on where it stopped.
    Cancelled,
}

/// What a run found and did. Of a sync these are objects and tasks, of an export annotations.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counters {
    /// Keys that the scan saw, or annotations that an export looked at.
    pub listed: i64,
    /// Those that prefix and filter let pass.
    pub matched: i64,
    /// Tasks that were there before, or objects that already had their content.
    pub existed: i64,
    /// Tasks made, or objects written.
    pub created: i64,
    /// Tasks brought up to date with a changed object.
    pub updated: i64,
    /// Objects that are no longer the ones their tasks were made of.
    pub changed: i64,
    /// Linked objects that are no longer there.
    pub vanished: i64,
    /// Items, objects or annotations that were refused.
    pub failed: i64,
}

/// Something in a run that was refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Fault {
    /// The key of the object.
    pub key: String,
    /// Which item of it, from 0; absent where the whole object is meant.
    pub row: Option<i64>,
    /// The line that the item starts on, from 1, where it has lines.
    pub line: Option<i64>,
    /// Why, for a person to read.
    pub reason: String,
}

/// How a run ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ending {
    /// It went to its end; with refusals it is completed with errors.
    Completed,
    /// It was asked to stop.
    Cancelled,
    /// It cannot go on, for this reason.
    Failed(String),
}

impl Job {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Export => "export",
        }
    }
}

impl Trigger {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Schedule => "schedule",
            Self::Terminal => "terminal",
        }
    }
}

impl RunStatus {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::CompletedWithErrors => "completed_with_errors",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more happens in it by itself.
    pub fn is_ended(self) -> bool {
        match self {
            Self::Queued | Self::InProgress => false,
            Self::Completed | Self::CompletedWithErrors | Self::Failed | Self::Cancelled => true,
        }
    }
}

impl Counters {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            listed: self.listed + other.listed,
            matched: self.matched + other.matched,
            existed: self.existed + other.existed,
            created: self.created + other.created,
            updated: self.updated + other.updated,
            changed: self.changed + other.changed,
            vanished: self.vanished + other.vanished,
            failed: self.failed + other.failed,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key)?;
        match (self.line, self.row) {
            (Some(line), _) => write!(f, ", line {line}: {}", self.reason),
            (None, Some(row)) => write!(f, ", item {row}: {}", self.reason),
            (None, None) => write!(f, ": {}", self.reason),
        }
    }
}
