//! The JSON that a row becomes, up to a limit.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;

use crate::task::ItemFault;

/// A text of JSON under construction. What does not fit is not kept, and the row goes on to its end.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    limit: usize,
    fault: Option<ItemFault>,
}

impl Text {
    pub(super) fn new(limit: u64) -> Self {
        Self { bytes: Vec::new(), limit: usize::try_from(limit).unwrap_or(usize::MAX), fault: None }
    }

    /// Words and signs of JSON.
    pub(super) fn raw(&mut self, json: &str) {
        if self.fits(json.len()) {
            self.bytes.extend_from_slice(json.as_bytes());
        }
    }

    /// A text, or a number that is finite, as JSON spells it.
    pub(super) fn value<T: Serialize + ?Sized>(&mut self, value: &T, len: usize) {
        if self.fits(len) {
            serde_json::to_writer(&mut self.bytes, value).expect("texts and finite numbers are JSON");
        }
    }

    pub(super) fn string(&mut self, text: &str) {
        self.value(text, text.len() + 2);
    }

    pub(super) fn base64(&mut self, bytes: &[u8]) {
        if self.fits(bytes.len() / 3 * 4) {
            self.string(&STANDARD.encode(bytes));
        }
    }

    /// The row is no task. The first reason stays.
    pub(super) fn fail(&mut self, fault: ItemFault) {
        self.fault.get_or_insert(fault);
    }

    /// How much there is.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What was written behind this length.
    pub(super) fn since(&self, len: usize) -> &[u8] {
        self.bytes.get(len..).unwrap_or_default()
    }

    /// Writes this instead of what is behind the length.
    pub(super) fn replace(&mut self, len: usize, json: &str) {
        self.bytes.truncate(len);
        self.raw(json);
    }

    /// The text, or why there is none; begins anew.
    pub(super) fn take(&mut self) -> Result<Vec<u8>, ItemFault> {
        let bytes = std::mem::take(&mut self.bytes);
        match self.fault.take() {
            Some(fault) => Err(fault),
            None if bytes.len() > self.limit => Err(self.too_large()),
            None => Ok(bytes),
        }
    }

    /// Escapes may add to what was asked for, so that the length is looked at again in the end.
    fn fits(&mut self, more: usize) -> bool {
        if self.fault.is_none() && self.bytes.len().saturating_add(more) > self.limit {
            self.fault = Some(self.too_large());
        }
        self.fault.is_none()
    }

    fn too_large(&self) -> ItemFault {
        ItemFault::TooLarge(u64::try_from(self.limit).unwrap_or(u64::MAX))
    }
}
