//! Testing a connection: everything that a storage will be used for is tried once.
//!
//! Label Studio lists one key and calls it tested. Here a source is listed and read, a target is written to, read back
//! and, where it may delete, deleted from; what browsers will ask of the public endpoint is asked as they would. What
//! must stay true: no probe object is left behind where it may be deleted, and the whole takes a bounded time.

mod choice;
mod source;
mod target;

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout_at};

pub use super::finding::Finding;
use super::finding::{self, Asked, Failure};
use crate::{
    s3::{self, Connection},
    storage::{Direction, Settings},
};

/// What was tried, in order. It goes on after a failure where that still tells something.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Each try. Where S3 names another region, a failure says so, and what was tried there follows.
    pub checks: Vec<Check>,
    /// What is no failure and good to know, one sentence each.
    pub notes: Vec<String>,
    /// The bucket's own region, where S3 named another than the one that was tried.
    pub region: Option<Box<str>>,
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

/// What the storage will be used for.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// Whether objects are read or written.
    pub direction: Direction,
    /// What a person set.
    pub settings: &'a Settings,
    /// The origins of pages that read media.
    pub origins: &'a [String],
}

/// How long an examination takes at most; a person waits for it. Cleaning up may take 5 s more.
pub const EXAMINATION_LIMIT: Duration = Duration::from_secs(30);

/// How long a probe object may take to be deleted when the rest has taken all the time.
const CLEAN_UP: Duration = Duration::from_secs(5);

/// Tries everything, within [`EXAMINATION_LIMIT`].
pub async fn examine(connection: &Connection, usage: Use<'_>, clock: fn() -> SystemTime) -> Report {
    examine_within(connection, usage, clock, EXAMINATION_LIMIT).await
}

/// The same, within another time.
pub async fn examine_within(
    connection: &Connection,
    usage: Use<'_>,
    clock: fn() -> SystemTime,
    limit: Duration,
) -> Report {
    let deadline = Instant::now() + limit;
    let mut examination = Examination {
        connection: connection.clone(),
        usage,
        clock,
        limit,
        deadline,
        is_over: false,
        report: Report::default(),
    };
    match usage.direction {
        Direction::Import => examination.source().await,
        Direction::Export => examination.target().await,
    }
    examination.report
}

struct Examination<'a> {
    /// By the region that was set, or by the bucket's own once S3 has named it.
    connection: Connection,
    usage: Use<'a>,
    clock: fn() -> SystemTime,
    limit: Duration,
    deadline: Instant,
    /// Whether the time ran out, so that nothing more is tried.
    is_over: bool,
    report: Report,
}

impl Examination<'_> {
    /// Tries one thing and records what came of it.
    async fn attempt<T, E: Into<Failure>>(
        &mut self,
        probe: Probe,
        attempt: impl Future<Output = Result<T, E>>,
    ) -> Option<T> {
        if self.is_over {
            return None;
        }
        match timeout_at(self.deadline, attempt).await {
            Ok(Ok(done)) => {
                self.report.checks.push(Check { probe, result: Ok(()) });
                Some(done)
            }
            Ok(Err(failure)) => {
                let finding = self.explain(probe, failure.into()).await;
                self.fail(probe, finding);
                None
            }
            Err(_) => {
                self.is_over = true;
                self.fail(probe, finding::too_slow(probe, &self.connection, self.limit));
                None
            }
        }
    }

    async fn explain(&mut self, probe: Probe, failure: Failure) -> Finding {
        if let Failure::S3(s3::Error::MovedRegion { region: Some(region) }) = &failure {
            // Only the first is news: the connection by that one is no longer the person's.
            self.report.region.get_or_insert_with(|| region.clone());
        }
        let reads_directly = self.passed(Probe::Get);
        let asked = Asked {
            probe,
            connection: &self.connection,
            settings: self.usage.settings,
            credentials: self.connection.credentials_failure().await,
            now: (self.clock)(),
            reads_directly,
        };
        finding::of(failure, &asked)
    }

    /// Goes on in the bucket's own region, if S3 just named it for the first time.
    async fn follow(&mut self) -> bool {
        let Some(region) = self.report.region.clone() else { return false };
        if self.is_over || *region == *self.connection.region() {
            return false;
        }
        match timeout_at(self.deadline, self.connection.in_region(&region)).await {
            Ok(Ok(moved)) => {
                self.connection = moved;
                true
            }
            // That S3 named it is reported already; with no connection there is nothing to add.
            Ok(Err(_)) | Err(_) => false,
        }
    }

    fn fail(&mut self, probe: Probe, finding: Finding) {
        self.report.checks.push(Check { probe, result: Err(finding) });
    }

    /// What was tried last went through, and is no good all the same.
    fn refuse(&mut self, probe: Probe, finding: Finding) {
        let passed = |check: &mut Check| check.probe == probe && check.result.is_ok();
        self.report.checks.pop_if(passed);
        self.fail(probe, finding);
    }

    fn note(&mut self, sentence: String) {
        self.report.notes.push(sentence);
    }

    fn passed(&self, probe: Probe) -> bool {
        self.report.checks.iter().any(|check| check.probe == probe && check.result.is_ok())
    }
}

impl Report {
    /// Whether nothing failed.
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.result.is_ok())
    }
}

impl Probe {
    /// The word for it in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Get => "get",
            Self::Put => "put",
            Self::ReadBack => "read back",
            Self::Delete => "delete",
            Self::Presigned => "presigned URL",
            Self::Cors => "CORS",
        }
    }
}
