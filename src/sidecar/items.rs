//! The items of a file of tasks: JSON, JSON Lines and Parquet, read as they come.
//!
//! What a file is, its content says and never its name: after a byte order mark, `[` is a list of items, `{` is objects
//! one after the other, `PAR1` is Parquet; the first two may be packed with gzip. What must stay true: memory is bounded
//! by the limit for one item and some buffers, whatever the size of the file; an item that is no task costs that
//! item and no other, and rows are counted over it; and the bytes are all of one version of the object.

mod bytes;
mod fault;
mod gzip;
mod parquet;
mod splitter;

use ::bytes::{Buf as _, Bytes};
use tokio::task::coop::consume_budget;

pub(super) use self::bytes::Chunks;
use self::parquet::{Opened, Rows};
pub use self::{
    fault::ObjectFault,
    splitter::{Piece, Splitter},
};
use crate::{
    object::{ETag, ObjectKey},
    s3::{self, BodyError, Connection, GetOptions},
    task::{Item, ItemFault},
};

/// How much a file may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the text of one item. A row of Parquet counts as the JSON that it becomes.
    pub item_size: u64,
    /// Bytes of an object as it is stored, and of its text where that is packed.
    pub object_size: u64,
}

/// The object to read.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Where it is.
    pub connection: &'a Connection,
    /// What it is called.
    pub key: &'a ObjectKey,
    /// Its bytes, as a listing has them.
    pub size: u64,
    /// The version to read; absent: the one that is there, throughout.
    pub etag: Option<&'a ETag>,
}

/// Reads the items of one object. Dropping it ends all reading.
#[derive(Debug)]
pub struct Items(Option<Reading>);

#[derive(Debug)]
enum Reading {
    Json(Box<Json>),
    Parquet(Rows),
}

/// One item, good or bad.
#[derive(Debug)]
pub struct Read {
    /// Its position in the file, from 0. Bad items have one; blank lines have none.
    pub row: u64,
    /// The line where it starts, from 1, in the text as it is when unpacked; absent in Parquet.
    pub line: Option<u64>,
    /// What it says.
    pub item: Result<Item, ItemFault>,
}

/// Why there are no more items.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The object could not be opened.
    #[error(transparent)]
    S3(s3::Error),
    /// Its bytes broke off.
    #[error(transparent)]
    Body(BodyError),
    /// It is another one than was asked for, or became another one while it was read.
    #[error("the object was changed since it was listed")]
    Changed,
    /// The file cannot be read as tasks.
    #[error(transparent)]
    Object(#[from] ObjectFault),
}

impl ReadError {
    /// Whether reading the same object again may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::S3(error) | Self::Body(BodyError::ResumeFailed(error)) => error.is_transient(),
            Self::Body(BodyError::Broken(_) | BodyError::Silent) => true,
            Self::Body(BodyError::ObjectChanged) | Self::Changed | Self::Object(_) => false,
        }
    }
}

impl From<s3::Error> for ReadError {
    fn from(error: s3::Error) -> Self {
        match error {
            s3::Error::PreconditionFailed => Self::Changed,
            error => Self::S3(error),
        }
    }
}

impl From<BodyError> for ReadError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::ObjectChanged => Self::Changed,
            error => Self::Body(error),
        }
    }
}

impl Items {
    /// Opens the object and looks at its first bytes.
    pub async fn open(source: Source<'_>, limits: Limits) -> Result<Self, ReadError> {
        fits(source.size, limits)?;
        // A weak tag matches nothing in `If-Match`.
        let if_match = source.etag.filter(|etag| !etag.is_weak()).cloned();
        let object = source.connection.get(source.key, GetOptions { range: None, if_match }).await?;
        // Some servers take no notice of the condition.
        if let (Some(asked), Some(got)) = (source.etag, &object.meta.etag)
            && !asked.weak_eq(got)
        {
            return Err(ReadError::Changed);
        }
        fits(object.meta.size, limits)?;
        let mut chunks = Chunks::open(object.body, limits.object_size).await?;
        match (chunks.peek(MAGIC_LEN).await?.as_slice(), chunks.is_packed()) {
            (b"PAR1" | b"PARE", true) => Err(ObjectFault::ParquetInGzip.into()),
            (b"PARE", false) => Err(ObjectFault::ParquetEncrypted.into()),
            (b"PAR1", false) => {
                let opened = Opened {
                    connection: source.connection.clone(),
                    key: source.key.clone(),
                    etag: object.meta.etag.filter(|etag| !etag.is_weak()),
                    size: object.meta.size,
                };
                Ok(Self(Some(Reading::Parquet(Rows::open(opened, limits.item_size)))))
            }
            _ => Ok(Self(Some(Reading::Json(Box::new(Json::new(chunks, limits)))))),
        }
    }

    /// The next item. After the last one, and after an error, there are none.
    pub async fn next(&mut self) -> Result<Option<Read>, ReadError> {
        // An item that is there at once would never let others run.
        consume_budget().await;
        let read = match &mut self.0 {
            None => return Ok(None),
            Some(Reading::Json(json)) => json.next().await,
            Some(Reading::Parquet(rows)) => rows.next().await,
        };
        if !matches!(read, Ok(Some(_))) {
            self.0 = None;
        }
        read
    }
}

fn fits(size: u64, limits: Limits) -> Result<(), ObjectFault> {
    let limit = limits.object_size;
    if size > limit { Err(ObjectFault::TooLarge { size, limit }) } else { Ok(()) }
}

/// Reads a list, or objects one after the other.
struct Json {
    chunks: Chunks,
    splitter: Splitter,
    /// What the splitter has not taken yet.
    chunk: Bytes,
    limit: u64,
}

impl Json {
    fn new(chunks: Chunks, limits: Limits) -> Self {
        let limit = limits.item_size;
        Self { chunks, splitter: Splitter::new(limit), chunk: Bytes::new(), limit }
    }

    async fn next(&mut self) -> Result<Option<Read>, ReadError> {
        loop {
            let mut rest = self.chunk.as_ref();
            let piece = self.splitter.next(&mut rest)?;
            let rest = rest.len();
            self.chunk.advance(self.chunk.len() - rest);
            if let Some(piece) = piece {
                return Ok(Some(self.read(&piece)));
            }
            match self.chunks.next().await? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(self.splitter.finish()?.map(|piece| self.read(&piece))),
            }
        }
    }

    fn read(&self, piece: &Piece) -> Read {
        let item = match piece.text.as_deref() {
            None => Err(ItemFault::TooLarge(self.limit)),
            Some(b"") => Err(ItemFault::NotJson("a comma with nothing before or behind it".to_owned())),
            Some(text) => Item::parse(text),
        };
        Read { row: piece.row, line: Some(piece.line), item }
    }
}

impl std::fmt::Debug for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Json").field("splitter", &self.splitter).finish_non_exhaustive()
    }
}

/// What tells Parquet from the rest.
const MAGIC_LEN: usize = 4;
