//! An export run: writes all annotations of a target's project again, and tells the truth about each.
//!
//! It goes through the ids in their order and takes a step after each page, so that it goes on where it stopped. What it
//! writes it claims in the outbox like any writer. What fails for now is tried a few times while the run waits; past that
//! the run counts it as refused, and the outbox goes on with it.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{
    AnnotationSource, ExportMetrics,
    deliver::{Attempt, Target},
    metrics::Outcome,
    pace,
};
use crate::{
    run::{Claim, Counters, Fault},
    s3::Connection,
    storage::{Storage, Unit},
    store::{AnnotationPage, Delivered, Due, Error, Step, Store},
};

/// What a run works on.
#[derive(Debug)]
pub struct Export {
    /// Where annotations are kept.
    pub store: Store,
    /// The right to work on the run.
    pub claim: Claim,
    /// The target.
    pub storage: Storage,
    /// To its bucket.
    pub connection: Connection,
    /// What is counted.
    pub metrics: ExportMetrics,
    /// Objects that are written at once.
    pub at_once: usize,
    /// Where the annotations come from.
    pub source: Option<Arc<dyn AnnotationSource>>,
}

/// What a page came to.
#[derive(Default)]
struct Page {
    found: Counters,
    faults: Vec<Fault>,
}

impl Export {
    /// Goes on where the run is, to its end. To stop it, drop it: what it held is free after its lease.
    pub async fn run(self) -> Result<(), Error> {
        let Self { store, claim, storage, connection, metrics, at_once, source } = self;
        let (revision, id) = (storage.revision, storage.id);
        let mut unread = unread(&storage, source.as_deref()).await;
        let target = Target::joined(store.clone(), storage, connection, metrics).asking(source);
        let planned = store.parts(claim, revision).await?.and_then(|parts| parts.into_iter().next());
        let mut part = planned.clone().unwrap_or_default();
        if planned.is_none() {
            store.plan_parts(claim, revision, std::slice::from_ref(&part)).await?;
        }
        while !part.is_done {
            let ids = target.page(&part.after).await?;
            let mut page = Page { faults: unread.take().into_iter().collect(), ..Page::default() };
            for few in ids.chunks(at_once) {
                target.write_all(claim, few, &mut page).await?;
            }
            let step = Step {
                found: page.found,
                faults: page.faults,
                after: ids.last().map(String::as_str),
                is_done: ids.is_empty(),
                ..Step::of_export(claim, id, &part)
            };
            part = store.take_step(&step).await?;
        }
        Ok(())
    }
}

impl Target {
    fn unit(&self) -> Unit {
        self.storage.settings.layout.unit()
    }

    async fn page(&self, after: &str) -> Result<Vec<String>, Error> {
        let project = self.storage.settings.project.as_ref();
        self.store.annotation_ids(&AnnotationPage { project, unit: self.unit(), after, limit: PAGE }).await
    }

    /// Writes these objects, each until it is written, refused, or was tried often enough.
    async fn write_all(&self, claim: Claim, ids: &[String], page: &mut Page) -> Result<(), Error> {
        let claimant = format!("run-{}-{}", claim.run, claim.number);
        let mut rest = ids.to_vec();
        for tries in 0..TRIES {
            let is_last = tries + 1 == TRIES;
            let claimed =
                self.store.claim_items(self.storage.id, &claimant, LEASE, (self.unit(), &rest)).await?;
            rest.retain(|id| !claimed.iter().any(|due| due.item == *id));
            for (due, attempt) in self.write_claimed(claimed).await? {
                if attempt.outcome == Outcome::Retried && !is_last {
                    rest.push(due.item);
                } else {
                    page.count(self.unit(), &due, attempt);
                }
            }
            if rest.is_empty() {
                return Ok(());
            }
            if !is_last {
                tokio::time::sleep(pace::wait(tries, FIRST_WAIT, LONGEST_WAIT)).await;
            }
        }
        page.faults.extend(rest.into_iter().map(|id| held(self.unit(), id)));
        Ok(())
    }

    async fn write_claimed(&self, claimed: Vec<Due>) -> Result<Vec<(Due, Attempt)>, Error> {
        let written = claimed.into_iter().map(|due| async move {
            let attempt = self.deliver(&due, true).await;
            (due, attempt)
        });
        let written = join_all(written).await;
        let settled: Vec<(Due, Delivered)> =
            written.iter().map(|(due, attempt)| (due.clone(), attempt.delivered.clone())).collect();
        self.store.settle(self.storage.revision, &settled).await?;
        Ok(written)
    }
}

impl Page {
    fn count(&mut self, unit: Unit, due: &Due, attempt: Attempt) {
        let Attempt { delivered, outcome, key, annotations } = attempt;
        self.found.listed += annotations;
        self.found.matched += annotations;
        match outcome {
            Outcome::Written => self.found.created += annotations,
            Outcome::Unchanged | Outcome::Kept => self.found.existed += annotations,
            // Deleted since it was listed.
            Outcome::Deleted => {}
            Outcome::Retried | Outcome::Dead => {
                let reason = match delivered {
                    Delivered::Later { reason, .. } => format!("{reason}; it is tried on"),
                    Delivered::Dead { reason, .. } => reason,
                    Delivered::Done { .. } | Delivered::Untried | Delivered::Moot => String::new(),
                };
                let reason = format!("{} {}: {reason}", unit.as_str(), due.item);
                let key = key.unwrap_or_else(|| due.item.clone());
                self.faults.push(Fault { key, row: None, line: None, reason });
            }
        }
    }
}

/// Brings the store up to date before its annotations are written. Where that fails, what is known is written all the
/// same, and the run says what it lacks.
async fn unread(storage: &Storage, source: Option<&dyn AnnotationSource>) -> Option<Fault> {
    let (source, project) = (source?, storage.settings.project.as_ref()?);
    let reason = source.reconcile(project).await.err()?;
    let reason = format!("annotations that are not known here may be missing: {reason}");
    Some(Fault { key: format!("project {project}"), row: None, line: None, reason })
}

fn held(unit: Unit, item: String) -> Fault {
    let reason = format!("{} {item}: another writer is at it, and will end it", unit.as_str());
    Fault { key: item, row: None, line: None, reason }
}

/// How long a claim of a few objects lasts: longer than S3 may be silent to all requests of a PUT.
const LEASE: Duration = Duration::from_mins(3);
/// Objects of a step.
const PAGE: i64 = 64;
/// How often what fails for now is tried while the run waits.
const TRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(20);
