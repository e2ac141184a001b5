//! Tasks as they are read: a link, and what its item says.

use serde_json::value::RawValue;
use sqlx::{ColumnIndex, Decode, FromRow, Type};

use super::{Error, Store, from_micros, on};
use crate::{
    id::{ProjectId, StorageId, TaskNumber},
    task::{Item, Json, Task},
};

/// Which tasks to list.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Of this project; absent: of all.
    pub project: Option<ProjectId>,
    /// Made by syncs of this storage; absent: of all.
    pub storage: Option<StorageId>,
    /// With numbers behind this one.
    pub after: Option<TaskNumber>,
    /// The most to return.
    pub limit: i64,
}

impl Store {
    /// Tasks, in the order of their numbers.
    pub async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<Task>, Error> {
        let rows: Vec<TaskRow> = self
            .bounded(async {
                let rows = on!(&self.0.pool, pool => {
                    sqlx::query_as(LIST)
                        .bind(filter.after.map_or(0, |task| task.0))
                        .bind(filter.project.as_ref().map(ProjectId::as_str))
                        .bind(filter.storage.map(|storage| storage.0))
                        .bind(filter.limit)
                        .fetch_all(pool)
                        .await
                })?;
                Ok(rows)
            })
            .await?;
        rows.into_iter().map(TaskRow::into_task).collect()
    }

    /// One task.
    pub async fn task(&self, number: TaskNumber) -> Result<Option<Task>, Error> {
        let row: Option<TaskRow> = self
            .bounded(async {
                let row =
                    on!(&self.0.pool, pool => sqlx::query_as(ONE).bind(number.0).fetch_optional(pool).await)?;
                Ok(row)
            })
            .await?;
        row.map(TaskRow::into_task).transpose()
    }
}

/// A row as it is stored.
pub(super) struct TaskRow {
    task: i64,
    project: String,
    bucket: String,
    storage: i64,
    key: String,
    row_index: i64,
    etag: Option<String>,
    created_at: i64,
    updated_at: Option<i64>,
    vanished_at: Option<i64>,
    data: Option<String>,
    annotations: Option<String>,
    predictions: Option<String>,
    meta: Option<String>,
    allow_skip: Option<bool>,
}

impl TaskRow {
    /// Parses the row.
    pub(super) fn into_task(self) -> Result<Task, Error> {
        let number = TaskNumber(self.task);
        let part = |text: Option<String>, column| {
            let json = text.map(RawValue::from_string).transpose();
            json.map_err(|_| Error::TaskMalformed { task: number, column })
        };
        let item = match part(self.data, "data")? {
            Some(data) => Item {
                data,
                annotations: part(self.annotations, "annotations")?,
                predictions: part(self.predictions, "predictions")?,
                meta: part(self.meta, "meta")?,
                allow_skip: self.allow_skip,
            },
            None => Item::of_data(of_object(&self.bucket, &self.key, number)?),
        };
        let project = Some(self.project).filter(|project| !project.is_empty());
        Ok(Task {
            number,
            project: project
                .map(|project| ProjectId::parse(&project))
                .transpose()
                .map_err(|_| Error::TaskMalformed { task: number, column: "project" })?,
            storage: StorageId(self.storage),
            key: self.key,
            row: Some(self.row_index).filter(|row| *row >= 0),
            etag: self.etag,
            created_at: from_micros(self.created_at),
            updated_at: self.updated_at.map(from_micros),
            vanished_at: self.vanished_at.map(from_micros),
            item,
        })
    }
}

/// Label Studio's data of a task that stands for an object.
fn of_object(bucket: &str, key: &str, task: TaskNumber) -> Result<Json, Error> {
    let data = serde_json::json!({ "$undefined$": format!("s3://{bucket}/{key}") });
    serde_json::value::to_raw_value(&data).map_err(|_| Error::TaskMalformed { task, column: "key" })
}

/// What the derive of sqlx would write, which comes with all of its macros.
impl<'r, R> FromRow<'r, R> for TaskRow
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self {
            task: row.try_get("task")?,
            project: row.try_get("project")?,
            bucket: row.try_get("bucket")?,
            storage: row.try_get("storage")?,
            key: row.try_get("key")?,
            row_index: row.try_get("row_index")?,
            etag: row.try_get("etag")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            vanished_at: row.try_get("vanished_at")?,
            data: row.try_get("data")?,
            annotations: row.try_get("annotations")?,
            predictions: row.try_get("predictions")?,
            meta: row.try_get("meta")?,
            allow_skip: row.try_get("allow_skip")?,
        })
    }
}

/// The columns of a [`TaskRow`].
macro_rules! task_columns {
    () => {
        "links.task, sources.project, sources.bucket, links.storage, links.key, row_index, etag, created_at, \
         updated_at, vanished_at, data, annotations, predictions, meta, allow_skip"
    };
}
pub(super) use task_columns;

macro_rules! tasks {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            task_columns!(),
            " FROM links JOIN sources ON sources.id = links.source LEFT JOIN tasks ON tasks.task = links.task WHERE ",
            $condition
        )
    };
}
const LIST: &str = tasks!(
    "links.task > $1 AND ($2 IS NULL OR sources.project = $2) AND ($3 IS NULL OR links.storage = $3) \
     ORDER BY links.task LIMIT $4"
);
const ONE: &str = tasks!("links.task = $1");
