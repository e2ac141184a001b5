//! Rows of Parquet as items.
//!
//! The parquet crate gives pages and values; rows are put together here, since its own records lose what the schema says
//! of them: nanoseconds, zones, UUIDs, instants of 96 bits. A row becomes a JSON object, and that is an item like any
//! other. A column `data` that is a struct is the item's data; so is one that is a text which holds a JSON object,
//! and the same goes for `meta` and, with lists, for `annotations` and `predictions`.
//!
//! | Parquet | JSON |
//! |---|---|
//! | null, the null type | `null` |
//! | BOOLEAN | `true`, `false` |
//! | integers of all widths, signed or not | number |
//! | FLOAT, DOUBLE, FLOAT16 | the shortest number that reads back the same; `null` for NaN and the infinities |
//! | DECIMAL of any width | number with every digit that is stored: `1.50` |
//! | STRING, ENUM, JSON | text |
//! | UUID | text, `550e8400-e29b-41d4-a716-446655440000` |
//! | `BYTE_ARRAY`, `FIXED_LEN_BYTE_ARRAY`, BSON, geometries | text, base64 with padding |
//! | DATE | text, `2024-02-29` |
//! | TIME | text, `13:05:00.250`; its zone is not kept, since writers set it without one |
//! | TIMESTAMP in UTC | text, `2024-02-29T13:05:00.250Z`: 0, 3, 6 or 9 digits of a second |
//! | TIMESTAMP without a zone, INT96 | the same without the `Z` |
//! | INTERVAL | text, `P14M3DT4.005S`: months, days, seconds |
//! | Arrow's duration, which Parquet has no type for | number, in the unit that it was written in |
//! | struct | object |
//! | LIST, repeated fields, maps without values | list |
//! | MAP with texts for keys | object |
//! | MAP with other keys | list of `{"key": .., "value": ..}` |
//!
//! Bytes come by range requests of one version of the object, in windows that are read ahead, at most
//! 16 MiB of them; beside that a page of each column is in memory, unpacked, and a batch of values. The crate
//! blocks and may panic on damaged files, so that it has a thread of its own, which ends with its reader.

mod calendar;
mod column;
mod decimal;
mod footer;
mod kind;
mod ranges;
mod shape;
mod text;

use parquet::{
    errors::{ParquetError, Result},
    file::{
        metadata::RowGroupMetaData,
        reader::{FileReader as _, RowGroupReader, SerializedFileReader},
    },
};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle, spawn_blocking},
};

use self::{
    ranges::Ranges,
    shape::{Columns, Shape},
    text::Text,
};
use super::{ObjectFault, Read, ReadError};
use crate::{
    object::{ETag, ObjectKey},
    s3::Connection,
    task::Item,
};

/// An object that is known to be there.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) key: ObjectKey,
    /// The version that all ranges have to be of, where it has a strong tag.
    pub(super) etag: Option<ETag>,
    pub(super) size: u64,
}

/// Rows as they are read ahead.
#[derive(Debug)]
pub(super) struct Rows {
    rows: mpsc::Receiver<std::result::Result<Read, ReadError>>,
    thread: JoinHandle<()>,
}

impl Rows {
    /// Begins to read.
    pub(super) fn open(opened: Opened, item_size: u64) -> Self {
        let (sender, rows) = mpsc::channel(READ_AHEAD);
        let ranges = Ranges::new(opened, sender.clone());
        let thread = spawn_blocking(move || {
            let Err(stop) = read(&ranges, &sender, item_size) else { return };
            let error = ranges.take_failure().unwrap_or_else(|| stop.into());
            // If nobody is there, nobody misses it.
            drop(sender.blocking_send(Err(error)));
        });
        Self { rows, thread }
    }

    pub(super) async fn next(&mut self) -> std::result::Result<Option<Read>, ReadError> {
        match self.rows.recv().await {
            Some(row) => row.map(Some),
            None => match (&mut self.thread).await {
                Ok(()) => Ok(None),
                Err(error) => Err(ObjectFault::Parquet(panicked(error)).into()),
            },
        }
    }
}

