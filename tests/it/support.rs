//! What the tests share: servers to talk to and the clock.
#![expect(unreachable_pub, reason = "one binary; `pub` is what the files of tests use of each other")]

use std::time::SystemTime;

pub mod bucket;
pub mod control;
pub mod gateway;
pub mod label_studio;
pub mod metadata;
pub mod postgres;
pub mod s3;
pub mod scripted;
pub mod sidecar;
pub mod sts;

/// The real time, which signatures are checked against.
#[expect(clippy::disallowed_methods, reason = "a test's own clock")]
pub fn clock() -> SystemTime {
    SystemTime::now()
}
