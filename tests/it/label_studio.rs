//! In front of Label Studio.

mod storages;
