//! Tokens and subjects that are no longer honoured.
//!
//! A list of JSON lines: `{"jti":"..","exp":1700000000}` revokes one token (and may be dropped after `exp`),
//! `{"sub":"..","before":1700000000}` all tokens of a subject that were issued until then. A line that cannot be
//! read is an error and not skipped: it may be the one that matters.

use std::{
    collections::{HashMap, HashSet},
    fs::OpenOptions,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{
    claims::Claims,
    config::{BuildError, read},
};

/// What is revoked.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    tokens: HashSet<Box<str>>,
    /// The cutoff: tokens issued at it or before are revoked.
    subjects: HashMap<Box<str>, SystemTime>,
}

/// One entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Revocation {
    /// One token.
    Token {
        /// Its `jti` claim.
        jti: String,
    },
    /// All tokens of a subject of some age.
    Subject {
        /// Their `sub` claim.
        sub: String,
        /// Those issued at this moment or before.
        before: SystemTime,
    },
}

/// A line that is no entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line} is neither {{\"jti\":..,\"exp\":..}} nor {{\"sub\":..,\"before\":..}}")]
pub struct ParseRevocationsError {
    /// Counted from one.
    pub line: usize,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
}

impl Revocations {
    /// Reads lines; blank ones are skipped, and so are tokens whose `exp` has come by `now`.
    pub fn parse(text: &str, now: SystemTime) -> Result<Self, ParseRevocationsError> {
        let mut revocations = Self::default();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let bad = ParseRevocationsError { line: number + 1 };
            let line: Line = serde_json::from_str(line).map_err(|_| bad)?;
            match (line.jti, line.exp, line.sub, line.before) {
                (Some(_), Some(exp), None, None) if since_epoch(exp).ok_or(bad)? <= now => {}
                (Some(jti), _, None, None) => {
                    revocations.add(Revocation::Token { jti });
                }
                (None, None, Some(sub), Some(before)) => {
                    let before = since_epoch(before).ok_or(bad)?;
                    revocations.add(Revocation::Subject { sub, before });
                }
                _ => return Err(bad),
            }
        }
        Ok(revocations)
    }

    /// Adds an entry to what is in memory; says whether it revokes anything more than before.
    pub fn add(&mut self, revocation: Revocation) -> bool {
        match revocation {
            Revocation::Token { jti } => self.tokens.insert(jti.into()),
            Revocation::Subject { sub, before } => {
                let known = self.subjects.insert(sub.as_str().into(), before);
                let latest = known.map_or(before, |known| known.max(before));
                self.subjects.insert(sub.into(), latest);
                known != Some(latest)
            }
        }
    }

    /// Adds an entry to a file, which is made where there is none, and returns when it is on disk.
    pub fn append(path: &Path, revocation: &Revocation) -> io::Result<()> {
        let line = match revocation.clone() {
            Revocation::Token { jti } => Line { jti: Some(jti), ..Line::default() },
            Revocation::Subject { sub, before } => {
                let before = before.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                Line { sub: Some(sub), before: Some(before), ..Line::default() }
            }
        };
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        // A file edited by hand may lack its last line break, and one write keeps two writers' lines apart.
        let glue = if ends_within_line(&mut file)? { "\n" } else { "" };
        file.write_all(format!("{glue}{}\n", serde_json::to_string(&line)?).as_bytes())?;
        file.sync_all()
    }

    /// Reads the file.
    pub(super) fn load(path: &Path, now: SystemTime) -> Result<Self, BuildError> {
        let bad = |source| BuildError::Revocations { path: path.to_owned(), source };
        Self::parse(&read(path)?, now).map_err(bad)
    }

    /// Whether a token is revoked. One without `iat` could be of any age, so a revoked subject revokes it.
    pub(super) fn revoke(&self, claims: &Claims) -> bool {
        let by_id = claims.token_id.as_deref().is_some_and(|jti| self.tokens.contains(jti));
        let cutoff = claims.subject.as_deref().and_then(|sub| self.subjects.get(sub));
        by_id || cutoff.is_some_and(|cutoff| claims.issued_at.is_none_or(|issued_at| issued_at <= *cutoff))
    }
}

/// The first 16 hexadecimal digits of the SHA-256, which names a token in a log without giving its id away.
pub(super) fn short_hash(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    let first = hash.as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes);
    format!("{first:016x}")
}

fn ends_within_line(file: &mut std::fs::File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn since_epoch(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_entries_or_errors() {
        let now = since_epoch(1000).unwrap();
        for (text, want) in [
            ("", Ok((0, 0))),
            ("\n\n", Ok((0, 0))),
            ("{\"jti\":\"a\",\"exp\":1001}\n{\"jti\":\"b\"}", Ok((2, 0))),
            ("{\"jti\":\"a\",\"exp\":1000}", Ok((0, 0))),
            ("{\"sub\":\"x\",\"before\":5}\r\n{\"sub\":\"x\",\"before\":3}", Ok((0, 1))),
            ("{\"jti\":\"a\"}\n\n{\"jti\":", Err(3)),
            ("jti", Err(1)),
            ("{}", Err(1)),
            ("{\"jti\":1}", Err(1)),
            ("{\"jti\":\"a\",\"exp\":-1}", Err(1)),
            ("{\"jti\":\"a\",\"exp\":18446744073709551615}", Err(1)),
            ("{\"jti\":\"a\",\"sub\":\"x\",\"before\":5}", Err(1)),
            ("{\"sub\":\"x\"}", Err(1)),
            ("{\"jit\":\"a\"}", Err(1)),
            ("{\"jti\":\"a\",\"jti\":\"b\"}", Err(1)),
        ] {
            let got = Revocations::parse(text, now);
            let got = got.map(|list| (list.tokens.len(), list.subjects.len())).map_err(|error| error.line);
            assert_eq!(got, want, "{text:?}");
        }
    }

    #[test]
    fn the_latest_cutoff_of_a_subject_counts() {
        let text = "{\"sub\":\"x\",\"before\":5}\n{\"sub\":\"x\",\"before\":3}";
        let list = Revocations::parse(text, UNIX_EPOCH).unwrap();
        assert_eq!(list.subjects.get("x"), Some(&since_epoch(5).unwrap()));
    }

    #[test]
    fn appended_lines_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("revoked.jsonl");
        Revocations::append(&path, &Revocation::Token { jti: "quo\"te\n".to_owned() }).unwrap();
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"jti\":\"by hand\"}");
        std::fs::write(&path, &text).unwrap();
        let subject = Revocation::Subject { sub: "ann".to_owned(), before: since_epoch(7).unwrap() };
        Revocations::append(&path, &subject).unwrap();
        let list = Revocations::load(&path, UNIX_EPOCH).unwrap();
        assert!(list.tokens.contains("quo\"te\n") && list.tokens.contains("by hand"), "{list:?}");
        assert_eq!(list.subjects.get("ann"), Some(&since_epoch(7).unwrap()));
    }
}
