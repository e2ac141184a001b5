//! The one integration binary: real sockets on port 0, no sleeps.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod architecture;
mod attacks;
mod control_annotations;
mod control_storages;
mod export;
mod forward;
mod label_studio;
mod lines;
mod operate;
mod redirect;
mod s3;
mod sidecar;
mod store;
mod stream;
mod support;
mod sync;
mod token;
mod versions;
