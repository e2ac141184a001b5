//! Splits the text of a file into its items, without reading what they say.
//!
//! The text is pushed in chunks of any size and the items come out the same; nothing is kept but the item that is being
//! read, up to a limit. Strings and brackets are followed, and nothing else of JSON, so that an item with a fault in
//! it ends where it would without it:
//!
//! * A file that starts with `[` is one list. What stands between its commas are the items. A closing bracket closes
//!   everything up to the one that it fits; the list ends where one fits none within the item.
//! * A file that starts with `{` is objects one after the other: one per line, many per line, or over many lines. An
//!   object that is still open at a line that starts with `{`, where JSON allows no object or where the file was one
//!   object per line so far, ends before that line; one whose string is open at the end of its first line ends there. What
//!   is between objects and not white space is an item to the end of its line, and will be found no task.

mod scan;

use memchr::memchr3;

use self::scan::{Scan, Seen};
use super::ObjectFault;

/// Takes the text of a file, gives its items.
#[derive(Debug)]
pub struct Splitter {
    limit: usize,
    place: Place,
    scan: Scan,
    /// The item so far; absent once it is larger than the limit.
    text: Option<Vec<u8>>,
    /// Of the next item, from 0.
    row: u64,
    /// The line that is being read, from 1, and that where the item started.
    line: u64,
    item_line: u64,
    /// Whether an object has ended in the line that it started in.
    has_lines: bool,
    /// Whether the object has a string that a line's end broke.
    is_broken: bool,
    /// Whether the byte before was a line's end.
    is_line_start: bool,
}

/// The text of one item.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece {
    /// Its position in the file, from 0.
    pub row: u64,
    /// The line where it starts, from 1.
    pub line: u64,
    /// The text without white space around it; absent: larger than the limit.
    pub text: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// Within the byte order mark: how many bytes of it were seen.
    Mark(usize),
    /// Behind what may be the first byte of UTF-16's.
    WideMark(u8),
    /// Before the first byte that says what it is.
    Start,
    /// Before an item of a list; whether it may end here.
    ListGap(bool),
    ListItem,
    ListEnd,
    /// Between objects.
    Gap,
    Object,
    /// In what is no object, until its line ends.
    Line,
}

