//! Inventory files in CSV: no header, fields in quotes, keys URL-encoded, so that no field holds the end of a line.

use std::{borrow::Cow, collections::VecDeque, fmt};

use bytes::Bytes;
use csv::{ByteRecord, ReaderBuilder};
use percent_encoding::percent_decode;

use super::{super::items::Chunks, ManifestFault, entry::Row};
use crate::{s3::Listed, sidecar::ReadError};

/// Where the columns are that a listing needs.
#[derive(Clone, Debug)]
pub struct CsvColumns {
    key: usize,
    size: usize,
    last_modified_date: Option<usize>,
    e_tag: Option<usize>,
    is_latest: Option<usize>,
    is_delete_marker: Option<usize>,
}

/// A line that is no entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CsvFault {
    /// From 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: String,
}

impl CsvColumns {
    /// Reads the schema of a manifest: `Bucket, Key, VersionId, IsLatest, ..`.
    pub fn parse(schema: &str) -> Result<Self, ManifestFault> {
        let place = |name| schema.split(',').position(|column| column.trim() == name);
        Ok(Self {
            key: place("Key").ok_or(ManifestFault::ColumnMissing("Key"))?,
            size: place("Size").ok_or(ManifestFault::ColumnMissing("Size"))?,
            last_modified_date: place("LastModifiedDate"),
            e_tag: place("ETag"),
            is_latest: place("IsLatest"),
            is_delete_marker: place("IsDeleteMarker"),
        })
    }

    fn row<'a>(&self, record: &'a ByteRecord) -> Result<Row<'a>, String> {
        let field = |place| record.get(place).ok_or_else(|| format!("{} columns", record.len()));
        let optional = |place: Option<usize>| place.map_or(Ok(None), |place| text(field(place)?).map(Some));
        Ok(Row {
            key: decoded(field(self.key)?)?,
            size: match text(field(self.size)?)?.as_ref() {
                "" => None,
                size => Some(size.parse().map_err(|_| format!("no size: {size:?}"))?),
            },
            last_modified_date: optional(self.last_modified_date)?,
            e_tag: optional(self.e_tag)?,
            is_latest: truth(optional(self.is_latest)?.as_deref())?,
            is_delete_marker: truth(optional(self.is_delete_marker)?.as_deref())?,
        })
    }
}

fn text(field: &[u8]) -> Result<Cow<'_, str>, String> {
    std::str::from_utf8(field).map(Cow::Borrowed).map_err(|_| "a text that is not UTF-8".to_owned())
}

fn truth(field: Option<&str>) -> Result<Option<bool>, String> {
    match field {
        None | Some("") => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => Err(format!("neither true nor false: {other:?}")),
    }
}

/// `application/x-www-form-urlencoded`: a plus sign is a space.
fn decoded(field: &[u8]) -> Result<Cow<'static, str>, String> {
    let spaced: Vec<u8> = field.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let key = percent_decode(&spaced).decode_utf8().map_err(|_| "a key that is not UTF-8".to_owned())?;
    Ok(Cow::Owned(key.into_owned()))
}

/// Reads whole lines. `line` is the number of the first one. Ends at the first that is no entry.
pub fn read_lines(columns: &CsvColumns, text: &[u8], line: u64) -> Vec<Result<Listed, CsvFault>> {
    let mut found = Vec::new();
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut record = ByteRecord::new();
    loop {
        let read = reader.read_byte_record(&mut record);
        let line = line + record.position().map_or(0, |position| position.line() - 1);
        let listed = match read {
            Ok(false) => return found,
            Ok(true) => columns.row(&record).and_then(Row::listed),
            Err(error) => Err(error.to_string()),
        };
        match listed {
            Ok(listed) => found.extend(listed.map(Ok)),
            Err(problem) => {
                found.push(Err(CsvFault { line, problem }));
                return found;
            }
        }
    }
}

/// The lines of a file as they come.
pub(super) struct Lines {
    chunks: Chunks,
    columns: CsvColumns,
    /// Entries of lines that have come.
    ready: VecDeque<Result<Listed, CsvFault>>,
    /// The beginning of a line whose end has not.
    rest: Vec<u8>,
    /// The number of that line.
    line: u64,
    is_over: bool,
}

