//! Keeps up with the annotations of Label Studio: its webhooks, what they lose, and who made what.
//!
//! Webhooks are the fast way and tell of most. What they lose is found by comparing: imported annotations are never told
//! of, what was sent while the gateway was away is gone, and some bulk deletions say nothing. Both ways lead through
//! [`Store::accept`], where the newest state counts and one that is known changes nothing. Gateways that share a store
//! take turns, project by project; a turn taken twice is work done twice and nothing else.

mod ask;
mod compare;
mod listing;
mod metrics;
mod pass;
mod people;
mod turns;
mod webhooks;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::SystemTime};

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

pub use self::metrics::FollowMetrics;
use self::{ask::Asker, pass::Pass, people::Acquaintance, turns::Turns};
use super::{Client, ClientError, Config, number};
use crate::{
    annotation::Person,
    id::ProjectId,
    sidecar::AnnotationSource,
    store::{self, Store},
};

/// Keeps up with Label Studio. Cheap to clone.
#[derive(Clone)]
pub struct Follower(Arc<Inner>);

/// Label Studio as the configuration in force has it; `None` where it does not stand behind the gateway.
pub type InForce = Box<dyn Fn() -> Option<(Arc<Client>, Config)> + Send + Sync>;

struct Inner {
    in_force: InForce,
    store: Store,
    metrics: FollowMetrics,
    /// What webhooks present.
    secret: Option<SecretString>,
    clock: fn() -> SystemTime,
    people: Acquaintance,
}

/// Why something broke off; it is tried again.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(
        "Label Studio has no project {0}, or the token of label_studio.token_file may not see it; nothing of it is taken \
         for deleted"
    )]
    ProjectGone(i64),
    #[error("hooks.secret was set after the start, and webhooks need it; start mediagate again")]
    SecretNotInForce,
    #[error("Label Studio's list of tasks ended early; nothing is taken for deleted")]
    ListShort,
    #[error("Label Studio's list of tasks is not what its API promises: {0}")]
    ListMalformed(String),
}

impl Follower {
    /// Joins the parts. Webhooks are kept that present this secret.
    pub fn new(
        in_force: InForce,
        store: Store,
        metrics: FollowMetrics,
        secret: Option<SecretString>,
        clock: fn() -> SystemTime,
    ) -> Self {
        let people = Acquaintance::default();
        Self(Arc::new(Inner { in_force, store, metrics, secret, clock, people }))
    }

    /// Keeps up until it is stopped, and ends at once then.
    pub async fn run(self, stop: CancellationToken) {
        let turns = Turns::new(&self.0);
        stop.run_until_cancelled(Box::pin(turns.run())).await;
    }
}

impl Inner {
    /// Label Studio, where there is a token to ask it with.
    fn asker(&self) -> Option<(Asker, Config)> {
        let (client, config) = (self.in_force)()?;
        client.has_token().then(|| (Asker(client), config))
    }
}

impl AnnotationSource for Follower {
    fn reconcile<'a>(
        &'a self,
        project: &'a ProjectId,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            let Some(((asker, _), number)) = self.0.asker().zip(number(project.as_str())) else {
                return Ok(());
            };
            let Inner { store, metrics, clock, .. } = &*self.0;
            let found = Pass::new(&asker, store, number, *clock).run().await;
            metrics.passed(found.as_ref().ok());
            let ended = match found {
                Ok(_) => store.end_reconciliation(project.as_str()).await.map_err(Error::from),
                Err(error) => Err(error),
            };
            ended.map_err(|error| error.to_string())
        })
    }

    fn person<'a>(&'a self, number: &'a str) -> Pin<Box<dyn Future<Output = Option<Person>> + Send + 'a>> {
        Box::pin(async move {
            let (asker, _) = self.0.asker()?;
            self.0.people.ask(&asker, &self.0.store, number).await
        })
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").finish_non_exhaustive()
    }
}
