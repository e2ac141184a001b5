//! What is written: the object of an annotation, or of a task, with Label Studio's keys in its order.
//!
//! Values keep the spelling that they were accepted in, and keys that Label Studio does not know stand behind those that
//! it does. URIs in the data of a task stay what they are.

use serde_json::value::{RawValue, to_raw_value};

use super::people::People;
use crate::{
    annotation::{Annotation, Person},
    id::ProjectId,
    object::{ObjectKey, ParseObjectError},
    storage::{Names, Settings},
};

/// The keys of a JSON object in their order, each with its value as it was written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

/// The key of the object of an annotation.
pub(super) fn annotation_key(
    settings: &Settings,
    annotation: &Annotation,
) -> Result<ObjectKey, ParseObjectError> {
    let project = project(annotation);
    let names = Names { project, task: annotation.task.as_str(), annotation: annotation.id.as_str() };
    key(settings, names)
}

/// The key of the object of a task.
pub(super) fn task_key(
    settings: &Settings,
    task: &str,
    project: &str,
) -> Result<ObjectKey, ParseObjectError> {
    key(settings, Names { project, task, annotation: "" })
}

/// The project as keys name it.
pub(super) fn project(annotation: &Annotation) -> &str {
    annotation.project.as_ref().map_or("", ProjectId::as_str)
}

/// The object of an annotation, with its task in it.
pub(super) fn annotation_body(annotation: &Annotation, people: &People) -> String {
    let own = Members::read(&annotation.body);
    let person = known(&own, people);
    let completed_by = completed_by(&own, person, PERSON_KEYS);
    let name = person.and_then(|person| to_raw_value(&created_username(person)).ok());
    let (id, task_id, project) = ids(annotation);
    let task = annotation.task_body.as_deref().map(|task| Members::read(task).ordered(TASK_KEYS));
    let task = task.and_then(|text| RawValue::from_string(text).ok()).unwrap_or(task_id);
    let mut members = own;
    members.0.retain(|(key, _)| !UNWRITTEN.contains(&key.as_str()));
    members.set("id", &id);
    members.set("task", &task);
    if let Some(project) = &project {
        members.add("project", project);
    }
    if let Some(completed_by) = &completed_by {
        members.set("completed_by", completed_by);
    }
    if let Some(name) = &name {
        members.add("created_username", name);
    }
    members.ordered(ANNOTATION_KEYS)
}

/// The object of a task with all of its annotations: what Label Studio exports, and imports again.
pub(super) fn task_body(annotations: &[Annotation], people: &People) -> Option<String> {
    let newest = annotations
        .iter()
        .max_by_key(|annotation| (annotation.task_body.is_some(), annotation.updated_at))?;
    let (_, id, project) = ids(newest);
    let texts: Vec<String> = annotations.iter().map(|annotation| of_task(annotation, people)).collect();
    let list = RawValue::from_string(format!("[{}]", texts.join(","))).ok()?;
    let none = RawValue::from_string("[]".to_owned()).ok()?;
    let mut members = newest.task_body.as_deref().map_or(Members(Vec::new()), Members::read);
    members.set("id", &id);
    members.set("annotations", &list);
    members.add("drafts", &none);
    members.add("predictions", &none);
    if let Some(project) = &project {
        members.add("project", project);
    }
    Some(members.ordered(TASK_FILE_KEYS))
}

/// An annotation within its task, which it names by its id.
fn of_task(annotation: &Annotation, people: &People) -> String {
    let mut members = Members::read(&annotation.body);
    let completed_by = completed_by(&members, known(&members, people), PERSON_IN_TASK_KEYS);
    let (id, task, _) = ids(annotation);
    members.set("id", &id);
    members.set("task", &task);
    if let Some(completed_by) = &completed_by {
        members.set("completed_by", completed_by);
    }
    members.ordered(ANNOTATION_IN_TASK_KEYS)
}

/// Who made an annotation, where it says so by a number.
pub(super) fn person(body: &RawValue) -> Option<String> {
    number(&Members::read(body)).map(|number| number.to_string())
}

/// Webhooks say who by a number; exports have an object there.
fn completed_by(members: &Members<'_>, person: Option<&Person>, keys: &[&str]) -> Option<Box<RawValue>> {
    let id = to_raw_value(&number(members)?).ok()?;
    let mut object = Members(vec![("id".to_owned(), &*id)]);
    let known = person.and_then(|person| {
        let text = |text: &String| to_raw_value(text).ok();
        Some([
            ("first_name", text(&person.first_name)?),
            ("last_name", text(&person.last_name)?),
            ("email", text(&person.email)?),
        ])
    });
    for (key, value) in known.iter().flatten() {
        object.set(key, value);
    }
    RawValue::from_string(object.ordered(keys)).ok()
}

/// As Label Studio writes it: a name that is not there leaves its space.
fn created_username(person: &Person) -> String {
    let Person { id, first_name, last_name, email } = person;
    let space = if last_name.is_empty() { "" } else { " " };
    format!("{first_name}{space}{last_name} {email}, {id}")
}

fn known<'a>(members: &Members<'_>, people: &'a People) -> Option<&'a Person> {
    people.get(&number(members)?.to_string())
}

