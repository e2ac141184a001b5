//! In front of Label Studio.

mod export;
mod permission;
mod storages;
mod task_json;
