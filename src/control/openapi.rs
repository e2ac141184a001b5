//! The description of everything under `/api`, served at `/api/openapi.json`; a snapshot in the tests keeps it.
//!
//! It names each path once, without the slash at its end; with one it answers alike.

mod annotations;
mod runs;
mod storages;

use axum::Json;
use utoipa::openapi::{
    ComponentsBuilder, Content, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr,
    Required, Response, ResponseBuilder, Schema,
    path::OperationBuilder,
    request_body::{RequestBody, RequestBodyBuilder},
    security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};

use super::{
    error::ProblemAnswer,
    label_studio_error::{ErrorAnswer, MessageAnswer},
    policies, tokens,
};

/// Answers with the description.
pub(super) async fn get() -> Json<OpenApi> {
    Json(document())
}

fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("mediagate control API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Storages as Label Studio's API has them, runs, tasks, tokens and policies, on the admin port.",
        ));
    let mut paths = Paths::new();
    storages::describe(&mut paths);
    runs::describe(&mut paths);
    annotations::describe(&mut paths);
    describe_tokens(&mut paths);
    policies::describe(&mut paths);
    describe_itself(&mut paths);
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths)
        .components(Some(components().build()))
        .security(Some([
            SecurityRequirement::new("bearer", [""; 0]),
            SecurityRequirement::new("token", [""; 0]),
        ]))
        .build()
}

fn components() -> ComponentsBuilder {
    let components = ComponentsBuilder::new()
        .schema_from::<ErrorAnswer>()
        .schema_from::<MessageAnswer>()
        .schema_from::<ProblemAnswer>()
        .security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)))
        .security_scheme(
            "token",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                "Authorization",
                "`Token <admin token>`, as Label Studio's SDK sends it.",
            ))),
        );
    let components = annotations::components(components);
    storages::components(runs::components(components))
}

fn describe_tokens(paths: &mut Paths) {
    let operation = OperationBuilder::new()
        .operation_id(Some("mint_token"))
        .summary(Some("Mint a task-access token with a configured key"))
        .tag("tokens")
        .request_body(Some(json_body(tokens::request_schema())))
        .response("201", json("The token, once.", tokens::answer_schema()))
        .response("422", problem("What is asked for cannot be minted; the answer says why."));
    paths.add_path_operation("/api/tokens", vec![HttpMethod::Post], with_bearer(operation));
    let done = ResponseBuilder::new().description("They are refused from now on.").build();
    let operation = OperationBuilder::new()
        .operation_id(Some("revoke_tokens"))
        .summary(Some("Revoke a token by its jti, or all tokens of a subject"))
        .tag("tokens")
        .request_body(Some(json_body(tokens::revoke_schema())))
        .response("204", done)
        .response("422", problem("What is asked for is not clear; the answer says why."))
        .response("503", problem("The database does not answer; ask again."));
    paths.add_path_operation("/api/tokens/revoke", vec![HttpMethod::Post], with_bearer(operation));
}

fn describe_itself(paths: &mut Paths) {
    let operation = OperationBuilder::new()
        .operation_id(Some("get_openapi"))
        .summary(Some("This description"))
        .tag("description")
        .response("200", json("OpenAPI.", utoipa::openapi::Object::new()));
    paths.add_path_operation("/api/openapi.json", vec![HttpMethod::Get], with_bearer(operation));
}

pub(super) fn with_bearer(operation: OperationBuilder) -> OperationBuilder {
    operation.response("401", problem("No admin token, or another."))
}

pub(super) fn json_body(schema: impl Into<RefOr<Schema>>) -> RequestBody {
    RequestBodyBuilder::new()
        .required(Some(Required::True))
        .content("application/json", Content::new(Some(schema)))
        .build()
}

pub(super) fn json(description: &str, schema: impl Into<RefOr<Schema>>) -> Response {
    ResponseBuilder::new()
        .description(description)
        .content("application/json", Content::new(Some(schema)))
        .build()
}

pub(super) fn problem(description: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", Content::new(Some(schema)))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_as_it_was() {
        insta::with_settings!({ snapshot_path => "../../tests/snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_json_snapshot!("openapi", document());
        });
    }

    /// What is referred to is there.
    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(document()).unwrap();
        let text = document.to_string();
        for (at, _) in text.match_indices("\"$ref\":\"#") {
            let pointer = text.get(at + 9..).unwrap().split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
