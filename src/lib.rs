//! mediagate serves private S3 media to annotation frontends.

pub mod id;
pub mod object;
