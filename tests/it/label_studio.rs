//! In front of Label Studio.

mod task_json;
