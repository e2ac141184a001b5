//! The S3 client against a server that checks signatures, and against one that breaks every promise.

mod broken;
mod bucket;
mod chain;
mod guarded;
mod real;
mod roles;
