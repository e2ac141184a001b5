//! Testing a connection: everything that a storage will be used for is tried once.
//!
//! Label Studio lists one key and calls it tested. Here a source is listed and read, a target is written to, read back
//! and, where it may delete, deleted from; what browsers will ask of the public endpoint is asked as they would.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use super::finding::{self, Asked};
use crate::{
    object::{ByteRange, ObjectKey},
    s3::{self, Connection, GetOptions, ListRequest, PutOptions},
    storage::{DeliveryKind, Direction, Settings},
};

pub use super::finding::Finding;

/// What was tried, in order. It goes on after a failure where that still tells something.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Each try.
    pub checks: Vec<Check>,
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

impl Report {
    /// Whether nothing failed.
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.result.is_ok())
    }
}

/// Tries everything, within 30 seconds.
pub async fn examine(connection: &Connection, usage: Use<'_>, clock: fn() -> SystemTime) -> Report {
    let deadline = Instant::now() + PATIENCE;
    let mut examination = Examination { connection, usage, clock, deadline, report: Report::default() };
    match usage.direction {
        Direction::Import => Box::pin(examination.source()).await,
        Direction::Export => Box::pin(examination.target()).await,
    }
    examination.report
}

struct Examination<'a> {
    connection: &'a Connection,
    usage: Use<'a>,
    clock: fn() -> SystemTime,
    deadline: Instant,
    report: Report,
}

impl Examination<'_> {
    async fn source(&mut self) {
        let prefix = self.usage.settings.normal_prefix();
        let first = self.attempt(Probe::List, self.connection.list(&first_page(&prefix))).await;
        let Some(page) = first else { return };
        let keys = page.objects.iter().filter(|listed| !listed.key.ends_with('/'));
        let mut keys = keys.filter_map(|listed| ObjectKey::parse(&listed.key).ok());
        let Some(key) = keys.next() else {
            // Label Studio takes an empty bucket, and refuses a prefix that holds nothing.
            if page.objects.is_empty() && !prefix.is_empty() {
                self.refuse(Probe::List, finding::nothing_under(self.connection.bucket(), &prefix));
            }
            return;
        };
        if self.attempt(Probe::Get, first_byte(self.connection, &key)).await.is_some() {
            self.for_browsers(&key).await;
        }
    }

    async fn target(&mut self) {
        let may_delete = self.usage.settings.can_delete_objects == Some(true);
        let Some(key) = probe_key(&self.usage.settings.normal_prefix(), may_delete) else {
            return self.refuse(Probe::Put, finding::prefix_unusable());
        };
        let body = format!("mediagate {:032x}", fastrand::u128(..));
        let options = PutOptions {
            content_type: Some("text/plain"),
            sse_kms_key_id: self.usage.settings.sse_kms_key_id.clone(),
            ..PutOptions::default()
        };
        let put = Box::pin(self.connection.put(&key, Bytes::from(body.clone()), &options));
        if self.attempt(Probe::Put, put).await.is_none() {
            return;
        }
        let read = self.attempt(Probe::ReadBack, whole(self.connection, &key)).await;
        if read.is_some_and(|read| read != body) {
            self.refuse(Probe::ReadBack, finding::other_body());
        }
        if may_delete {
            self.attempt(Probe::Delete, self.connection.delete(&key)).await;
        }
    }

    async fn for_browsers(&mut self, key: &ObjectKey) {
        if self.usage.settings.delivery() == DeliveryKind::Stream {
            return;
        }
        let now = (self.clock)();
        if self.attempt(Probe::Presigned, self.connection.probe_presigned(key, now)).await.is_none() {
            return;
        }
        for origin in self.usage.origins {
            let asked = self.attempt(Probe::Cors, self.connection.preflight(key, origin)).await;
            if asked.is_some_and(|preflight| !preflight.allows_get(origin)) {
                self.refuse(Probe::Cors, finding::cors(self.connection, origin));
            }
        }
    }

    /// Tries one thing and notes how it went.
    async fn attempt<T>(
        &mut self,
        probe: Probe,
        attempt: impl Future<Output = Result<T, s3::Error>>,
    ) -> Option<T> {
        let (result, value) = match timeout_at(self.deadline, attempt).await {
            Ok(Ok(value)) => (Ok(()), Some(value)),
            Ok(Err(error)) => {
                if let s3::Error::MovedRegion { region: Some(region) } = &error {
                    self.report.region = Some(region.clone());
                }
                let credentials = self.connection.credentials_failure().await;
                let (connection, settings) = (self.connection, self.usage.settings);
                let asked = Asked { probe, connection, settings, credentials };
                (Err(finding::of(&error, &asked)), None)
            }
            Err(_) => (Err(finding::too_slow(PATIENCE)), None),
        };
        self.report.checks.push(Check { probe, result });
        value
    }

    /// What was tried last went through, and is no good all the same.
    fn refuse(&mut self, probe: Probe, finding: Finding) {
        self.report.checks.retain(|check| check.probe != probe || check.result.is_err());
        self.report.checks.push(Check { probe, result: Err(finding) });
    }
}

/// All sub-folders are looked into, whatever a sync will do: the connection is what is tested.
fn first_page(prefix: &str) -> ListRequest<'_> {
    ListRequest { prefix, recursive: true, page_size: 100, continuation: None }
}

async fn first_byte(connection: &Connection, key: &ObjectKey) -> Result<(), s3::Error> {
    let range = ByteRange::FromTo { first: 0, last: 0 };
    let options = GetOptions { range: Some(range), if_match: None };
    match connection.get(key, options).await {
        // An empty object has no first byte; that it said so is enough.
        Ok(_) | Err(s3::Error::RangeNotSatisfiable { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn whole(connection: &Connection, key: &ObjectKey) -> Result<String, s3::Error> {
    const MOST: usize = 4096;
    let object = connection.get(key, GetOptions::default()).await?;
    let read = http_body_util::Limited::new(object.body, MOST).collect().await;
    let bytes = read.map_err(|_| s3::Error::AnswerMalformed)?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One that is deleted again may have any name; one that stays has always the same, so that they do not pile up.
fn probe_key(prefix: &str, may_delete: bool) -> Option<ObjectKey> {
    let name = if may_delete {
        format!("{prefix}.mediagate-probe-{:016x}", fastrand::u64(..))
    } else {
        format!("{prefix}.mediagate-probe")
    };
    ObjectKey::parse(&name).ok()
}

/// For a whole examination. A person waits for it.
const PATIENCE: Duration = Duration::from_secs(30);
