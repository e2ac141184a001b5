//! Which objects a task of the store mentions: what a token covers that names a task and no objects.
//!
//! The store is asked once per task and while; many requests that want the same at once wait for one answer. Tasks that
//! are not there are remembered as such, so that guessing costs the database nothing more. What a sync changes shows here
//! within [`FRESH`]; a database that is away closes nothing that is known and fresh, and opens nothing that is not.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;

use super::Error;
use crate::{
    access,
    id::{ProjectId, TaskId, TaskNumber},
    object::ObjectUri,
    store::{self, Store},
    task,
};

/// What the tasks of the store mention. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Links {
    store: Store,
    known: Cache<TaskNumber, Arc<Mentioned>>,
}

/// What one task mentions, by its data.
#[derive(Debug, Default)]
pub struct Mentioned {
    /// The project that the task belongs to.
    pub project: Option<ProjectId>,
    /// Sorted.
    objects: Box<[ObjectUri]>,
}

impl Links {
    /// Nothing is known at first.
    pub fn new(store: Store) -> Self {
        let weigh = |_: &TaskNumber, mentioned: &Arc<Mentioned>| mentioned.weight();
        let known = Cache::builder().max_capacity(CAPACITY).weigher(weigh).time_to_live(FRESH).build();
        Self { store, known }
    }

    /// Fails with [`access::Error::ObjectNotGranted`] unless the task is one of the store's and mentions the object.
    pub async fn expect(&self, task: &TaskId, object: &ObjectUri) -> Result<Arc<Mentioned>, Error> {
        let refused = Error::Access(access::Error::ObjectNotGranted);
        let Some(number) = TaskNumber::of(task) else { return Err(refused) };
        let mentioned = if let Some(mentioned) = self.known.get(&number).await {
            mentioned
        } else {
            let asked = self.known.try_get_with(number, self.ask(number)).await;
            asked.map_err(Error::LinksUnavailable)?
        };
        if mentioned.mentions(object) { Ok(mentioned) } else { Err(refused) }
    }

    async fn ask(&self, number: TaskNumber) -> Result<Arc<Mentioned>, store::Error> {
        let Some(task) = self.store.task(number).await? else { return Ok(Arc::default()) };
        Ok(Arc::new(Mentioned::read(task.project, task.item.data.get())))
    }
}

impl Mentioned {
    /// Reads the data of a task: JSON, with URIs as they are.
    pub fn read(project: Option<ProjectId>, data: &str) -> Self {
        let mut objects = task::mentions_in_json(data);
        objects.sort_unstable();
        objects.dedup();
        Self { project, objects: objects.into() }
    }

    /// Whether the object is one of them.
    pub fn mentions(&self, object: &ObjectUri) -> bool {
        self.objects.binary_search(object).is_ok()
    }

    /// All of them, sorted.
    pub fn objects(&self) -> &[ObjectUri] {
        &self.objects
    }

    /// What it occupies in bytes; about, since allocators differ.
    pub fn weight(&self) -> u32 {
        let object = |object: &ObjectUri| {
            size_of::<ObjectUri>() + 64 + object.bucket.as_str().len() + object.key.as_str().len()
        };
        let bytes = 256 + self.objects.iter().map(object).sum::<usize>();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// How long what a task mentions is taken for true.
pub const FRESH: Duration = Duration::from_secs(10);
/// Bytes for what tasks mention.
const CAPACITY: u64 = 16 * 1024 * 1024;
