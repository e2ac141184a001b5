//! Making, changing and removing storages. Every change leaves a line in the audit, which names fields and no values.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};

use super::{
    Access, Caller, Collection, FieldErrors, Id, LabelStudioError, StorageAnswer, body,
    examine::expect_place, fields, reader::Fields,
};
use crate::{
    id::StorageId,
    run::{Job, Trigger},
    storage::{Direction, Storage},
    store::{self, Enqueued, NewStorage},
};

/// How often a change is tried again when another writer came first.
const ATTEMPTS: usize = 5;

/// Makes a storage; where it names a bucket, its connection is tested first.
pub(super) async fn create(
    State(collection): State<Collection>,
    caller: Caller,
    request: Request,
) -> Result<(StatusCode, Json<StorageAnswer>), LabelStudioError> {
    let mut fields = Fields::new(body::read(request).await?);
    fields.require("project");
    let mut storage = collection.blank();
    fields::apply(&mut fields, &mut storage);
    expect_place(&storage, &mut fields, &caller).await?;
    let who = caller.name().await?;
    collection.refuse_overlap(&mut fields, &storage, &caller).await?;
    fields.finish()?;
    let Collection { api, .. } = &collection;
    if let Some(made) = api.attempts.made_before(&storage, &api.store).await? {
        audit(&who, "storage.create", made.id, fields.named());
        return Ok((StatusCode::CREATED, Json(api.answer(made, Vec::new()).await?)));
    }
    let warnings = match storage.settings.bucket {
        Some(_) => collection.examine_before_saving(&storage).await?,
        None => Vec::new(),
    };
    let attempt = api.attempts.begin(&storage, (api.clock)());
    let Storage { direction, kind, settings, keys, .. } = storage;
    let created = api.store.create_storage(&NewStorage { direction, kind, settings, keys }).await?;
    // As Label Studio does: what is known already goes there at once.
    if created.direction == Direction::Export {
        collection.ask_for_run(&created, &who).await?;
    }
    api.attempts.answered(&attempt);
    api.process.store_changed().await;
    audit(&who, "storage.create", created.id, fields.named());
    warn(created.id, &warnings);
    Ok((StatusCode::CREATED, Json(api.answer(created, warnings).await?)))
}

/// Changes what the body names.
pub(super) async fn patch(
    State(collection): State<Collection>,
    caller: Caller,
    Id(id): Id,
    request: Request,
) -> Result<Json<StorageAnswer>, LabelStudioError> {
    let fields = Fields::new(body::read(request).await?);
    collection.update(id, fields, &caller).await
}

/// The same, but what every storage needs must be named; the rest stays, as in Label Studio.
pub(super) async fn put(
    State(collection): State<Collection>,
    caller: Caller,
    Id(id): Id,
    request: Request,
) -> Result<Json<StorageAnswer>, LabelStudioError> {
    let mut fields = Fields::new(body::read(request).await?);
    fields.require("project");
    if collection.kind == crate::storage::Kind::S3s {
        fields.require("role_arn");
    }
    collection.update(id, fields, &caller).await
}

/// Removes it. Its objects and the tasks made of them stay.
pub(super) async fn delete(
    State(collection): State<Collection>,
    caller: Caller,
    Id(id): Id,
) -> Result<StatusCode, LabelStudioError> {
    collection.find_own(id, &caller).await?;
    let who = caller.name().await?;
    if !collection.api.store.delete_storage(id).await? {
        return Err(collection.unknown(id));
    }
    collection.api.process.store_changed().await;
    audit(&who, "storage.delete", id, &[]);
    Ok(StatusCode::NO_CONTENT)
}

