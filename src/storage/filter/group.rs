//! `(...)` in all its forms.

use super::{
    ParseFilterError, Problem,
    parse::Parser,
    syntax::{Flags, Look, Node},
};

impl Parser {
    /// Reads a group after its `(`; absent: it was a comment, or flags of the whole.
    pub(super) fn group(
        &mut self,
        flags: Flags,
        may_set_flags: bool,
    ) -> Result<Option<Node>, ParseFilterError> {
        let start = self.at - 1;
        if !self.take('?') {
            return self.capture(None, flags, start).map(Some);
        }
        let c =
            self.next().ok_or_else(|| ParseFilterError::malformed(self.at, "unexpected end of pattern"))?;
        match c {
            'P' => self.python(flags, start).map(Some),
            ':' => Ok(Some(Node::Plain(self.body(flags, start)?))),
            '>' => Ok(Some(Node::Atomic(self.body(flags, start)?))),
            '=' | '!' => {
                let look = Look { behind: false, negated: c == '!' };
                Ok(Some(Node::Look(look, self.body(flags, start)?)))
            }
            '<' => self.look_behind(flags, start).map(Some),
            '(' => self.condition(flags, start).map(Some),
            '#' => self.comment(start).map(|()| None),
            '-' | 'a' | 'i' | 'L' | 'm' | 's' | 'u' | 'x' => self.flagged(c, flags, start, may_set_flags),
            _ => Err(self.unknown_extension(start)),
        }
    }

    fn body(&mut self, flags: Flags, start: usize) -> Result<Box<Node>, ParseFilterError> {
        let body = self.alternatives(flags)?;
        self.close(start)?;
        Ok(Box::new(body))
    }

    fn close(&mut self, start: usize) -> Result<(), ParseFilterError> {
        if self.take(')') {
            Ok(())
        } else {
            Err(ParseFilterError::malformed(start, "missing ), unterminated subpattern"))
        }
    }

    fn capture(
        &mut self,
        name: Option<String>,
        flags: Flags,
        start: usize,
    ) -> Result<Node, ParseFilterError> {
        let group = self.groups.len();
        self.groups.push(None);
        if let Some(name) = name {
            if self.group_of(&name).is_some() {
                return Err(ParseFilterError { problem: Problem::NameTwice(name), position: Some(start) });
            }
            self.names.push((name, group));
        }
        let body = self.body(flags, start)?;
        let width = body.width(&self.groups);
        if let Some(slot) = self.groups.get_mut(group) {
            *slot = Some(width);
        }
        Ok(Node::Capture(body))
    }

    /// `(?P<name>...)` and `(?P=name)`.
    fn python(&mut self, flags: Flags, start: usize) -> Result<Node, ParseFilterError> {
        match self.next() {
            Some('<') => {
                let name = self.name('>')?;
                self.capture(Some(name), flags, start)
            }
            Some('=') => {
                let name = self.name(')')?;
                let group = self
                    .group_of(&name)
                    .ok_or(ParseFilterError { problem: Problem::UnknownName(name), position: Some(start) })?;
                self.reference(group, start, flags)
            }
            Some(_) => Err(self.unknown_extension(start)),
            None => Err(ParseFilterError::malformed(self.at, "unexpected end of pattern")),
        }
    }

    /// A reference to a group that ended before.
    pub(super) fn reference(
        &mut self,
        group: usize,
        start: usize,
        flags: Flags,
    ) -> Result<Node, ParseFilterError> {
        if group >= self.groups.len() {
            return Err(ParseFilterError { problem: Problem::UnknownGroup(group), position: Some(start) });
        }
        self.check_open(group, start)?;
        self.check_behind(group, start)?;
        if flags.has(Flags::IGNORE_CASE) {
            // The engine folds what Python lowers: `ſ` is `s` to one and not to the other.
            let problem =
                Problem::Unsupported("a reference to a group under (?i)", "write (?-i:...) around it");
            return Err(ParseFilterError { problem, position: Some(start) });
        }
        Ok(Node::Reference(group))
    }

    fn check_open(&self, group: usize, start: usize) -> Result<(), ParseFilterError> {
        match self.groups.get(group) {
            Some(Some(_)) => Ok(()),
            _ => Err(ParseFilterError::malformed(start, "cannot refer to an open group")),
        }
    }

    fn check_behind(&self, group: usize, start: usize) -> Result<(), ParseFilterError> {
        let Some(groups) = self.behind else { return Ok(()) };
        self.check_open(group, start)?;
        if group >= groups {
            return Err(ParseFilterError::malformed(
                start,
                "cannot refer to group defined in the same lookbehind subpattern",
            ));
        }
        Ok(())
    }

    fn look_behind(&mut self, flags: Flags, start: usize) -> Result<Node, ParseFilterError> {
        let negated = match self.next() {
            Some('=') => false,
            Some('!') => true,
            Some(_) => return Err(self.unknown_extension(start)),
            None => return Err(ParseFilterError::malformed(self.at, "unexpected end of pattern")),
        };
        let outer = self.behind;
        self.behind = outer.or(Some(self.groups.len()));
        let body = self.body(flags, start)?;
        self.behind = outer;
        let width = body.width(&self.groups);
        if width.min != width.max {
            return Err(ParseFilterError::malformed(start, "look-behind requires fixed-width pattern"));
        }
        Ok(Node::Look(Look { behind: true, negated }, body))
    }

