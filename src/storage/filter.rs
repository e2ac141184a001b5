//! Which keys of a listing are meant: a regular expression with the semantics of Python's `re.match`.
//!
//! People bring these expressions from Label Studio, which is Python, so they mean what Python 3.11 makes of them.
//! An expression is parsed as Python parses it and written again for `fancy_regex`, with everything spelled out that
//! the two would read differently. What cannot be spelled is refused by [`KeyFilter::parse`], never taken for something
//! else. `tests/python/filters.py` asks the real `re` about some hundred expressions, and a test compares.
//!
//! One difference stays: properties of characters are those of the Unicode version of `regex-syntax` (16), which knows
//! some letters that Python 3.11 (14) does not.

mod escape;
mod group;
mod parse;
mod set;
mod syntax;
mod translate;

use std::fmt;

use fancy_regex::{Error, Regex, RegexBuilder, RegexInput};
use serde::{Deserialize, Serialize};

/// A filter on whole keys. It must match at their beginning and need not reach their end, as Label Studio's does.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyFilter {
    text: Box<str>,
    regex: Regex,
    /// The same for keys that end in a newline, before which `$` matches too. Only present where it differs, so that
    /// the usual `.*\.jpe?g$` is left to an engine that takes linear time.
    before_newline: Option<Regex>,
}

/// Why a text is no filter, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a regular expression: {problem}{}", place(*.position))]
pub struct ParseFilterError {
    problem: Problem,
    position: Option<usize>,
}

/// Why a filter could not judge a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MatchError {
    /// The expression backtracks too much on this key.
    #[error(
        "the file name filter takes too many steps on a key; avoid repeats within repeats, such as (a+)+"
    )]
    TooHard,
}

/// What is wrong with an expression, in Python's words where they are its errors.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
enum Problem {
    #[error("it is longer than {MAX_LEN} bytes")]
    TooLong,
    #[error("it is nested too deeply")]
    TooDeep,
    #[error("it grows too large when compiled; use smaller repeat counts")]
    TooLarge,
    #[error("{0}")]
    Malformed(&'static str),
    #[error("bad escape {0:?}")]
    BadEscape(String),
    #[error("bad character range {0:?}-{1:?}")]
    BadRange(String, String),
    #[error("bad character in group name {0:?}")]
    BadName(String),
    #[error("unknown group name {0:?}")]
    UnknownName(String),
    #[error("redefinition of group name {0:?}")]
    NameTwice(String),
    #[error("invalid group reference {0}")]
    UnknownGroup(usize),
    #[error("unknown extension ?{0}")]
    UnknownExtension(String),
    #[error("{0} is valid in Python, but not supported here; {1}")]
    Unsupported(&'static str, &'static str),
    #[error("the engine cannot run it ({0})")]
    Engine(String),
}

impl KeyFilter {
    /// Compiles the expression.
    pub fn parse(text: &str) -> Result<Self, ParseFilterError> {
        if text.len() > MAX_LEN {
            return Err(ParseFilterError { problem: Problem::TooLong, position: None });
        }
        let parsed = parse::parse(text)?;
        let plain = translate::translate(&parsed, translate::End::Text);
        let before_newline = translate::translate(&parsed, translate::End::FinalNewline);
        Ok(Self {
            text: text.into(),
            before_newline: (before_newline != plain).then(|| compile(&before_newline)).transpose()?,
            regex: compile(&plain)?,
        })
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the key is meant.
    pub fn matches(&self, key: &str) -> Result<bool, MatchError> {
        let regex = self.before_newline.as_ref().filter(|_| key.ends_with('\n')).unwrap_or(&self.regex);
        // The only errors of a compiled expression are its limits on backtracking.
        regex.is_match_input(RegexInput::new(key).anchored(true)).map_err(|_| MatchError::TooHard)
    }
}

impl ParseFilterError {
    fn malformed(position: usize, problem: &'static str) -> Self {
        Self { problem: Problem::Malformed(problem), position: Some(position) }
    }
}

fn compile(pattern: &str) -> Result<Regex, ParseFilterError> {
    RegexBuilder::new(pattern)
        .backtrack_limit(MAX_STEPS)
        .delegate_size_limit(MAX_COMPILED)
        .delegate_dfa_size_limit(MAX_COMPILED)
        .max_prog_size(MAX_INSTRUCTIONS)
        .build()
        .map_err(|error| ParseFilterError { problem: refusal(&error), position: None })
}

/// Positions of the engine are those of what it was given, not of what was written, so they are left out.
fn refusal(error: &Error) -> Problem {
    use fancy_regex::{CompileError, ParseError};
    match error {
        Error::ParseError(_, ParseError::RecursionExceeded) => Problem::TooDeep,
        Error::ParseError(_, error) => Problem::Engine(error.to_string()),
        Error::CompileError(error) => match &**error {
            CompileError::PatternTooComplex => Problem::TooLarge,
            CompileError::InnerError(inner) if inner.size_limit().is_some() => Problem::TooLarge,
            other => Problem::Engine(other.to_string().replace('\n', " ")),
        },
        other => Problem::Engine(other.to_string()),
    }
}

fn place(position: Option<usize>) -> String {
    position.map(|at| format!(" at position {at}")).unwrap_or_default()
}

impl PartialEq for KeyFilter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for KeyFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyFilter").field(&self.text).finish()
    }
}

impl TryFrom<String> for KeyFilter {
    type Error = ParseFilterError;

    fn try_from(text: String) -> Result<Self, ParseFilterError> {
        Self::parse(&text)
    }
}

impl From<KeyFilter> for String {
    fn from(filter: KeyFilter) -> Self {
        filter.text.into()
    }
}

/// The longest expression in bytes.
const MAX_LEN: usize = 1000;
/// How often an expression may go back on one key: some tens of milliseconds.
const MAX_STEPS: usize = 500_000;
/// Bytes of one compiled automaton, and of its cache.
const MAX_COMPILED: usize = 2 * 1024 * 1024;
/// Instructions of the backtracking machine.
const MAX_INSTRUCTIONS: usize = 20_000;

#[cfg(test)]
mod tests;
