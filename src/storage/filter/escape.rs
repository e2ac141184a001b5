//! Backslashes, outside of sets and inside.

use std::fmt;

use super::{
    ParseFilterError, Problem,
    parse::Parser,
    syntax::{At, Class, ClassKind, Flags, Node, Set},
};

/// What a backslash may mean in a set.
#[derive(Clone, Copy, Debug)]
pub(super) enum Escape {
    Char(char),
    Class(Class),
}

impl Parser {
    /// Reads what follows a backslash outside of sets.
    pub(super) fn escape(&mut self, flags: Flags) -> Result<Node, ParseFilterError> {
        let start = self.at - 1;
        let ascii = flags.has(Flags::ASCII);
        let c =
            self.next().ok_or_else(|| ParseFilterError::malformed(start, "bad escape (end of pattern)"))?;
        if let Some(class) = class(c, ascii) {
            let set = Set { negated: false, fold: flags.fold(), ranges: Vec::new(), classes: vec![class] };
            return Ok(Node::Set(set));
        }
        match c {
            'A' => Ok(Node::At(At::TextStart)),
            'Z' => Ok(Node::At(At::TextEnd)),
            'b' | 'B' => Ok(Node::At(At::Boundary { ascii, negated: c == 'B' })),
            '1'..='9' => self.number(c, start, flags),
            _ => Ok(Node::Literal(self.char_escape(c, start)?, flags.fold())),
        }
    }

    /// The same in a set: there are no places and no groups, and `\b` is a backspace.
    pub(super) fn set_escape(&mut self, flags: Flags) -> Result<Escape, ParseFilterError> {
        let start = self.at - 1;
        let c =
            self.next().ok_or_else(|| ParseFilterError::malformed(start, "bad escape (end of pattern)"))?;
        if let Some(class) = class(c, flags.has(Flags::ASCII)) {
            return Ok(Escape::Class(class));
        }
        match c {
            'b' => Ok(Escape::Char('\u{8}')),
            '1'..='7' => self.octal(c, 2, start).map(Escape::Char),
            '8' | '9' => Err(self.bad_escape(start)),
            _ => self.char_escape(c, start).map(Escape::Char),
        }
    }

    /// `\1` is a group, `\123` a character in octal.
    fn number(&mut self, first: char, start: usize, flags: Flags) -> Result<Node, ParseFilterError> {
        let is_octal = |c: Option<char>| matches!(c, Some('0'..='7'));
        if is_octal(Some(first)) && is_octal(self.peek()) && is_octal(self.peek_at(1)) {
            return Ok(Node::Literal(self.octal(first, 2, start)?, flags.fold()));
        }
        let mut group = digit(first);
        if let Some(c @ '0'..='9') = self.peek() {
            self.at += 1;
            group = group * 10 + digit(c);
        }
        self.reference(group, start, flags)
    }

    fn char_escape(&mut self, c: char, start: usize) -> Result<char, ParseFilterError> {
        match c {
            'a' => Ok('\u{7}'),
            'f' => Ok('\u{c}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\u{b}'),
            'x' => self.hex(2, start),
            'u' => self.hex(4, start),
            'U' => self.hex(8, start),
            '0' => self.octal(c, 2, start),
            'N' => {
                let problem = Problem::Unsupported("\\N{...}", "write \\uXXXX or the character itself");
                Err(ParseFilterError { problem, position: Some(start) })
            }
            _ if c.is_ascii_alphanumeric() => Err(self.bad_escape(start)),
            _ => Ok(c),
        }
    }

    fn hex(&mut self, digits: usize, start: usize) -> Result<char, ParseFilterError> {
        let mut code = 0;
        for _ in 0..digits {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(16)) else {
                return Err(self.bad_escape(start));
            };
            self.at += 1;
            code = code << 4 | digit;
        }
        // A surrogate alone is a character in Python; no key has one.
        char::from_u32(code).ok_or_else(|| self.bad_escape(start))
    }

    fn octal(&mut self, first: char, more: usize, start: usize) -> Result<char, ParseFilterError> {
        let mut code = digit(first);
        for _ in 0..more {
            let Some(c @ '0'..='7') = self.peek() else { break };
            self.at += 1;
            code = code * 8 + digit(c);
        }
        u8::try_from(code).map(char::from).map_err(|_| self.bad_escape(start))
    }

    fn bad_escape(&self, start: usize) -> ParseFilterError {
        ParseFilterError { problem: Problem::BadEscape(self.text(start)), position: Some(start) }
    }
}

fn digit(c: char) -> usize {
    c.to_digit(10).and_then(|digit| usize::try_from(digit).ok()).unwrap_or_default()
}

fn class(c: char, ascii: bool) -> Option<Class> {
    let kind = match c.to_ascii_lowercase() {
        'd' => ClassKind::Digit,
        'w' => ClassKind::Word,
        's' => ClassKind::Space,
        _ => return None,
    };
    Some(Class { kind, ascii, negated: c.is_ascii_uppercase() })
}

impl fmt::Display for Escape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Char(c) => c.fmt(f),
            Self::Class(Class { kind, negated, .. }) => {
                let c = match kind {
                    ClassKind::Digit => 'd',
                    ClassKind::Word => 'w',
                    ClassKind::Space => 's',
                };
                write!(f, "\\{}", if *negated { c.to_ascii_uppercase() } else { c })
            }
        }
    }
}
