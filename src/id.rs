//! Names of things that other systems gave us: tasks, projects, storages, requests.
//!
//! They are compared as text and never interpreted. This module uses nothing else of ours.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// A task of the annotation application, as that application writes it.
///
/// A number and its decimal text are the same task: `17` equals `"17"`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct TaskId(Arc<str>);

/// An annotation of the annotation application, as that application writes it.
///
/// A number and its decimal text are the same annotation.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct AnnotationId(Arc<str>);

/// A project of the annotation application, as that application writes it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "Written")]
pub struct ProjectId(Arc<str>);

/// An id as other systems write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(i64),
    Text(String),
}

/// The number of a storage: given by our store, never used again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct StorageId(pub i64);

/// The number of a run: given by our store, never used again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct RunId(pub i64);

/// The number of a task of our own store; never used again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct TaskNumber(pub i64);

/// The name of a storage: a configured bucket. A closed set, so it may be a metric label.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String")]
pub struct StorageName(Arc<str>);

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseIdError {
    /// Nothing to compare.
    #[error("an id is empty")]
    Empty,
    /// Longer than [`MAX_ID_LEN`] bytes.
    #[error("an id is longer than 128 bytes")]
    TooLong,
    /// A control character, or in a storage name anything but letters, digits, `-`, `_` and `.`.
    #[error("an id has a character that is not allowed")]
    Character,
}

/// The longest id in bytes.
pub const MAX_ID_LEN: usize = 128;

impl TaskId {
    /// Parses a non-empty text of at most [`MAX_ID_LEN`] bytes without control characters.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        checked(text, |c| !c.is_control()).map(Self)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AnnotationId {
    /// Parses a non-empty text of at most [`MAX_ID_LEN`] bytes without control characters.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        checked(text, |c| !c.is_control()).map(Self)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ProjectId {
    /// Parses a non-empty text of at most [`MAX_ID_LEN`] bytes without control characters.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        checked(text, |c| !c.is_control()).map(Self)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl StorageName {
    /// Parses letters, digits, `-`, `_` and `.`, at most [`MAX_ID_LEN`] bytes.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        checked(text, |c| c.is_ascii_alphanumeric() || "-_.".contains(c)).map(Self)
    }

    /// A name made of a word and a number: `s3-12`.
    pub fn numbered(word: &'static str, id: StorageId) -> Self {
        Self(format!("{word}-{id}").into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Written> for ProjectId {
    type Error = ParseIdError;

    fn try_from(written: Written) -> Result<Self, ParseIdError> {
        match written {
            Written::Number(number) => Self::parse(&number.to_string()),
            Written::Text(text) => Self::parse(&text),
        }
    }
}

impl TryFrom<String> for StorageName {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        Self::parse(&text)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for AnnotationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for StorageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TaskNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TaskNumber {
    /// The number that a task's id is, where it is one.
    pub fn of(task: &TaskId) -> Option<Self> {
        task.as_str().parse().ok().filter(|number| *number > 0).map(Self)
    }
}

impl fmt::Display for StorageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn checked(text: &str, allowed: impl Fn(char) -> bool) -> Result<Arc<str>, ParseIdError> {
    match text {
        "" => Err(ParseIdError::Empty),
        _ if text.len() > MAX_ID_LEN => Err(ParseIdError::TooLong),
        _ if !text.chars().all(allowed) => Err(ParseIdError::Character),
        _ => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked_text() {
        let long = "x".repeat(MAX_ID_LEN + 1);
        for (text, want) in [
            ("17", None),
            ("task 9/ä", None),
            ("", Some(ParseIdError::Empty)),
            (long.as_str(), Some(ParseIdError::TooLong)),
            ("a\nb", Some(ParseIdError::Character)),
        ] {
            assert_eq!(TaskId::parse(text).err(), want, "{text:?}");
        }
        assert_eq!(StorageName::parse("a b").err(), Some(ParseIdError::Character));
    }

    #[test]
    fn a_number_and_its_text_are_the_same_project() {
        for (json, want) in
            [("17", Some("17")), ("\"17\"", Some("17")), ("\"a\"", Some("a")), ("1.5", None), ("\"\"", None)]
        {
            let got: Option<ProjectId> = serde_json::from_str(json).ok();
            assert_eq!(got.as_ref().map(ProjectId::as_str), want, "{json}");
        }
    }
}
