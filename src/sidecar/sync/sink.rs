//! Where tasks go.

use std::{fmt, future::Future, pin::Pin};

use crate::store::{self, Part, Step, Store};

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
}

/// Why a sink did not take a step.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Our own store.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl SinkError {
    /// Whether the same may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
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
