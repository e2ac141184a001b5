//! Which keys of a listing are meant: a regular expression with the semantics of Python's `re.match`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A filter on whole keys. It must match at their beginning and need not reach their end, as Label Studio's does.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyFilter {
    text: Box<str>,
    regex: fancy_regex::Regex,
}

/// Why a text is no filter.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a regular expression: {0}")]
pub struct ParseFilterError(Box<str>);

impl KeyFilter {
    /// Compiles the expression.
    pub fn parse(text: &str) -> Result<Self, ParseFilterError> {
        let regex = fancy_regex::Regex::new(&format!("^(?:{text})"))
            .map_err(|error| ParseFilterError(error.to_string().into()))?;
        Ok(Self { text: text.into(), regex })
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the key is meant. An expression that takes too long on a key does not match it.
    pub fn matches(&self, key: &str) -> bool {
        self.regex.is_match(key).unwrap_or(false)
    }
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
