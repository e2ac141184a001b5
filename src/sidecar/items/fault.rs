//! Why a file cannot be read as tasks, in words for whoever put it there.

/// What is wrong with the file as a whole. Items before the fault were read and count.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ObjectFault {
    /// No bytes, or nothing but white space.
    #[error(
        "the file is empty; put tasks into it, or leave it out with the file filter or the import method Files"
    )]
    Empty,
    /// More bytes than a file may have.
    #[error("the file has {size} bytes and the limit is {limit} (sidecar.max_object_size); split it")]
    TooLarge {
        /// Bytes as stored.
        size: u64,
        /// The most.
        limit: u64,
    },
    /// Gzip that grows too large.
    #[error(
        "unpacked, the file has more than {limit} bytes, which is the limit (sidecar.max_object_size); split it"
    )]
    UnpackedTooLarge {
        /// The most.
        limit: u64,
    },
    /// Neither JSON nor Parquet.
    #[error(
        "no JSON, JSON Lines or Parquet, so no tasks can be imported from it; for media and other binary objects \
         choose the import method Files"
    )]
    NotTasks,
    /// JSON is UTF-8.
    #[error("the text is UTF-16; save the file as UTF-8")]
    Utf16,
    /// Damaged gzip.
    #[error("the gzip data is damaged ({0}); pack the file again")]
    Gzip(String),
    /// Gzip without its end.
    #[error("the gzip data breaks off; the file was not written to its end")]
    GzipCut,
    /// A list without its end.
    #[error(
        "the list of tasks breaks off in item {row}, which starts in line {line}: a closing bracket is missing"
    )]
    ListCut {
        /// The item, from 0.
        row: u64,
        /// Where it starts, from 1.
        line: u64,
    },
    /// More behind the end of the list.
    #[error(
        "the list of tasks ends in line {line}, and more follows: one bracket too many was closed, or two files were joined"
    )]
    BehindList {
        /// Where the surplus stands, from 1.
        line: u64,
    },
    /// Parquet needs to be read from several places at once.
    #[error("a Parquet file cannot be read inside of gzip; store it as it is, Parquet compresses by itself")]
    ParquetInGzip,
    /// Parquet with modular encryption.
    #[error("the Parquet file is encrypted; store it unencrypted, or encrypted by the bucket")]
    ParquetEncrypted,
    /// Any other trouble with Parquet.
    #[error("the Parquet file cannot be read: {0}")]
    Parquet(String),
}