impl Splitter {
    /// `limit` is for the bytes of one item.
    pub fn new(limit: u64) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            place: Place::Mark(0),
            scan: Scan::default(),
            text: Some(Vec::new()),
            row: 0,
            line: 1,
            item_line: 1,
            has_lines: false,
            is_broken: false,
            is_line_start: false,
        }
    }

    /// Takes bytes off `chunk` until an item is whole; `None` once the chunk is used up. After a fault there is nothing
    /// more to ask for.
    pub fn next(&mut self, chunk: &mut &[u8]) -> Result<Option<Piece>, ObjectFault> {
        while let Some(byte) = chunk.first().copied() {
            let piece = match self.place {
                Place::Mark(seen) => self.mark(seen, byte, chunk)?,
                Place::WideMark(0xfe) if byte == 0xff => return Err(ObjectFault::Utf16),
                Place::WideMark(0xff) if byte == 0xfe => return Err(ObjectFault::Utf16),
                Place::WideMark(_) => return Err(ObjectFault::NotTasks),
                Place::Start => self.start(byte, chunk)?,
                Place::ListGap(may_end) => self.list_gap(may_end, byte, chunk),
                Place::ListItem => self.list_item(chunk),
                Place::ListEnd if is_space(byte) => self.skip(byte, chunk),
                Place::ListEnd => return Err(ObjectFault::BehindList { line: self.line }),
                Place::Gap => self.gap(byte, chunk),
                Place::Object => self.object(chunk),
                Place::Line => self.rest_of_line(chunk),
            };
            if piece.is_some() {
                return Ok(piece);
            }
        }
        Ok(None)
    }

    /// To be called once, behind the last byte: gives the last item where only the file's end ends it.
    pub fn finish(&mut self) -> Result<Option<Piece>, ObjectFault> {
        match self.place {
            Place::Mark(0 | 3) | Place::Start => Err(ObjectFault::Empty),
            Place::Mark(_) | Place::WideMark(_) => Err(ObjectFault::NotTasks),
            Place::ListGap(_) => Err(ObjectFault::ListCut { row: self.row, line: self.line }),
            Place::ListItem => Err(ObjectFault::ListCut { row: self.row, line: self.item_line }),
            Place::Object | Place::Line => Ok(Some(self.end(Place::Gap))),
            Place::ListEnd | Place::Gap => Ok(None),
        }
    }

    /// The byte order mark is skipped; those of UTF-16 are known.
    fn mark(&mut self, seen: usize, byte: u8, chunk: &mut &[u8]) -> Result<Option<Piece>, ObjectFault> {
        const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
        match (seen, byte) {
            (0, 0xfe | 0xff) => {
                self.place = Place::WideMark(byte);
                advance(chunk, 1);
            }
            (3, _) => self.place = Place::Start,
            _ if MARK.get(seen) == Some(&byte) => {
                self.place = Place::Mark(seen + 1);
                advance(chunk, 1);
            }
            (0, _) => self.place = Place::Start,
            _ => return Err(ObjectFault::NotTasks),
        }
        Ok(None)
    }

    fn start(&mut self, byte: u8, chunk: &mut &[u8]) -> Result<Option<Piece>, ObjectFault> {
        match byte {
            b'[' => {
                self.place = Place::ListGap(true);
                advance(chunk, 1);
            }
            b'{' => self.place = Place::Gap,
            byte if is_space(byte) => return Ok(self.skip(byte, chunk)),
            _ => return Err(ObjectFault::NotTasks),
        }
        Ok(None)
    }

    fn list_gap(&mut self, may_end: bool, byte: u8, chunk: &mut &[u8]) -> Option<Piece> {
        match byte {
            byte if is_space(byte) => return self.skip(byte, chunk),
            b']' if may_end => {
                self.place = Place::ListEnd;
                advance(chunk, 1);
            }
            // A comma or a bracket ends an item without any text at once.
            _ => self.begin(Place::ListItem),
        }
        None
    }

    fn list_item(&mut self, chunk: &mut &[u8]) -> Option<Piece> {
        let mut at = 0;
        while let Some(byte) = chunk.get(at).copied() {
            if let Some(plain) = self.plain_text(chunk, at) {
                at += plain;
                continue;
            }
            self.line += u64::from(byte == b'\n');
            let next = match self.scan.byte(byte) {
                Seen::Comma => Some(Place::ListGap(false)),
                Seen::Unopened(b']') => Some(Place::ListEnd),
                _ => None,
            };
            if let Some(next) = next {
                self.keep(chunk, at);
                advance(chunk, 1);
                return Some(self.end(next));
            }
            at += 1;
        }
        self.keep(chunk, at);
        None
    }

    fn gap(&mut self, byte: u8, chunk: &mut &[u8]) -> Option<Piece> {
        match byte {
            byte if is_space(byte) => return self.skip(byte, chunk),
            b'{' => self.begin(Place::Object),
            _ => self.begin(Place::Line),
        }
        None
    }

    fn object(&mut self, chunk: &mut &[u8]) -> Option<Piece> {
        let mut at = 0;
        while let Some(byte) = chunk.get(at).copied() {
            if let Some(plain) = self.plain_text(chunk, at) {
                at += plain;
                self.is_line_start = false;
                continue;
            }
            if self.is_line_start && byte == b'{' && self.starts_another() {
                self.keep(chunk, at);
                return Some(self.end(Place::Gap));
            }
            self.is_line_start = byte == b'\n';
            if byte == b'\n' {
                self.is_broken |= self.scan.is_text;
                if self.scan.is_text && self.line == self.item_line {
                    self.keep(chunk, at);
                    return Some(self.end(Place::Gap));
                }
                self.scan.end_text();
                self.line += 1;
            }
            let seen = self.scan.byte(byte);
            at += 1;
            if seen == Seen::Closed {
                self.keep(chunk, at);
                self.has_lines |= self.line == self.item_line;
                return Some(self.end(Place::Gap));
            }
        }
        self.keep(chunk, at);
        None
    }

    /// Whether a bracket at the start of a line, within an object, is the start of another one.
    fn starts_another(&self) -> bool {
        self.has_lines || self.is_broken || !self.scan.may_open()
    }

    fn rest_of_line(&mut self, chunk: &mut &[u8]) -> Option<Piece> {
        let end = memchr::memchr(b'\n', chunk);
        self.keep(chunk, end.unwrap_or(chunk.len()));
        end.map(|_| self.end(Place::Gap))
    }

    /// How many bytes from here on are the inside of a string and nothing else; `None` where none are.
    fn plain_text(&self, chunk: &[u8], at: usize) -> Option<usize> {
        if !self.scan.is_text || self.scan.is_escaped {
            return None;
        }
        let rest = chunk.get(at..)?;
        Some(memchr3(b'"', b'\\', b'\n', rest).unwrap_or(rest.len())).filter(|len| *len > 0)
    }

    fn skip(&mut self, byte: u8, chunk: &mut &[u8]) -> Option<Piece> {
        self.line += u64::from(byte == b'\n');
        advance(chunk, 1);
        None
    }

    fn begin(&mut self, place: Place) {
        self.place = place;
        self.scan = Scan::default();
        self.item_line = self.line;
        self.is_broken = false;
        self.is_line_start = false;
    }

    /// Takes the next `len` bytes into the item.
    fn keep(&mut self, chunk: &mut &[u8], len: usize) {
        let (taken, rest) = chunk.split_at(len);
        *chunk = rest;
        if let Some(text) = &mut self.text {
            if taken.len() > self.limit - text.len() {
                self.text = None;
            } else {
                text.extend_from_slice(taken);
            }
        }
    }

    fn end(&mut self, place: Place) -> Piece {
        self.place = place;
        let mut text = self.text.replace(Vec::new());
        if let Some(text) = &mut text {
            text.truncate(text.trim_ascii_end().len());
        }
        let piece = Piece { row: self.row, line: self.item_line, text };
        self.row += 1;
        piece
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn advance(chunk: &mut &[u8], len: usize) {
    *chunk = chunk.get(len..).unwrap_or_default();
}

#[cfg(test)]
mod tests;
