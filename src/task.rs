//! A task, as far as we keep it: what an item of a file says, to the byte, and the objects that it mentions.
//!
//! The noun and nothing else: no I/O, no wire format. Texts of JSON are kept as they were written, since what a number or
//! the order of keys means is for the annotation application to say.

mod item;

pub use self::item::{Item, ItemFault, Json};