/// Asks for a sync, or an export, and answers at once; one that is open already goes on as it is.
pub(super) async fn sync(
    State(collection): State<Collection>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<StorageAnswer>, LabelStudioError> {
    let storage = collection.find(id, &caller, Access::Change).await?;
    let who = caller.name().await?;
    if !storage.settings.synchronizable {
        return Err(LabelStudioError::NotSynchronizable(id));
    }
    if storage.settings.bucket.is_none() {
        let nothing = FieldErrors::one("bucket", "There is nothing to sync; set a bucket.".to_owned());
        return Err(LabelStudioError::FieldsInvalid(nothing));
    }
    collection.ask_for_run(&storage, &who).await?;
    Ok(Json(collection.api.answer(storage, Vec::new()).await?))
}

impl Collection {
    async fn ask_for_run(&self, storage: &Storage, who: &str) -> Result<(), LabelStudioError> {
        let job = match storage.direction {
            Direction::Import => Job::Sync,
            Direction::Export => Job::Export,
        };
        let Enqueued { run, is_new } = self.api.store.enqueue_run(storage.id, job, Trigger::Api).await?;
        self.api.process.run_queued();
        tracing::info!(
            target: "mediagate::audit",
            who,
            action = "storage.sync",
            storage.id = storage.id.0,
            run.id = run.id.0,
            is_new,
            "sync asked for"
        );
        Ok(())
    }

    /// What is exported into a source of the same project would come back as tasks.
    async fn refuse_overlap(
        &self,
        fields: &mut Fields,
        target: &Storage,
        caller: &Caller,
    ) -> Result<(), LabelStudioError> {
        if target.direction == Direction::Import {
            return Ok(());
        }
        if fields::confirms_overlap(fields) || !fields::touches_the_place(fields) {
            return Ok(());
        }
        let sources = self.api.store.storages_of(Direction::Import, None, None).await?;
        if let Some(source) = sources.iter().find(|source| overlap(source, target)) {
            let place = if caller.is_told_of(source) {
                let prefix = source.settings.normal_prefix();
                format!(
                    "the source storage {} (prefix {prefix:?} of the same bucket and project)",
                    source.name()
                )
            } else {
                "a source storage of all projects".to_owned()
            };
            fields.refuse(
                "prefix",
                format_args!(
                    "It lies inside {place}, so that what is exported would be imported again; choose another prefix, or \
                     send confirm_overlap: true."
                ),
            );
        }
        Ok(())
    }

    /// Reads, changes, tests and writes; begins again where another writer came between. Label Studio's client
    /// would repeat a 409 by itself, and then overwrite what it never saw.
    async fn update(
        &self,
        id: StorageId,
        fields: Fields,
        caller: &Caller,
    ) -> Result<Json<StorageAnswer>, LabelStudioError> {
        for _ in 0..ATTEMPTS {
            let mut fields = fields.clone();
            let mut storage = self.find_own(id, caller).await?;
            let before = storage.settings.project.clone();
            fields::apply(&mut fields, &mut storage);
            if storage.settings.project != before {
                expect_place(&storage, &mut fields, caller).await?;
            }
            let who = caller.name().await?;
            self.refuse_overlap(&mut fields, &storage, caller).await?;
            fields.finish()?;
            let is_tested = storage.settings.bucket.is_some() && fields::touches_the_connection(&fields);
            let warnings = if is_tested { self.examine_before_saving(&storage).await? } else { Vec::new() };
            match self.api.store.update_storage(&storage).await {
                Ok(updated) => {
                    self.api.process.store_changed().await;
                    audit(&who, "storage.update", id, fields.named());
                    warn(id, &warnings);
                    return Ok(Json(self.api.answer(updated, warnings).await?));
                }
                // Reading it again tells what it has become: another one, none, or one of the configuration file.
                Err(
                    store::Error::Conflict
                    | store::Error::StorageUnknown(_)
                    | store::Error::StorageFromFile(_),
                ) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(LabelStudioError::Contended)
    }
}

fn overlap(source: &Storage, target: &Storage) -> bool {
    let (source, target) = (&source.settings, &target.settings);
    let is_one_project = match (&source.project, &target.project) {
        (Some(source), Some(target)) => source == target,
        _ => true,
    };
    let is_one_bucket =
        source.bucket.is_some() && source.bucket == target.bucket && source.endpoint == target.endpoint;
    is_one_project && is_one_bucket && target.normal_prefix().starts_with(&source.normal_prefix())
}

fn audit(who: &str, action: &'static str, id: StorageId, fields: &[&'static str]) {
    tracing::info!(
        target: "mediagate::audit",
        who,
        action,
        storage.id = id.0,
        fields = fields.join(","),
        "storage changed"
    );
}

fn warn(id: StorageId, warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(
            storage.id = id.0,
            warning,
            "the storage was saved, but browsers may not reach its objects"
        );
    }
}
