//! `[...]`: how Python reads it, and how it is written for the engine.

use super::{
    ParseFilterError, Problem,
    escape::Escape,
    parse::Parser,
    syntax::{Class, ClassKind, Flags, Fold, Set},
    translate::write_char,
};

impl Parser {
    /// Reads the rest of a set, after its `[`.
    pub(super) fn set(&mut self, flags: Flags) -> Result<Set, ParseFilterError> {
        let start = self.at - 1;
        let negated = self.take('^');
        let mut set = Set { negated, fold: flags.fold(), ranges: Vec::new(), classes: Vec::new() };
        let unterminated = || ParseFilterError::malformed(start, "unterminated character set");
        while !self.take_closing(&set) {
            let at = self.at;
            let first = self.set_item(flags)?.ok_or_else(unterminated)?;
            // A hyphen before the end is itself.
            if self.peek() != Some('-') || self.peek_at(1) == Some(']') {
                set.add(first);
                continue;
            }
            self.at += 1;
            let last = self.set_item(flags)?.ok_or_else(unterminated)?;
            match (first, last) {
                (Escape::Char(first), Escape::Char(last)) if first <= last => set.ranges.push((first, last)),
                (first, last) => {
                    let problem = Problem::BadRange(first.to_string(), last.to_string());
                    return Err(ParseFilterError { problem, position: Some(at) });
                }
            }
        }
        refuse_rare_folding(&set, start)?;
        Ok(set)
    }

    /// A `]` is itself where a set begins.
    fn take_closing(&mut self, set: &Set) -> bool {
        !(set.ranges.is_empty() && set.classes.is_empty()) && self.take(']')
    }

    fn set_item(&mut self, flags: Flags) -> Result<Option<Escape>, ParseFilterError> {
        match self.next() {
            Some('\\') => self.set_escape(flags).map(Some),
            other => Ok(other.map(Escape::Char)),
        }
    }
}

impl Set {
    fn add(&mut self, item: Escape) {
        match item {
            Escape::Char(c) => self.ranges.push((c, c)),
            Escape::Class(class) => self.classes.push(class),
        }
    }
}

/// Python looks letters beyond U+FFFF up in a set without folding them first.
fn refuse_rare_folding(set: &Set, position: usize) -> Result<(), ParseFilterError> {
    const CASED: (char, char) = ('\u{10400}', '\u{1E943}');
    let is_rare = |(first, last): &(char, char)| *first <= CASED.1 && *last >= CASED.0;
    if set.fold == Fold::Unicode && set.ranges.iter().any(is_rare) {
        let problem =
            Problem::Unsupported("(?i) over a set of letters beyond U+FFFF", "write both cases out");
        return Err(ParseFilterError { problem, position: Some(position) });
    }
    Ok(())
}

/// Writes a set as one expression that takes one character.
pub(super) fn write_set(out: &mut String, set: &Set) {
    let Set { negated, fold, .. } = *set;
    let all = Members { negated, fold, ranges: &set.ranges, classes: &set.classes };
    // The engine folds classes too, and Python does not: `\W` has U+0345, which folds to a letter.
    if fold != Fold::Unicode || set.ranges.is_empty() || set.classes.is_empty() {
        return all.write(out);
    }
    out.push_str(if negated { "(?:(?!" } else { "(?:" });
    Members { negated: false, classes: &[], ..all }.write(out);
    out.push('|');
    Members { negated: false, fold: Fold::No, ranges: &[], ..all }.write(out);
    out.push_str(if negated { ")(?s:.))" } else { ")" });
}

struct Members<'a> {
    negated: bool,
    fold: Fold,
    ranges: &'a [(char, char)],
    classes: &'a [Class],
}

impl Members<'_> {
    fn write(&self, out: &mut String) {
        let folds = self.fold == Fold::Unicode && !self.ranges.is_empty();
        out.push_str(if folds { "(?i:[" } else { "[" });
        if self.negated {
            out.push('^');
        }
        for range in self.ranges {
            write_range(out, *range);
            match self.fold {
                Fold::No => {}
                Fold::Ascii => write_other_case(out, *range),
                Fold::Unicode => write_dotless(out, *range),
            }
        }
        for class in self.classes {
            out.push_str(class_text(*class));
        }
        out.push_str(if folds { "])" } else { "]" });
    }
}

fn write_range(out: &mut String, (first, last): (char, char)) {
    write_char(out, first);
    if first != last {
        out.push('-');
        write_char(out, last);
    }
}

/// The ASCII letters of the range in their other case.
fn write_other_case(out: &mut String, (first, last): (char, char)) {
    for (from, to, distance) in [('a', 'z', -32), ('A', 'Z', 32)] {
        let (first, last) = (first.max(from), last.min(to));
        let other = |c: char| u32::from(c).checked_add_signed(distance).and_then(char::from_u32);
        if first <= last
            && let (Some(first), Some(last)) = (other(first), other(last))
        {
            write_range(out, (first, last));
        }
    }
}

/// Python takes these four for one letter; Unicode's simple folding, which the engine has, does not. They are the
/// only ones (compared one by one, `_casefix.py` of 3.11).
fn write_dotless(out: &mut String, (first, last): (char, char)) {
    const ONE_LETTER: [char; 4] = ['i', 'I', '\u{130}', '\u{131}'];
    if ONE_LETTER.iter().any(|c| (first..=last).contains(c)) {
        out.extend(ONE_LETTER);
    }
}

/// `\w` is letters, numbers and `_`; `\s` has four separators that are no white space by Unicode.
fn class_text(class: Class) -> &'static str {
    match (class.kind, class.ascii, class.negated) {
        (ClassKind::Digit, false, false) => "\\p{Nd}",
        (ClassKind::Digit, false, true) => "\\P{Nd}",
        (ClassKind::Digit, true, false) => "0-9",
        (ClassKind::Digit, true, true) => "[^0-9]",
        (ClassKind::Word, false, false) => "\\p{L}\\p{N}_",
        (ClassKind::Word, false, true) => "[^\\p{L}\\p{N}_]",
        (ClassKind::Word, true, false) => "0-9A-Z_a-z",
        (ClassKind::Word, true, true) => "[^0-9A-Z_a-z]",
        (ClassKind::Space, false, false) => "\\p{White_Space}\\x{1C}-\\x{1F}",
        (ClassKind::Space, false, true) => "[^\\p{White_Space}\\x{1C}-\\x{1F}]",
        (ClassKind::Space, true, false) => "\\x{9}-\\x{D}\\x{20}",
        (ClassKind::Space, true, true) => "[^\\x{9}-\\x{D}\\x{20}]",
    }
}
