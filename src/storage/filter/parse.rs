//! Reads an expression as `re/_parser.py` of Python 3.11 does.

use super::{
    ParseFilterError, Problem,
    syntax::{At, Flags, Greed, Node, Repeat, Width},
};

/// A parsed expression.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) root: Node,
    /// The widths of the groups by number; 0 is nobody's.
    pub(super) groups: Vec<Option<Width>>,
}

/// What is known while reading. Positions count characters, as Python's do.
pub(super) struct Parser {
    chars: Vec<char>,
    pub(super) at: usize,
    /// The flags of the whole expression.
    pub(super) flags: Flags,
    /// The width of each group, absent while it is open.
    pub(super) groups: Vec<Option<Width>>,
    pub(super) names: Vec<(String, usize)>,
    /// How many groups there were where the outermost look-behind began.
    pub(super) behind: Option<usize>,
    /// Groups that conditions ask for, and where.
    pub(super) asked: Vec<(usize, usize)>,
    depth: usize,
}

pub(super) fn parse(text: &str) -> Result<Parsed, ParseFilterError> {
    let mut parser = Parser {
        chars: text.chars().collect(),
        at: 0,
        flags: Flags::default(),
        groups: vec![None],
        names: Vec::new(),
        behind: None,
        asked: Vec::new(),
        depth: 0,
    };
    let root = parser.alternatives(Flags::default())?;
    if parser.peek().is_some() {
        return Err(ParseFilterError::malformed(parser.at, "unbalanced parenthesis"));
    }
    if let Some((group, at)) = parser.asked.iter().find(|(group, _)| *group >= parser.groups.len()) {
        return Err(ParseFilterError { problem: Problem::UnknownGroup(*group), position: Some(*at) });
    }
    Ok(Parsed { root, groups: parser.groups })
}

impl Parser {
    /// Reads `a|b|c`, up to a `)` or the end.
    pub(super) fn alternatives(&mut self, flags: Flags) -> Result<Node, ParseFilterError> {
        let is_whole = self.depth == 0;
        let mut items = vec![self.sequence(flags, is_whole)?];
        while self.take('|') {
            let flags = if is_whole { self.flags } else { flags };
            items.push(self.sequence(flags, false)?);
        }
        Ok(match items.pop() {
            Some(only) if items.is_empty() => only,
            last => {
                items.extend(last);
                Node::Either(items)
            }
        })
    }

    /// Reads one alternative. Flags of the whole may stand where it is the beginning.
    pub(super) fn sequence(&mut self, mut flags: Flags, is_first: bool) -> Result<Node, ParseFilterError> {
        if self.depth > MAX_DEPTH {
            return Err(ParseFilterError { problem: Problem::TooDeep, position: Some(self.at) });
        }
        self.depth += 1;
        let mut items = Vec::new();
        while let Some(c) = self.peek().filter(|c| !matches!(c, '|' | ')')) {
            self.at += 1;
            if flags.has(Flags::VERBOSE) && self.skip_verbose(c) {
                continue;
            }
            match c {
                '\\' => items.push(self.escape(flags)?),
                '[' => items.push(Node::Set(self.set(flags)?)),
                '.' => items.push(Node::Any { newline: flags.has(Flags::DOT_ALL) }),
                '^' if flags.has(Flags::MULTI_LINE) => items.push(Node::At(At::LineStart)),
                '^' => items.push(Node::At(At::TextStart)),
                '$' if flags.has(Flags::MULTI_LINE) => items.push(Node::At(At::LineEnd)),
                '$' => items.push(Node::At(At::End)),
                '(' => {
                    let may_set_flags = is_first && items.is_empty();
                    items.extend(self.group(flags, may_set_flags)?);
                    if may_set_flags && items.is_empty() {
                        flags = self.flags;
                    }
                }
                '*' | '+' | '?' | '{' => match self.repeat(c)? {
                    Some(repeat) => self.apply(repeat, &mut items)?,
                    None => items.push(Node::Literal(c, flags.fold())),
                },
                _ => items.push(Node::Literal(c, flags.fold())),
            }
        }
        self.depth -= 1;
        Ok(Node::Sequence(items))
    }

    /// Skips white space, and a comment to the end of its line.
    fn skip_verbose(&mut self, c: char) -> bool {
        if matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}') {
            return true;
        }
        if c == '#' {
            // An escaped newline does not end it.
            while let Some(c) = self.next().filter(|c| *c != '\n') {
                if c == '\\' {
                    self.at += 1;
                }
            }
        }
        c == '#'
    }

    /// Reads a quantifier; absent: its character is an ordinary one.
    fn repeat(&mut self, c: char) -> Result<Option<Repeat>, ParseFilterError> {
        let start = self.at - 1;
        let bounds = match c {
            '?' => Some((0, Some(1))),
            '*' => Some((0, None)),
            '+' => Some((1, None)),
            _ => self.braces()?,
        };
        let Some((min, max)) = bounds else {
            self.at = start + 1;
            return Ok(None);
        };
        let greed = match self.peek() {
            Some('?') => Greed::Lazy,
            Some('+') => Greed::Possessive,
            _ => Greed::Greedy,
        };
        self.at += usize::from(greed != Greed::Greedy);
        Ok(Some(Repeat { min, max, greed }))
    }

    /// `{3}`, `{3,}`, `{,3}`, `{3,5}`, and `{,}`, which is `*`.
    fn braces(&mut self) -> Result<Option<(u32, Option<u32>)>, ParseFilterError> {
        let start = self.at - 1;
        if self.peek() == Some('}') {
            return Ok(None);
        }
        let min = self.count()?;
        let max = if self.take(',') { self.count()? } else { min };
        if !self.take('}') {
            return Ok(None);
        }
        match (min.unwrap_or(0), max) {
            (min, Some(max)) if max < min => {
                Err(ParseFilterError::malformed(start, "min repeat greater than max repeat"))
            }
            bounds => Ok(Some(bounds)),
        }
    }

    fn count(&mut self) -> Result<Option<u32>, ParseFilterError> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            return Ok(None);
        }
        let too_large = || ParseFilterError { problem: Problem::TooLarge, position: Some(start) };
        let count = self.text(start).parse().map_err(|_| too_large())?;
        if count > MAX_REPEAT { Err(too_large()) } else { Ok(Some(count)) }
    }

    fn apply(&self, repeat: Repeat, items: &mut Vec<Node>) -> Result<(), ParseFilterError> {
        match items.pop() {
            None | Some(Node::At(_)) => Err(ParseFilterError::malformed(self.at - 1, "nothing to repeat")),
            Some(Node::Repeat(..)) => Err(ParseFilterError::malformed(self.at - 1, "multiple repeat")),
            Some(item) => {
                items.push(Node::Repeat(repeat, Box::new(item)));
                Ok(())
            }
        }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    pub(super) fn take(&mut self, c: char) -> bool {
        let is_next = self.peek() == Some(c);
        self.at += usize::from(is_next);
        is_next
    }

    /// What was read since then.
    pub(super) fn text(&self, start: usize) -> String {
        self.chars.iter().take(self.at).skip(start).collect()
    }
}

/// Groups within groups. The engine has a limit of its own, near 60.
const MAX_DEPTH: usize = 60;
/// The largest count in braces; Python's is 2^32 - 2.
const MAX_REPEAT: u32 = 10_000;
