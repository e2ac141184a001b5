//! Tasks mode: the items of the objects of a page.
//!
//! Objects are opened a few at once, and small ones read to their end, since each costs the time of a round trip. What
//! becomes of them is in the order of the page.

use std::collections::VecDeque;

use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};

use super::{Sync, SyncError};
use crate::{
    object::ObjectKey,
    run::Fault,
    s3::{self, Listed},
    sidecar::items::{Items, Limits, Read, ReadError, Source},
    store::{self, ItemRow, ObjectVersion},
};

/// The objects of a page that are to be read.
pub(super) struct Reading {
    opened: BoxStream<'static, Open>,
    open: Option<Open>,
}

/// Some items of an object, and what was refused among them.
#[derive(Debug)]
pub(super) struct ReadStep {
    pub(super) items: Option<store::Items>,
    pub(super) faults: Vec<Fault>,
    /// About how much it is, in tasks.
    pub(super) weight: usize,
}

/// An object that is being read.
struct Open {
    object: ObjectVersion,
    /// Whether tasks that are there take what items say now.
    replace: bool,
    /// Read ahead, good or bad.
    ahead: VecDeque<Read>,
    /// What follows behind them.
    rest: Rest,
    count: i64,
    refused: i64,
}

/// What is left of an object.
enum Rest {
    Items(Box<Items>),
    Nothing,
    Broken(ReadError),
}

impl Reading {
    /// Begins with the first ones. Each comes with whether it replaces what is there.
    pub(super) fn new(sync: &Sync<'_>, objects: Vec<(Listed, bool)>) -> Self {
        let (connection, limits) = (sync.connection.clone(), sync.limits.items);
        let open = move |(object, replace)| Open::begin(connection.clone(), limits, object, replace);
        Self { opened: stream::iter(objects).map(open).buffered(AT_ONCE).boxed(), open: None }
    }

    /// The next items; `None` behind the last object.
    pub(super) async fn next(&mut self) -> Result<Option<ReadStep>, SyncError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => match self.opened.next().await {
                Some(open) => open,
                None => return Ok(None),
            },
        };
        let (step, is_over) = open.step().await?;
        if !is_over {
            self.open = Some(open);
        }
        Ok(Some(step))
    }
}

impl Open {
    async fn begin(connection: s3::Connection, limits: Limits, object: Listed, replace: bool) -> Self {
        let mut ahead = VecDeque::new();
        let rest = match Self::items(&connection, limits, &object).await {
            Ok(items) if object.size <= SMALL => read_to_the_end(items, &mut ahead).await,
            Ok(items) => Rest::Items(Box::new(items)),
            Err(error) => Rest::Broken(error),
        };
        Self { object: ObjectVersion::from(&object), replace, ahead, rest, count: 0, refused: 0 }
    }

    async fn items(connection: &s3::Connection, limits: Limits, object: &Listed) -> Result<Items, ReadError> {
        // Judged before: keys that cannot be served do not come this far.
        let key = ObjectKey::parse(&object.key).map_err(|_| ReadError::S3(s3::Error::NoSuchKey))?;
        let source = Source { connection, key: &key, size: object.size, etag: object.etag.as_ref() };
        Items::open(source, limits).await
    }

    /// Some items more, and whether they were the last ones.
    async fn step(&mut self) -> Result<(ReadStep, bool), SyncError> {
        let (mut rows, mut faults, mut bytes) = (Vec::new(), Vec::new(), 0);
        let ended = loop {
            if rows.len() >= ROWS || bytes >= BYTES {
                break None;
            }
            match self.next().await {
                Ok(Some(read)) => {
                    self.count += 1;
                    let row = i64::try_from(read.row).unwrap_or(i64::MAX);
                    let line = read.line.and_then(|line| i64::try_from(line).ok());
                    match read.item {
                        Ok(item) => {
                            bytes += item.data.get().len();
                            rows.push(ItemRow { row, line, item });
                        }
                        Err(fault) => {
                            self.refused += 1;
                            faults.push(self.fault(Some(row), line, fault.to_string()));
                        }
                    }
                }
                Ok(None) => break Some(true),
                Err(error) => {
                    faults.extend(self.judge(error)?);
                    break Some(false);
                }
            }
        };
        let weight = rows.len() + bytes / 1024;
        let end = (ended == Some(true)).then_some((self.count, self.refused));
        let object = self.object.clone();
        let items = store::Items { object, rows, replace: self.replace, end };
        Ok((ReadStep { items: Some(items), faults, weight }, ended.is_some()))
    }

    async fn next(&mut self) -> Result<Option<Read>, ReadError> {
        if let Some(read) = self.ahead.pop_front() {
            return Ok(Some(read));
        }
        match &mut self.rest {
            Rest::Items(items) => items.next().await,
            Rest::Nothing => Ok(None),
            Rest::Broken(_) => match std::mem::replace(&mut self.rest, Rest::Nothing) {
                Rest::Broken(error) => Err(error),
                Rest::Items(_) | Rest::Nothing => Ok(None),
            },
        }
    }

    /// Whether an error is the object's own, which is a fault of it; otherwise the sync cannot go on.
    fn judge(&self, error: ReadError) -> Result<Option<Fault>, SyncError> {
        let reason = match &error {
            ReadError::Object(fault) => fault.to_string(),
            // Deleted since it was listed. Next time it is not listed.
            ReadError::S3(s3::Error::NoSuchKey) => return Ok(None),
            ReadError::Changed | ReadError::S3(s3::Error::PreconditionFailed) => {
                "it was changed while it was read; the next sync reads it again".to_owned()
            }
            ReadError::S3(s3::Error::AccessDenied) => {
                "S3 denies to read it; the storage's keys or role need s3:GetObject on it".to_owned()
            }
            ReadError::S3(s3::Error::ObjectArchived) => {
                "it is archived; restore it, and the next sync reads it".to_owned()
            }
            _ => return Err(SyncError::Read { key: self.object.key.clone(), source: error }),
        };
        Ok(Some(self.fault(None, None, reason)))
    }

    fn fault(&self, row: Option<i64>, line: Option<i64>, reason: String) -> Fault {
        Fault { key: self.object.key.clone(), row, line, reason }
    }
}

async fn read_to_the_end(mut items: Items, ahead: &mut VecDeque<Read>) -> Rest {
    loop {
        match items.next().await {
            Ok(Some(read)) => ahead.push_back(read),
            Ok(None) => return Rest::Nothing,
            Err(error) => return Rest::Broken(error),
        }
    }
}

/// Objects that are opened ahead.
const AT_ONCE: usize = 8;
/// The largest object in bytes that is read ahead.
const SMALL: u64 = 128 * 1024;
/// The most items of a step.
const ROWS: usize = 500;
/// About the most bytes of a step.
const BYTES: usize = 1024 * 1024;
