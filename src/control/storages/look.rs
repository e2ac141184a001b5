//! Lists, single storages, types: what changes nothing.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Collection, Id, LabelStudioError, StorageAnswer};
use crate::id::ProjectId;

/// The pairs of a query, of which a name may be there twice.
type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// A type of storages that is offered.
#[derive(Serialize, ToSchema)]
#[schema(as = StorageType)]
pub(in crate::control) struct TypeAnswer {
    name: &'static str,
    title: &'static str,
}

pub(super) async fn types() -> Json<[TypeAnswer; 2]> {
    Json([
        TypeAnswer { name: "s3", title: "AWS S3" },
        TypeAnswer { name: "s3s", title: "AWS S3 with IAM Role" },
    ])
}

/// All types at once; without a project, none, as Label Studio has it.
pub(super) async fn list_all(
    State(collection): State<Collection>,
    query: Pairs,
) -> Result<Json<Vec<StorageAnswer>>, LabelStudioError> {
    let Some(project) = project(query)? else { return Ok(Json(Vec::new())) };
    let found = collection.api.store.storages_of(collection.direction, None, Some(&project)).await?;
    Ok(Json(collection.api.answers(found).await?))
}

pub(super) async fn list(
    State(collection): State<Collection>,
    query: Pairs,
) -> Result<Json<Vec<StorageAnswer>>, LabelStudioError> {
    let Some(project) = project(query)? else {
        return Err(LabelStudioError::non_field("query parameter \"project\" is required"));
    };
    let Collection { api, direction, kind } = &collection;
    let found = api.store.storages_of(*direction, Some(*kind), Some(&project)).await?;
    Ok(Json(api.answers(found).await?))
}

pub(super) async fn get(
    State(collection): State<Collection>,
    Id(id): Id,
) -> Result<Json<StorageAnswer>, LabelStudioError> {
    let storage = collection.find(id).await?;
    Ok(Json(collection.api.answer(storage, Vec::new()).await?))
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
