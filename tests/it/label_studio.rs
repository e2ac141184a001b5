//! In front of Label Studio.

mod export;
mod permission;
mod sink;
mod storages;
mod task_json;
