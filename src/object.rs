//! What is asked for: buckets, keys, URIs, entity tags, ranges and conditions.
//!
//! Pure values with their parsing. Raw text becomes one of these at the edge, once; past it there are no
//! strings with meaning. This module uses nothing else of ours.

mod uri;

pub use uri::{Bucket, ObjectKey, ObjectPattern, ObjectUri, ParseObjectError};
