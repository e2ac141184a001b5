//! The application that annotations come from, where it can be asked.

use std::{fmt, future::Future, pin::Pin};

use crate::{annotation::Person, id::ProjectId};

/// Says what nobody told of by itself.
pub trait AnnotationSource: fmt::Debug + Send + Sync {
    /// Brings the store up to date with the annotations of a project; the error is a sentence for people.
    fn reconcile<'a>(
        &'a self,
        project: &'a ProjectId,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

    /// Somebody whom the store does not know, by the number that annotations name them by. It takes a moment at most,
    /// and there is nobody where it would take longer.
    fn person<'a>(&'a self, number: &'a str) -> Pin<Box<dyn Future<Output = Option<Person>> + Send + 'a>>;
}
