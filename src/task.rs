//! A task, as far as we keep it: what an item of a file says, to the byte, and the objects that it mentions.
//!
//! The noun and nothing else: no I/O, no wire format. Texts of JSON are kept as they were written, since what a number or
//! the order of keys means is for the annotation application to say.

mod item;
mod mention;
mod rewrite;

use std::time::SystemTime;

pub use self::{
    item::{Item, ItemFault, Json},
    mention::{Mention, mentions, mentions_in_json},
    rewrite::rewrite,
};
use crate::id::{ProjectId, StorageId, TaskNumber};

/// A task of our own store.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its number; never used again.
    pub number: TaskNumber,
    /// The project that it belongs to.
    pub project: Option<ProjectId>,
    /// The storage whose sync made it.
    pub storage: StorageId,
    /// The key of the object that it was made of.
    pub key: String,
    /// Which item of the object, from 0; absent where it stands for the object.
    pub row: Option<i64>,
    /// The object's version at that time.
    pub etag: Option<String>,
    /// When it was made.
    pub created_at: SystemTime,
    /// When a changed object last changed it.
    pub updated_at: Option<SystemTime>,
    /// When its object was found missing.
    pub vanished_at: Option<SystemTime>,
    /// What it says.
    pub item: Item,
}
