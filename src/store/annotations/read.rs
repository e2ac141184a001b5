//! The table of annotations as it is read.

use std::time::SystemTime;

use serde_json::value::RawValue;
use sqlx::{ColumnIndex, Decode, FromRow, Type};

use crate::{
    annotation::Annotation,
    id::{AnnotationId, ProjectId, TaskId},
    storage::Unit,
    store::{Error, Store, from_micros, on, pool::Pool},
};

/// Which annotations to list: those of one project, or all, in the order of their ids.
#[derive(Clone, Debug)]
pub struct AnnotationPage<'a> {
    /// Of this project; absent: of all.
    pub project: Option<&'a ProjectId>,
    /// What one line of the list is.
    pub unit: Unit,
    /// Behind this id, of an annotation or of a task.
    pub after: &'a str,
    /// The most to return.
    pub limit: i64,
}

/// How an annotation stands, without what was told of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AnnotationState {
    /// Which.
    pub id: String,
    /// Its task.
    pub task: String,
    /// When it became what it is.
    pub updated_at: SystemTime,
    /// Whether it is gone.
    pub is_deleted: bool,
}

impl Store {
    /// One annotation; `None` where it is not there, or no longer.
    pub async fn annotation(&self, id: &str) -> Result<Option<Annotation>, Error> {
        let row: Option<AnnotationRow> = self
            .bounded(async {
                Ok(on!(&self.0.pool, pool => sqlx::query_as(ONE).bind(id).fetch_optional(pool).await)?)
            })
            .await?;
        row.map(AnnotationRow::into_annotation).transpose()
    }

    /// The annotations of a task, in the order of their ids.
    pub async fn annotations_of(&self, task: &str) -> Result<Vec<Annotation>, Error> {
        let rows: Vec<AnnotationRow> = self
            .bounded(async {
                Ok(on!(&self.0.pool, pool => sqlx::query_as(OF_TASK).bind(task).fetch_all(pool).await)?)
            })
            .await?;
        rows.into_iter().map(AnnotationRow::into_annotation).collect()
    }

    /// Project and task of an annotation, or of the annotations of a task, also of what is deleted; `None` where neither
    /// was ever told.
    pub async fn names_of(&self, unit: Unit, item: &str) -> Result<Option<(String, String)>, Error> {
        let text = match unit {
            Unit::Annotation => NAMES,
            Unit::Task => NAMES_OF_TASK,
        };
        self.bounded(async {
            Ok(on!(&self.0.pool, pool => sqlx::query_as(text).bind(item).fetch_optional(pool).await)?)
        })
        .await
    }

    /// How the annotations of these tasks stand, deleted ones too.
    pub async fn annotation_states(&self, tasks: &[String]) -> Result<Vec<AnnotationState>, Error> {
        let rows: Vec<(String, String, i64, bool)> = self
            .bounded(async {
                let rows = match &self.0.pool {
                    Pool::Sqlite(pool) => {
                        let tasks = serde_json::json!(tasks).to_string();
                        sqlx::query_as(STATES_SQLITE).bind(tasks).fetch_all(pool).await?
                    }
                    Pool::Postgres(pool) => {
                        sqlx::query_as(STATES_POSTGRES).bind(tasks).fetch_all(pool).await?
                    }
                };
                Ok(rows)
            })
            .await?;
        let state = |(id, task, updated_at, is_deleted)| {
            let updated_at = from_micros(updated_at);
            AnnotationState { id, task, updated_at, is_deleted }
        };
        Ok(rows.into_iter().map(state).collect())
    }

    /// How many annotations a project has.
    pub async fn count_annotations(&self, project: &ProjectId) -> Result<i64, Error> {
        self.bounded(async {
            let (count,): (i64,) = on!(&self.0.pool, pool => {
                sqlx::query_as(COUNT).bind(project.as_str()).fetch_one(pool).await
            })?;
            Ok(count)
        })
        .await
    }

    /// Ids of annotations, or of the tasks that have some.
    pub async fn annotation_ids(&self, page: &AnnotationPage<'_>) -> Result<Vec<String>, Error> {
        let text = match page.unit {
            Unit::Annotation => IDS,
            Unit::Task => TASKS,
        };
        let rows: Vec<(String,)> = self
            .bounded(async {
                let rows = on!(&self.0.pool, pool => {
                    sqlx::query_as(text)
                        .bind(page.after)
                        .bind(page.project.map(ProjectId::as_str))
                        .bind(page.limit)
                        .fetch_all(pool)
                        .await
                })?;
                Ok(rows)
            })
            .await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }
}

/// A row as it is stored.
struct AnnotationRow {
    id: String,
    project: String,
    task: String,
    updated_at: i64,
    body: String,
    task_body: Option<String>,
}

impl AnnotationRow {
    fn into_annotation(self) -> Result<Annotation, Error> {
        let malformed = |column| Error::AnnotationMalformed { id: self.id.clone(), column };
        let project = Some(self.project.as_str()).filter(|project| !project.is_empty());
        let task_body = self.task_body.clone().map(RawValue::from_string).transpose();
        Ok(Annotation {
            id: AnnotationId::parse(&self.id).map_err(|_| malformed("id"))?,
            project: project.map(ProjectId::parse).transpose().map_err(|_| malformed("project"))?,
            task: TaskId::parse(&self.task).map_err(|_| malformed("task"))?,
            updated_at: from_micros(self.updated_at),
            body: RawValue::from_string(self.body.clone()).map_err(|_| malformed("body"))?,
            task_body: task_body.map_err(|_| malformed("task_body"))?,
        })
    }
}

/// What the derive of sqlx would write, which comes with all of its macros.
impl<'r, R> FromRow<'r, R> for AnnotationRow
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            project: row.try_get("project")?,
            task: row.try_get("task")?,
            updated_at: row.try_get("updated_at")?,
            body: row.try_get("body")?,
            task_body: row.try_get("task_body")?,
        })
    }
}

macro_rules! columns {
    () => {
        "SELECT id, project, task, updated_at, body, task_body FROM annotations WHERE body IS NOT NULL AND "
    };
}
const ONE: &str = concat!(columns!(), "id = $1");
const OF_TASK: &str = concat!(columns!(), "task = $1 ORDER BY id");
const NAMES: &str = "SELECT project, task FROM annotations WHERE id = $1 AND task <> ''";
const NAMES_OF_TASK: &str =
    "SELECT project, task FROM annotations WHERE task = $1 AND task <> '' ORDER BY id LIMIT 1";
const IDS: &str = "SELECT id FROM annotations WHERE id > $1 AND body IS NOT NULL AND ($2 IS NULL OR project = $2) \
                   ORDER BY id LIMIT $3";
const TASKS: &str = "SELECT DISTINCT task FROM annotations WHERE task > $1 AND body IS NOT NULL \
                     AND ($2 IS NULL OR project = $2) ORDER BY task LIMIT $3";
const COUNT: &str = "SELECT COUNT(*) FROM annotations WHERE project = $1 AND body IS NOT NULL";
macro_rules! states {
    ($tasks:literal) => {
        concat!("SELECT id, task, updated_at, body IS NULL FROM annotations WHERE task ", $tasks)
    };
}
const STATES_SQLITE: &str = states!("IN (SELECT value FROM json_each($1))");
const STATES_POSTGRES: &str = states!("= ANY($1)");
