//! A file as ranges of an object: what the Parquet reader asks for, it gets by HTTP, in windows that are read ahead.

use std::{
    collections::VecDeque,
    io::{self, Read},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use parquet::{
    errors::{ParquetError, Result},
    file::reader::{ChunkReader, Length},
};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    super::{Read as Row, ReadError},
    Opened,
};
use crate::{
    object::{ByteRange, ETag, ObjectKey},
    s3::{self, BodyError, Connection, GetOptions},
};

/// The object, for a thread that may block. Cheap to clone.
#[derive(Clone)]
pub(super) struct Ranges(Arc<Inner>);

struct Inner {
    connection: Connection,
    key: ObjectKey,
    etag: Option<ETag>,
    size: u64,
    runtime: Handle,
    /// Closed when nobody waits for rows any more.
    rows: mpsc::Sender<std::result::Result<Row, ReadError>>,
    cache: Mutex<Cache>,
}

struct Cache {
    /// The one used last is at the end.
    windows: VecDeque<Window>,
    /// How much to read ahead.
    ahead: u64,
    /// Why S3 gave no bytes. The reader of Parquet can carry only its text.
    failure: Option<ReadError>,
}

struct Window {
    start: u64,
    bytes: Bytes,
}

impl Window {
    /// What it has from here on.
    fn from(&self, start: u64) -> Option<Bytes> {
        let offset = usize::try_from(start.checked_sub(self.start)?).ok()?;
        (offset < self.bytes.len()).then(|| self.bytes.slice(offset..))
    }
}

impl Ranges {
    /// To be called within the runtime.
    pub(super) fn new(opened: Opened, rows: mpsc::Sender<std::result::Result<Row, ReadError>>) -> Self {
        let Opened { connection, key, etag, size } = opened;
        let cache = Cache { windows: VecDeque::new(), ahead: MOST_AHEAD, failure: None };
        let (runtime, cache) = (Handle::current(), Mutex::new(cache));
        Self(Arc::new(Inner { connection, key, etag, size, runtime, rows, cache }))
    }

    /// Divides what may be kept among the columns.
    pub(super) fn share(&self, columns: usize) {
        let columns = u64::try_from(columns).unwrap_or(u64::MAX).max(1);
        self.cache().ahead = (KEPT / columns).clamp(LEAST_AHEAD, MOST_AHEAD);
    }

    /// Why S3 gave no bytes, where that was it.
    pub(super) fn take_failure(&self) -> Option<ReadError> {
        self.cache().failure.take()
    }

    /// Exactly these bytes.
    pub(super) fn bytes(&self, start: u64, len: u64) -> Result<Bytes> {
        if start.checked_add(len).is_none_or(|end| end > self.0.size) {
            return Err(ParquetError::EOF("it points beyond its end".to_owned()));
        }
        if len > MOST_AT_ONCE {
            return Err(ParquetError::General(format!(
                "it has a page of {len} bytes; the most is {MOST_AT_ONCE}"
            )));
        }
        let len = usize::try_from(len)?;
        let mut found = self.cached(start).unwrap_or_default();
        if found.len() < len {
            let missing = start + u64::try_from(found.len())?;
            let rest = self.fetch(missing, u64::try_from(len - found.len())?)?;
            found = if found.is_empty() { rest } else { join(&found, &rest, len) };
        }
        Ok(found.slice(..len))
    }

    /// At least one byte from here on, unless it is the end.
    fn some(&self, start: u64) -> Result<Bytes> {
        match self.cached(start) {
            Some(found) => Ok(found),
            None if start < self.0.size => self.fetch(start, 1),
            None => Ok(Bytes::new()),
        }
    }

    fn cached(&self, start: u64) -> Option<Bytes> {
        let mut cache = self.cache();
        let place = cache.windows.iter().position(|window| window.from(start).is_some())?;
        let window = cache.windows.remove(place)?;
        let found = window.from(start);
        cache.windows.push_back(window);
        found
    }

