//! One entry as the files have it, and as a listing has it.

use std::borrow::Cow;

use serde::Deserialize;

use crate::{object::ETag, s3::Listed};

/// What is read of an entry. Other columns are for other purposes.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Row<'a> {
    #[serde(borrow)]
    pub(super) key: Cow<'a, str>,
    /// Absent for delete markers.
    pub(super) size: Option<u64>,
    #[serde(borrow)]
    pub(super) last_modified_date: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) e_tag: Option<Cow<'a, str>>,
    /// Absent where the inventory is of current versions only.
    pub(super) is_latest: Option<bool>,
    pub(super) is_delete_marker: Option<bool>,
}

impl<'a> Row<'a> {
    /// Reads a row of Parquet.
    pub(super) fn of_json(text: &'a str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// As a listing has it; `None` for what a listing leaves out.
    pub(super) fn listed(self) -> Result<Option<Listed>, String> {
        if self.is_latest == Some(false) || self.is_delete_marker == Some(true) {
            return Ok(None);
        }
        if self.key.is_empty() {
            return Err("an empty key".to_owned());
        }
        let size = self.size.ok_or("no size")?;
        let last_modified = match self.last_modified_date.as_deref() {
            None | Some("") => None,
            // Parquet may hold it without a zone; it is UTC all the same.
            Some(text) => {
                Some(humantime::parse_rfc3339_weak(text).map_err(|_| format!("no time: {text:?}"))?)
            }
        };
        let etag = match self.e_tag.as_deref() {
            None | Some("") => None,
            // Inventories leave out the quotes, which are part of it.
            Some(tag) => Some(etag(tag).ok_or_else(|| format!("no ETag: {tag:?}"))?),
        };
        Ok(Some(Listed { key: self.key.into_owned(), size, last_modified, etag }))
    }
}

fn etag(tag: &str) -> Option<ETag> {
    ETag::parse(tag).or_else(|| ETag::parse(&format!("\"{tag}\"")))
}
