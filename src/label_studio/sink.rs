//! Where a sync's tasks go with Label Studio behind the gateway: into its projects, each exactly once.
//!
//! Label Studio's import knows no key that would make a request safe to repeat, and takes a batch as a whole or not at all.
//! So each task carries who made it in its `meta`, and the store keeps how far its delivery is. When an answer is lost,
//! nothing is sent again until the tasks have been looked for: a while later, since Label Studio may still be at it, and
//! the newest first, down to one that was there before.
//!
//! One batch is under way at a time: Label Studio locks the project for each.

mod api;
mod body;
mod error;
mod survey;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, OnceCell},
    time::sleep,
};

use self::{
    api::{Api, ImportFault},
    error::SinkFault,
};
use super::{Client, Config, number};
use crate::{
    id::ProjectId,
    run::Claim,
    sidecar::sync::{Settling, SinkError, SinkUnavailable, TaskSink},
    storage::Storage,
    store::{Batch, Bounds, Parcel, Part, SourceId, Step, Store},
};

/// Delivers the tasks of one storage to its project.
#[derive(Debug)]
pub struct Sink {
    store: Store,
    api: Api,
    project: ProjectId,
    bounds: Bounds,
    /// How long an import is left alone after its answer was lost.
    settle: Duration,
    identity: OnceCell<String>,
    turn: Mutex<()>,
}

/// Tasks for one request, and how often Label Studio has failed at just these.
struct Chunk {
    parcels: Vec<Parcel>,
    failures: u32,
}

/// How a run's requests have gone lately.
#[derive(Default)]
struct Luck {
    /// Failures of Label Studio itself since it last took something.
    failures: u32,
    /// Times in a row that it asked to wait.
    waits: u32,
}

impl Sink {
    /// The sink of a storage, or what has to be set first.
    pub fn build(
        store: &Store,
        client: &Arc<Client>,
        config: &Config,
        storage: &Storage,
    ) -> Result<Self, SinkUnavailable> {
        let unavailable = |text: &str| SinkUnavailable(text.to_owned());
        if !client.has_token() {
            return Err(unavailable(
                "label_studio.token_file is not set, and tasks are imported into Label Studio with it; make a personal \
                 access token on its page Account & Settings, of a user who may change the project",
            ));
        }
        let project = storage.settings.project.clone().ok_or_else(|| {
            unavailable("the storage has no project, so its tasks have nowhere to go; set its project")
        })?;
        let number = number(project.as_str()).ok_or_else(|| {
            unavailable("the storage's project is no number, as Label Studio's are; set its project")
        })?;
        let api = Api::new(Arc::clone(client), number, config.timeout);
        let bounds = Bounds {
            tasks: config.import_batch,
            bytes: BYTES,
            settle: api.longest_call() + config.import_settle,
        };
        let (store, settle) = (store.clone(), config.import_settle);
        Ok(Self { store, api, project, bounds, settle, identity: OnceCell::new(), turn: Mutex::default() })
    }

    /// Sends what is due, and what of it has changed since.
    async fn deliver(&self, claim: Claim, source: SourceId) -> Result<(), SinkError> {
        let _turn = self.turn.lock().await;
        let mut luck = Luck::default();
        while let Some(batch) = self.store.claim_batch(claim, source, self.bounds).await? {
            self.send(claim, batch, &mut luck).await?;
        }
        while let Some(batch) = self.store.claim_change(claim, source, self.bounds.settle).await? {
            for parcel in &batch.parcels {
                self.change(claim, parcel, &mut luck).await?;
            }
        }
        Ok(())
    }

