//! An annotation, as an annotation application tells of it, and what changes in it.
//!
//! The noun and nothing else: no I/O, no wire format of one application. Texts of JSON are kept as they were written.
//! What is told may come twice and out of order; which of two states is the newer one is for `updated_at` to say, and
//! for the order of arrival where that does not.

mod read;

use std::time::SystemTime;

use serde_json::value::RawValue;

pub use self::read::{AnnotationFault, Beside, read_id};
use crate::id::{AnnotationId, ProjectId, TaskId};

/// An annotation in one state.
#[derive(Clone, Debug)]
pub struct Annotation {
    /// Which.
    pub id: AnnotationId,
    /// The project of its task, where it was told.
    pub project: Option<ProjectId>,
    /// Its task.
    pub task: TaskId,
    /// When it became what it is.
    pub updated_at: SystemTime,
    /// What was told of it: a JSON object.
    pub body: Box<RawValue>,
    /// What was told of its task: a JSON object.
    pub task_body: Option<Box<RawValue>>,
}

/// Somebody who makes annotations.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Person {
    /// The number that annotations name them by, as text.
    pub id: String,
    /// As they wrote it, or nothing.
    pub first_name: String,
    /// As they wrote it, or nothing.
    pub last_name: String,
    /// Their address.
    pub email: String,
}

/// Something that was told.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is this now.
    Put(Box<Annotation>),
    /// It is gone since then.
    Delete(AnnotationId, SystemTime),
    /// Its task is gone since then, and so are all annotations of it.
    DeleteTask(TaskId, SystemTime),
}
