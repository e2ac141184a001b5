//! What Label Studio's paths answer when they do not do as asked: its error JSON.
//!
//! Clients of Label Studio's storage API read `detail` and `validation_errors`; its SDK retries 408, 409, 429 and
//! everything from 500 on, so that a refusal which asking again cannot mend is never one of these.

use std::borrow::Cow;

use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::Refusal;
use crate::{
    id::{StorageId, StorageName},
    storage::{Direction, Kind},
    store,
};

/// A refusal on one of Label Studio's paths.
#[derive(Debug)]
pub(super) enum LabelStudioError {
    /// No bearer.
    BearerMissing,
    /// Another bearer.
    BearerWrong,
    /// Who asks may not.
    Refused(Refusal),
    /// No such path.
    PathUnknown,
    /// The path does not answer this method.
    MethodUnknown(Method),
    /// No such storage on this path.
    StorageUnknown(Direction, Kind, StorageId),
    /// Text where a number belongs.
    StorageIdMalformed,
    /// What was sent, or what came of trying it.
    FieldsInvalid(FieldErrors),
    /// The body is no JSON, form or multipart.
    BodyMalformed(String),
    /// The body is longer than is read.
    BodyTooLarge,
    /// The body is of another type.
    MediaTypeUnknown(String),
    /// The storage stands in the configuration file.
    MadeByFile(StorageName),
    /// `synchronizable` is off.
    NotSynchronizable(StorageId),
    /// Other writers came first, again and again.
    Contended,
    /// The store.
    Store(store::Error),
}

/// What is wrong with the fields of a body, in the order in which it was found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct FieldErrors(Vec<(&'static str, Vec<String>)>);

/// Where Label Studio puts what no single field is to blame for.
pub(super) const NON_FIELD: &str = "non_field_errors";

/// Label Studio's error JSON.
#[derive(Serialize, ToSchema)]
#[schema(as = LabelStudioError)]
pub(super) struct ErrorAnswer {
    /// Names this one refusal.
    #[schema(format = "uuid")]
    id: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status_code: u16,
    /// The version of mediagate.
    version: &'static str,
    /// A sentence that says what to do.
    detail: String,
    /// Label Studio's place for a traceback.
    #[schema(value_type = Option<String>)]
    exc_info: Option<()>,
    /// By field, or under `non_field_errors`: what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = std::collections::BTreeMap<String, Vec<String>>, required = false)]
    validation_errors: Option<FieldErrors>,
}

/// The one refusal that has a form of its own.
#[derive(Serialize, ToSchema)]
pub(super) struct MessageAnswer {
    /// What is wrong.
    message: String,
}

