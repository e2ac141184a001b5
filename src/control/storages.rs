//! Label Studio's storage API: sources and targets on S3, by keys (`s3`) or by an IAM role (`s3s`).
//!
//! Paths, fields, defaults, codes and error JSON are Label Studio's, so that its SDK and its page work here; the traps
//! of the original are avoided: every answer has `type`, what a sync left is read-only, filters are compiled before
//! they are saved, testing and previewing save nothing, and errors are real sentences. Both slash forms of every
//! path answer, without a redirect. What a handler tells or changes of a storage it has from [`Collection::find`], which
//! judges the caller, so that none can be forgotten.

mod answer;
mod attempts;
mod body;
mod change;
mod examine;
mod fields;
mod form;
mod look;
mod reader;
pub(super) mod schema;

use std::{fmt, sync::Arc, time::SystemTime};

use axum::{
    Router,
    extract::{FromRequestParts, Path},
    http::request::Parts,
    routing::{MethodRouter, get, post},
};

use self::{answer::StorageAnswer, attempts::Attempts};
pub(super) use self::{
    answer::{ExportStorage, ImportStorage, RoleFields},
    examine::FilesAnswer,
    look::TypeAnswer,
};
use super::{
    Access, Caller, Process, Refusal,
    label_studio_error::{self, FieldErrors, LabelStudioError},
};
use crate::{
    id::StorageId,
    storage::{Direction, Keys, Kind, Origin, Settings, Storage},
    store::{self, Store},
};

/// What the storage API works on. Cheap to clone.
#[derive(Clone)]
pub(super) struct StoragesApi {
    store: Store,
    process: Arc<dyn Process>,
    attempts: Attempts,
    clock: fn() -> SystemTime,
}

/// The storages of one direction and type: what one path serves.
#[derive(Clone, Debug)]
struct Collection {
    api: StoragesApi,
    direction: Direction,
    kind: Kind,
}

/// All collections, in the order of lists.
pub(super) const COLLECTIONS: [(Direction, Kind); 4] = [
    (Direction::Import, Kind::S3),
    (Direction::Import, Kind::S3s),
    (Direction::Export, Kind::S3),
    (Direction::Export, Kind::S3s),
];

/// The number in a path.
struct Id(StorageId);

impl StoragesApi {
    /// Joins the parts.
    pub(super) fn new(store: Store, process: Arc<dyn Process>, clock: fn() -> SystemTime) -> Self {
        Self { store, process, attempts: Attempts::default(), clock }
    }

    /// A storage with what its last sync left.
    async fn answer(
        &self,
        storage: Storage,
        warnings: Vec<String>,
    ) -> Result<StorageAnswer, LabelStudioError> {
        let state = self.store.sync_state(storage.id).await?;
        Ok(StorageAnswer::new(storage, state, warnings))
    }

    /// Several of them.
    async fn answers(&self, storages: Vec<Storage>) -> Result<Vec<StorageAnswer>, LabelStudioError> {
        let ids: Vec<StorageId> = storages.iter().map(|storage| storage.id).collect();
        let mut states = self.store.sync_states(&ids).await?;
        let answer = |storage: Storage| {
            let state = states.remove(&storage.id).unwrap_or_default();
            StorageAnswer::new(storage, state, Vec::new())
        };
        Ok(storages.into_iter().map(answer).collect())
    }

    /// The routes, below `/api/storages`.
    pub(super) fn routes<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let mut router = Router::new();
        for direction in [Direction::Import, Direction::Export] {
            let collection = Collection { api: self.clone(), direction, kind: Kind::S3 };
            let base = base(direction);
            router = both(router, base, get(look::list_all), &collection);
            router = both(router, &format!("{base}/types"), get(look::types), &collection);
        }
        for (direction, kind) in COLLECTIONS {
            router = Collection { api: self.clone(), direction, kind }.routes(router);
        }
        router
    }
}

