//! One pass over a project: what changed in Label Studio since the last one, and what is gone from it.
//!
//! Every save and every deletion of an annotation touches its task, and so do imports, so that the tasks that changed
//! are read and compared with what the store has of them. The time of the last pass is Label Studio's, and the window
//! reaches back behind it: a long import shows with times of its beginning. Tasks that are gone are in no such list, so
//! the number of annotations says when to look for those.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use http::StatusCode;
use serde::Deserialize;

use super::{
    Asker, Error,
    ask::date,
    listing::{self, Listed},
};
use crate::{
    annotation::{Annotation, Beside, Change},
    id::{AnnotationId, ProjectId},
    store::{AnnotationState, Reconciliation, Store},
};

/// A pass over one project.
pub(super) struct Pass<'a> {
    pub(super) asker: &'a Asker,
    pub(super) store: &'a Store,
    pub(super) project: i64,
    pub(super) clock: fn() -> SystemTime,
    /// How many more things may be asked for one by one, before they are taken for deleted.
    pub(super) checks: usize,
    pub(super) found: Found,
}

/// What a pass found that the store did not know.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Found {
    /// Annotations that are new or newer.
    pub(super) written: u64,
    /// Annotations, or tasks with all of theirs, that are gone.
    pub(super) deleted: u64,
}

/// What Label Studio says of a project.
#[derive(Deserialize)]
struct Counts {
    total_annotations_number: i64,
    skipped_annotations_number: i64,
}

impl<'a> Pass<'a> {
    pub(super) fn new(asker: &'a Asker, store: &'a Store, project: i64, clock: fn() -> SystemTime) -> Self {
        Self { asker, store, project, clock, checks: CHECKS, found: Found::default() }
    }

    /// Goes on where the last pass is, to its end.
    pub(super) async fn run(mut self) -> Result<Found, Error> {
        let name = self.project.to_string();
        let (_, now) = self.counts().await?;
        let mut state = self.store.reconciliation(&name).await?;
        let (began, mut after) = state.begun.unwrap_or((now, 0));
        let since = state.since.and_then(|since| since.checked_sub(OVERLAP));
        loop {
            let page = listing::changed(self.asker, self.project, since, after).await?;
            self.take(&page.tasks).await?;
            after = page.tasks.last().map_or(after, |task| task.id);
            if page.is_last {
                break;
            }
            state.begun = Some((began, after));
            self.store.keep_reconciliation(&name, &state, LEASE).await?;
        }
        state = Reconciliation { since: Some(began), begun: None, ..state };
        self.store.keep_reconciliation(&name, &state, LEASE).await?;
        self.look_for_the_gone(&mut state).await?;
        self.store.keep_reconciliation(&name, &state, LEASE).await?;
        Ok(self.found)
    }

    /// How many annotations more Label Studio has than the store. Asked twice where that is something: a webhook may be
    /// on its way.
    pub(super) async fn surplus(&self) -> Result<i64, Error> {
        let project = ProjectId::parse(&self.project.to_string());
        let project = project.map_err(|_| Error::ProjectGone(self.project))?;
        let mut surplus = 0;
        for _ in 0..2 {
            let (there, _) = self.counts().await?;
            surplus = there.saturating_sub(self.store.count_annotations(&project).await?);
            if surplus == 0 {
                break;
            }
        }
        Ok(surplus)
    }

    /// How many annotations the project has, and Label Studio's time. Fails where the project may not be seen.
    pub(super) async fn counts(&self) -> Result<(i64, SystemTime), Error> {
        let path = format!(
            "/api/projects/{}/?include=id,total_annotations_number,skipped_annotations_number",
            self.project
        );
        let answer = self.asker.get(&path).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN) {
            return Err(Error::ProjectGone(self.project));
        }
        let counts: Counts = answer.json("a project")?;
        let all = counts.total_annotations_number.saturating_add(counts.skipped_annotations_number);
        Ok((all, date(&answer.headers).unwrap_or_else(self.clock)))
    }

    /// Brings the store up to date with these tasks.
    pub(super) async fn take(&mut self, tasks: &[Listed]) -> Result<(), Error> {
        let ids: Vec<String> = tasks.iter().map(|task| task.id.to_string()).collect();
        let states = self.store.annotation_states(&ids).await?;
        let known: BTreeMap<&str, &AnnotationState> =
            states.iter().map(|state| (state.id.as_str(), state)).collect();
        let mut there = BTreeSet::new();
        let mut changes = Vec::new();
        for annotation in tasks.iter().flat_map(read) {
            let annotation = annotation?;
            let id = annotation.id.as_str();
            there.insert(id.to_owned());
            if known.get(id).is_none_or(|state| state.updated_at < annotation.updated_at) {
                changes.push(Change::Put(Box::new(annotation)));
            }
        }
        self.found.written += self.accept(&changes).await?;
        let missing = states.iter().filter(|state| !state.is_deleted && !there.contains(&state.id));
        let mut gone = Vec::new();
        for state in missing {
            if self.is_gone("annotations", &state.id).await? {
                gone.extend(AnnotationId::parse(&state.id));
            }
        }
        self.delete(gone.into_iter().map(|id| Change::Delete(id, (self.clock)())).collect()).await
    }

    /// Asks for something that a list lacked; as long as there are checks left.
    pub(super) async fn is_gone(&mut self, kind: &str, id: &str) -> Result<bool, Error> {
        let is_number = id.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || self.checks == 0 {
            return Ok(false);
        }
        self.checks -= 1;
        Ok(self.asker.is_gone(&format!("/api/{kind}/{id}/")).await?)
    }

    /// Accepts deletions. A token that may no longer see the project would have made everything seem gone.
    pub(super) async fn delete(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        self.counts().await?;
        self.found.deleted += self.accept(&changes).await?;
        Ok(())
    }

    async fn accept(&self, changes: &[Change]) -> Result<u64, Error> {
        let mut news = 0;
        for some in changes.chunks(BATCH) {
            news += self.store.accept(some).await?.changed;
        }
        Ok(news)
    }
}

impl Found {
    pub(super) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

fn read(task: &Listed) -> impl Iterator<Item = Result<Annotation, Error>> {
    let beside = Beside { task: Some(&task.body), ..Beside::default() };
    task.annotations.iter().map(move |body| {
        // One without a time of its own would seem new each time.
        let annotation = Annotation::read(body, beside, SystemTime::UNIX_EPOCH);
        annotation
            .map_err(|fault| Error::ListMalformed(format!("an annotation of task {}: {fault}", task.id)))
    })
}

/// How long a pass may be silent before others take it for dead.
pub(super) const LEASE: Duration = Duration::from_mins(5);
/// Longer than an import takes from its first task to its end.
const OVERLAP: Duration = Duration::from_mins(15);
/// Requests of one pass for things that may be gone.
const CHECKS: usize = 1_000;
/// Changes of one commit.
const BATCH: usize = 200;
