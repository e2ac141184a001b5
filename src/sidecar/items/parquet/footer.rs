//! Looks through a footer before the Parquet reader does.
//!
//! That one reads the tree of a schema by recursion and reserves memory for as many children and elements as the file
//! says. A file made for it could end the process, so that lengths and depths are checked here first. The footer is a
//! struct of Thrift's compact protocol; of its meaning only the count of children in the schema is known here.

use parquet::errors::{ParquetError, Result};

/// Whether the footer can be read without harm.
pub(super) fn check(footer: &[u8]) -> Result<()> {
    Compact { rest: footer }.file().ok_or_else(|| {
        ParquetError::General("its footer is damaged, or its schema is nested too deep".to_owned())
    })
}

/// What is still to be read. `None` from any function: it does not hold together.
struct Compact<'a> {
    rest: &'a [u8],
}

impl Compact<'_> {
    fn file(&mut self) -> Option<()> {
        let mut last = 0;
        loop {
            match self.field(&mut last)? {
                (_, STOP) => return Some(()),
                (FIELD_SCHEMA, LIST) => self.schema()?,
                (_, kind) => self.skip(kind, 0)?,
            }
        }
    }

    /// Every element says how many of those that follow are its children.
    fn schema(&mut self) -> Option<()> {
        let (len, kind) = self.list()?;
        if kind != STRUCT {
            return None;
        }
        let mut open: Vec<usize> = Vec::new();
        for left in (0..len).rev() {
            let children = self.element()?;
            if let Some(missing) = open.last_mut() {
                *missing -= 1;
            }
            if children > 0 {
                open.push(children);
            }
            while open.last() == Some(&0) {
                open.pop();
            }
            if open.len() > MOST_LEVELS || children > left {
                return None;
            }
        }
        Some(())
    }

    fn element(&mut self) -> Option<usize> {
        let (mut last, mut children) = (0, 0);
        loop {
            match self.field(&mut last)? {
                (_, STOP) => return Some(children),
                (FIELD_CHILDREN, I32) => {
                    let zigzag = self.varint()?;
                    let is_negative = zigzag & 1 == 1;
                    children = usize::try_from(zigzag >> 1).ok().filter(|_| !is_negative)?;
                }
                (_, kind) => self.skip(kind, 0)?,
            }
        }
    }

    /// The number and type of the next field of a struct; the type is [`STOP`] at its end.
    fn field(&mut self, last: &mut u64) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let (delta, kind) = (head >> 4, head & 0x0f);
        if kind == STOP {
            return Some((*last, STOP));
        }
        let number = if delta == 0 { self.varint()? >> 1 } else { last.checked_add(delta.into())? };
        *last = number;
        Some((number, kind))
    }

    /// Length and type of a list; every element takes at least a byte.
    fn list(&mut self) -> Option<(usize, u8)> {
        let head = self.byte()?;
        let len = match head >> 4 {
            15 => usize::try_from(self.varint()?).ok()?,
            len => len.into(),
        };
        (len <= self.rest.len()).then_some((len, head & 0x0f))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > MOST_LEVELS {
            return None;
        }
        match kind {
            // Truths that are fields are in their type.
            TRUE | FALSE => Some(()),
            BYTE => self.byte().map(drop),
            I16 | I32 | I64 => self.varint().map(drop),
            DOUBLE => self.take(8),
            BINARY => {
                let len = self.varint()?;
                self.take(usize::try_from(len).ok()?)
            }
            LIST | SET => {
                let (len, kind) = self.list()?;
                (0..len).try_for_each(|_| self.skip_element(kind, depth + 1))
            }
            MAP => self.map(depth + 1),
            STRUCT => {
                let mut last = 0;
                loop {
                    match self.field(&mut last)? {
                        (_, STOP) => return Some(()),
                        (_, kind) => self.skip(kind, depth + 1)?,
                    }
                }
            }
            _ => None,
        }
    }

    fn map(&mut self, depth: usize) -> Option<()> {
        let len = usize::try_from(self.varint()?).ok().filter(|len| *len <= self.rest.len())?;
        if len == 0 {
            return Some(());
        }
        let kinds = self.byte()?;
        (0..len).try_for_each(|_| {
            self.skip_element(kinds >> 4, depth)?;
            self.skip_element(kinds & 0x0f, depth)
        })
    }

    /// Truths that are elements have a byte of their own.
    fn skip_element(&mut self, kind: u8, depth: usize) -> Option<()> {
        if matches!(kind, TRUE | FALSE) { self.byte().map(drop) } else { self.skip(kind, depth) }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, len: usize) -> Option<()> {
        self.rest = self.rest.get(len..)?;
        Some(())
    }
}

/// Of brackets that JSON readers take, with a list and its entry for each.
const MOST_LEVELS: usize = 200;

const FIELD_SCHEMA: u64 = 2;
const FIELD_CHILDREN: u64 = 5;

const STOP: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer with this schema: the count of children of each element.
    fn footer(children: &[u8]) -> Vec<u8> {
        let len = u8::try_from(children.len()).unwrap();
        // Version 1; a list of structs with its length as a varint.
        let mut bytes = vec![0x15, 0x02, 0x19, 0xfc, len & 0x7f | 0x80, len >> 7];
        for count in children {
            // Field 4, the name, and field 5.
            bytes.extend([0x48, 1, b'a', 0x15, count << 1, 0]);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn schemas_are_bounded() {
        assert!(check(&footer(&[2, 0, 1, 0])).is_ok());
        assert!(check(&footer(&[4, 0, 1, 0])).is_err(), "children that are not there");
        let nested = |levels: usize| [vec![1; levels], vec![0]].concat();
        assert!(check(&footer(&nested(200))).is_ok());
        assert!(check(&footer(&nested(201))).is_err());
        let whole = footer(&[2, 0, 1, 0]);
        for cut in 0..whole.len() {
            assert!(check(&whole[..cut]).is_err(), "{cut}");
        }
    }
}
