//! What Label Studio permits, asked once and remembered for a short time.
//!
//! A decision is remembered by who asks, known by a hash of all credentials of the request, and the task or project. Many
//! requests that want the same at once wait for one answer. How long a decision holds is counted from when it was asked
//! for, and is the life of the token that it becomes: memory and cookie together never outlive it. Failures are told to
//! those who wait, and forgotten.

mod claims;
mod decision;
mod read;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use moka::future::Cache;

use self::{
    decision::{Allowance, Decision, Wanted},
    read::{Failure, Found},
};
use super::{Client, Config, Credentials, number};
use crate::{
    access::mint::{Minter, TokenRequest},
    gateway::{
        links::Mentioned,
        permission::{Answer, Asking, Permission, Question, Refusal},
    },
    id::TaskId,
};

/// Label Studio as the one who says who may see what.
#[derive(Debug)]
pub struct Permissions {
    client: Arc<Client>,
    config: Config,
    minter: Minter,
    decisions: Cache<(Fingerprint, Wanted), Decision>,
    /// The `sub` of each caller.
    subjects: Cache<Fingerprint, Arc<str>>,
    /// What tasks mention, by whoever read them last.
    mentioned: Cache<u64, Known>,
}

/// A hash of a caller's credentials.
type Fingerprint = [u8; 32];

#[derive(Clone, Debug)]
struct Known {
    mentioned: Arc<Mentioned>,
    read_at: SystemTime,
}

impl Permission for Permissions {
    fn ask<'a>(&'a self, question: Question<'a>) -> Asking<'a, Answer> {
        Box::pin(self.decide(question))
    }

    fn mentioned<'a>(
        &'a self,
        task: &'a TaskId,
        now: SystemTime,
    ) -> Asking<'a, Result<Arc<Mentioned>, Refusal>> {
        Box::pin(self.of_task(task, now))
    }

    fn gives_cookies(&self) -> bool {
        self.config.cookie
    }
}

impl Permissions {
    /// Remembers nothing at first.
    pub fn new(client: Arc<Client>, config: &Config, minter: Minter) -> Self {
        let ttl = config.decision_ttl;
        let decisions = Cache::builder()
            .max_capacity(config.decisions)
            .weigher(|_, decision: &Decision| decision.weight())
            .time_to_live(ttl + config.stale_on_outage)
            .build();
        let mentioned = Cache::builder()
            .max_capacity(MENTIONED_BYTES)
            .weigher(|_, known: &Known| known.mentioned.weight())
            .time_to_live(ttl)
            .build();
        let subjects = Cache::builder().max_capacity(config.decisions).time_to_live(ttl).build();
        Self { client, config: config.clone(), minter, decisions, subjects, mentioned }
    }

    async fn decide(&self, question: Question<'_>) -> Answer {
        let known = |refusal| Answer { outcome: Err(refusal), is_remembered: true };
        let wanted = match Wanted::of(question.scope) {
            Ok(wanted) => wanted,
            Err(refusal) => return known(refusal),
        };
        let credentials = Credentials::of(question.headers);
        if credentials.is_empty() {
            return known(Refusal::LoginNeeded);
        }
        let (decision, is_remembered) = self.decision(&credentials, wanted, question).await;
        // Whoever waited for an answer that took longer than it holds asks for themselves.
        let (decision, is_remembered) = if decision.is_over(question.now) {
            self.decision(&credentials, wanted, question).await
        } else {
            (decision, is_remembered)
        };
        Answer { outcome: decision.into_outcome(), is_remembered }
    }

    /// The decision that holds, and whether nobody had to be asked for it.
    async fn decision(
        &self,
        credentials: &Credentials,
        wanted: Wanted,
        question: Question<'_>,
    ) -> (Decision, bool) {
        let key = (credentials.fingerprint(), wanted);
        let ask = async {
            let earlier = self.decisions.get(&key).await;
            match self.ask_as(credentials, key, question).await {
                Ok(allowance) => Decision::Allowed(Arc::new(allowance)),
                Err(failure) => self.without_answer(failure, earlier, question.now),
            }
        };
        let is_old = |known: &Decision| !known.holds(question.now);
        let entry = self.decisions.entry_by_ref(&key).or_insert_with_if(ask, is_old).await;
        let is_remembered = !entry.is_fresh();
        (entry.into_value(), is_remembered)
    }