/// Why the thread ended early.
enum Stop {
    /// Nobody waits for rows.
    Abandoned,
    Parquet(ParquetError),
    Encrypted,
}

impl From<ParquetError> for Stop {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error)
    }
}

impl From<Stop> for ReadError {
    fn from(stop: Stop) -> Self {
        let fault = match stop {
            Stop::Encrypted => ObjectFault::ParquetEncrypted,
            Stop::Parquet(error) => ObjectFault::Parquet(reason(&error)),
            Stop::Abandoned => ObjectFault::Parquet("nobody waits for it".to_owned()),
        };
        fault.into()
    }
}

/// The crate's words without its name before them.
fn reason(error: &ParquetError) -> String {
    match error {
        ParquetError::General(text) | ParquetError::NYI(text) | ParquetError::EOF(text) => text.clone(),
        other => other.to_string(),
    }
}

fn panicked(error: JoinError) -> String {
    let words = error.try_into_panic().ok().and_then(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
    });
    format!("it contradicts itself ({})", words.as_deref().unwrap_or("the reader gave up"))
}

type Sender = mpsc::Sender<std::result::Result<Read, ReadError>>;

fn read(ranges: &Ranges, rows: &Sender, item_size: u64) -> std::result::Result<(), Stop> {
    check(ranges)?;
    let file = SerializedFileReader::new(ranges.clone())?;
    let metadata = file.metadata();
    let schema = metadata.file_metadata().schema_descr();
    let shape = Shape::of(schema)?;
    ranges.share(schema.num_columns());
    let mut writer = Writer { shape, text: Text::new(item_size), row: 0 };
    for group in 0..file.num_row_groups() {
        let group = file.get_row_group(group)?;
        let mut columns = open(group.as_ref())?;
        for _ in 0..count(group.metadata())? {
            let read = writer.next(&mut columns)?;
            rows.blocking_send(Ok(read)).map_err(|_| Stop::Abandoned)?;
        }
    }
    Ok(())
}

struct Writer {
    shape: Shape,
    text: Text,
    row: u64,
}

impl Writer {
    fn next(&mut self, columns: &mut Columns) -> Result<Read> {
        self.shape.write(columns, &mut self.text)?;
        let item = self.text.take().and_then(|text| Item::parse(&text));
        let read = Read { row: self.row, line: None, item };
        self.row += 1;
        Ok(read)
    }
}

/// What has to be known before the crate reads the footer.
fn check(ranges: &Ranges) -> std::result::Result<(), Stop> {
    use parquet::file::reader::Length as _;
    let size = ranges.len();
    let damaged = || ParquetError::General("it has no footer; it was not written to its end".to_owned());
    let tail_at = size.checked_sub(TAIL).ok_or_else(damaged)?;
    let tail = ranges.bytes(tail_at, TAIL)?;
    let (len, magic) = tail.split_first_chunk::<4>().ok_or_else(damaged)?;
    match magic {
        b"PAR1" => {}
        b"PARE" => return Err(Stop::Encrypted),
        _ => return Err(damaged().into()),
    }
    let len = u64::from(u32::from_le_bytes(*len));
    let start = tail_at.checked_sub(len).ok_or_else(damaged)?;
    if len > MOST_FOOTER {
        return Err(
            ParquetError::General(format!("its footer has {len} bytes; the most is {MOST_FOOTER}")).into()
        );
    }
    Ok(footer::check(&ranges.bytes(start, len)?)?)
}

fn open(group: &dyn RowGroupReader) -> Result<Columns> {
    let columns = group.metadata().columns().iter().enumerate();
    columns.map(|(place, chunk)| Ok(column::open(group.get_column_reader(place)?, chunk))).collect()
}

fn count(group: &RowGroupMetaData) -> Result<u64> {
    u64::try_from(group.num_rows())
        .map_err(|_| ParquetError::General("a row group has less than no rows".to_owned()))
}

/// Rows that wait for who asked for them.
const READ_AHEAD: usize = 4;
/// The length of the footer, and the magic number.
const TAIL: u64 = 8;
const MOST_FOOTER: u64 = 64 * 1024 * 1024;
