//! Reading an annotation from what an application sent: Label Studio's row, or any object with `id`, `result` and `task`.

use std::time::SystemTime;

use aws_smithy_types::date_time::{DateTime, Format};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Annotation;
use crate::id::{AnnotationId, ParseIdError, ProjectId, TaskId};

/// Why something is no annotation, in words for whoever sent it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AnnotationFault {
    /// A number, a text, a list.
    #[error("an annotation is a JSON object with id, result and task")]
    NotObject,
    /// A part that is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A part of another type.
    #[error("{0} has to be {1}")]
    WrongType(&'static str, &'static str),
    /// An id that cannot be compared.
    #[error("{0}: {1}")]
    Id(&'static str, ParseIdError),
    /// The path says another id than the body.
    #[error("id is {body} in the body and {path} in the path")]
    OtherId {
        /// In the body.
        body: AnnotationId,
        /// In the path.
        path: AnnotationId,
    },
}

/// The keys that mean something here.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    task: Option<&'a RawValue>,
    #[serde(borrow)]
    project: Option<&'a RawValue>,
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    updated_at: Option<&'a RawValue>,
}

/// The keys of a task, or of a project, that mean something here.
#[derive(Deserialize)]
struct Owner<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    project: Option<&'a RawValue>,
}

/// What is sent beside an annotation, or known of it from elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// Its id, from the path.
    pub id: Option<&'a AnnotationId>,
    /// Its task as an object.
    pub task: Option<&'a RawValue>,
    /// Its project: a number, a text, or an object with an id.
    pub project: Option<&'a RawValue>,
}

impl Annotation {
    /// Reads an annotation. One that tells no time became what it is `now`.
    pub fn read(body: &RawValue, beside: Beside<'_>, now: SystemTime) -> Result<Self, AnnotationFault> {
        let parts: Parts<'_> = object(body).ok_or(AnnotationFault::NotObject)?;
        let id = annotation_id(&parts, beside.id)?;
        given(parts.result).ok_or(AnnotationFault::Missing("result"))?;
        let task_body = beside.task.or(parts.task).filter(|task| is_object(task));
        let owner: Option<Owner<'_>> = task_body.and_then(object);
        let own_task = given(parts.task).filter(|task| !is_object(task));
        let in_object = owner.as_ref().and_then(|task| given(task.id));
        let task = match (own_task, in_object) {
            (Some(task), _) => text("task", task)?,
            (None, Some(id)) => text("task.id", id)?,
            (None, None) if task_body.is_some() => return Err(AnnotationFault::Missing("task.id")),
            (None, None) => return Err(AnnotationFault::Missing("task")),
        };
        let of_task = owner.as_ref().and_then(|task| given(task.project));
        let project = [given(parts.project), of_task, given(beside.project)].into_iter().flatten().next();
        Ok(Self {
            id,
            project: project.map(project_id).transpose()?,
            task: TaskId::parse(&task).map_err(|error| AnnotationFault::Id("task", error))?,
            updated_at: match time("updated_at", parts.updated_at)? {
                Some(time) => time,
                None => time("created_at", parts.created_at)?.unwrap_or(now),
            },
            body: body.to_owned(),
            task_body: task_body.map(ToOwned::to_owned),
        })
    }
}

/// Reads the id of an object that has one, or of what is an id itself.
pub fn read_id(value: &RawValue) -> Result<String, AnnotationFault> {
    match object::<Owner<'_>>(value) {
        Some(owner) => text("id", given(owner.id).ok_or(AnnotationFault::Missing("id"))?),
        None => text("id", value),
    }
}

fn annotation_id(parts: &Parts<'_>, path: Option<&AnnotationId>) -> Result<AnnotationId, AnnotationFault> {
    let body = given(parts.id).map(|id| text("id", id)).transpose()?;
    let body = body.map(|id| AnnotationId::parse(&id)).transpose();
    match (body.map_err(|error| AnnotationFault::Id("id", error))?, path) {
        (None, None) => Err(AnnotationFault::Missing("id")),
        (Some(body), Some(path)) if body != *path => {
            Err(AnnotationFault::OtherId { body, path: path.clone() })
        }
        (Some(id), _) => Ok(id),
        (None, Some(path)) => Ok(path.clone()),
    }
}

fn project_id(value: &RawValue) -> Result<ProjectId, AnnotationFault> {
    let id = match object::<Owner<'_>>(value) {
        Some(owner) => text("project.id", given(owner.id).ok_or(AnnotationFault::Missing("project.id"))?)?,
        None => text("project", value)?,
    };
    ProjectId::parse(&id).map_err(|error| AnnotationFault::Id("project", error))
}

/// `null` is as good as absent.
fn given(value: Option<&RawValue>) -> Option<&RawValue> {
    value.filter(|value| value.get() != "null")
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

fn object<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    if is_object(value) { serde_json::from_str(value.get()).ok() } else { None }
}

/// A whole number or a text, as text.
fn text(name: &'static str, value: &RawValue) -> Result<String, AnnotationFault> {
    let json = value.get();
    if let Ok(text) = serde_json::from_str::<String>(json) {
        return Ok(text);
    }
    let is_whole = json.parse::<i64>().is_ok() || json.parse::<u64>().is_ok();
    if is_whole {
        Ok(json.to_owned())
    } else {
        Err(AnnotationFault::WrongType(name, "a whole number or a text"))
    }
}

/// A time of RFC 3339, with any offset.
fn time(name: &'static str, value: Option<&RawValue>) -> Result<Option<SystemTime>, AnnotationFault> {
    let Some(value) = given(value) else { return Ok(None) };
    let wrong = AnnotationFault::WrongType(name, "a time such as 2026-11-24T18:30:00.123456Z");
    let Ok(text) = serde_json::from_str::<String>(value.get()) else { return Err(wrong) };
    let time = DateTime::from_str(&text, Format::DateTimeWithOffset).map_err(|_| wrong.clone())?;
    // Nothing was annotated before 1970, and the database counts from there.
    match SystemTime::try_from(time) {
        Ok(time) if time >= SystemTime::UNIX_EPOCH => Ok(Some(time)),
        _ => Err(wrong),
    }
}

#[cfg(test)]
mod tests;
