//! In front of Label Studio.

mod permission;
mod task_json;