    /// Sends a batch, in as many requests as it takes to find out what of it Label Studio refuses.
    async fn send(&self, claim: Claim, batch: Batch, luck: &mut Luck) -> Result<(), SinkError> {
        let Batch { id, parcels } = batch;
        let (good, bad): (Vec<_>, Vec<_>) = parcels
            .into_iter()
            .map(|parcel| (body::fault(&parcel.task.item), parcel))
            .partition(|(fault, _)| fault.is_none());
        for (fault, parcel) in bad {
            self.store.put_down_refused(claim, &parcel, fault.unwrap_or_default()).await?;
        }
        let whole = Chunk { parcels: good.into_iter().map(|(_, parcel)| parcel).collect(), failures: 0 };
        let mut chunks = vec![whole];
        while let Some(chunk) = chunks.pop() {
            if !chunk.parcels.is_empty() {
                chunks.extend(self.send_chunk(claim, &id, chunk, luck).await?);
                // What is left is sent now, and not when the batch was claimed.
                if !chunks.is_empty() {
                    self.store.keep_batch(&id, self.bounds.settle).await?;
                }
            }
        }
        Ok(())
    }

    /// Sends some tasks and returns what is to be sent instead, the last first.
    async fn send_chunk(
        &self,
        claim: Claim,
        batch: &str,
        chunk: Chunk,
        luck: &mut Luck,
    ) -> Result<Vec<Chunk>, SinkError> {
        let body = body::tasks(self.identity().await?, &chunk.parcels).map_err(SinkFault::from)?;
        match self.api.import(body, chunk.parcels.len()).await {
            Ok(numbers) => {
                *luck = Luck::default();
                let numbers: Vec<_> =
                    chunk.parcels.iter().map(|parcel| parcel.task.number).zip(numbers).collect();
                self.store.put_down_delivered(claim, batch, &numbers).await?;
                Ok(Vec::new())
            }
            Err(ImportFault::Items(faults)) => {
                luck.failures = 0;
                let mut left = chunk.parcels;
                for (index, reason) in faults.into_iter().rev() {
                    self.store.put_down_refused(claim, &left.remove(index), reason).await?;
                }
                Ok(vec![Chunk { parcels: left, failures: 0 }])
            }
            Err(ImportFault::Batch(reason)) => {
                luck.failures = 0;
                self.split(claim, chunk.parcels, reason).await
            }
            Err(ImportFault::Broken(reason)) => self.after_failure(claim, batch, chunk, reason, luck).await,
            Err(ImportFault::Busy(pause)) => self.wait(pause, luck).await.map(|()| vec![chunk]),
            Err(ImportFault::Unsent(fault)) => {
                self.store.return_batch(batch).await?;
                Err(fault.into())
            }
            Err(ImportFault::Lost(fault)) => {
                self.store.keep_batch(batch, self.settle).await?;
                tracing::warn!(error = %fault, "the answer to an import was lost; its tasks are looked for before they are sent again");
                Err(fault.into())
            }
        }
    }

    /// Halves, until what is refused stands alone.
    async fn split(
        &self,
        claim: Claim,
        mut parcels: Vec<Parcel>,
        reason: String,
    ) -> Result<Vec<Chunk>, SinkError> {
        if let [parcel] = parcels.as_slice() {
            self.store.put_down_refused(claim, parcel, reason).await?;
            return Ok(Vec::new());
        }
        let second = parcels.split_off(parcels.len().div_ceil(2));
        Ok([second, parcels].map(|parcels| Chunk { parcels, failures: 0 }).into())
    }

    /// Label Studio failed within itself, before or behind its commit. It may have been the database, or one of the tasks.
    async fn after_failure(
        &self,
        claim: Claim,
        batch: &str,
        chunk: Chunk,
        reason: String,
        luck: &mut Luck,
    ) -> Result<Vec<Chunk>, SinkError> {
        self.store.keep_batch(batch, self.bounds.settle).await?;
        let missing = self.look_for_chunk(claim, batch, &chunk.parcels).await?;
        let Chunk { mut parcels, failures } = chunk;
        parcels.retain(|parcel| missing.contains(&parcel.task.number));
        if parcels.is_empty() {
            return Ok(Vec::new());
        }
        luck.failures += 1;
        if luck.failures > MOST_FAILURES {
            self.store.return_batch(batch).await?;
            return Err(SinkFault::Broken(reason).into());
        }
        if failures < FAILURES_OF_ONE {
            sleep(PAUSE * 2_u32.pow(failures)).await;
            return Ok(vec![Chunk { parcels, failures: failures + 1 }]);
        }
        self.split(claim, parcels, format!("Label Studio fails at it: {reason}")).await
    }

