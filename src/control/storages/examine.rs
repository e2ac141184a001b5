//! Testing a connection and previewing what a sync would take. Neither saves anything, with or without an `id`.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Caller, Collection, FieldErrors, LabelStudioError, body, fields,
    label_studio_error::NON_FIELD,
    reader::{Change, Fields},
};
use crate::{
    control::time,
    id::StorageId,
    sidecar::{ConnectError, Finding, Preview, PreviewError, PreviewRequest, Probe},
    storage::Storage,
};

/// What a sync would take.
#[derive(Serialize, ToSchema)]
#[schema(as = StorageFiles)]
pub(in crate::control) struct FilesAnswer {
    /// The objects. A last row without a key says that there are more; a row that speaks of a timeout, that the
    /// listing took too long.
    #[schema(inline)]
    files: Vec<FileAnswer>,
    /// Objects that match, as far as it was counted.
    count: u64,
    /// Their bytes.
    total_size: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = StorageFile)]
struct FileAnswer {
    key: Option<String>,
    #[schema(format = "date-time")]
    last_modified: Option<String>,
    size: Option<u64>,
}

/// Tests a connection: 200 without a body, or the sentences of everything that failed.
pub(super) async fn validate(
    State(collection): State<Collection>,
    caller: Caller,
    request: Request,
) -> Result<StatusCode, LabelStudioError> {
    let mut fields = Fields::new(body::read(request).await?);
    let storage = collection.proposed(&mut fields, &caller).await?;
    fields.finish()?;
    let findings = collection.examine(&storage).await?;
    let mut errors = FieldErrors::default();
    for (_, finding) in &findings {
        errors.add(NON_FIELD, sentence(finding));
    }
    errors.none_or_refuse().map(|()| StatusCode::OK)
}

/// Lists what a sync would take.
pub(super) async fn files(
    State(collection): State<Collection>,
    caller: Caller,
    request: Request,
) -> Result<Json<FilesAnswer>, LabelStudioError> {
    let mut fields = Fields::new(body::read(request).await?);
    let storage = collection.proposed(&mut fields, &caller).await?;
    let limit = limit(&mut fields);
    fields.finish()?;
    let preview =
        Box::pin(collection.api.process.sidecar().preview(&storage, &PreviewRequest { limit })).await;
    Ok(Json(FilesAnswer::new(preview.map_err(unlisted)?)))
}

impl Collection {
    /// The storage that a body speaks of: with `id`, the stored one with what the body changes; without, a new one.
    async fn proposed(&self, fields: &mut Fields, caller: &Caller) -> Result<Storage, LabelStudioError> {
        let mut storage = match fields.integer("id") {
            Change::Set(id) => self.find_with_keys(StorageId(id), caller).await?,
            Change::Keep | Change::Clear => {
                fields.require("project");
                self.blank()
            }
        };
        fields::apply(fields, &mut storage);
        expect_place(&storage, fields, caller).await?;
        Ok(storage)
    }

    /// Tests what is about to be saved. What the storage itself needs must work; what only browsers need is told as a
    /// warning, since from here their network cannot always be seen.
    pub(super) async fn examine_before_saving(
        &self,
        storage: &Storage,
    ) -> Result<Vec<String>, LabelStudioError> {
        let (mut errors, mut warnings) = (FieldErrors::default(), Vec::new());
        for (probe, finding) in self.examine(storage).await? {
            if is_seen_by_browsers(probe) {
                warnings.push(sentence(&finding));
            } else {
                errors.add(NON_FIELD, sentence(&finding));
            }
        }
        errors.none_or_refuse().map(|()| warnings)
    }

    async fn examine(&self, storage: &Storage) -> Result<Vec<(Probe, Finding)>, LabelStudioError> {
        let report = Box::pin(self.api.process.sidecar().examine(storage))
            .await
            .map_err(|error| unconnected(&error))?;
        let failed = |check: crate::sidecar::Check| check.result.err().map(|finding| (check.probe, finding));
        Ok(report.checks.into_iter().filter_map(failed).collect())
    }
}

/// Passes where the caller may change the storages of the project that a body leaves a storage in.
pub(super) async fn expect_place(
    storage: &Storage,
    fields: &mut Fields,
    caller: &Caller,
) -> Result<(), LabelStudioError> {
    let project = storage.settings.project.as_ref();
    if project.is_none() {
        // A body that names none is refused for that.
        fields.finish()?;
    }
    caller.expect_named(project).await
}

impl FilesAnswer {
    fn new(preview: Preview) -> Self {
        let mut files: Vec<FileAnswer> = preview
            .files
            .into_iter()
            .map(|file| FileAnswer {
                key: Some(file.key),
                last_modified: file.last_modified.map(time),
                size: Some(file.size),
            })
            .collect();
        if preview.is_timed_out {
            files.push(FileAnswer { key: Some(TIMED_OUT.to_owned()), last_modified: None, size: None });
        } else if preview.is_cut {
            files.push(FileAnswer { key: None, last_modified: None, size: None });
        }
        Self { files, count: preview.count, total_size: preview.total_size }
    }
}

fn is_seen_by_browsers(probe: Probe) -> bool {
    match probe {
        Probe::Presigned | Probe::Cors => true,
        Probe::List | Probe::Get | Probe::Put | Probe::ReadBack | Probe::Delete => false,
    }
}

fn limit(fields: &mut Fields) -> usize {
    match fields.integer("limit") {
        Change::Keep | Change::Clear => DEFAULT_LIMIT,
        Change::Set(limit) => match usize::try_from(limit) {
            Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => limit,
            _ => {
                fields.refuse("limit", format_args!("limit is 1 to {MAX_LIMIT}."));
                DEFAULT_LIMIT
            }
        },
    }
}

fn sentence(finding: &Finding) -> String {
    format!("{}; {}", finding.problem.trim_end_matches('.'), finding.advice)
}

fn unconnected(error: &ConnectError) -> LabelStudioError {
    LabelStudioError::non_field(error.to_string())
}

fn unlisted(error: PreviewError) -> LabelStudioError {
    match error {
        PreviewError::Connect(error) => unconnected(&error),
        PreviewError::Filter(error) => {
            LabelStudioError::FieldsInvalid(FieldErrors::one("regex_filter", error.to_string()))
        }
        PreviewError::S3(error) => {
            LabelStudioError::non_field(format!("Failed to list storage files: {error}"))
        }
    }
}

/// Label Studio's.
const DEFAULT_LIMIT: usize = 100;
pub(super) const MAX_LIMIT: usize = 10_000;
/// Label Studio's words for it; its page shows them as they are.
const TIMED_OUT: &str = "... storage scan timeout reached ...";
