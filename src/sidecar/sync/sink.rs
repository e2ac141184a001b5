//! Where tasks go.

use std::{fmt, future::Future, pin::Pin};

use crate::{
    run::Claim,
    store::{self, Part, SourceId, Step, Store},
};

/// Takes tasks, exactly once.
///
/// A step has links that do not exist yet, items of objects, and how far a part is. A sink makes tasks of the new ones and
/// keeps the step; it must come to the same end when it is given the same step again, since the answer to the first time
/// may have been lost. A sink whose tasks live in another application keeps the links first, delivers those that have no
/// task there, and puts down the numbers it gets; what was delivered before a crash it finds again by the link that each
/// task carries.
pub trait TaskSink: fmt::Debug + Send + Sync {
    /// Takes a step and returns the part as it is after it.
    fn take<'a>(
        &'a self,
        step: Step<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Part, SinkError>> + Send + 'a>>;

    /// Gets ready for the steps of a run; also when it goes on after it broke off.
    fn begin(&self, _: Claim, _: SourceId) -> Settling<'_> {
        Box::pin(async { Ok(()) })
    }

    /// Brings to an end what is under way for a source, whoever began it. The run is completed when it has.
    fn finish(&self, _: Claim, _: SourceId) -> Settling<'_> {
        Box::pin(async { Ok(()) })
    }
}

/// Work of a sink besides its steps.
pub type Settling<'a> = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send + 'a>>;

/// Why a sink did not take a step.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Our own store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The application does not answer now and may later.
    #[error("{0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The application will not take tasks before somebody has done something about it.
    #[error("{0}")]
    Denied(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a storage's tasks have nowhere to go.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SinkUnavailable(pub String);

impl SinkError {
    /// Whether the same may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Unavailable(_) => true,
            Self::Denied(_) => false,
        }
    }
}

/// The gateway's own store of tasks.
#[derive(Clone, Debug)]
pub struct StoreSink(pub Store);

impl TaskSink for StoreSink {
    fn take<'a>(
        &'a self,
        step: Step<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Part, SinkError>> + Send + 'a>> {
        Box::pin(async move { Ok(self.0.take_step(&step).await?) })
    }
}
