//! In front of a Label Studio that a test gives.

mod export;
