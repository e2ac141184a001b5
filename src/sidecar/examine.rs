//! Testing a connection: everything that a storage will be used for is tried once.

use std::time::SystemTime;

use crate::{s3, storage::Storage};

/// What was tried, in order. It goes on after a failure where that still tells something.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Each try.
    pub checks: Vec<Check>,
}

/// One try.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was tried.
    pub probe: Probe,
    /// What came of it.
    pub result: Result<(), Finding>,
}

/// What can be tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Probe {
    /// List under the prefix.
    List,
    /// Read a first object.
    Get,
    /// Write a probe object.
    Put,
    /// Read it back.
    ReadBack,
    /// Delete it.
    Delete,
    /// Read by a presigned URL at the public endpoint.
    Presigned,
    /// CORS at the public endpoint, for pages of the configured origins.
    Cors,
}

/// What is wrong, in a sentence, and what to do about it, in another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What is wrong.
    pub problem: String,
    /// How to mend it.
    pub advice: String,
}

impl Report {
    /// Whether nothing failed.
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.result.is_ok())
    }
}

pub(super) async fn examine(
    connection: &s3::Connection,
    storage: &Storage,
    origins: &[String],
    clock: fn() -> SystemTime,
) -> Report {
    todo!("{connection:?} {storage:?} {origins:?} {clock:?}")
}
