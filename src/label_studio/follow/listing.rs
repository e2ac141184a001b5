//! Label Studio's list of tasks, as it is read here: by id, page after page, with raw URIs.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_smithy_types::date_time::{DateTime, Format};
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};

use super::{Asker, Error};
use crate::label_studio::ClientError;

/// A task with its annotations.
pub(super) struct Listed {
    pub(super) id: i64,
    /// Without its annotations.
    pub(super) body: Box<RawValue>,
    pub(super) annotations: Vec<Box<RawValue>>,
}

/// How many annotations a task has.
#[derive(Deserialize)]
pub(super) struct Counted {
    pub(super) id: i64,
    total_annotations: i64,
    cancelled_annotations: i64,
}

/// A page of tasks, and whether it is the last.
pub(super) struct Page {
    pub(super) tasks: Vec<Listed>,
    pub(super) is_last: bool,
}

#[derive(Deserialize)]
struct Answered<'a> {
    total: usize,
    #[serde(borrow)]
    tasks: Vec<&'a RawValue>,
}

impl Counted {
    pub(super) fn annotations(&self) -> i64 {
        self.total_annotations.saturating_add(self.cancelled_annotations)
    }
}

/// The tasks of a project that changed since then, behind an id. A task changes when an annotation of it does.
pub(super) async fn changed(
    asker: &Asker,
    project: i64,
    since: Option<SystemTime>,
    after: i64,
) -> Result<Page, Error> {
    let behind =
        json!({ "filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": after });
    let mut items = vec![behind];
    if let Some(since) = since.and_then(written) {
        items.push(json!({
            "filter": "filter:tasks:updated_at", "operator": "greater", "type": "Datetime", "value": since
        }));
    }
    let query = json!({ "filters": { "conjunction": "and", "items": items }, "ordering": ["tasks:id"] });
    let mut size = PAGE;
    loop {
        let path = path(project, size, &query.to_string(), WITH_ANNOTATIONS);
        match read(asker, &path, size).await {
            Ok((tasks, total)) => {
                let tasks = tasks.into_iter().map(|task| listed(&task)).collect::<Result<Vec<_>, _>>()?;
                let is_in_order = tasks.iter().map(|task| task.id).is_sorted_by(|a, b| a < b);
                if !is_in_order || tasks.first().is_some_and(|task| task.id <= after) {
                    return Err(malformed("it is not in the order that was asked for"));
                }
                return Ok(Page { is_last: total <= tasks.len(), tasks });
            }
            // A few tasks with very many regions.
            Err(Error::Client(ClientError::TooLong)) if size > 1 => size /= 8,
            Err(error) => return Err(error),
        }
    }
}

/// Those of these tasks that a project has, with their annotations; not more than [`PAGE`].
pub(super) async fn these(asker: &Asker, project: i64, ids: &[i64]) -> Result<Vec<Listed>, Error> {
    let (tasks, _) = read(asker, &path(project, PAGE, &selected(ids), WITH_ANNOTATIONS), PAGE).await?;
    tasks.iter().map(|task| listed(task)).collect()
}

/// Those of these tasks that a project has, with the number of their annotations; not more than [`PAGE`].
pub(super) async fn counted(asker: &Asker, project: i64, ids: &[i64]) -> Result<Vec<Counted>, Error> {
    let (tasks, _) = read(asker, &path(project, PAGE, &selected(ids), COUNTS), PAGE).await?;
    let one = |task: Box<RawValue>| {
        let task: Counted = serde_json::from_str(task.get()).map_err(|_| malformed("it cannot be read"))?;
        if ids.contains(&task.id) { Ok(task) } else { Err(malformed("it has tasks that were not asked for")) }
    };
    tasks.into_iter().map(one).collect()
}

/// A page and how many tasks there are to list. One that lacks tasks which there are is an error.
async fn read(asker: &Asker, path: &str, size: usize) -> Result<(Vec<Box<RawValue>>, usize), Error> {
    let answer = asker.get(path).await?;
    if answer.status != StatusCode::OK {
        return Err(ClientError::Unexpected { status: answer.status, wanted: "a list of tasks" }.into());
    }
    let answered: Answered<'_> =
        serde_json::from_slice(&answer.body).map_err(|_| malformed("it cannot be read"))?;
    if answered.tasks.len() != answered.total.min(size) {
        return Err(Error::ListShort);
    }
    Ok((answered.tasks.into_iter().map(ToOwned::to_owned).collect(), answered.total))
}

fn listed(task: &RawValue) -> Result<Listed, Error> {
    let mut members: BTreeMap<String, &RawValue> =
        serde_json::from_str(task.get()).map_err(|_| malformed("it cannot be read"))?;
    let id = members.get("id").and_then(|id| id.get().parse().ok());
    let id = id.ok_or_else(|| malformed("a task has no id"))?;
    let annotations = members.remove("annotations").map(RawValue::get);
    let annotations = annotations.ok_or_else(|| malformed("a task comes without annotations"))?;
    let annotations: Vec<Box<RawValue>> =
        serde_json::from_str(annotations).map_err(|_| malformed("it cannot be read"))?;
    let editor = members.get("updated_by").and_then(|editors| editor(editors));
    if let Some(editor) = &editor {
        members.insert("updated_by".to_owned(), editor);
    }
    let body = to_raw_value(&members).map_err(|_| malformed("it cannot be read"))?;
    Ok(Listed { id, body, annotations })
}

/// The list has `[{"user_id": 1}]` where webhooks and exports have a number or `null`.
fn editor(editors: &RawValue) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Editor {
        user_id: i64,
    }
    let editors: Vec<Editor> = serde_json::from_str(editors.get()).ok()?;
    to_raw_value(&editors.first().map(|editor| editor.user_id)).ok()
}

fn selected(ids: &[i64]) -> String {
    json!({ "selectedItems": { "all": false, "included": ids } }).to_string()
}

fn path(project: i64, size: usize, query: &str, include: &str) -> String {
    let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
    format!(
        "/api/tasks?project={project}&page=1&page_size={size}&resolve_uri=false&query={query}&include={include}"
    )
}

/// Label Studio answers 500 to a time without a fraction. A time before 1970 is none that we ever keep.
fn written(time: SystemTime) -> Option<String> {
    let seconds = i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
    let text = DateTime::from_secs(seconds).fmt(Format::DateTime).ok()?;
    Some(format!("{}.000Z", text.trim_end_matches('Z')))
}

/// What the reader of JSON says would hold a piece of it.
fn malformed(why: &str) -> Error {
    Error::ListMalformed(why.to_owned())
}

/// Tasks of a page, which Label Studio's address still holds where they are named by their ids.
pub(super) const PAGE: usize = 100;
const COUNTS: &str = "id,total_annotations,cancelled_annotations";
/// What exports have of tasks and annotations; the names go for both. Predictions would come along without it.
const WITH_ANNOTATIONS: &str = "id,annotations,data,meta,created_at,updated_at,is_labeled,overlap,inner_id,\
    total_annotations,cancelled_annotations,total_predictions,comment_count,unresolved_comment_count,\
    last_comment_updated_at,project,updated_by,comment_authors,result,completed_by,was_cancelled,ground_truth,\
    draft_created_at,lead_time,import_id,last_action,bulk_created,task,parent_prediction,parent_annotation,\
    last_created_by&fields=all";
