//! Sync: from a bucket into tasks.
//!
//! A run is a few parts, each a range of keys, which go on side by side. A part lists page by page, looks up what is known
//! of the same range of keys, and takes what is new in numbered steps: one transaction has the links, the tasks and how
//! far the part is. The next page is listed while a step is taken, and no further ahead, so that memory does not grow with
//! the bucket. What breaks off goes on behind the last key of the last step; what was listed again finds its links there.
//!
//! Listing in the order of keys beside links in the same order also shows what is gone, without remembering what was seen.
//! An inventory has no such order: with it, nothing is found missing.
//!
//! Tasks go to a [`TaskSink`], which keeps its protocol with the application to itself.

mod error;
mod judge;
mod part;
mod plan;
mod read;
mod retry;
mod scan;
mod sink;

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use self::part::PartWork;
pub use self::{
    error::SyncError,
    sink::{Settling, SinkError, SinkUnavailable, StoreSink, TaskSink},
};
use super::items;
use crate::{
    run::Claim,
    s3,
    storage::{Inventory, Storage},
    store::{SourceId, SourceSpec, Store},
};

/// How much is done at once, and how large things may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Parts that are listed side by side.
    pub listings: usize,
    /// Of files of tasks.
    pub items: items::Limits,
}

/// One run of a sync, ready to go.
#[derive(Debug)]
pub struct Sync<'a> {
    /// Where runs are kept.
    pub store: &'a Store,
    /// Where tasks go.
    pub sink: Arc<dyn TaskSink>,
    /// The right to work.
    pub claim: Claim,
    /// What to sync.
    pub storage: &'a Storage,
    /// Its bucket.
    pub connection: s3::Connection,
    /// The bucket of its inventory, where it has one.
    pub inventory: Option<(Inventory, s3::Connection)>,
    /// How much at once.
    pub limits: Limits,
}

impl Sync<'_> {
    /// Goes on where the run is, to its end.
    pub async fn run(&self) -> Result<(), SyncError> {
        let source = retry::retry(|| async { Ok(self.store.source(self.source_spec()).await?) }).await?;
        let parts = retry::retry(|| self.parts()).await?;
        retry::retry(|| async { Ok(self.sink.begin(self.claim, source).await?) }).await?;
        let open = parts.into_iter().filter(|part| !part.is_done);
        let work = open.map(|part| Box::pin(self.go_through(source, part)));
        stream::iter(work).buffer_unordered(self.limits.listings.max(1)).try_collect::<()>().await?;
        retry::retry(|| async { Ok(self.sink.finish(self.claim, source).await?) }).await
    }

    async fn go_through(&self, source: SourceId, part: crate::store::Part) -> Result<(), SyncError> {
        PartWork::new(self, source, part).run().await
    }

    /// The parts as they are, or as they are planned now.
    async fn parts(&self) -> Result<Vec<crate::store::Part>, SyncError> {
        let revision = self.storage.revision;
        if let Some(parts) = self.store.parts(self.claim, revision).await? {
            return Ok(parts);
        }
        let parts = match &self.inventory {
            Some((inventory, connection)) => {
                plan::of_inventory(inventory, connection, self.connection.bucket()).await?
            }
            None => plan::of_listing(&self.connection, &self.storage.settings).await?,
        };
        self.store.plan_parts(self.claim, revision, &parts).await?;
        Ok(parts)
    }

    fn source_spec(&self) -> SourceSpec<'_> {
        let settings = &self.storage.settings;
        SourceSpec {
            // Names of buckets are unique at AWS, whatever endpoint they are reached by.
            endpoint: settings.endpoint.as_ref().map_or("aws", |_| self.connection.origin()),
            bucket: self.connection.bucket().as_str(),
            project: settings.project.as_ref().map(crate::id::ProjectId::as_str),
            storage: self.storage.id,
            is_own: settings.duplicates,
        }
    }
}
