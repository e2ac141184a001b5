//! In front of Label Studio.

mod permission;
mod storages;
mod task_json;