impl Lines {
    pub(super) fn new(chunks: Chunks, columns: CsvColumns) -> Self {
        Self { chunks, columns, ready: VecDeque::new(), rest: Vec::new(), line: 1, is_over: false }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Result<Listed, CsvFault>>, ReadError> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            if self.is_over {
                return Ok(None);
            }
            let chunk = self.chunks.next().await?;
            self.is_over = chunk.is_none();
            self.take(chunk.as_ref());
        }
    }

    /// Reads the lines that this chunk ends; without one, the last.
    fn take(&mut self, chunk: Option<&Bytes>) {
        let end = match chunk {
            Some(chunk) => {
                let end = memchr::memrchr(b'\n', chunk).map(|end| self.rest.len() + end + 1);
                self.rest.extend_from_slice(chunk);
                end.unwrap_or_default()
            }
            None => self.rest.len(),
        };
        let rest = self.rest.split_off(end);
        let whole = std::mem::replace(&mut self.rest, rest);
        self.ready.extend(read_lines(&self.columns, &whole, self.line));
        self.line += u64::try_from(memchr::memchr_iter(b'\n', &whole).count()).unwrap_or_default();
        if self.rest.len() > MAX_LINE {
            let problem = format!("more than {MAX_LINE} bytes");
            self.ready.push_back(Err(CsvFault { line: self.line, problem }));
        }
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("columns", &self.columns)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

/// A key of 1 KiB, each byte of it escaped, and the other columns.
const MAX_LINE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(schema: &str, text: &str) -> Vec<String> {
        let columns = CsvColumns::parse(schema).unwrap();
        let entry = |entry: Result<Listed, CsvFault>| match entry {
            Ok(Listed { key, size, last_modified, etag }) => {
                let at = last_modified.map(|at| humantime::format_rfc3339_millis(at).to_string());
                format!(
                    "{key} {size} {} {}",
                    at.unwrap_or_default(),
                    etag.map_or(String::new(), |tag| tag.as_str().to_owned())
                )
            }
            Err(CsvFault { line, problem }) => format!("{line}: {problem}"),
        };
        read_lines(&columns, text.as_bytes(), 1).into_iter().map(entry).collect()
    }

    #[test]
    fn lines_become_what_a_listing_has() {
        let schema = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag";
        let text = concat!(
            "\"b\",\"a+b%2Bc%2Fd%20e%C3%A9%22.jpg\",\"v1\",\"true\",\"false\",\"12\",\"2024-02-29T13:05:00.250Z\",\"9bb5-2\"\n",
            "\"b\",\"old\",\"v0\",\"false\",\"false\",\"12\",\"2024-02-29T13:05:00.000Z\",\"9bb5\"\n",
            "\"b\",\"gone\",\"v2\",\"true\",\"true\",\"\",\"2024-02-29T13:05:00.000Z\",\"\"\r\n",
            "\"b\",\"plain\",\"\",\"\",\"\",\"0\",\"\",\"\"\n",
        );
        assert_eq!(
            read(schema, text),
            ["a b+c/d eé\".jpg 12 2024-02-29T13:05:00.250Z \"9bb5-2\"", "plain 0  ",]
        );
        assert_eq!(read("Key,Size", "a,1\nb,2"), ["a 1  ", "b 2  "]);
    }

    #[test]
    fn the_first_line_that_is_no_entry_ends_it() {
        for (line, want) in [
            ("a", "2: 1 columns"),
            ("a,x", "2: no size: \"x\""),
            ("a,-1", "2: no size: \"-1\""),
            ("a,", "2: no size"),
            (",1", "2: an empty key"),
            ("%ff,1", "2: a key that is not UTF-8"),
        ] {
            assert_eq!(read("Key, Size", &format!("k,1\n{line}\nk,2\n")), ["k 1  ", want], "{line}");
        }
        assert_eq!(read("Key, Size, ETag", "k,1,a b"), ["1: no ETag: \"a b\""]);
        assert_eq!(read("Key, Size, LastModifiedDate", "k,1,today"), ["1: no time: \"today\""]);
        assert_eq!(read("Key, Size, IsLatest", "k,1,yes"), ["1: neither true nor false: \"yes\""]);
    }
}
