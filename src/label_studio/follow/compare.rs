//! Looking for what is gone from Label Studio without a word: the tasks of the store, against those that are there.
//!
//! It begins with the store, so that a task is asked for by its id and an answer that lacks it says something. Each that
//! seems gone is asked for once more by itself.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Error,
    listing::{self, Counted},
    pass::Pass,
};
use crate::{
    annotation::Change,
    id::{ProjectId, TaskId},
    storage::Unit,
    store::{AnnotationPage, Reconciliation},
};

impl Pass<'_> {
    /// Compares all tasks where Label Studio has fewer annotations than the store, and now and then where it has not.
    /// Where it has more, the next pass reads them: they came during this one.
    pub(super) async fn look_for_the_gone(&mut self, state: &mut Reconciliation) -> Result<(), Error> {
        let now = (self.clock)();
        let surplus = self.surplus().await?;
        let patience = if surplus == 0 { AGREED } else { UNEXPLAINED };
        let is_recent = |at| now.duration_since(at).map_or(true, |passed| passed < patience);
        let is_due = !state.compared_at.is_some_and(is_recent);
        if !is_due && (surplus >= 0 || surplus == state.surplus) {
            return Ok(());
        }
        let before = self.found;
        if !self.compare_all().await? {
            return Ok(());
        }
        // What is found may be a part of it: others go on deleting meanwhile.
        let is_unexplained = self.found == before;
        state.surplus = if is_unexplained { surplus } else { 0 };
        if surplus > 0 && is_unexplained && state.compared_at.is_some() {
            // Something came with an older time than the window reaches back to.
            state.since = None;
        }
        state.compared_at = Some(now);
        Ok(())
    }

    /// Whether there were checks enough for all.
    async fn compare_all(&mut self) -> Result<bool, Error> {
        let project = ProjectId::parse(&self.project.to_string());
        let project = project.map_err(|_| Error::ProjectGone(self.project))?;
        let mut after = String::new();
        loop {
            let limit = i64::try_from(listing::PAGE).unwrap_or(i64::MAX);
            let page = AnnotationPage { project: Some(&project), unit: Unit::Task, after: &after, limit };
            let tasks = self.store.annotation_ids(&page).await?;
            let Some(last) = tasks.last() else { return Ok(true) };
            after.clone_from(last);
            self.compare(&tasks).await?;
            if self.checks == 0 {
                return Ok(false);
            }
        }
    }

    async fn compare(&mut self, tasks: &[String]) -> Result<(), Error> {
        // Those of Label Studio; others may have any name.
        let ids: Vec<i64> = tasks.iter().filter_map(|task| task.parse().ok()).collect();
        let there = listing::counted(self.asker, self.project, &ids).await?;
        let mut here: BTreeMap<&str, i64> = BTreeMap::new();
        let states = self.store.annotation_states(tasks).await?;
        for state in states.iter().filter(|state| !state.is_deleted) {
            *here.entry(&state.task).or_default() += 1;
        }
        let differs = |task: &&Counted| {
            here.get(task.id.to_string().as_str()).is_some_and(|count| *count != task.annotations())
        };
        let other: Vec<i64> = there.iter().filter(differs).map(|task| task.id).collect();
        if !other.is_empty() {
            let listed = listing::these(self.asker, self.project, &other).await?;
            self.take(&listed).await?;
        }
        let mut gone = Vec::new();
        for id in ids.iter().filter(|id| there.iter().all(|task| task.id != **id)) {
            let id = id.to_string();
            if self.is_gone("tasks", &id).await? {
                gone.extend(TaskId::parse(&id));
            }
        }
        self.delete(gone.into_iter().map(|id| Change::DeleteTask(id, (self.clock)())).collect()).await
    }
}

/// How long numbers that agree are taken at their word.
const AGREED: Duration = Duration::from_hours(7 * 24);
/// How soon it is compared again where a comparison found no reason for the difference.
const UNEXPLAINED: Duration = Duration::from_hours(24);