    /// Gives Label Studio the time that it asks for.
    async fn wait(&self, pause: Duration, luck: &mut Luck) -> Result<(), SinkError> {
        luck.waits += 1;
        if luck.waits > MOST_WAITS {
            return Err(SinkFault::Busy.into());
        }
        tracing::debug!(seconds = pause.as_secs(), "Label Studio asks to wait");
        sleep(pause).await;
        Ok(())
    }

    /// Tells Label Studio what a task says now.
    async fn change(&self, claim: Claim, parcel: &Parcel, luck: &mut Luck) -> Result<(), SinkError> {
        let Some(remote) = parcel.remote else { return Ok(()) };
        let body = body::change(self.identity().await?, parcel).map_err(SinkFault::from)?;
        loop {
            match self.api.change(remote, body.clone()).await {
                Ok(is_there) => {
                    self.store.put_down_changed(claim, parcel.task.number, is_there).await?;
                    return Ok(());
                }
                Err(ImportFault::Batch(reason) | ImportFault::Broken(reason)) => {
                    return Ok(self.store.put_down_refused(claim, parcel, reason).await?);
                }
                Err(ImportFault::Items(_)) => return Ok(()),
                Err(ImportFault::Busy(pause)) => self.wait(pause, luck).await?,
                // It is sent again later, which does no harm.
                Err(ImportFault::Unsent(fault) | ImportFault::Lost(fault)) => return Err(fault.into()),
            }
        }
    }

    /// What the store is called in the markers.
    async fn identity(&self) -> Result<&str, SinkError> {
        let identity = self.identity.get_or_try_init(|| self.store.identity()).await?;
        Ok(identity)
    }

    async fn settle_all(&self, claim: Claim, source: SourceId) -> Result<(), SinkError> {
        loop {
            self.deliver(claim, source).await?;
            let lost = self.store.lost_deliveries(claim, source, self.bounds.settle).await?;
            if !lost.is_empty() {
                let missing = self.look_for(claim, lost).await?;
                self.store.resend(&missing).await?;
                continue;
            }
            match self.store.next_delivery(source).await? {
                None => return Ok(()),
                // Another run of the same source may be at it, and be done before its time.
                Some(wait) => sleep(wait.clamp(SHORTEST, LONGEST)).await,
            }
        }
    }
}

impl TaskSink for Sink {
    fn take<'a>(
        &'a self,
        mut step: Step<'a>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Part, SinkError>> + Send + 'a>> {
        step.is_for_delivery = true;
        Box::pin(async move {
            let part = self.store.take_step(&step).await?;
            self.deliver(step.claim, step.source).await?;
            Ok(part)
        })
    }

    fn begin(&self, claim: Claim, source: SourceId) -> Settling<'_> {
        Box::pin(async move {
            self.store.begin_deliveries(claim, source).await?;
            self.find_deleted(claim).await
        })
    }

    fn finish(&self, claim: Claim, source: SourceId) -> Settling<'_> {
        Box::pin(self.settle_all(claim, source))
    }
}

/// About the most bytes of items in one request.
const BYTES: i64 = 8 * 1024 * 1024;
/// Failures of Label Studio in a row that are put down to it, and not to a task.
const MOST_FAILURES: u32 = 40;
/// How often the same tasks are sent again before they are halved.
const FAILURES_OF_ONE: u32 = 2;
/// Before that, and twice that the second time.
const PAUSE: Duration = Duration::from_millis(200);
/// Times in a row that Label Studio may ask to wait.
const MOST_WAITS: u32 = 20;
/// How often what is under way is looked at.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);