    /// Asks Label Studio, as the caller.
    async fn ask_as(
        &self,
        credentials: &Credentials,
        (who, wanted): (Fingerprint, Wanted),
        Question { storages, now, .. }: Question<'_>,
    ) -> Result<Allowance, Failure> {
        // One after the other: two first requests of a session at once lock a Label Studio on SQLite.
        let found = read::find(&self.client, credentials, wanted).await?;
        let subject = self.subjects.try_get_with(who, read::subject(&self.client, credentials)).await;
        let subject = subject.map_err(|failure| Failure::clone(&failure))?;
        let scope = self.config.scope;
        let (request, mentioned) = match found {
            Found::Task(number, mentioned) => {
                let mentioned = Arc::new(mentioned);
                self.mentioned
                    .insert(number, Known { mentioned: Arc::clone(&mentioned), read_at: now })
                    .await;
                (claims::of_task(number, &mentioned, &subject, storages, scope), Some(mentioned))
            }
            Found::Project(project) => (claims::of_project(&project, &subject, storages, scope), None),
        };
        let mentioned = mentioned.filter(|_| request.objects.is_empty());
        self.allowance((request, mentioned), now, now, self.config.decision_ttl)
    }

    /// What holds without an answer: a refusal for a moment, or where Label Studio is away an earlier allowance for as
    /// much longer as the configuration says.
    fn without_answer(&self, failure: Failure, earlier: Option<Decision>, now: SystemTime) -> Decision {
        let (ttl, stale) = (self.config.decision_ttl, self.config.stale_on_outage);
        match (failure, earlier) {
            (Failure::Refused(refusal), _) => Decision::Refused { refusal, until: now + REFUSED.min(ttl) },
            (Failure::Outage(refusal), Some(Decision::Allowed(earlier))) => {
                let end = earlier.decided_at + ttl + stale;
                let life = end.duration_since(now).unwrap_or_default().min(AGAIN);
                let what = (earlier.request.clone(), earlier.mentioned.clone());
                match self.allowance(what, earlier.decided_at, now, life) {
                    Ok(longer) => Decision::Allowed(Arc::new(Allowance { is_stale: true, ..longer })),
                    Err(_) => Decision::Failed(refusal),
                }
            }
            (Failure::Outage(refusal) | Failure::Useless(refusal), _) => Decision::Failed(refusal),
        }
    }

    /// Writes down what was allowed as a token that ends `life` after `now`.
    fn allowance(
        &self,
        (request, mentioned): (TokenRequest, Option<Arc<Mentioned>>),
        decided_at: SystemTime,
        now: SystemTime,
        life: Duration,
    ) -> Result<Allowance, Failure> {
        let request = TokenRequest { ttl: life, ..request };
        let minted = self.minter.mint(&request, now).map_err(Failure::useless)?;
        let expires_at = minted.expires_at();
        let token = minted.into_token().into();
        Ok(Allowance { request, mentioned, token, decided_at, expires_at, is_stale: false })
    }

    /// What a task mentions as it was read last, or as the service reads it now; nothing where there is no service.
    async fn of_task(&self, task: &TaskId, now: SystemTime) -> Result<Arc<Mentioned>, Refusal> {
        let Some(number) = number(task.as_str()) else { return Err(Refusal::TaskNotFound) };
        if let Some(known) = self.mentioned.get(&number).await {
            if now < known.read_at + self.config.decision_ttl {
                return Ok(known.mentioned);
            }
            self.mentioned.invalidate(&number).await;
        }
        if !self.client.has_token() {
            return Ok(Arc::default());
        }
        let read = async {
            let mentioned = Arc::new(read::task_as_service(&self.client, number).await?);
            Ok(Known { mentioned, read_at: now })
        };
        let known = self.mentioned.try_get_with(number, read).await;
        known.map(|known| known.mentioned).map_err(|failure| Failure::clone(&failure).into_refusal())
    }
}

/// How long a refusal is remembered at most: whoever logs in or is let in should not wait.
const REFUSED: Duration = Duration::from_secs(5);
/// When Label Studio is asked again while it is away and an earlier allowance stands.
const AGAIN: Duration = Duration::from_secs(5);
/// For what tasks mention.
const MENTIONED_BYTES: u64 = 16 * 1024 * 1024;
