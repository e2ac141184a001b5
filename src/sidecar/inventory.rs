//! S3 Inventory: a list of a bucket's objects that S3 wrote itself, as a source of a scan.
//!
//! For buckets with many millions of objects: listing is a thousand at a time, an inventory is a handful of files,
//! once a day. A manifest names its files, which are CSV packed with gzip, or Parquet. What must stay true: the
//! entries are those that a listing would give, so that old versions and delete markers are left out; memory does
//! not grow with the files; an entry that cannot be read ends the reading, since leaving it out in silence would be an
//! object that is taken for gone. Source: Amazon S3 User Guide, "Amazon S3 Inventory list" and "Inventory manifest".

mod csv;
mod entry;
mod manifest;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use md5::{Digest as _, Md5};
use tokio::task::coop::consume_budget;

use self::{csv::Lines, entry::Row};
pub use self::{
    csv::{CsvColumns, CsvFault, read_lines},
    manifest::{InventoryFile, Manifest, ManifestFault},
};
use super::items::{Chunks, Items, Limits, ReadError, Source};
use crate::{
    object::ObjectKey,
    s3::{self, Connection, GetOptions, Listed},
};

/// Why an inventory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// S3 did not give the manifest.
    #[error("the manifest of the inventory cannot be read: {0}")]
    S3(#[from] s3::Error),
    /// The manifest is none.
    #[error("the manifest of the inventory cannot be used: {0}")]
    Manifest(#[from] ManifestFault),
    /// A file of it was not given, or is damaged.
    #[error("the inventory file {file} cannot be read: {error}")]
    File {
        /// Its key.
        file: String,
        /// Why.
        #[source]
        error: ReadError,
    },
    /// A line of it is no entry.
    #[error("the inventory file {file} cannot be read: {problem} in {place} {number}")]
    Entry {
        /// Its key.
        file: String,
        /// What is counted.
        place: &'static str,
        /// The line from 1, or the row from 0.
        number: u64,
        /// What is wrong.
        problem: String,
    },
}

impl InventoryError {
    /// Whether reading again may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::S3(error) => error.is_transient(),
            Self::File { error, .. } => error.is_transient(),
            Self::Manifest(_) | Self::Entry { .. } => false,
        }
    }
}

impl Manifest {
    /// Reads a manifest: the object that ends in `manifest.json`.
    pub async fn read(connection: &Connection, key: &ObjectKey) -> Result<Self, InventoryError> {
        let text =
            whole(connection, key, MAX_MANIFEST).await?.ok_or(ManifestFault::TooLarge(MAX_MANIFEST))?;
        let sum = match checksum_key(key) {
            Some(key) => whole(connection, &key, MAX_CHECKSUM).await,
            None => Ok(None),
        };
        match sum {
            Ok(Some(sum)) if !is_sum_of(&sum, &text) => return Err(ManifestFault::Checksum.into()),
            // Without the sum, or without leave to read it, the manifest counts as it is.
            Ok(_) | Err(s3::Error::NoSuchKey | s3::Error::AccessDenied) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self::parse(&text)?)
    }
}

/// An object of at most so many bytes; `None` where it has more.
async fn whole(connection: &Connection, key: &ObjectKey, most: u64) -> Result<Option<Bytes>, s3::Error> {
    let object = connection.get(key, GetOptions::default()).await?;
    if object.meta.size > most {
        return Ok(None);
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let body = Limited::new(object.body, most).collect().await.map_err(|_| s3::Error::AnswerMalformed)?;
    Ok(Some(body.to_bytes()))
}

/// `manifest.checksum` stands beside `manifest.json`.
fn checksum_key(key: &ObjectKey) -> Option<ObjectKey> {
    ObjectKey::parse(&format!("{}.checksum", key.as_str().strip_suffix(".json")?)).ok()
}

/// Whether it is the MD5 of the text, in hexadecimal digits.
fn is_sum_of(sum: &[u8], text: &[u8]) -> bool {
    let digits = format!("{:032x}", u128::from_be_bytes(Md5::digest(text).into()));
    sum.trim_ascii().eq_ignore_ascii_case(digits.as_bytes())
}

/// Reads the entries of one file of an inventory.
#[derive(Debug)]
pub struct Entries {
    file: String,
    /// Absent once there are no more.
    rows: Option<Rows>,
}

#[derive(Debug)]
enum Rows {
    Csv(Box<Lines>),
    Parquet(Box<Items>),
}

impl Entries {
    /// Opens the file at this place in [`Manifest::files`]; `None` where there is none.
    pub async fn open(
        connection: &Connection,
        manifest: &Manifest,
        place: usize,
    ) -> Result<Option<Self>, InventoryError> {
        let Some(InventoryFile { key, size }) = manifest.files().get(place) else { return Ok(None) };
        let file = key.as_str().to_owned();
        let rows = if let Some(columns) = manifest.csv_columns() {
            open_csv(connection, key, columns.clone()).await
        } else {
            let source = Source { connection, key, size: *size, etag: None };
            Items::open(source, LIMITS).await.map(|items| Rows::Parquet(Box::new(items)))
        };
        match rows {
            Ok(rows) => Ok(Some(Self { file, rows: Some(rows) })),
            Err(error) => Err(InventoryError::File { file, error }),
        }
    }

    /// The next object. After the last one, and after an error, there are none.
    pub async fn next(&mut self) -> Result<Option<Listed>, InventoryError> {
        // An entry that is there at once would never let others run.
        consume_budget().await;
        let listed = self.read().await;
        if !matches!(listed, Ok(Some(_))) {
            self.rows = None;
        }
        listed
    }

    async fn read(&mut self) -> Result<Option<Listed>, InventoryError> {
        let file = |error| InventoryError::File { file: self.file.clone(), error };
        let entry = |place, number, problem| InventoryError::Entry {
            file: self.file.clone(),
            place,
            number,
            problem,
        };
        match &mut self.rows {
            None => Ok(None),
            Some(Rows::Csv(lines)) => match lines.next().await.map_err(file)? {
                Some(Ok(listed)) => Ok(Some(listed)),
                Some(Err(CsvFault { line, problem })) => Err(entry("line", line, problem)),
                None => Ok(None),
            },
            Some(Rows::Parquet(items)) => {
                while let Some(read) = items.next().await.map_err(file)? {
                    let item = read.item.map_err(|fault| entry("row", read.row, fault.to_string()))?;
                    let row = Row::of_json(item.data.get());
                    let listed =
                        row.and_then(Row::listed).map_err(|problem| entry("row", read.row, problem))?;
                    if listed.is_some() {
                        return Ok(listed);
                    }
                }
                Ok(None)
            }
        }
    }
}

async fn open_csv(connection: &Connection, key: &ObjectKey, columns: CsvColumns) -> Result<Rows, ReadError> {
    let object = connection.get(key, GetOptions::default()).await?;
    let chunks = Chunks::open(object.body, u64::MAX).await?;
    Ok(Rows::Csv(Box::new(Lines::new(chunks, columns))))
}

/// A manifest with some ten thousand files has a few MiB.
const MAX_MANIFEST: u64 = 64 * 1024 * 1024;
const MAX_CHECKSUM: u64 = 1024;
/// Files of an inventory are as large as S3 makes them; a row has a key of 1 KiB and some words.
const LIMITS: Limits = Limits { item_size: 64 * 1024, object_size: u64::MAX };
