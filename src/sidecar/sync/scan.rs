//! Pages of keys, whichever way they come.

use super::SyncError;
use crate::{
    object::ObjectKey,
    s3::{Connection, ListRequest, Listed},
    sidecar::inventory::{Entries, Manifest},
    storage::{Inventory, Settings},
    store::Part,
};

/// Keys of a part, as far as they came at once.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// The objects, in the order of their keys.
    pub(super) objects: Vec<Listed>,
    /// How far the part is with them: of a listing a key, of an inventory a number of lines.
    pub(super) after: String,
    /// Whether nothing follows.
    pub(super) is_last: bool,
}

/// Where the pages of a part come from.
#[derive(Debug)]
pub(super) enum Pages {
    /// A listing.
    Listing(Box<Listing>),
    /// A file of an inventory.
    Inventory(Box<InventoryFile>),
}

#[derive(Debug)]
pub(super) struct Listing {
    connection: Connection,
    prefix: String,
    recursive: bool,
    /// The last key that was seen.
    after: String,
    until: Option<String>,
    continuation: Option<String>,
    is_over: bool,
}

#[derive(Debug)]
pub(super) struct InventoryFile {
    entries: Entries,
    prefix: String,
    recursive: bool,
    lines: u64,
    is_over: bool,
}

impl Pages {
    /// The pages of a listing behind where its part is.
    pub(super) fn listing(connection: &Connection, settings: &Settings, part: &Part) -> Self {
        Self::Listing(Box::new(Listing {
            connection: connection.clone(),
            prefix: settings.normal_prefix(),
            recursive: settings.recursive,
            after: part.after.clone(),
            until: part.until.clone(),
            continuation: None,
            is_over: false,
        }))
    }

    /// The lines of a file of an inventory behind where its part is.
    pub(super) async fn inventory(
        inventory: &Inventory,
        connection: &Connection,
        settings: &Settings,
        part: &Part,
    ) -> Result<Self, SyncError> {
        let missing = || SyncError::InventoryMissing(String::from(inventory.clone()));
        let key = part.until.as_deref().and_then(|key| ObjectKey::parse(key).ok()).ok_or_else(missing)?;
        let manifest = Manifest::read(connection, &key).await?;
        let file = usize::try_from(part.number).unwrap_or(usize::MAX);
        let mut file = InventoryFile {
            entries: Entries::open(connection, &manifest, file).await?.ok_or_else(missing)?,
            prefix: settings.normal_prefix(),
            recursive: settings.recursive,
            lines: 0,
            is_over: false,
        };
        let done: u64 = part.after.parse().unwrap_or_default();
        while file.lines < done && file.entries.next().await?.is_some() {
            file.lines += 1;
        }
        Ok(Self::Inventory(Box::new(file)))
    }

    /// The next page; `None` behind the last one.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, SyncError> {
        match self {
            Self::Listing(listing) => listing.next().await,
            Self::Inventory(file) => file.next().await,
        }
    }
}

impl Listing {
    async fn next(&mut self) -> Result<Option<Page>, SyncError> {
        if self.is_over {
            return Ok(None);
        }
        let request = ListRequest {
            prefix: &self.prefix,
            recursive: self.recursive,
            page_size: 1000,
            continuation: self.continuation.as_deref(),
            start_after: Some(self.after.as_str()).filter(|after| !after.is_empty()),
        };
        let page = self.connection.list(&request).await.map_err(SyncError::List)?;
        self.continuation = page.next;
        let mut objects = page.objects;
        let listed = objects.len();
        if let Some(until) = &self.until {
            objects.retain(|object| object.key <= *until);
        }
        let is_behind_the_end = objects.len() < listed
            || page.prefixes.last().zip(self.until.as_ref()).is_some_and(|(prefix, until)| prefix > until);
        self.expect_order(&objects)?;
        self.is_over = self.continuation.is_none() || is_behind_the_end;
        if let Some(last) = objects.last() {
            self.after.clone_from(&last.key);
        }
        if self.is_over
            && let Some(until) = &self.until
        {
            self.after.clone_from(until);
        }
        Ok(Some(Page { objects, after: self.after.clone(), is_last: self.is_over }))
    }

    fn expect_order(&self, objects: &[Listed]) -> Result<(), SyncError> {
        let mut before = self.after.as_str();
        for object in objects {
            if object.key.as_str() <= before {
                return Err(SyncError::OutOfOrder(object.key.clone(), before.to_owned()));
            }
            before = &object.key;
        }
        Ok(())
    }
}

impl InventoryFile {
    async fn next(&mut self) -> Result<Option<Page>, SyncError> {
        if self.is_over {
            return Ok(None);
        }
        let mut objects = Vec::with_capacity(LINES);
        while objects.len() < LINES {
            let Some(object) = self.entries.next().await? else {
                self.is_over = true;
                break;
            };
            self.lines += 1;
            objects.push(object);
        }
        objects.retain(|object| is_under(&object.key, &self.prefix, self.recursive));
        Ok(Some(Page { objects, after: self.lines.to_string(), is_last: self.is_over }))
    }
}

/// Whether a listing with this prefix would have the key.
pub(super) fn is_under(key: &str, prefix: &str, recursive: bool) -> bool {
    key.strip_prefix(prefix).is_some_and(|rest| recursive || !rest.contains('/'))
}

/// The first text behind all those with this prefix; `None` where nothing is.
pub(super) fn behind(prefix: &str) -> Option<String> {
    // The prefix is empty or ends in a slash, and `0` is the next byte.
    prefix.strip_suffix('/').map(|folder| format!("{folder}0"))
}

/// The manifest of the last delivery: they lie in folders named by the time, `2026-11-24T01-00Z/manifest.json`.
pub(super) async fn newest_manifest(
    connection: &Connection,
    folder: &str,
) -> Result<Option<String>, SyncError> {
    let (mut newest, mut continuation) = (None, None);
    loop {
        let request = ListRequest {
            prefix: folder,
            recursive: false,
            page_size: 1000,
            continuation: continuation.as_deref(),
            start_after: None,
        };
        let page = connection.list(&request).await.map_err(SyncError::List)?;
        let dated = |prefix: &String| {
            let name = prefix.strip_prefix(folder).unwrap_or_default();
            name.starts_with(|c: char| c.is_ascii_digit()) && name.ends_with("Z/")
        };
        newest = page.prefixes.into_iter().rfind(dated).or(newest);
        continuation = page.next;
        if continuation.is_none() {
            return Ok(newest.map(|folder| format!("{folder}manifest.json")));
        }
    }
}

/// As many as a listing has on a page.
const LINES: usize = 1000;