    /// `(?(1)yes|no)` and `(?(name)yes|no)`.
    fn condition(&mut self, flags: Flags, start: usize) -> Result<Node, ParseFilterError> {
        let at = self.at;
        let name = self.until(')')?;
        let group = if is_identifier(&name) {
            let unknown =
                ParseFilterError { problem: Problem::UnknownName(name.clone()), position: Some(at) };
            self.group_of(&name).ok_or(unknown)?
        } else {
            let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
            let number = name.parse().ok().filter(|_| is_number);
            number.ok_or(ParseFilterError { problem: Problem::BadName(name), position: Some(at) })?
        };
        if group == 0 {
            return Err(ParseFilterError::malformed(at, "bad group number"));
        }
        self.asked.push((group, at));
        self.check_behind(group, at)?;
        let yes = self.sequence(flags, false)?;
        let no = if self.take('|') { self.sequence(flags, false)? } else { Node::Sequence(Vec::new()) };
        if self.peek() == Some('|') {
            return Err(ParseFilterError::malformed(
                self.at,
                "conditional backref with more than two branches",
            ));
        }
        self.close(start)?;
        Ok(Node::Condition(group, Box::new(yes), Box::new(no)))
    }

    fn comment(&mut self, start: usize) -> Result<(), ParseFilterError> {
        loop {
            match self.next() {
                Some(')') => return Ok(()),
                Some('\\') => self.at += 1,
                Some(_) => {}
                None => return Err(ParseFilterError::malformed(start, "missing ), unterminated comment")),
            }
        }
    }

    /// `(?i)`, at the beginning only, and `(?i-s:...)`.
    fn flagged(
        &mut self,
        first: char,
        flags: Flags,
        start: usize,
        may_set_flags: bool,
    ) -> Result<Option<Node>, ParseFilterError> {
        let mut next = Some(first);
        let added = self.flag_letters(&mut next)?;
        if next == Some(')') {
            if !may_set_flags {
                return Err(ParseFilterError::malformed(
                    start,
                    "global flags not at the start of the expression",
                ));
            }
            self.flags = self.flags.with(added);
            if self.flags.has(Flags::ASCII) && self.flags.has(Flags::UNICODE) {
                return Err(ParseFilterError::malformed(start, "ASCII and UNICODE flags are incompatible"));
            }
            return Ok(None);
        }
        let mut removed = Flags::default();
        if next == Some('-') {
            next = self.next();
            removed = self.flag_letters(&mut next)?;
            if removed == Flags::default() {
                return Err(ParseFilterError::malformed(start, "missing flag"));
            }
        }
        if next != Some(':') {
            return Err(ParseFilterError::malformed(start, "missing :"));
        }
        let kinds = Flags::ASCII.with(Flags::UNICODE);
        if removed.has(kinds) {
            return Err(ParseFilterError::malformed(
                start,
                "bad inline flags: cannot turn off flags 'a', 'u' and 'L'",
            ));
        }
        if added.has(removed) {
            return Err(ParseFilterError::malformed(start, "bad inline flags: flag turned on and off"));
        }
        let kept = if added.has(kinds) { flags.without(kinds) } else { flags };
        Ok(Some(Node::Plain(self.body(kept.with(added).without(removed), start)?)))
    }

    /// Reads letters up to another character, which is left in `next`.
    fn flag_letters(&mut self, next: &mut Option<char>) -> Result<Flags, ParseFilterError> {
        let mut flags = Flags::default();
        loop {
            let flag = match *next {
                Some('a') => Flags::ASCII,
                Some('i') => Flags::IGNORE_CASE,
                Some('m') => Flags::MULTI_LINE,
                Some('s') => Flags::DOT_ALL,
                Some('u') => Flags::UNICODE,
                Some('x') => Flags::VERBOSE,
                Some('L') => {
                    return Err(ParseFilterError::malformed(
                        self.at,
                        "bad inline flags: cannot use 'L' flag with a str pattern",
                    ));
                }
                Some(')' | '-' | ':') => return Ok(flags),
                Some(c) if c.is_alphabetic() => {
                    return Err(ParseFilterError::malformed(self.at - 1, "unknown flag"));
                }
                _ => return Err(ParseFilterError::malformed(self.at, "missing -, : or )")),
            };
            flags = flags.with(flag);
            if flags.has(Flags::ASCII) && flags.has(Flags::UNICODE) {
                return Err(ParseFilterError::malformed(
                    self.at,
                    "bad inline flags: flags 'a', 'u' and 'L' are incompatible",
                ));
            }
            *next = self.next();
        }
    }

    fn name(&mut self, end: char) -> Result<String, ParseFilterError> {
        let at = self.at;
        let name = self.until(end)?;
        if is_identifier(&name) {
            Ok(name)
        } else {
            Err(ParseFilterError { problem: Problem::BadName(name), position: Some(at) })
        }
    }

    fn until(&mut self, end: char) -> Result<String, ParseFilterError> {
        let start = self.at;
        while self.peek().is_some_and(|c| c != end) {
            self.at += 1;
        }
        let name = self.text(start);
        if !self.take(end) {
            return Err(ParseFilterError::malformed(start, "unterminated group name"));
        }
        if name.is_empty() { Err(ParseFilterError::malformed(start, "missing group name")) } else { Ok(name) }
    }

    fn group_of(&self, name: &str) -> Option<usize> {
        self.names.iter().find(|(other, _)| other == name).map(|(_, group)| *group)
    }

    fn unknown_extension(&self, start: usize) -> ParseFilterError {
        let problem = Problem::UnknownExtension(self.text(start + 2));
        ParseFilterError { problem, position: Some(start) }
    }
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
}
