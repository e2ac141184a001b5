//! A decision of Label Studio, and how long it holds.

use std::{sync::Arc, time::SystemTime};

use crate::{
    access::mint::TokenRequest,
    gateway::{
        links::Mentioned,
        permission::{Permitted, Refusal},
        route::Scope,
    },
    label_studio::number,
};

/// A task or project of Label Studio.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Wanted {
    Task(u64),
    Project(u64),
}

/// What came of a question.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    Allowed(Arc<Allowance>),
    Refused {
        refusal: Refusal,
        until: SystemTime,
    },
    /// For those who wait together; never held.
    Failed(Refusal),
}

/// What was allowed, and until when.
pub(super) struct Allowance {
    pub(super) request: TokenRequest,
    /// What the task mentions, where the token names no objects.
    pub(super) mentioned: Option<Arc<Mentioned>>,
    pub(super) token: Arc<str>,
    pub(super) decided_at: SystemTime,
    /// The end of the token.
    pub(super) expires_at: SystemTime,
    /// Whether Label Studio was away when this was written.
    pub(super) is_stale: bool,
}

impl Wanted {
    /// Ids of Label Studio are numbers; nothing else has a task or project there, or becomes part of a path.
    pub(super) fn of(scope: &Scope) -> Result<Self, Refusal> {
        match scope {
            Scope::Task(task) => number(task.as_str()).map(Self::Task).ok_or(Refusal::TaskNotFound),
            Scope::Project(project) => {
                number(project.as_str()).map(Self::Project).ok_or(Refusal::ProjectNotFound)
            }
        }
    }
}

impl Decision {
    /// Whether it may still be used.
    pub(super) fn holds(&self, now: SystemTime) -> bool {
        match self {
            Self::Allowed(allowance) => now < allowance.expires_at,
            Self::Refused { until, .. } => now < *until,
            Self::Failed(_) => false,
        }
    }

    /// Whether it was an allowance once.
    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        matches!(self, Self::Allowed(_)) && !self.holds(now)
    }

    pub(super) fn into_outcome(self) -> Result<Permitted, Refusal> {
        match self {
            Self::Allowed(allowance) => Ok(Permitted {
                token: Arc::clone(&allowance.token),
                mentioned: allowance.mentioned.clone(),
                is_stale: allowance.is_stale,
            }),
            Self::Refused { refusal, .. } | Self::Failed(refusal) => Err(refusal),
        }
    }

    /// One, and more where it holds a long list.
    pub(super) fn weight(&self) -> u32 {
        let mentioned = match self {
            Self::Allowed(allowance) => allowance.mentioned.as_ref(),
            Self::Refused { .. } | Self::Failed(_) => None,
        };
        1 + mentioned.map_or(0, |mentioned| mentioned.weight() / 4096)
    }
}

/// Without the token.
impl std::fmt::Debug for Allowance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Allowance").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
