//! Looking at what Label Studio has: after a lost answer, and for what its users have deleted.
//!
//! Tasks are listed by their numbers, the newest first, a page at a time.

use std::collections::{HashMap, HashSet};

use super::{Sink, api::Listed, body::marker};
use crate::{
    id::TaskNumber,
    run::Claim,
    sidecar::sync::SinkError,
    store::{Delivery, Lost, Parcel},
};

/// What a page of the project's tasks turned out to be.
#[derive(Debug, Default)]
struct Sorted {
    /// Tasks of ours, with their numbers there.
    ours: Vec<(TaskNumber, i64)>,
    /// Numbers that are no longer what they were: those of copies, and those that were given again.
    others: HashSet<i64>,
}

/// One of two tasks there that were made of one of ours.
#[derive(Clone, Debug)]
struct Twin {
    id: i64,
    batch: String,
}

impl Sink {
    /// Looks for tasks whose answer was lost, and puts down those that are there; returns the others.
    pub(super) async fn look_for(&self, claim: Claim, lost: Vec<Lost>) -> Result<Vec<Lost>, SinkError> {
        let mark = lost.iter().map(|lost| lost.after).min().flatten();
        let mut missing: HashMap<TaskNumber, Lost> = lost.into_iter().map(|lost| (lost.task, lost)).collect();
        let mut before = None;
        while !missing.is_empty() {
            let page = self.api.list(before).await?;
            let Some(oldest) = page.last().map(|task| task.id) else { break };
            let sorted = self.sort(claim, &page).await?;
            let was_there = |(task, id): &(TaskNumber, i64)| {
                mark.is_some_and(|mark| *id <= mark) && !missing.contains_key(task)
            };
            // One that was there before: what was sent since is newer. A number alone would not do, since SQLite gives
            // the highest ones again.
            let is_far_enough = sorted.ours.iter().any(was_there);
            for (task, _) in sorted.ours {
                missing.remove(&task);
            }
            if is_far_enough {
                break;
            }
            before = Some(oldest);
        }
        tracing::info!(
            missing = missing.len(),
            "tasks whose answer was lost have been looked for in Label Studio"
        );
        Ok(missing.into_values().collect())
    }

    /// The same for tasks that were just sent; returns which are not there.
    pub(super) async fn look_for_chunk(
        &self,
        claim: Claim,
        batch: &str,
        parcels: &[Parcel],
    ) -> Result<HashSet<TaskNumber>, SinkError> {
        let newest = self.store.delivered(&self.project).await?.1;
        let lost =
            |parcel: &Parcel| Lost { task: parcel.task.number, batch: batch.to_owned(), after: newest };
        let missing = self.look_for(claim, parcels.iter().map(lost).collect()).await?;
        Ok(missing.into_iter().map(|lost| lost.task).collect())
    }

    /// Makes due again what Label Studio's users have deleted. Goes through the project only where it has fewer tasks of
    /// ours than it should, or may have some twice.
    pub(super) async fn find_deleted(&self, claim: Claim) -> Result<(), SinkError> {
        let (ours, newest, resent) = self.store.delivered(&self.project).await?;
        let Some(newest) = newest else { return Ok(()) };
        let there = self.api.count(self.identity().await?).await?;
        if there == ours || (there > ours && !resent) {
            return Ok(());
        }
        let (mut before, mut high, mut deleted) = (None, newest, 0);
        loop {
            let page = self.api.list(before).await?;
            let oldest = page.last().map(|task| task.id);
            let sorted = self.sort(claim, &page).await?;
            let there: Vec<i64> =
                page.iter().map(|task| task.id).filter(|id| !sorted.others.contains(id)).collect();
            let low = oldest.unwrap_or_default();
            deleted += self.store.forget_deliveries(&self.project, low..=high, &there).await?;
            let Some(oldest) = oldest else { break };
            before = Some(oldest);
            high = high.min(oldest - 1);
        }
        self.store.put_down_single(&self.project).await?;
        tracing::info!(deleted, "tasks were deleted in Label Studio and are made again");
        Ok(())
    }

    /// Puts down what a page tells of our tasks.
    async fn sort(&self, claim: Claim, page: &[Listed]) -> Result<Sorted, SinkError> {
        let store = self.identity().await?;
        let marked: Vec<_> = page
            .iter()
            .filter_map(|task| Some((task.id, marker(task.meta.as_deref())?)))
            .filter(|(_, marker)| marker.store == store)
            .collect();
        let numbers: Vec<TaskNumber> = marked.iter().map(|(_, marker)| TaskNumber(marker.task)).collect();
        let known = self.store.deliveries(&self.project, &numbers).await?;
        let mut twins: HashMap<TaskNumber, Twin> = known.values().filter_map(twin).collect();
        let mut found: HashMap<String, Vec<(TaskNumber, i64)>> = HashMap::new();
        let (mut sorted, mut doubles) = (Sorted::default(), Vec::new());
        for (id, marker) in marked {
            let task = TaskNumber(marker.task);
            // A store that was restored from a backup gives numbers again.
            let is_of = |known: &Delivery| known.key == marker.key && known.row == marker.row.unwrap_or(-1);
            if !known.get(&task).is_some_and(is_of) {
                sorted.others.insert(id);
                continue;
            }
            let listed = Twin { id, batch: marker.batch.into_owned() };
            match twins.get(&task) {
                None => {
                    found.entry(listed.batch.clone()).or_default().push((task, id));
                    twins.insert(task, listed);
                }
                Some(recorded) if recorded.id == id => {}
                // Somebody has copied it in Label Studio.
                Some(recorded) if recorded.batch == listed.batch => {
                    sorted.others.insert(id);
                    continue;
                }
                Some(recorded) => doubles.push((task, recorded.clone(), listed)),
            }
            sorted.ours.push((task, id));
        }
        for (batch, numbers) in found {
            self.store.put_down_delivered(claim, &batch, &numbers).await?;
        }
        for (task, recorded, listed) in doubles {
            self.choose(task, recorded, listed).await?;
        }
        Ok(sorted)
    }

    /// Keeps the older of two, and the younger as well where somebody has worked on it.
    async fn choose(&self, task: TaskNumber, recorded: Twin, listed: Twin) -> Result<(), SinkError> {
        let (older, younger) = if recorded.id < listed.id { (recorded, listed) } else { (listed, recorded) };
        let kept = match (self.api.is_untouched(older.id).await?, self.api.is_untouched(younger.id).await?) {
            (None, _) => younger,
            (Some(_), None) => older,
            (Some(_), Some(true)) => {
                tracing::warn!(
                    task = task.0,
                    kept = older.id,
                    deleted = younger.id,
                    "a task was twice in Label Studio, since it imported one after its answer was given up"
                );
                self.api.delete(younger.id).await?;
                older
            }
            (Some(_), Some(false)) => {
                tracing::warn!(
                    task = task.0,
                    older = older.id,
                    younger = younger.id,
                    "a task is twice in Label Studio, and somebody has worked on the younger one; delete one of them"
                );
                older
            }
        };
        Ok(self.store.choose_delivery(task, kept.id, &kept.batch).await?)
    }
}

fn twin(delivery: &Delivery) -> Option<(TaskNumber, Twin)> {
    let batch = delivery.batch.clone().unwrap_or_default();
    Some((delivery.task, Twin { id: delivery.remote?, batch }))
}
