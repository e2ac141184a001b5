//! One column of a row group, value by value with its levels.

use parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::DataType,
    errors::{ParquetError, Result},
    file::metadata::ColumnChunkMetaData,
};

use super::{
    kind::{Cell, Kind},
    text::Text,
};
use crate::task::ItemFault;

/// Where a value stands: how many of its optional and repeated ancestors are there, and which of them it repeats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Levels {
    pub(super) definition: i16,
    pub(super) repetition: i16,
}

/// A column of any type. There is always a place in it, perhaps one without a value, until its end.
pub(super) trait Column {
    /// The levels at this place; `None` at the end.
    fn levels(&mut self) -> Result<Option<Levels>>;
    /// Writes the value at this place and goes on to the next.
    fn write(&mut self, text: &mut Text) -> Result<()>;
    /// Goes on to the next place.
    fn skip(&mut self) -> Result<()>;
}

/// Opens a column.
pub(super) fn open(reader: ColumnReader, chunk: &ColumnChunkMetaData) -> Box<dyn Column> {
    match reader {
        ColumnReader::BoolColumnReader(reader) => Box::new(Leaf::new(reader, chunk)),
        ColumnReader::Int32ColumnReader(reader) => Box::new(Leaf::new(reader, chunk)),
        ColumnReader::Int64ColumnReader(reader) => Box::new(Leaf::new(reader, chunk)),
        ColumnReader::Int96ColumnReader(reader) => Box::new(Leaf::new(reader, chunk)),
        ColumnReader::FloatColumnReader(reader) => Box::new(Leaf::new(reader, chunk)),
        ColumnReader::DoubleColumnReader(reader) => Box::new(Leaf::new(reader, chunk)),
        ColumnReader::ByteArrayColumnReader(reader) => Box::new(Leaf::new(reader, chunk)),
        ColumnReader::FixedLenByteArrayColumnReader(reader) => Box::new(Leaf::new(reader, chunk)),
    }
}

struct Leaf<T: DataType> {
    reader: ColumnReaderImpl<T>,
    kind: Kind,
    path: String,
    max_definition: i16,
    max_repetition: i16,
    /// How many records to read at once.
    batch: usize,
    values: Vec<T::T>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    /// The place among the levels, and among the values.
    at: usize,
    value_at: usize,
}

impl<T: DataType> Leaf<T> {
    fn new(reader: ColumnReaderImpl<T>, chunk: &ColumnChunkMetaData) -> Self {
        let column = chunk.column_descr();
        Self {
            reader,
            kind: Kind::of(column),
            path: column.path().string(),
            max_definition: column.max_def_level(),
            max_repetition: column.max_rep_level(),
            batch: batch(chunk),
            values: Vec::new(),
            definitions: Vec::new(),
            repetitions: Vec::new(),
            at: 0,
            value_at: 0,
        }
    }

    /// How many places were read.
    fn len(&self) -> usize {
        if self.max_definition > 0 { self.definitions.len() } else { self.values.len() }
    }

    fn fill(&mut self) -> Result<()> {
        (self.at, self.value_at) = (0, 0);
        // A batch may end with a record and nothing of the next one, and say so without any value.
        for _ in 0..MOST_EMPTY {
            self.values.clear();
            self.definitions.clear();
            self.repetitions.clear();
            let definitions = (self.max_definition > 0).then_some(&mut self.definitions);
            let repetitions = (self.max_repetition > 0).then_some(&mut self.repetitions);
            let (records, values, levels) =
                self.reader.read_records(self.batch, definitions, repetitions, &mut self.values)?;
            if self.len() > 0 || (records, values, levels) == (0, 0, 0) {
                return Ok(());
            }
        }
        Err(ParquetError::General("a column has records without values".to_owned()))
    }
}

impl<T: DataType> Column for Leaf<T>
where
    T::T: Cell,
{
    fn levels(&mut self) -> Result<Option<Levels>> {
        if self.at == self.len() {
            self.fill()?;
        }
        if self.len() == 0 {
            return Ok(None);
        }
        let definition = self.definitions.get(self.at).copied().unwrap_or(self.max_definition);
        let repetition = self.repetitions.get(self.at).copied().unwrap_or_default();
        Ok(Some(Levels { definition, repetition }))
    }

    fn write(&mut self, text: &mut Text) -> Result<()> {
        let is_there = self.levels()?.is_some_and(|levels| levels.definition == self.max_definition);
        let Some(value) = self.values.get(self.value_at).filter(|_| is_there) else {
            return Err(ParquetError::General(format!("column {} has fewer values than rows", self.path)));
        };
        if let Err(problem) = value.write(self.kind, text) {
            text.fail(ItemFault::Column(self.path.clone(), problem));
        }
        self.at += 1;
        self.value_at += 1;
        Ok(())
    }

    fn skip(&mut self) -> Result<()> {
        let Some(levels) = self.levels()? else {
            return Err(ParquetError::General(format!("column {} has fewer values than rows", self.path)));
        };
        self.at += 1;
        self.value_at += usize::from(levels.definition == self.max_definition);
        Ok(())
    }
}

/// As many records as make [`BATCH_SIZE`] on the average, so that large values are not kept in number.
fn batch(chunk: &ColumnChunkMetaData) -> usize {
    let size = u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
    let average = size / u64::try_from(chunk.num_values()).unwrap_or(0).max(1);
    let batch = BATCH_SIZE / average.max(1);
    usize::try_from(batch).unwrap_or(MOST_RECORDS).clamp(1, MOST_RECORDS)
}

const BATCH_SIZE: u64 = 256 * 1024;
const MOST_RECORDS: usize = 1024;
const MOST_EMPTY: usize = 16;
