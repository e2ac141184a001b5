//! Who asks the storage API, and what they may.
//!
//! On the control port it is the admin. On another port it is a person of the annotation application, which says itself
//! what they may of a project: whoever opens that port puts a [`Caller`] into each request. A request without one is
//! nobody's and is refused, and so is every storage that belongs to no project, unless the admin asks.

use std::{fmt, pin::Pin, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request},
    http::request::Parts,
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::label_studio_error::{FieldErrors, LabelStudioError};
use crate::{id::ProjectId, storage::Storage};

/// Who asks.
#[derive(Clone)]
pub enum Caller {
    /// The operator, who may everything.
    Admin,
    /// Somebody of the annotation application.
    Member(Arc<dyn Member>),
}

/// Somebody of whom the annotation application knows what they may.
pub trait Member: Send + Sync {
    /// Passes where they may do this to the storages of the project.
    fn judge<'a>(&'a self, project: &'a ProjectId, access: Access) -> Judging<'a, ()>;
    /// What the audit calls them; fails where they are nobody.
    fn name(&self) -> Judging<'_, String>;
}

/// A judgement that is being made.
pub type Judging<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// What somebody wants of the storages of a project.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// To see them.
    View,
    /// To make, change, remove, test or sync them.
    Change,
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// Nobody, as far as the application knows.
    Anonymous,
    /// Somebody who may not.
    Forbidden,
    /// There is no such project.
    ProjectUnknown,
    /// The browser was sent by a page of another site.
    CrossOrigin,
    /// The application does not say.
    Away,
}

impl Caller {
    /// Passes where they may do this to the storages of a project that was asked for.
    pub(super) async fn expect(
        &self,
        project: Option<&ProjectId>,
        access: Access,
    ) -> Result<(), LabelStudioError> {
        match (self, project) {
            (Self::Admin, _) => Ok(()),
            (Self::Member(member), Some(project)) => Ok(member.judge(project, access).await?),
            (Self::Member(_), None) => Err(Refusal::ProjectUnknown.into()),
        }
    }

    /// The same of a project that a body names, where an unknown one is a mistake in a field.
    pub(super) async fn expect_named(&self, project: Option<&ProjectId>) -> Result<(), LabelStudioError> {
        let judged = self.expect(project, Access::Change).await;
        match (judged, project) {
            (Err(LabelStudioError::Refused(Refusal::ProjectUnknown)), Some(project)) => {
                let sentence = format!("Invalid pk \"{project}\" - object does not exist.");
                Err(LabelStudioError::FieldsInvalid(FieldErrors::one("project", sentence)))
            }
            (judged, _) => judged,
        }
    }

    /// Whether the storage is one of those that they are told of when they may see its project.
    pub(super) fn is_told_of(&self, storage: &Storage) -> bool {
        self.is_admin() || storage.settings.project.is_some()
    }

    /// Whether it is the operator.
    pub(super) fn is_admin(&self) -> bool {
        matches!(self, Self::Admin)
    }

    /// What the audit calls them; fails where they are nobody.
    pub(super) async fn name(&self) -> Result<String, LabelStudioError> {
        match self {
            Self::Admin => Ok("admin".to_owned()),
            Self::Member(member) => Ok(member.name().await?),
        }
    }
}

/// Stands before the routes of another port: what nobody vouches for ends here.
pub(super) async fn require(request: Request, next: Next) -> Response {
    if request.extensions().get::<Caller>().is_some() {
        next.run(request).await
    } else {
        Refusal::Anonymous.into_response()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get().cloned().ok_or(Refusal::Anonymous)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "Admin",
            Self::Member(_) => "Member",
        })
    }
}
