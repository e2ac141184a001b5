//! Into which parts a scan is cut.
//!
//! Cuts are made at sub-prefixes, since a large bucket has some; wherever they are, parts cover every key once: each goes
//! from behind one key up to and including another. A bucket whose listing fits on a page is one part.

use super::{SyncError, scan};
use crate::{
    object::{Bucket, ObjectKey},
    s3::{Connection, ListRequest},
    sidecar::inventory::Manifest,
    storage::{Inventory, Settings},
    store::Part,
};

/// The parts of a listing.
pub(super) async fn of_listing(connection: &Connection, settings: &Settings) -> Result<Vec<Part>, SyncError> {
    let prefix = settings.normal_prefix();
    let cuts = if settings.recursive && is_large(connection, &prefix).await? {
        cuts(connection, &prefix).await?
    } else {
        Vec::new()
    };
    Ok(between(&prefix, &cuts))
}

/// The files of an inventory, each a part: its cursor is the number of lines that were taken, and in the place of its end
/// stands the manifest, so that a newer delivery does not come in the middle of a run.
pub(super) async fn of_inventory(
    inventory: &Inventory,
    connection: &Connection,
    bucket: &Bucket,
) -> Result<Vec<Part>, SyncError> {
    let key = manifest_key(inventory, connection).await?;
    let manifest = Manifest::read(connection, &key).await?;
    if manifest.source_bucket() != bucket.as_str() {
        return Err(SyncError::InventoryOfOther(manifest.source_bucket().to_owned(), bucket.clone()));
    }
    let part = |(number, _)| Part {
        number,
        after: "0".to_owned(),
        until: Some(key.as_str().to_owned()),
        ..Part::default()
    };
    Ok((0..).zip(manifest.files()).map(part).collect())
}

/// That of the manifest itself, or of the newest that was delivered under its folder.
async fn manifest_key(inventory: &Inventory, connection: &Connection) -> Result<ObjectKey, SyncError> {
    let missing = || SyncError::InventoryMissing(String::from(inventory.clone()));
    let key = match inventory.place.strip_suffix('/') {
        None => inventory.place.clone(),
        Some(_) => scan::newest_manifest(connection, &inventory.place).await?.ok_or_else(missing)?,
    };
    ObjectKey::parse(&key).map_err(|_| missing())
}

async fn is_large(connection: &Connection, prefix: &str) -> Result<bool, SyncError> {
    let request =
        ListRequest { prefix, recursive: true, page_size: 1000, continuation: None, start_after: None };
    Ok(connection.list(&request).await.map_err(SyncError::List)?.next.is_some())
}

/// Sub-prefixes, evenly taken; where all keys share one, those below it.
async fn cuts(connection: &Connection, prefix: &str) -> Result<Vec<String>, SyncError> {
    let mut prefix = prefix.to_owned();
    for _ in 0..DEPTH {
        let mut found = sub_prefixes(connection, &prefix).await?;
        match found.len() {
            0 => return Ok(Vec::new()),
            1 => prefix = found.remove(0),
            many => {
                let every = many.div_ceil(PARTS);
                return Ok(found.into_iter().skip(every - 1).step_by(every).take(PARTS - 1).collect());
            }
        }
    }
    Ok(Vec::new())
}

async fn sub_prefixes(connection: &Connection, prefix: &str) -> Result<Vec<String>, SyncError> {
    let (mut found, mut continuation) = (Vec::new(), None);
    for _ in 0..PAGES {
        let request = ListRequest {
            prefix,
            recursive: false,
            page_size: 1000,
            continuation: continuation.as_deref(),
            start_after: None,
        };
        let page = connection.list(&request).await.map_err(SyncError::List)?;
        found.extend(page.prefixes);
        continuation = page.next;
        if continuation.is_none() {
            break;
        }
    }
    Ok(found)
}

fn between(prefix: &str, cuts: &[String]) -> Vec<Part> {
    let starts = std::iter::once(prefix).chain(cuts.iter().map(String::as_str));
    let end = scan::behind(prefix);
    let ends = cuts.iter().map(|cut| Some(cut.clone())).chain(std::iter::once(end));
    let part = |(number, (after, until)): (i64, (&str, _))| Part {
        number,
        after: after.to_owned(),
        until,
        ..Part::default()
    };
    (0..).zip(starts.zip(ends)).map(part).collect()
}

/// More than are worked on at once, since some are larger than others.
const PARTS: usize = 16;
/// Pages of sub-prefixes that are looked at: ten thousand of them are enough to choose from.
const PAGES: usize = 10;
/// How far down cuts are looked for.
const DEPTH: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_key_once() {
        let parts = between("p/", &["p/b/".to_owned(), "p/m/".to_owned()]);
        let ranges: Vec<_> = parts.iter().map(|part| (part.after.as_str(), part.until.as_deref())).collect();
        assert_eq!(ranges, [("p/", Some("p/b/")), ("p/b/", Some("p/m/")), ("p/m/", Some("p0"))]);
        let whole = between("", &[]);
        assert_eq!((whole[0].after.as_str(), whole[0].until.as_deref(), whole.len()), ("", None, 1));
    }
}
