//! What is asked for: buckets, keys, URIs, entity tags, ranges and conditions.
//!
//! Pure values with their parsing. Raw text becomes one of these at the edge, once; past it there are no
//! strings with meaning. This module uses nothing else of ours.

mod condition;
mod etag;
mod media_type;
mod range;
mod uri;

pub use condition::{Conditions, IfRange, Verdict};
pub use etag::ETag;
pub use media_type::{guess_media_type, is_active_document, is_unspecific};
pub use range::{ByteRange, ContentRange, MAX_RANGES, RangeRequest, Unsatisfiable, coalesce};
pub use uri::{Bucket, ObjectKey, ObjectPattern, ObjectUri, ParseObjectError};
