//! Somebody who asks the storage API, and what Label Studio says of them.
//!
//! It is asked as they, with what their request carries, for the project and for its storages. Both have to say yes: the
//! first knows whose projects somebody sees, and the second does not in 1.23, where only removed members are refused
//! there; the second knows roles, where an edition has them. What is said is remembered for seconds, since a page asks
//! several things at once; who wants to change something is asked for anew.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use moka::future::Cache;

use crate::{
    control::{Access, Judging, Member, Refusal},
    id::ProjectId,
    label_studio::{self, Answer, Client, ClientError, Config, Credentials, account::Account},
};

/// A request's sender.
#[derive(Debug)]
pub(super) struct Person {
    client: Arc<Client>,
    decisions: Decisions,
    credentials: Credentials,
    fingerprint: Fingerprint,
}

/// What Label Studio said lately. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Decisions {
    projects: Cache<(Fingerprint, i64), Result<(), Refusal>>,
    people: Cache<Fingerprint, Result<Known, Refusal>>,
}

type Fingerprint = [u8; 32];

/// Who somebody is.
#[derive(Clone, Debug)]
struct Known {
    name: Arc<str>,
    may_change: bool,
}

impl Decisions {
    /// Nothing is known at first.
    pub(super) fn new(config: &Config) -> Self {
        let life = config.decision_ttl.min(FRESH);
        Self {
            projects: Cache::builder().max_capacity(MOST).time_to_live(life).build(),
            people: Cache::builder().max_capacity(MOST).time_to_live(life).build(),
        }
    }
}

impl Person {
    /// Whoever sent these credentials.
    pub(super) fn new(client: Arc<Client>, decisions: Decisions, credentials: Credentials) -> Self {
        let fingerprint = credentials.fingerprint();
        Self { client, decisions, credentials, fingerprint }
    }

    /// Label Studio's answer to them.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, Refusal> {
        self.client.get_as(path, &self.credentials).await.map_err(|error| away(&error))
    }

    async fn of_project(&self, project: i64) -> Result<Result<(), Refusal>, Refusal> {
        for path in
            [format!("/api/projects/{project}/?include=id"), format!("/api/storages/s3/?project={project}")]
        {
            let said = verdict(self.get(&path).await?.status)?;
            if said.is_err() {
                return Ok(said);
            }
        }
        Ok(Ok(()))
    }

    async fn who(&self) -> Result<Known, Refusal> {
        if self.credentials.is_empty() {
            return Err(Refusal::Anonymous);
        }
        let asked = self.decisions.people.try_get_with(self.fingerprint, self.whoami()).await;
        asked.map_err(|refusal| *refusal)?
    }

    async fn whoami(&self) -> Result<Result<Known, Refusal>, Refusal> {
        let answer = Account::ask(&self.client, &self.credentials).await.map_err(|error| away(&error))?;
        if let Err(refusal) = verdict(answer.status)? {
            return Ok(Err(refusal));
        }
        let account = Account::read(&answer).map_err(|error| away(&error))?;
        let name = account.email().map_or_else(|| format!("user {}", account.id).into(), Into::into);
        let may_change = account.permissions.is_none_or(|all| all.iter().any(|one| one == CHANGE));
        Ok(Ok(Known { name, may_change }))
    }

    async fn decide(&self, project: &ProjectId, access: Access) -> Result<(), Refusal> {
        if self.credentials.is_empty() {
            return Err(Refusal::Anonymous);
        }
        let project = number(project).ok_or(Refusal::ProjectUnknown)?;
        let key = (self.fingerprint, project);
        match access {
            Access::View => {
                let asked = self.decisions.projects.try_get_with(key, self.of_project(project)).await;
                asked.map_err(|refusal| *refusal)?
            }
            Access::Change if self.who().await?.may_change => {
                let said = self.of_project(project).await?;
                self.decisions.projects.insert(key, said).await;
                said
            }
            Access::Change => Err(Refusal::Forbidden),
        }
    }
}

impl Member for Person {
    fn judge<'a>(&'a self, project: &'a ProjectId, access: Access) -> Judging<'a, ()> {
        Box::pin(self.decide(project, access))
    }

    fn name(&self) -> Judging<'_, String> {
        Box::pin(async { Ok(self.who().await?.name.to_string()) })
    }
}

/// What a status says of a person; what it does not say is not remembered. The way to the login page is no answer.
fn verdict(status: StatusCode) -> Result<Result<(), Refusal>, Refusal> {
    match status {
        StatusCode::OK => Ok(Ok(())),
        StatusCode::UNAUTHORIZED => Ok(Err(Refusal::Anonymous)),
        StatusCode::FORBIDDEN => Ok(Err(Refusal::Forbidden)),
        StatusCode::NOT_FOUND => Ok(Err(Refusal::ProjectUnknown)),
        status if status.is_redirection() => Ok(Err(Refusal::Anonymous)),
        status => Err(away(&ClientError::Unexpected { status, wanted: "a decision" })),
    }
}

/// The project as Label Studio numbers it.
fn number(project: &ProjectId) -> Option<i64> {
    label_studio::number(project.as_str()).filter(|number| *number > 0)
}

fn away(error: &ClientError) -> Refusal {
    let source = std::error::Error::source(error).map(tracing::field::display);
    tracing::warn!(%error, source, "Label Studio does not say who may see or change storages");
    Refusal::Away
}

/// How long Label Studio's word is taken for; never longer than `label_studio.decision_ttl`.
const FRESH: Duration = Duration::from_secs(5);
/// How many answers are remembered.
const MOST: u64 = 10_000;
/// What Label Studio calls the right to make, change and remove storages.
const CHANGE: &str = "storages.change";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_plain_number_of_a_project_is_one() {
        for (text, want) in [
            ("1", Some(1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("0", None),
            ("-1", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("1&project=2", None),
            ("one", None),
        ] {
            assert_eq!(number(&ProjectId::parse(text).unwrap()), want, "{text:?}");
        }
    }
}
