//! Strings and brackets of one item, byte by byte.

/// Where in the item we are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// Within a string.
    pub(super) is_text: bool,
    /// Behind a backslash in a string.
    pub(super) is_escaped: bool,
    /// One bit for each open bracket, lowest first: whether it is a square one.
    squares: u128,
    depth: u32,
    /// Brackets that are open beyond those that `squares` has room for. An item like that is refused by its reader; here
    /// it only has to end.
    beyond: u64,
    /// The last byte that was no white space.
    before: u8,
}

/// What a byte did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Seen {
    /// Nothing that ends an item.
    Other,
    /// It closed the last open bracket.
    Closed,
    /// A comma outside of all brackets.
    Comma,
    /// A closing bracket that fits none of those that are open.
    Unopened(u8),
}

impl Scan {
    pub(super) fn byte(&mut self, byte: u8) -> Seen {
        if self.is_text {
            self.in_text(byte);
            return Seen::Other;
        }
        let seen = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return Seen::Other,
            b'"' => {
                self.is_text = true;
                Seen::Other
            }
            b'{' | b'[' => {
                self.open(byte == b'[');
                Seen::Other
            }
            b'}' | b']' => self.close(byte),
            b',' if self.depth == 0 => Seen::Comma,
            _ => Seen::Other,
        };
        self.before = byte;
        seen
    }

    /// Whether JSON allows an object to start here.
    pub(super) fn may_open(&self) -> bool {
        let is_list = self.depth.checked_sub(1).is_some_and(|top| self.is_square(top));
        matches!(self.before, b':' | b'[') || (self.before == b',' && is_list)
    }

    /// Takes the string for closed.
    pub(super) fn end_text(&mut self) {
        self.is_text = false;
        self.is_escaped = false;
    }

    fn in_text(&mut self, byte: u8) {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' => self.is_escaped = true,
            b'"' => self.end_text(),
            _ => {}
        }
    }

    fn open(&mut self, is_square: bool) {
        if self.depth == u128::BITS {
            self.beyond += 1;
            return;
        }
        let bit = 1 << self.depth;
        if is_square {
            self.squares |= bit;
        } else {
            self.squares &= !bit;
        }
        self.depth += 1;
    }

    /// Closes the innermost bracket that this one fits, and all within.
    fn close(&mut self, byte: u8) -> Seen {
        if self.beyond > 0 {
            self.beyond -= 1;
            return Seen::Other;
        }
        let fits = (0..self.depth).rev().find(|level| self.is_square(*level) == (byte == b']'));
        match fits {
            None => Seen::Unopened(byte),
            Some(0) => {
                self.depth = 0;
                Seen::Closed
            }
            Some(level) => {
                self.depth = level;
                Seen::Other
            }
        }
    }

    fn is_square(&self, level: u32) -> bool {
        self.squares >> level & 1 == 1
    }
}
