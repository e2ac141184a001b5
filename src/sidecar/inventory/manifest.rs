//! The manifest: which files there are, and what is in their columns.

use serde::Deserialize;

use super::CsvColumns;
use crate::object::ObjectKey;

/// What one run of an inventory wrote.
#[derive(Clone, Debug)]
pub struct Manifest {
    source_bucket: String,
    /// Present for CSV; Parquet says it by itself.
    columns: Option<CsvColumns>,
    files: Vec<InventoryFile>,
}

/// One file of an inventory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InventoryFile {
    /// In the bucket of the manifest.
    pub key: ObjectKey,
    /// Bytes as they are stored.
    pub size: u64,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestFault {
    /// More than any manifest has.
    #[error("it has more than {0} bytes; name the object that ends in manifest.json")]
    TooLarge(u64),
    /// Written over, or not to its end.
    #[error("it does not have the MD5 that manifest.checksum beside it says; wait until S3 has written both")]
    Checksum,
    /// Another file.
    #[error("it is no manifest of S3 Inventory ({0}); name the object that ends in manifest.json")]
    NotManifest(#[source] serde_json::Error),
    /// ORC.
    #[error("its files are ORC, which cannot be read; set the inventory's output format to CSV or Parquet")]
    Orc,
    /// A format that is not known.
    #[error("its files are {0:?}, and only CSV and Parquet can be read")]
    Format(String),
    /// A column that a listing needs.
    #[error("its files have no column {0}; add it to the inventory's configuration")]
    ColumnMissing(&'static str),
    /// A file that cannot be asked for.
    #[error("it names a file with a key that S3 cannot have: {0:?}")]
    Key(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    source_bucket: String,
    file_format: String,
    file_schema: String,
    files: Vec<WireFile>,
}

#[derive(Deserialize)]
struct WireFile {
    key: String,
    size: u64,
}

impl Manifest {
    /// Reads the text of a manifest.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestFault> {
        let wire: Wire = serde_json::from_slice(text).map_err(ManifestFault::NotManifest)?;
        let columns = match wire.file_format.to_ascii_uppercase().as_str() {
            "CSV" => Some(CsvColumns::parse(&wire.file_schema)?),
            "PARQUET" => None,
            "ORC" => return Err(ManifestFault::Orc),
            _ => return Err(ManifestFault::Format(wire.file_format)),
        };
        let file = |WireFile { key, size }| match ObjectKey::parse(&key) {
            Ok(key) => Ok(InventoryFile { key, size }),
            Err(_) => Err(ManifestFault::Key(key)),
        };
        let files = wire.files.into_iter().map(file).collect::<Result<_, _>>()?;
        Ok(Self { source_bucket: wire.source_bucket, columns, files })
    }

    /// The bucket whose objects are listed.
    pub fn source_bucket(&self) -> &str {
        &self.source_bucket
    }

    /// The files, all of which make the list.
    pub fn files(&self) -> &[InventoryFile] {
        &self.files
    }

    pub(super) fn csv_columns(&self) -> Option<&CsvColumns> {
        self.columns.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(format: &str, schema: &str, key: &str) -> String {
        serde_json::json!({
            "sourceBucket": "media", "destinationBucket": "arn:aws:s3:::reports", "version": "2016-11-30",
            "creationTimestamp": "1514944800000", "fileFormat": format, "fileSchema": schema,
            "files": [{"key": key, "size": 2_147_483_648_u64, "MD5checksum": "f11166069f1990abeb9c97ace9cdfabc"}],
        })
        .to_string()
    }

    #[test]
    fn manifests() {
        let read =
            Manifest::parse(manifest("CSV", "Bucket, Key, Size, ETag", "inv/a.csv.gz").as_bytes()).unwrap();
        assert_eq!((read.source_bucket(), read.files().len()), ("media", 1));
        assert_eq!(read.files()[0].size, 2_147_483_648);
        assert!(Manifest::parse(manifest("Parquet", "message s3.inventory {}", "k").as_bytes()).is_ok());
        for (text, want) in [
            (manifest("ORC", "struct<>", "k"), "are ORC"),
            (manifest("XML", "", "k"), "\"XML\""),
            (manifest("CSV", "Bucket, Key", "k"), "no column Size"),
            (manifest("CSV", "Bucket, Size", "k"), "no column Key"),
            (manifest("CSV", "Key, Size", ""), "a key that S3 cannot have"),
            ("{}".to_owned(), "no manifest"),
            ("<html>".to_owned(), "no manifest"),
        ] {
            let fault = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(want), "{text}: {fault}");
        }
    }
}
