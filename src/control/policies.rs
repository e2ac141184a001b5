//! `GET /api/policies/{what}`: documents for AWS, filled in from a storage, ready to paste.

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::openapi::{
    HttpMethod, Object, ObjectBuilder, Paths, Required,
    path::{OperationBuilder, ParameterBuilder, ParameterIn},
    schema::{SchemaType, Type},
};

use super::{Control, Problem, openapi};
use crate::{
    id::StorageId,
    s3::policy::{self, Access, Inside, LOCK_OUT_WARNING, Scope},
    storage::{Direction, Storage},
};

/// Which storage, and what it does not say by itself. Lists are separated by commas.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    storage: i64,
    principal: Option<String>,
    #[serde(default)]
    origins: String,
    #[serde(default)]
    networks: String,
    #[serde(default)]
    vpcs: String,
    #[serde(default)]
    vpc_endpoints: String,
    exempt: Option<String>,
}

pub(super) async fn get(
    State(control): State<Control>,
    Path(what): Path<String>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(parameters) = parameters.map_err(|rejection| Problem::invalid(rejection.body_text()))?;
    let found = control.store.storage(StorageId(parameters.storage)).await.map_err(Problem::store)?;
    let storage = found.ok_or(Problem::NOT_FOUND)?;
    let document = parameters.document(&what, &storage)?;
    let warning = (what == "bucket").then_some(LOCK_OUT_WARNING);
    Ok(Json(json!({ "document": document, "warning": warning })))
}

impl Parameters {
    fn document(&self, what: &str, storage: &Storage) -> Result<Value, Problem> {
        let settings = &storage.settings;
        let bucket = settings.bucket.as_ref();
        let bucket = bucket.ok_or_else(|| invalid("the storage has no bucket; set bucket"))?;
        let prefix = settings.normal_prefix();
        let scope = Scope { bucket, prefix: &prefix, region: settings.region() };
        match what {
            "role" => Ok(policy::role(scope, access(storage))),
            "trust" => {
                let principal = self.principal.as_deref();
                let principal =
                    principal.ok_or_else(|| invalid("name the gateway's own role or user: principal=ARN"))?;
                let external_id = settings.external_id.as_deref();
                let external_id =
                    external_id.ok_or_else(|| invalid("the storage has no external_id; set one"))?;
                Ok(policy::trust(principal, external_id))
            }
            "cors" => Ok(policy::cors(&list(&self.origins))),
            "bucket" => {
                let networks = list(&self.networks).iter().map(|text| text.parse::<IpNet>()).collect();
                let inside = Inside {
                    networks: Result::map_err(networks, |_| {
                        invalid("networks are CIDRs such as 203.0.113.0/24")
                    })?,
                    vpcs: list(&self.vpcs),
                    vpc_endpoints: list(&self.vpc_endpoints),
                };
                policy::bucket(scope, &inside, self.exempt.as_deref())
                    .map_err(|error| invalid(&error.to_string()))
            }
            _ => Err(Problem::NOT_FOUND),
        }
    }
}

/// The path in the description.
pub(super) fn describe(paths: &mut Paths) {
    let text = || Object::with_type(Type::String);
    let query = |name: &str, about: &str| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .description(Some(about))
            .schema(Some(text()))
            .build()
    };
    let whats = ["role", "trust", "cors", "bucket"].map(|what| json!(what));
    let what = ParameterBuilder::new()
        .name("what")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(whats))));
    let storage = ParameterBuilder::new()
        .name("storage")
        .parameter_in(ParameterIn::Query)
        .required(Required::True)
        .description(Some("The number of the storage that it is for."))
        .schema(Some(Object::with_type(Type::Integer)));
    let warning = Object::with_type(SchemaType::Array(vec![Type::String, Type::Null]));
    let document = Object::with_type(SchemaType::Array(vec![Type::Object, Type::Array]));
    let answer = ObjectBuilder::new()
        .property("document", document)
        .required("document")
        .property("warning", warning)
        .required("warning");
    let operation = OperationBuilder::new()
        .operation_id(Some("get_policy"))
        .summary(Some("A document for AWS, filled in from a storage"))
        .tag("policies")
        .parameter(what)
        .parameter(storage)
        .parameter(query("principal", "With trust: the ARN of the gateway's own role or user."))
        .parameter(query("origins", "With cors: origins, separated by commas; none: any."))
        .parameter(query("networks", "With bucket: public networks that may reach it, separated by commas."))
        .parameter(query("vpcs", "With bucket: VPCs."))
        .parameter(query("vpc_endpoints", "With bucket: VPC endpoints."))
        .parameter(query("exempt", "With bucket: a principal that may from everywhere."))
        .response("200", openapi::json("The document, and what to read before it is put.", answer))
        .response("404", openapi::problem("No such storage, or no such document."))
        .response("422", openapi::problem("Something is missing; the answer says what."))
        .response("503", openapi::problem("The database does not answer; ask again."));
    let operation = openapi::with_bearer(operation);
    paths.add_path_operation("/api/policies/{what}", vec![HttpMethod::Get], operation);
}

fn access(storage: &Storage) -> Access {
    match (storage.direction, storage.settings.can_delete_objects) {
        (Direction::Import, _) => Access::Source,
        (Direction::Export, Some(true)) => Access::TargetWithDeletes,
        (Direction::Export, _) => Access::Target,
    }
}

fn invalid(sentence: &str) -> Problem {
    Problem::invalid(sentence.to_owned())
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
