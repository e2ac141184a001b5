//! Buckets, keys and the `s3://` URIs made of them.
//!
//! A key is opaque: nothing in it is decoded, normalised or trimmed here, since what is authorised must be
//! exactly what is signed. The one refusal is a path segment `.` or `..`: browsers, proxies and file-backed
//! S3 servers rewrite such paths, so that another object than the authorised one would be asked for.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The name of a bucket, or the alias of an access point.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String")]
pub struct Bucket(Arc<str>);

/// The key of an object: 1 to 1024 bytes of UTF-8.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ObjectKey(Arc<str>);

/// One object: `s3://bucket/key`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectUri {
    /// The bucket.
    pub bucket: Bucket,
    /// The key in it.
    pub key: ObjectKey,
}

/// One object, or all objects under a prefix: `s3://bucket/key`, `s3://bucket/prefix/*`, `s3://bucket/*`.
///
/// Only a final `/*` is special, so `s3://bucket/a*b` is one object whose key has a star in it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum ObjectPattern {
    /// Exactly this object.
    Object(ObjectUri),
    /// Every key of the bucket that starts with the prefix, which is empty or ends in `/`.
    Prefix {
        /// The bucket.
        bucket: Bucket,
        /// Empty, or ending in `/`.
        prefix: Arc<str>,
    },
}

/// Why a text is not a bucket, a key or a URI.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseObjectError {
    /// Not of the form `s3://bucket/key`.
    #[error("not of the form s3://bucket/key")]
    Scheme,
    /// S3 bucket names have 3 to 63 letters, digits, dots and hyphens (older ones underscores too).
    #[error("a bucket name has 3 to 63 letters, digits, dots, hyphens or underscores")]
    Bucket,
    /// A key has at least one byte.
    #[error("the key is empty")]
    KeyEmpty,
    /// A key has at most 1024 bytes.
    #[error("the key is longer than 1024 bytes")]
    KeyTooLong,
    /// NUL cannot be carried in XML, which is how S3 lists keys.
    #[error("the key has a NUL byte")]
    KeyNul,
    /// `.` and `..` segments are rewritten on the way by browsers and proxies.
    #[error("the key has a path segment \".\" or \"..\"")]
    KeyDotSegment,
}

