//! One part of a run, from where it is to its end.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Sync, SyncError,
    judge::{Verdict, judge},
    read::{ReadStep, Reading},
    retry::{Backoff, retry},
    scan::{self, Page, Pages},
};
use crate::{
    run::{Counters, Fault},
    s3::Listed,
    storage::{ImportMethod, OnVanished, Settings},
    store::{Items, Keys, Known, ObjectVersion, Part, SourceId, Step, Unit},
};

/// A part and what was found in it since its last step.
#[derive(Debug)]
pub(super) struct PartWork<'a> {
    sync: &'a Sync<'a>,
    source: SourceId,
    /// As it was after its last step.
    part: Part,
    pending: Pending,
    stepped_at: Instant,
}

/// What goes into the next step.
#[derive(Debug, Default)]
struct Pending {
    found: Counters,
    after: Option<String>,
    objects: Vec<ObjectVersion>,
    renewed: Vec<ObjectVersion>,
    items: Vec<Items>,
    vanished: Vec<String>,
    faults: Vec<Fault>,
    /// Tasks and their bytes, as far as they matter for when to stop collecting.
    weight: usize,
}

impl<'a> PartWork<'a> {
    pub(super) fn new(sync: &'a Sync<'a>, source: SourceId, part: Part) -> Self {
        Self { sync, source, part, pending: Pending::default(), stepped_at: Instant::now() }
    }

    /// Goes to the end of the part; begins again behind the last step when something fails that may pass.
    pub(super) async fn run(mut self) -> Result<(), SyncError> {
        let mut backoff = Backoff::default();
        while !self.part.is_done {
            let steps = self.part.steps;
            if let Err(error) = self.go_on().await {
                self.pending = Pending::default();
                if self.part.steps > steps {
                    backoff.reset();
                }
                backoff.pause(error).await?;
            }
        }
        Ok(())
    }

    async fn go_on(&mut self) -> Result<(), SyncError> {
        let mut pages = self.pages().await?;
        let mut after = self.part.after.clone();
        let mut page = pages.next().await?;
        while let Some(current) = page {
            let upto = current.after.clone();
            let is_last = current.is_last;
            // The page after this one comes while this one is taken.
            let (next, taken) = tokio::join!(pages.next(), self.take(current, &after));
            taken?;
            if !is_last {
                page = next?;
                after = upto;
                continue;
            }
            return self.step(true).await;
        }
        self.step(true).await
    }

    async fn pages(&self) -> Result<Pages, SyncError> {
        let settings = &self.sync.storage.settings;
        match &self.sync.inventory {
            None => Ok(Pages::listing(&self.sync.connection, settings, &self.part)),
            Some((inventory, connection)) => {
                Pages::inventory(inventory, connection, settings, &self.part).await
            }
        }
    }

    /// Takes a page that begins behind `after`.
    async fn take(&mut self, page: Page, after: &str) -> Result<(), SyncError> {
        let Page { objects, after: upto, is_last } = page;
        let (known, vanished) = self.known(&objects, after, Some(upto.as_str()).filter(|_| !is_last)).await?;
        let verdict = judge(objects, &known, self.settings())?;
        let found = verdict.found.plus(Counters { vanished, ..Counters::default() });
        match self.settings().method {
            ImportMethod::Files => self.take_objects(verdict),
            ImportMethod::Tasks => self.take_items(verdict).await?,
        }
        // Together with how far the part is, so that a page which is listed again does not count twice.
        self.pending.found = self.pending.found.plus(found);
        self.pending.after = Some(upto);
        if self.pending.weight >= ENOUGH || self.stepped_at.elapsed() >= SELDOM {
            self.step(false).await?;
        }
        Ok(())
    }

