//! In front of Label Studio: permissions.

mod permission;