impl Bucket {
    /// Parses a bucket name.
    ///
    /// Source: Amazon S3 User Guide, "General purpose bucket naming rules". Capitals and underscores are
    /// taken too, since buckets made before 2018 and S3-compatible servers have them.
    pub fn parse(text: &str) -> Result<Self, ParseObjectError> {
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_".contains(byte);
        if (3..=63).contains(&bytes.len())
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(inner)
            && !text.contains("..")
        {
            Ok(Self(text.into()))
        } else {
            Err(ParseObjectError::Bucket)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ObjectKey {
    /// The longest key in bytes (Amazon S3 User Guide, "Naming Amazon S3 objects").
    pub const MAX_LEN: usize = 1024;

    /// Checks a key and keeps it as it is.
    pub fn parse(text: &str) -> Result<Self, ParseObjectError> {
        match text {
            "" => Err(ParseObjectError::KeyEmpty),
            _ if text.len() > Self::MAX_LEN => Err(ParseObjectError::KeyTooLong),
            _ if text.contains('\0') => Err(ParseObjectError::KeyNul),
            _ if text.split('/').any(|segment| matches!(segment, "." | "..")) => {
                Err(ParseObjectError::KeyDotSegment)
            }
            _ => Ok(Self(text.into())),
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the last `/`; empty where the key ends in one.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl ObjectUri {
    /// Parses `s3://bucket/key`: the bucket ends at the first `/`, the rest is the key, verbatim.
    pub fn parse(text: &str) -> Result<Self, ParseObjectError> {
        let (bucket, key) = split(text)?;
        Ok(Self { bucket: Bucket::parse(bucket)?, key: ObjectKey::parse(key)? })
    }
}

impl ObjectPattern {
    /// Parses one entry of a token's `objects`.
    pub fn parse(text: &str) -> Result<Self, ParseObjectError> {
        let (bucket, key) = split(text)?;
        let prefix = match key {
            "*" => Some(""),
            _ => key.strip_suffix('*').filter(|prefix| prefix.ends_with('/')),
        };
        let bucket = Bucket::parse(bucket)?;
        match prefix {
            None => Ok(Self::Object(ObjectUri { bucket, key: ObjectKey::parse(key)? })),
            Some("") => Ok(Self::Prefix { bucket, prefix: "".into() }),
            Some(prefix) => {
                ObjectKey::parse(prefix)?;
                Ok(Self::Prefix { bucket, prefix: prefix.into() })
            }
        }
    }

    /// Whether the object is this one, or under this prefix.
    pub fn covers(&self, bucket: &Bucket, key: &ObjectKey) -> bool {
        match self {
            Self::Object(uri) => uri.bucket == *bucket && uri.key == *key,
            Self::Prefix { bucket: own, prefix } => own == bucket && key.0.starts_with(&**prefix),
        }
    }
}

impl TryFrom<String> for Bucket {
    type Error = ParseObjectError;

    fn try_from(text: String) -> Result<Self, ParseObjectError> {
        Self::parse(&text)
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ObjectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

impl fmt::Display for ObjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(uri) => uri.fmt(f),
            Self::Prefix { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}*"),
        }
    }
}

fn split(text: &str) -> Result<(&str, &str), ParseObjectError> {
    text.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).ok_or(ParseObjectError::Scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_verbatim() {
        for key in
            ["a", "a//b", "/a", "a?b#c%2e+d e", "ünï/ключ.png", "a/", "a\nb", "...", "a/.../b", ".hidden"]
        {
            let uri = format!("s3://media/{key}");
            let parsed = ObjectUri::parse(&uri).unwrap();
            assert_eq!(parsed.key.as_str(), key);
            assert_eq!(parsed.to_string(), uri);
        }
    }

    #[test]
    fn what_is_refused() {
        let long = format!("s3://media/{}", "k".repeat(1025));
        for (text, want) in [
            ("s3://media", ParseObjectError::Scheme),
            ("S3://media/k", ParseObjectError::Scheme),
            ("s3a://media/k", ParseObjectError::Scheme),
            ("s3://media/", ParseObjectError::KeyEmpty),
            ("s3:///k", ParseObjectError::Bucket),
            ("s3://me/k", ParseObjectError::Bucket),
            ("s3://a..b/k", ParseObjectError::Bucket),
            ("s3://-ab/k", ParseObjectError::Bucket),
            ("s3://media/a/../b", ParseObjectError::KeyDotSegment),
            ("s3://media/..", ParseObjectError::KeyDotSegment),
            ("s3://media/./a", ParseObjectError::KeyDotSegment),
            ("s3://media/a\0", ParseObjectError::KeyNul),
            (long.as_str(), ParseObjectError::KeyTooLong),
        ] {
            assert_eq!(ObjectUri::parse(text), Err(want), "{text}");
        }
    }

    #[test]
    fn patterns_cover_one_object_or_a_prefix() {
        for (pattern, key, want) in [
            ("s3://media/a/b.png", "a/b.png", true),
            ("s3://media/a/b.png", "a/b.pngx", false),
            ("s3://media/a/*", "a/b", true),
            ("s3://media/a/*", "a/", true),
            ("s3://media/a/*", "ab", false),
            ("s3://media/a/*", "a", false),
            ("s3://media/*", "anything/at/all", true),
            ("s3://media/a*", "ab", false),
            ("s3://media/a*", "a*", true),
            ("s3://other/*", "a", false),
        ] {
            let bucket = Bucket::parse("media").unwrap();
            let key = ObjectKey::parse(key).unwrap();
            assert_eq!(ObjectPattern::parse(pattern).unwrap().covers(&bucket, &key), want, "{pattern} {key}");
        }
        assert_eq!(ObjectPattern::parse("s3://media/../*"), Err(ParseObjectError::KeyDotSegment));
    }
}