    /// What is known of the objects of a page, and how many others are gone: beside a listing, links that no object stands
    /// beside.
    async fn known(
        &mut self,
        objects: &[Listed],
        after: &str,
        upto: Option<&str>,
    ) -> Result<(HashMap<String, Known>, i64), SyncError> {
        let unit = self.unit();
        let store = self.sync.store;
        if self.sync.inventory.is_some() {
            let keys: Vec<String> = objects.iter().map(|object| object.key.clone()).collect();
            let keys = Keys::These(&keys);
            let all = retry(|| async { Ok(store.known(self.source, unit, keys, i64::MAX).await?) }).await?;
            return Ok((all, 0));
        }
        let listed: HashSet<&str> = objects.iter().map(|object| object.key.as_str()).collect();
        let until = upto.map(str::to_owned).or_else(|| self.part.until.clone());
        let (mut all, mut vanished, mut from) = (HashMap::new(), 0, after.to_owned());
        loop {
            let keys = Keys::Between(&from, until.as_deref());
            let found = retry(|| async { Ok(store.known(self.source, unit, keys, LOOK_UP).await?) }).await?;
            let is_all = i64::try_from(found.len()).is_ok_and(|count| count < LOOK_UP);
            let last = found.keys().max().cloned();
            for (key, known) in found {
                if listed.contains(key.as_str()) {
                    all.insert(key, known);
                } else if self.misses(&key, &known) {
                    vanished += 1;
                    self.mark(key);
                }
            }
            match last {
                Some(last) if !is_all => from = last,
                _ => return Ok((all, vanished)),
            }
            // Many that are gone at once, where nothing is listed between them.
            if self.pending.vanished.len() >= ENOUGH {
                let found = Counters { vanished: std::mem::take(&mut vanished), ..Counters::default() };
                let vanished = std::mem::take(&mut self.pending.vanished);
                self.part = self.hand_over(Pending { found, vanished, ..Pending::default() }, false).await?;
            }
        }
    }

    /// Whether an object that is linked is gone: this sync would have listed it, as one of another prefix or depth would not.
    fn misses(&self, key: &str, known: &Known) -> bool {
        let settings = self.settings();
        !known.is_vanished && scan::is_under(key, &settings.normal_prefix(), settings.recursive)
    }

    fn mark(&mut self, key: String) {
        if self.settings().on_vanished == OnVanished::Mark {
            self.pending.weight += 1;
            self.pending.vanished.push(key);
        }
    }

    fn take_objects(&mut self, verdict: Verdict) {
        let pending = &mut self.pending;
        pending.weight += verdict.new.len() + verdict.renew.len();
        pending.objects.extend(verdict.new.iter().map(ObjectVersion::from));
        pending.renewed.extend(verdict.renew.iter().map(ObjectVersion::from));
        pending.add_faults(verdict.faults);
    }

    async fn take_items(&mut self, verdict: Verdict) -> Result<(), SyncError> {
        self.pending.add_faults(verdict.faults);
        let anew = verdict.new.into_iter().chain(verdict.mended).map(|object| (object, false));
        let again = verdict.renew.into_iter().map(|object| (object, true));
        let objects: Vec<(Listed, bool)> = anew.chain(again).collect();
        let mut reading = Reading::new(self.sync, objects);
        while let Some(step) = reading.next().await? {
            let ReadStep { items, faults, weight } = step;
            self.pending.items.extend(items);
            self.pending.add_faults(faults);
            self.pending.weight += weight;
            if self.pending.weight >= ENOUGH {
                // Not further than before: the page is not done.
                self.step(false).await?;
            }
        }
        Ok(())
    }

    /// Hands what was found to the sink.
    async fn step(&mut self, is_done: bool) -> Result<(), SyncError> {
        let pending = std::mem::take(&mut self.pending);
        self.part = self.hand_over(pending, is_done).await?;
        self.stepped_at = Instant::now();
        Ok(())
    }

    async fn hand_over(&self, pending: Pending, is_done: bool) -> Result<Part, SyncError> {
        let Pending { found, after, objects, renewed, items, vanished, faults, .. } = pending;
        retry(|| async {
            let step = Step {
                claim: self.sync.claim,
                source: self.source,
                storage: self.sync.storage.id,
                part: &self.part,
                found,
                after: after.as_deref(),
                is_done,
                objects: objects.clone(),
                renewed: renewed.clone(),
                items: items.clone(),
                vanished: vanished.clone(),
                faults: faults.clone(),
                is_for_delivery: false,
            };
            Ok(self.sync.sink.take(step).await?)
        })
        .await
    }

    fn settings(&self) -> &'a Settings {
        &self.sync.storage.settings
    }

    fn unit(&self) -> Unit {
        match self.settings().method {
            ImportMethod::Files => Unit::Object,
            ImportMethod::Tasks => Unit::Items,
        }
    }
}

impl Pending {
    fn add_faults(&mut self, faults: Vec<Fault>) {
        self.weight += faults.len();
        self.faults.extend(faults);
    }
}

/// What a step has at most, about: tasks, or marks, or refusals.
pub(super) const ENOUGH: usize = 4000;
/// How long progress may go unsaved where nothing is new.
const SELDOM: Duration = Duration::from_secs(1);
/// Links that are looked up at once.
const LOOK_UP: i64 = 4000;