impl LabelStudioError {
    /// One sentence that no single field is to blame for.
    pub(super) fn non_field(sentence: impl Into<String>) -> Self {
        Self::FieldsInvalid(FieldErrors::one(NON_FIELD, sentence.into()))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::FieldsInvalid(_) | Self::BodyMalformed(_) | Self::NotSynchronizable(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::BearerMissing | Self::BearerWrong | Self::Refused(Refusal::Anonymous) => {
                StatusCode::UNAUTHORIZED
            }
            Self::MadeByFile(_) | Self::Refused(Refusal::Forbidden | Refusal::CrossOrigin) => {
                StatusCode::FORBIDDEN
            }
            Self::PathUnknown
            | Self::StorageUnknown(..)
            | Self::StorageIdMalformed
            | Self::Refused(Refusal::ProjectUnknown) => StatusCode::NOT_FOUND,
            Self::Refused(Refusal::Away) => StatusCode::BAD_GATEWAY,
            Self::MethodUnknown(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaTypeUnknown(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Contended => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(error) if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::BearerMissing => "Authentication credentials were not provided. Send the admin token: \
                                    Authorization: Token <token>. It is admin.token or admin.token_file of the \
                                    configuration, or was printed at the first start."
                .into(),
            Self::BearerWrong => "Invalid token: it is not the admin token.".into(),
            Self::Refused(refusal) => sentence(*refusal).into(),
            Self::PathUnknown => {
                "Not found. There are storages of the types s3 and s3s, below /api/storages and \
                 /api/storages/export."
                    .into()
            }
            Self::MethodUnknown(method) => format!("Method \"{method}\" not allowed.").into(),
            Self::StorageUnknown(direction, kind, id) => {
                format!("Not found. There is no {} storage of type {} with the id {id}.", direction.as_str(), kind.as_str())
                    .into()
            }
            Self::StorageIdMalformed => "Not found. The id of a storage is a positive integer.".into(),
            Self::FieldsInvalid(_) => "Validation error".into(),
            Self::BodyMalformed(why) => why.clone().into(),
            Self::BodyTooLarge => "The body is larger than 1 MiB.".into(),
            Self::MediaTypeUnknown(sent) => format!(
                "Unsupported media type \"{sent}\" in request. Send application/json, \
                 application/x-www-form-urlencoded or multipart/form-data."
            )
            .into(),
            Self::MadeByFile(name) => format!(
                "The storage {name} stands in the configuration file; change it there, under [[storages]]. \
                 The file is loaded again when it changes."
            )
            .into(),
            Self::NotSynchronizable(id) => format!("Storage {id} is not synchronizable").into(),
            Self::Contended => "The storage is being changed by others at this moment; ask again.".into(),
            Self::Store(error) if error.is_transient() => {
                "The database does not answer at this moment; ask again. The log says why.".into()
            }
            Self::Store(_) => "The database failed; the log says why.".into(),
        }
    }

    fn into_fields(self) -> Option<FieldErrors> {
        if let Self::FieldsInvalid(errors) = self { Some(errors) } else { None }
    }
}

impl IntoResponse for LabelStudioError {
    fn into_response(self) -> Response {
        if let Self::Store(error) = &self {
            tracing::error!(error = error as &dyn std::error::Error, "the store failed");
        }
        let status = self.status();
        let is_admins = matches!(self, Self::BearerMissing | Self::BearerWrong);
        let detail = self.detail().into_owned();
        if matches!(self, Self::NotSynchronizable(_)) {
            return (status, Json(MessageAnswer { message: detail })).into_response();
        }
        let answer = ErrorAnswer {
            id: uuid::Uuid::new_v4().to_string(),
            status_code: status.as_u16(),
            version: env!("CARGO_PKG_VERSION"),
            detail,
            exc_info: None,
            validation_errors: self.into_fields(),
        };
        let mut response = (status, Json(answer)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Token"));
                if is_admins {
                    headers.append(
                        header::WWW_AUTHENTICATE,
                        HeaderValue::from_static("Bearer realm=\"mediagate admin\""),
                    );
                }
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        LabelStudioError::Refused(self).into_response()
    }
}

impl From<Refusal> for LabelStudioError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl FieldErrors {
    /// One thing that is wrong.
    pub(super) fn one(field: &'static str, sentence: String) -> Self {
        Self(vec![(field, vec![sentence])])
    }

    /// Adds one more.
    pub(super) fn add(&mut self, field: &'static str, sentence: impl Into<String>) {
        match self.0.iter_mut().find(|(name, _)| *name == field) {
            Some((_, sentences)) => sentences.push(sentence.into()),
            None => self.0.push((field, vec![sentence.into()])),
        }
    }

    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Passes when nothing is wrong.
    pub(super) fn none_or_refuse(self) -> Result<(), LabelStudioError> {
        if self.is_empty() { Ok(()) } else { Err(LabelStudioError::FieldsInvalid(self)) }
    }
}

impl Serialize for FieldErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(field, sentences)| (field, sentences)))
    }
}

/// Label Studio's own words where it has some.
fn sentence(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Anonymous => "Authentication credentials were not provided.",
        Refusal::Forbidden => "You do not have permission to perform this action.",
        Refusal::ProjectUnknown => "No Project matches the given query.",
        Refusal::CrossOrigin => {
            "The request carries a login cookie and does not come from a page of this site: its Origin is not this host. \
             Send a token instead of the cookie, or let the proxy in front keep Host."
        }
        Refusal::Away => {
            "Label Studio does not say who may do this; ask again in a moment. The log says why."
        }
    }
}
