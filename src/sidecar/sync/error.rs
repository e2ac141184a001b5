//! Why a sync cannot go on, in words for whoever reads its storage's status.

use crate::{
    object::Bucket,
    s3,
    sidecar::{inventory::InventoryError, items::ReadError},
    storage::MatchError,
    store,
};

use super::SinkError;

/// Why a sync cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Listing.
    #[error("the bucket cannot be listed: {0}")]
    List(#[source] s3::Error),
    /// Reading an object, for a reason that is not the object's.
    #[error("the object {key} cannot be read: {source}")]
    Read {
        /// The object.
        key: String,
        /// Why.
        source: ReadError,
    },
    /// The inventory.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// No manifest where the storage says.
    #[error(
        "there is no manifest.json under {0}; check the storage's inventory, and whether one was delivered already"
    )]
    InventoryMissing(String),
    /// An inventory of another bucket: its keys would be linked to objects that are not there.
    #[error(
        "the inventory is one of the bucket {0}, and the storage's bucket is {1}; check the storage's inventory"
    )]
    InventoryOfOther(String, Bucket),
    /// The filter could not judge a key.
    #[error(transparent)]
    Filter(#[from] MatchError),
    /// Keys out of order: what is missing could not be told, and links would be looked up in vain.
    #[error(
        "the server lists keys out of their order ({0:?} behind {1:?}), as S3 directory buckets do; sync needs a general \
         purpose bucket, or an inventory"
    )]
    OutOfOrder(String, String),
    /// Our own records.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Where tasks go.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl SyncError {
    /// Whether the same may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            // A page that broke off in its middle is as good as none.
            Self::List(error) => error.is_transient() || matches!(error, s3::Error::AnswerMalformed),
            Self::Read { source, .. } => source.is_transient(),
            Self::Inventory(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            Self::Sink(error) => error.is_transient(),
            Self::InventoryMissing(_)
            | Self::InventoryOfOther(..)
            | Self::Filter(_)
            | Self::OutOfOrder(..) => false,
        }
    }

    /// Whether somebody else has the run now.
    pub fn is_claim_lost(&self) -> bool {
        matches!(
            self,
            Self::Store(store::Error::ClaimLost) | Self::Sink(SinkError::Store(store::Error::ClaimLost))
        )
    }
}
