//! Label Studio's webhooks: `POST /hooks/label-studio`.
//!
//! Label Studio sends an event once, waits a second for the answer and forgets it, and signs nothing: the shared secret in a
//! header is all that tells it from others. So an event is on the disk when it is answered, and what it means is done
//! later. Kinds that mean nothing here are counted.

use std::{borrow::Cow, path::PathBuf, time::SystemTime};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Control, Problem, annotations::json};
use crate::{
    annotation::{Annotation, Beside, Change, read_id},
    id::{AnnotationId, TaskId},
};

/// `[hooks]`: what Label Studio tells by itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What it sends in `X-Mediagate-Secret`; without one no event is taken.
    pub secret: Option<SecretString>,
    /// A file that holds it.
    pub secret_file: Option<PathBuf>,
}

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Set twice.
    #[error("set hooks.secret or hooks.secret_file, not both")]
    Twice,
    /// The file cannot be read.
    #[error("hooks.secret_file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Too short to keep anybody out.
    #[error(
        "hooks.secret (or what hooks.secret_file holds) has fewer than {MIN_SECRET} characters; take 32 random ones"
    )]
    TooShort,
}

/// An event as it is sent. The project holds a token of its own, so no more of it is read than its id.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    annotation: Option<&'a RawValue>,
    #[serde(borrow)]
    task: Option<&'a RawValue>,
    #[serde(borrow)]
    project: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    tasks: Option<Vec<&'a RawValue>>,
}

impl Config {
    /// Whether there is to be one.
    pub fn has_secret(&self) -> bool {
        self.secret.is_some() || self.secret_file.is_some()
    }

    /// Reads the secret; `None` where there is none.
    pub fn read_secret(&self) -> Result<Option<SecretString>, SecretError> {
        let secret = match (&self.secret, &self.secret_file) {
            (Some(_), Some(_)) => return Err(SecretError::Twice),
            (Some(secret), None) => secret.clone(),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| SecretError::Unreadable { path: path.clone(), source })?;
                SecretString::from(text.trim().to_owned())
            }
            (None, None) => return Ok(None),
        };
        if secret.expose_secret().chars().count() < MIN_SECRET {
            return Err(SecretError::TooShort);
        }
        Ok(Some(secret))
    }
}

/// Takes an event. Nothing is read of what comes without the secret.
pub(super) async fn label_studio(
    State(control): State<Control>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let secret = control.hook_secret.as_ref().ok_or(Problem::HOOKS_OFF)?;
    if !presented(request.headers()).is_some_and(|presented| secret.admits(presented)) {
        return Err(Problem::HOOK_SECRET);
    }
    let taken = control.intake.read(request).await?;
    let event: Event<'_> = json(&taken.bytes)?;
    let action = label(&event.action);
    let changes = event.changes((control.clock)()).map_err(Problem::invalid)?;
    control.intake.accept(changes, taken).await?;
    control.intake.metrics().events.with_label_values(&[action]).inc();
    Ok(StatusCode::NO_CONTENT)
}

impl Event<'_> {
    fn changes(&self, now: SystemTime) -> Result<Vec<Change>, String> {
        match &*self.action {
            "ANNOTATION_CREATED" | "ANNOTATIONS_CREATED" | "ANNOTATION_UPDATED" => self.put(now),
            "ANNOTATIONS_DELETED" => each(self.annotations.as_deref(), "annotations", |id| {
                let id = AnnotationId::parse(&id).map_err(|error| error.to_string())?;
                Ok(Change::Delete(id, now))
            }),
            "TASKS_DELETED" => each(self.tasks.as_deref(), "tasks", |id| {
                let id = TaskId::parse(&id).map_err(|error| error.to_string())?;
                Ok(Change::DeleteTask(id, now))
            }),
            _ => Ok(Vec::new()),
        }
    }

    /// Both `annotation` and `task` may be lists; of those the task of an annotation is found by its id.
    fn put(&self, now: SystemTime) -> Result<Vec<Change>, String> {
        let annotations = list(self.annotation.ok_or_else(|| NO_PAYLOAD.to_owned())?)?;
        let tasks = self.task.map(list).transpose()?.unwrap_or_default();
        let one = |(at, body): (usize, &&RawValue)| {
            let task = match tasks.as_slice() {
                [task] => Some(*task),
                tasks => task_of(body, tasks),
            };
            let beside = Beside { task, project: self.project, ..Beside::default() };
            let read = Annotation::read(body, beside, now);
            let annotation = read.map_err(|fault| format!("annotation {at}: {fault}"))?;
            Ok(Change::Put(Box::new(annotation)))
        };
        annotations.iter().enumerate().map(one).collect()
    }
}

fn each(
    rows: Option<&[&RawValue]>,
    name: &str,
    change: impl Fn(String) -> Result<Change, String>,
) -> Result<Vec<Change>, String> {
    let rows = rows.ok_or_else(|| NO_PAYLOAD.to_owned())?;
    let one = |(at, row): (usize, &&RawValue)| {
        let changed = read_id(row).map_err(|fault| fault.to_string()).and_then(&change);
        changed.map_err(|why| format!("{name} {at}: {why}"))
    };
    rows.iter().enumerate().map(one).collect()
}

fn list(value: &RawValue) -> Result<Vec<&RawValue>, String> {
    if value.get().starts_with('[') {
        serde_json::from_str(value.get()).map_err(|error| error.to_string())
    } else {
        Ok(vec![value])
    }
}

fn task_of<'a>(annotation: &RawValue, tasks: &[&'a RawValue]) -> Option<&'a RawValue> {
    #[derive(Deserialize)]
    struct Row<'a> {
        #[serde(borrow)]
        task: Option<&'a RawValue>,
    }
    let row: Row<'_> = serde_json::from_str(annotation.get()).ok()?;
    let wanted = read_id(row.task?).ok()?;
    tasks.iter().copied().find(|task| read_id(task).is_ok_and(|id| id == wanted))
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    headers.get(HEADER)?.to_str().ok()
}

/// A label of a closed set.
fn label(action: &str) -> &'static str {
    ACTIONS.iter().find(|known| **known == action).copied().unwrap_or("other")
}

/// Where the secret is.
pub const HEADER: &str = "x-mediagate-secret";
const MIN_SECRET: usize = 16;
const NO_PAYLOAD: &str =
    "the event has no payload; turn on \"Send payload\" of the webhook, or nothing can be exported";
const ACTIONS: [&str; 12] = [
    "PROJECT_CREATED",
    "PROJECT_UPDATED",
    "PROJECT_DELETED",
    "TASKS_CREATED",
    "TASKS_DELETED",
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "LABEL_LINK_CREATED",
    "LABEL_LINK_UPDATED",
    "LABEL_LINK_DELETED",
];
