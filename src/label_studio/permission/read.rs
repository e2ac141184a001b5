//! The reads of Label Studio that make a decision.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::decision::Wanted;
use crate::{
    gateway::{links::Mentioned, permission::Refusal},
    id::ProjectId,
    label_studio::{Answer, Client, ClientError, Credentials, account::Account},
};

/// What the caller may see.
pub(super) enum Found {
    Task(u64, Mentioned),
    Project(ProjectId),
}

/// Why nothing was allowed.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// Label Studio says no.
    Refused(Refusal),
    /// It does not answer now.
    Outage(Refusal),
    /// It says something that is no answer, or nothing can be made of it.
    Useless(Refusal),
}

/// Reads the task or project as the caller.
pub(super) async fn find(
    client: &Client,
    credentials: &Credentials,
    wanted: Wanted,
) -> Result<Found, Failure> {
    match wanted {
        Wanted::Task(number) => {
            let answer = client.get_as(&task_path(number), credentials).await?;
            match answer.status {
                StatusCode::NOT_FOUND => Err(Failure::Refused(Refusal::TaskNotFound)),
                _ => Ok(Found::Task(number, task(&permitted(answer)?, number)?)),
            }
        }
        Wanted::Project(number) => {
            let answer = client.get_as(&format!("/api/projects/{number}/?include=id"), credentials).await?;
            match answer.status {
                StatusCode::NOT_FOUND => Err(Failure::Refused(Refusal::ProjectNotFound)),
                _ => Ok(Found::Project(project(&permitted(answer)?, number)?)),
            }
        }
    }
}

/// Reads what a task mentions as the service; nothing where there is no such task.
pub(super) async fn task_as_service(client: &Client, number: u64) -> Result<Mentioned, Failure> {
    let answer = client.ask(Method::GET, &task_path(number), Bytes::new()).await?;
    match answer.status {
        StatusCode::NOT_FOUND => Ok(Mentioned::default()),
        _ => task(&answer, number),
    }
}

/// Who the caller is: their e-mail address, or else their number.
pub(super) async fn subject(client: &Client, credentials: &Credentials) -> Result<Arc<str>, Failure> {
    let account = Account::read(&permitted(Account::ask(client, credentials).await?)?)?;
    Ok(account.email().map_or_else(|| account.id.to_string().into(), Into::into))
}

impl Failure {
    /// Of what Label Studio said no token can be made.
    pub(super) fn useless(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Useless(Refusal::Unavailable(Arc::new(error)))
    }

    pub(super) fn into_refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) | Self::Outage(refusal) | Self::Useless(refusal) => refusal,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Timeout => Self::Outage(Refusal::Timeout),
            error if error.is_transient() => Self::Outage(Refusal::Unavailable(Arc::new(error))),
            error => Self::useless(error),
        }
    }
}

/// Raw URIs, and none of the long lists that a task may carry.
fn task_path(number: u64) -> String {
    format!("/api/tasks/{number}/?resolve_uri=false&omit=annotations,predictions,drafts")
}

fn permitted(answer: Answer) -> Result<Answer, Failure> {
    match answer.status {
        StatusCode::UNAUTHORIZED => Err(Failure::Refused(Refusal::LoginNeeded)),
        StatusCode::FORBIDDEN => Err(Failure::Refused(Refusal::Denied)),
        _ => Ok(answer),
    }
}

/// An answer about something else, such as a login page, is none.
fn task(answer: &Answer, number: u64) -> Result<Mentioned, Failure> {
    #[derive(Deserialize)]
    struct Task<'a> {
        id: u64,
        project: ProjectId,
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let task: Task<'_> = answer.json("a task")?;
    if task.id != number {
        return Err(ClientError::Unexpected { status: answer.status, wanted: "another task" }.into());
    }
    Ok(Mentioned::read(Some(task.project), task.data.get()))
}

fn project(answer: &Answer, number: u64) -> Result<ProjectId, Failure> {
    #[derive(Deserialize)]
    struct Project {
        id: ProjectId,
    }
    let project: Project = answer.json("a project")?;
    if project.id.as_str() != number.to_string() {
        return Err(ClientError::Unexpected { status: answer.status, wanted: "another project" }.into());
    }
    Ok(project.id)
}