fn number(members: &Members<'_>) -> Option<i64> {
    members.get("completed_by")?.get().parse().ok()
}

/// The key under the prefix of a target.
pub(super) fn key(settings: &Settings, names: Names<'_>) -> Result<ObjectKey, ParseObjectError> {
    ObjectKey::parse(&format!("{}{}", settings.normal_prefix(), settings.layout.fill(names)))
}

/// The ids of an annotation as JSON: numbers where they are some.
fn ids(annotation: &Annotation) -> (Box<RawValue>, Box<RawValue>, Option<Box<RawValue>>) {
    let project = annotation.project.as_ref().map(|project| id(project.as_str()));
    (id(annotation.id.as_str()), id(annotation.task.as_str()), project)
}

fn id(text: &str) -> Box<RawValue> {
    let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
    let json = number.map_or_else(|| to_raw_value(text), |number| to_raw_value(&number));
    // Texts and numbers are always JSON.
    json.unwrap_or_else(|_| RawValue::NULL.to_owned())
}

impl<'a> Members<'a> {
    /// What is no object has no members. Of a key that is there twice the last value counts.
    fn read(object: &'a RawValue) -> Self {
        let mut members = Self(Vec::new());
        let mut reader = serde_json::Deserializer::from_str(object.get());
        let read = serde::Deserializer::deserialize_map(&mut reader, Visitor(&mut members));
        debug_assert!(read.is_ok(), "it was read before");
        members
    }

    fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    fn set(&mut self, key: &str, value: &'a RawValue) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// Sets what is not there, or `null`.
    fn add(&mut self, key: &str, value: &'a RawValue) {
        if self.get(key).is_none_or(|old| old.get() == "null") {
            self.set(key, value);
        }
    }

    /// The object with these keys first, where it has them.
    fn ordered(&self, first: &[&str]) -> String {
        let known = first.iter().filter_map(|key| self.0.iter().find(|(name, _)| name == key));
        let others = self.0.iter().filter(|(name, _)| !first.contains(&name.as_str()));
        let member = |(name, value): &(String, &RawValue)| {
            let name = serde_json::Value::from(name.as_str());
            format!("{name}:{}", value.get())
        };
        let members: Vec<String> = known.chain(others).map(member).collect();
        format!("{{{}}}", members.join(","))
    }
}

struct Visitor<'m, 'a>(&'m mut Members<'a>);

impl<'a> serde::de::Visitor<'a> for Visitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: serde::de::MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some((key, value)) = map.next_entry::<String, &'a RawValue>()? {
            self.0.set(&key, value);
        }
        Ok(())
    }
}

/// Label Studio's annotation in an export, without what it leaves out where nobody sent it.
const ANNOTATION_KEYS: &[&str] = &[
    "id",
    "result",
    "created_username",
    "created_ago",
    "completed_by",
    "task",
    "was_cancelled",
    "ground_truth",
    "created_at",
    "updated_at",
    "draft_created_at",
    "lead_time",
    "import_id",
    "last_action",
    "bulk_created",
    "project",
    "updated_by",
    "parent_prediction",
    "parent_annotation",
    "last_created_by",
];
/// What webhooks have of an annotation and Label Studio's own targets have not.
const UNWRITTEN: &[&str] = &["prediction", "result_count", "unique_id"];
/// Who made it.
const PERSON_KEYS: &[&str] = &["id", "first_name", "last_name", "email"];
/// The same within a task.
const PERSON_IN_TASK_KEYS: &[&str] = &["id", "email", "first_name", "last_name"];
/// Its task within that.
const TASK_KEYS: &[&str] = &[
    "id",
    "data",
    "meta",
    "created_at",
    "updated_at",
    "is_labeled",
    "allow_skip",
    "overlap",
    "inner_id",
    "total_annotations",
    "cancelled_annotations",
    "total_predictions",
    "precomputed_agreement",
    "comment_count",
    "unresolved_comment_count",
    "last_comment_updated_at",
    "project",
    "updated_by",
    "file_upload",
    "comment_authors",
];
/// A task in an export.
const TASK_FILE_KEYS: &[&str] = &[
    "id",
    "annotations",
    "file_upload",
    "drafts",
    "predictions",
    "data",
    "meta",
    "created_at",
    "updated_at",
    "allow_skip",
    "inner_id",
    "total_annotations",
    "cancelled_annotations",
    "total_predictions",
    "comment_count",
    "unresolved_comment_count",
    "last_comment_updated_at",
    "project",
    "updated_by",
    "comment_authors",
];
/// An annotation within that.
const ANNOTATION_IN_TASK_KEYS: &[&str] = &[
    "id",
    "completed_by",
    "result",
    "was_cancelled",
    "ground_truth",
    "created_at",
    "updated_at",
    "draft_created_at",
    "lead_time",
    "prediction",
    "result_count",
    "unique_id",
    "import_id",
    "last_action",
    "bulk_created",
    "task",
    "project",
    "updated_by",
    "parent_prediction",
    "parent_annotation",
    "last_created_by",
];

#[cfg(test)]
mod tests;