impl Collection {
    fn routes<S: Clone + Send + Sync + 'static>(self, router: Router<S>) -> Router<S> {
        let path = path(self.direction, self.kind);
        let one = get(look::get).patch(change::patch).put(change::put).delete(change::delete);
        let mut router = both(router, &path, get(look::list).post(change::create), &self);
        for (below, methods) in [
            ("validate", post(examine::validate)),
            ("files", post(examine::files)),
            ("form", get(form::get)),
            ("{id}", one),
            ("{id}/sync", post(change::sync)),
        ] {
            router = both(router, &format!("{path}/{below}"), methods, &self);
        }
        router
    }

    /// A storage as Label Studio would make it of an empty body; it has no number yet.
    fn blank(&self) -> Storage {
        Storage {
            id: StorageId(0),
            direction: self.direction,
            kind: self.kind,
            origin: Origin::Api,
            settings: Settings::default(),
            keys: Keys::default(),
            created_at: (self.api.clock)(),
            revision: 0,
        }
    }

    /// The storage of this number, if it is one of these and the caller may do this to it.
    async fn find(
        &self,
        id: StorageId,
        caller: &Caller,
        access: Access,
    ) -> Result<Storage, LabelStudioError> {
        let found = self.api.store.storage(id).await?;
        let own = |storage: &Storage| (storage.direction, storage.kind) == (self.direction, self.kind);
        let told = found.filter(own).filter(|storage| caller.is_told_of(storage));
        let storage = told.ok_or_else(|| self.unknown(id))?;
        match caller.expect(storage.settings.project.as_ref(), access).await {
            Ok(()) => Ok(storage),
            // Its project is gone, and Label Studio would have removed it too.
            Err(LabelStudioError::Refused(Refusal::ProjectUnknown)) => Err(self.unknown(id)),
            Err(error) => Err(error),
        }
    }

    /// The same with its keys, where it is to be connected to with what a body changes. The operator's keys of the
    /// configuration file are nobody else's to point elsewhere.
    async fn find_with_keys(&self, id: StorageId, caller: &Caller) -> Result<Storage, LabelStudioError> {
        if !caller.is_admin() {
            return self.find_own(id, caller).await;
        }
        let mut storage = self.find(id, caller, Access::Change).await?;
        if let Origin::File(name) = &storage.origin {
            storage.keys = self.api.process.file_keys(name).ok_or_else(|| self.unknown(id))?;
        }
        Ok(storage)
    }

    /// The same, where it is to be changed.
    async fn find_own(&self, id: StorageId, caller: &Caller) -> Result<Storage, LabelStudioError> {
        let storage = self.find(id, caller, Access::Change).await?;
        match &storage.origin {
            Origin::Api => Ok(storage),
            Origin::File(name) => Err(LabelStudioError::MadeByFile(name.clone())),
        }
    }

    fn unknown(&self, id: StorageId) -> LabelStudioError {
        LabelStudioError::StorageUnknown(self.direction, self.kind, id)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = LabelStudioError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, LabelStudioError> {
        match Path::<i64>::from_request_parts(parts, state).await {
            Ok(Path(id)) if id > 0 => Ok(Self(StorageId(id))),
            _ => Err(LabelStudioError::StorageIdMalformed),
        }
    }
}

impl From<store::Error> for LabelStudioError {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl fmt::Debug for StoragesApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoragesApi").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Where the collections of a direction are.
pub(super) fn base(direction: Direction) -> &'static str {
    match direction {
        Direction::Import => "/api/storages",
        Direction::Export => "/api/storages/export",
    }
}

/// Where a collection is.
pub(super) fn path(direction: Direction, kind: Kind) -> String {
    format!("{}/{}", base(direction), kind.as_str())
}

fn both<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    path: &str,
    methods: MethodRouter<Collection>,
    collection: &Collection,
) -> Router<S> {
    let methods: MethodRouter<S> = methods.with_state(collection.clone());
    router.route(path, methods.clone()).route(&format!("{path}/"), methods)
}
