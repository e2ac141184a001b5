//! Lists, single storages, types: what changes nothing.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Access, Caller, Collection, Id, LabelStudioError, StorageAnswer};
use crate::{id::ProjectId, storage::Kind};

/// The pairs of a query, of which a name may be there twice.
type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// A type of storages that is offered.
#[derive(Serialize, ToSchema)]
#[schema(as = StorageType)]
pub(in crate::control) struct TypeAnswer {
    name: &'static str,
    title: &'static str,
}

/// The same for everybody.
pub(super) async fn types() -> Json<[TypeAnswer; 2]> {
    Json([
        TypeAnswer { name: "s3", title: "AWS S3" },
        TypeAnswer { name: "s3s", title: "AWS S3 with IAM Role" },
    ])
}

/// All types at once; without a project, none, as Label Studio has it.
pub(super) async fn list_all(
    State(collection): State<Collection>,
    caller: Caller,
    query: Pairs,
) -> Result<Json<Vec<StorageAnswer>>, LabelStudioError> {
    match project(query)? {
        Some(project) => collection.of_project(None, &project, &caller).await,
        None => Ok(Json(Vec::new())),
    }
}

pub(super) async fn list(
    State(collection): State<Collection>,
    caller: Caller,
    query: Pairs,
) -> Result<Json<Vec<StorageAnswer>>, LabelStudioError> {
    let Some(project) = project(query)? else {
        return Err(LabelStudioError::non_field("query parameter \"project\" is required"));
    };
    collection.of_project(Some(collection.kind), &project, &caller).await
}

pub(super) async fn get(
    State(collection): State<Collection>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<StorageAnswer>, LabelStudioError> {
    let storage = collection.find(id, &caller, Access::View).await?;
    Ok(Json(collection.api.answer(storage, Vec::new()).await?))
}

impl Collection {
    async fn of_project(
        &self,
        kind: Option<Kind>,
        project: &ProjectId,
        caller: &Caller,
    ) -> Result<Json<Vec<StorageAnswer>>, LabelStudioError> {
        caller.expect(Some(project), Access::View).await?;
        let mut found = self.api.store.storages_of(self.direction, kind, Some(project)).await?;
        found.retain(|storage| caller.is_told_of(storage));
        Ok(Json(self.api.answers(found).await?))
    }
}

fn project(query: Pairs) -> Result<Option<ProjectId>, LabelStudioError> {
    let Query(pairs) = query.map_err(|error| LabelStudioError::non_field(error.body_text()))?;
    match pairs.iter().rfind(|(name, _)| name == "project") {
        None => Ok(None),
        Some((_, text)) if text.is_empty() => Ok(None),
        Some((_, text)) => match ProjectId::parse(text) {
            Ok(project) => Ok(Some(project)),
            Err(error) => Err(LabelStudioError::non_field(format!("query parameter \"project\": {error}"))),
        },
    }
}
