//! What is done with a bucket beside reading its objects: list, write, delete, and look at it from outside.
//!
//! By aws-sdk-s3 over the connections of `egress`. None of it is on the data path.

use std::time::SystemTime;

use bytes::Bytes;

use super::{Connection, Error};
use crate::object::{ETag, ObjectKey};

/// Which keys to list.
#[derive(Clone, Copy, Debug)]
pub struct ListRequest<'a> {
    /// All keys start with it; taken verbatim.
    pub prefix: &'a str,
    /// Whether keys with a further `/` behind the prefix are listed too.
    pub recursive: bool,
    /// The most keys of a page, 1 to 1000.
    pub page_size: u16,
    /// [`ListPage::next`] of the page before.
    pub continuation: Option<&'a str>,
}

/// One page of a listing, in the order of the keys' bytes.
#[derive(Clone, Debug, Default)]
pub struct ListPage {
    /// The objects.
    pub objects: Vec<Listed>,
    /// Without `recursive`: what lies under the prefix up to the next `/`.
    pub prefixes: Vec<String>,
    /// Where the next page begins; absent on the last one.
    pub next: Option<String>,
}

/// An object as a listing has it. Its key may be one that cannot be served.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The key, verbatim.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// When it was written.
    pub last_modified: Option<SystemTime>,
    /// Names its version.
    pub etag: Option<ETag>,
}

/// How to write an object.
#[derive(Clone, Debug, Default)]
pub struct PutOptions {
    /// Its media type.
    pub content_type: Option<&'static str>,
    /// Encrypt with this KMS key; absent: as the bucket does by itself.
    pub sse_kms_key_id: Option<String>,
}

/// What a bucket says to a browser that asks whether a page of some origin may read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Preflight {
    /// `Access-Control-Allow-Origin`.
    pub allow_origin: Option<String>,
    /// `Access-Control-Allow-Methods`.
    pub allow_methods: Option<String>,
}

impl Connection {
    /// Lists one page.
    pub async fn list(&self, request: &ListRequest<'_>) -> Result<ListPage, Error> {
        todo!("{request:?}")
    }

    /// Writes an object in one request, with a checksum.
    pub async fn put(&self, key: &ObjectKey, body: Bytes, options: &PutOptions) -> Result<(), Error> {
        todo!("{key:?} {body:?} {options:?}")
    }

    /// Deletes an object; an absent one is no error.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        todo!("{key:?}")
    }

    /// Reads the first byte of an object by a presigned URL at the public endpoint, as a browser would.
    pub async fn probe_presigned(&self, key: &ObjectKey, now: SystemTime) -> Result<(), Error> {
        todo!("{key:?} {now:?}")
    }

    /// Asks the public endpoint, as a browser would, whether a page of this origin may GET the object.
    pub async fn preflight(&self, key: &ObjectKey, origin: &str) -> Result<Preflight, Error> {
        todo!("{key:?} {origin}")
    }
}
