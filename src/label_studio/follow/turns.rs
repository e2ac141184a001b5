//! Whose turn it is: the webhooks and the people first, then each project that has a target.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use serde::Deserialize;

use super::{
    Asker, Error, Inner,
    pass::{Found, LEASE, Pass},
    people,
    webhooks::{Ours, Refusal},
};
use crate::{
    label_studio::{Config, number},
    storage::Direction,
};

/// Takes turns, and remembers what it said.
pub(super) struct Turns<'a> {
    follower: &'a Inner,
    /// What had a turn here since the process began.
    met: HashSet<String>,
    /// What failed the last time.
    failing: HashSet<String>,
    /// The projects whose webhooks were kept last.
    projects: BTreeSet<i64>,
    refusal: Option<Refusal>,
}

impl<'a> Turns<'a> {
    pub(super) fn new(follower: &'a Inner) -> Self {
        Self {
            follower,
            met: HashSet::new(),
            failing: HashSet::new(),
            projects: BTreeSet::new(),
            refusal: None,
        }
    }

    /// Takes turns for ever.
    pub(super) async fn run(mut self) {
        let store = &self.follower.store;
        let mut changes = None;
        loop {
            if let Ok(version) = store.version().await {
                changes.get_or_insert_with(|| store.watch(version));
            }
            let mut pause = LOOK_EVERY;
            if let Some((asker, config)) = self.follower.asker() {
                pause = soon(&config, LOOK_EVERY);
                self.take_all(&asker, &config).await;
            }
            let told = async {
                match &mut changes {
                    Some(changes) => drop(changes.changed().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = told => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn take_all(&mut self, asker: &Asker, config: &Config) {
        let projects = match self.projects(asker).await {
            Ok(projects) => projects,
            Err(error) => return self.failed(SHARED, &error),
        };
        let follower = self.follower;
        let every = Some(config.reconcile_every).filter(|every| !every.is_zero());
        let is_known = projects == self.projects && self.met.contains(SHARED);
        let pause = if is_known { every.unwrap_or(UNASKED) } else { Duration::ZERO };
        if self.begins(SHARED, pause).await {
            let kept = self.keep_shared(asker, config, &projects).await;
            self.projects.clone_from(&projects);
            self.ends(SHARED, kept.map(|()| Found::default()), config).await;
        }
        let Some(every) = every else { return };
        for project in projects {
            let name = project.to_string();
            let pause = if self.met.contains(&name) { every } else { Duration::ZERO };
            if self.begins(&name, pause).await {
                let found = Pass::new(asker, &follower.store, project, follower.clock).run().await;
                follower.metrics.passed(found.as_ref().ok());
                self.ends(&name, found, config).await;
            }
        }
    }

    /// The projects that have a target: all of Label Studio's where a target is of none.
    async fn projects(&self, asker: &Asker) -> Result<BTreeSet<i64>, Error> {
        let targets = self.follower.store.storages_of(Direction::Export, None, None).await?;
        let of_all = targets.iter().any(|target| target.settings.project.is_none());
        if of_all {
            return all_projects(asker).await;
        }
        // Annotations that others send here may have any name for their project.
        Ok(targets.iter().filter_map(|target| number(target.settings.project.as_ref()?.as_str())).collect())
    }

    async fn keep_shared(
        &mut self,
        asker: &Asker,
        config: &Config,
        projects: &BTreeSet<i64>,
    ) -> Result<(), Error> {
        let Inner { store, metrics, secret, .. } = self.follower;
        // Where nothing is exported nobody has to be named.
        if !projects.is_empty() {
            people::refresh(asker, store).await?;
        }
        let Some(url) = &config.webhook_url else {
            metrics.webhooks(0, 0);
            return Ok(());
        };
        let secret = secret.as_ref().ok_or(Error::SecretNotInForce)?;
        let kept = match (Ours { url, secret }).keep(asker, projects).await {
            Ok(kept) => kept,
            Err(error) => {
                metrics.webhooks(0, projects.len());
                return Err(error.into());
            }
        };
        metrics.webhooks(kept.kept, kept.missing);
        if let Some(refusal) = kept.refusal.filter(|refusal| self.refusal != Some(*refusal)) {
            tracing::warn!(
                projects = kept.missing,
                every = %humantime::format_duration(config.reconcile_every),
                "{refusal}. Until then annotations are found by looking for them"
            );
        }
        self.refusal = kept.refusal;
        Ok(())
    }

    async fn begins(&mut self, name: &str, pause: Duration) -> bool {
        match self.follower.store.take_reconciliation(name, pause, LEASE).await {
            Ok(is_ours) => is_ours,
            Err(error) => {
                self.failed(name, &error.into());
                false
            }
        }
    }

    async fn ends(&mut self, name: &str, done: Result<Found, Error>, config: &Config) {
        let store = &self.follower.store;
        let ended = match done {
            Ok(found) => store.end_reconciliation(name).await.map(|()| found).map_err(Error::from),
            Err(error) => Err(error),
        };
        match ended {
            Ok(found) => {
                self.met.insert(name.to_owned());
                if self.failing.remove(name) {
                    tracing::info!(project = name, "Label Studio can be followed again");
                }
                if !found.is_nothing() {
                    let Found { written, deleted } = found;
                    tracing::info!(project = name, written, deleted, "annotations that no webhook told of");
                }
            }
            Err(error) => {
                self.failed(name, &error);
                if let Err(error) = store.postpone_reconciliation(name, soon(config, AGAIN)).await {
                    tracing::debug!(%error, "a turn is not given back; it is free after its lease");
                }
            }
        }
    }

    /// Says it once, until it succeeds.
    fn failed(&mut self, name: &str, error: &Error) {
        if self.failing.insert(name.to_owned()) {
            let error: &dyn std::error::Error = error;
            let project = Some(name).filter(|name| !name.is_empty());
            tracing::warn!(error, project, "Label Studio cannot be followed; trying again");
        }
    }
}

async fn all_projects(asker: &Asker) -> Result<BTreeSet<i64>, Error> {
    #[derive(Deserialize)]
    struct Page {
        next: Option<String>,
        results: Vec<Project>,
    }
    #[derive(Deserialize)]
    struct Project {
        id: i64,
    }
    let mut projects = BTreeSet::new();
    for number in 1.. {
        let path = format!("/api/projects/?include=id&page={number}&page_size={PROJECTS}");
        let page: Page = asker.get(&path).await?.json("a list of projects")?;
        let is_empty = page.results.is_empty();
        projects.extend(page.results.into_iter().map(|project| project.id));
        if page.next.is_none() || is_empty {
            break;
        }
    }
    Ok(projects)
}

/// Not later than the next turn would be.
fn soon(config: &Config, pause: Duration) -> Duration {
    let every = config.reconcile_every;
    if every.is_zero() { pause } else { pause.min(every) }
}

/// Stands for what is not of one project.
const SHARED: &str = "";
/// How often it is looked whose turn it is.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How soon what failed is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// How often webhooks are looked after where annotations are not looked for.
const UNASKED: Duration = Duration::from_mins(10);
const PROJECTS: u32 = 100;