    /// Asks for at least this much, and for more where the object goes on.
    fn fetch(&self, start: u64, len: u64) -> Result<Bytes> {
        let ahead = self.cache().ahead;
        // At the end of the object it is the bytes before that come next: the footer is read from the back.
        let end = (start + len.max(ahead)).min(self.0.size);
        let first = if end == self.0.size { start.min(end.saturating_sub(ahead)) } else { start };
        let bytes = match self.0.runtime.block_on(self.0.get(first, end)) {
            Ok(bytes) => bytes,
            Err(error) => {
                let text = error.to_string();
                self.cache().failure = Some(error);
                return Err(ParquetError::General(text));
            }
        };
        let window = Window { start: first, bytes };
        let found = window.from(start).unwrap_or_default();
        let mut cache = self.cache();
        cache.windows.push_back(window);
        let kept = |cache: &Cache| cache.windows.iter().map(|window| window.bytes.len()).sum::<usize>();
        while cache.windows.len() > 1 && kept(&cache) > usize::try_from(KEPT)? {
            cache.windows.pop_front();
        }
        Ok(found)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    async fn get(&self, start: u64, end: u64) -> std::result::Result<Bytes, ReadError> {
        tokio::select! {
            // Nobody is there to see the error.
            () = self.rows.closed() => Err(ReadError::Body(BodyError::Broken(None))),
            bytes = self.range(start, end) => bytes,
        }
    }

    async fn range(&self, start: u64, end: u64) -> std::result::Result<Bytes, ReadError> {
        let range = Some(ByteRange::FromTo { first: start, last: end - 1 });
        let options = GetOptions { range, if_match: self.etag.clone() };
        let object = self.connection.get(&self.key, options).await?;
        let is_same = match (&self.etag, &object.meta.etag) {
            (Some(asked), Some(got)) => asked == got,
            _ => true,
        };
        if !is_same || object.meta.total() != self.size {
            return Err(ReadError::Changed);
        }
        // A server without ranges would send the whole object each time.
        if object.meta.size != end - start {
            return Err(s3::Error::AnswerMalformed.into());
        }
        let mut body = object.body;
        let mut bytes = BytesMut::with_capacity(usize::try_from(end - start).unwrap_or_default());
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                bytes.extend_from_slice(&data);
            }
        }
        Ok(bytes.freeze())
    }
}

fn join(first: &[u8], second: &[u8], len: usize) -> Bytes {
    let mut joined = BytesMut::with_capacity(len);
    joined.extend_from_slice(first);
    joined.extend(second.iter().take(len - first.len()));
    joined.freeze()
}

impl Length for Ranges {
    fn len(&self) -> u64 {
        self.0.size
    }
}

impl ChunkReader for Ranges {
    type T = Reading;

    fn get_read(&self, start: u64) -> Result<Reading> {
        Ok(Reading { ranges: self.clone(), at: start, found: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.bytes(start, u64::try_from(length)?)
    }
}

/// Reads on from one place.
pub(super) struct Reading {
    ranges: Ranges,
    at: u64,
    found: Bytes,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.found.is_empty() {
            self.found = self.ranges.some(self.at).map_err(io::Error::other)?;
            self.at += u64::try_from(self.found.len()).map_err(io::Error::other)?;
        }
        let len = buffer.len().min(self.found.len());
        let taken = self.found.split_to(len);
        buffer.iter_mut().zip(&taken).for_each(|(to, from)| *to = *from);
        Ok(len)
    }
}

/// How much is read ahead: the most for few columns, the least for many.
const MOST_AHEAD: u64 = 1024 * 1024;
const LEAST_AHEAD: u64 = 64 * 1024;
/// How much is kept in windows, for all columns.
const KEPT: u64 = 16 * 1024 * 1024;
/// Pages have about 1 MiB; a larger one than this is a mistake, or meant to take our memory.
const MOST_AT_ONCE: u64 = 256 * 1024 * 1024;
