//! What a request asks for: an object, or something of the upstream's.
//!
//! Two spellings name an object: our own `/media/{bucket}/{key}`, and Label Studio's
//! `/tasks|projects/{id}/resolve|presign?fileuri=`. The key is decoded exactly once and then opaque.
//!
//! Label Studio's paths guard objects, so no spelling of them may slip through to an upstream that reads it
//! as one of them. They are therefore matched as a lenient server would read them: decoded, without empty and
//! `.` segments. Servers disagree on what `..` removes from a path with encoded slashes, so such a path is
//! refused where it might become one of theirs. `/media/` means nothing to an upstream and is matched as it
//! stands. An upstream that lives under a [`PathPrefix`] is guarded there too.

use std::borrow::Cow;

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::Uri;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::{
    id::{ParseIdError, ProjectId, TaskId},
    object::{Bucket, ObjectKey, ObjectUri, ParseObjectError},
};

/// Where a request goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Route {
    /// One object.
    Media(MediaRoute),
    /// To the upstream: every path that is not ours.
    Forward,
}

/// A request for one object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MediaRoute {
    /// The spelling it came in.
    pub kind: RouteKind,
    /// What is authorised, located and signed.
    pub object: ObjectUri,
    /// In whose name the path asks, which a token for another task or project does not cover.
    pub scope: Option<Scope>,
}

/// The spellings of a request for an object; a closed set, so that it may be a metric label.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RouteKind {
    /// `/media/{bucket}/{key}`
    Media,
    /// `/tasks/{id}/resolve` and `/projects/{id}/resolve`
    Resolve,
    /// The same under `presign`, which older task data has.
    Presign,
}

/// The task or project in the path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// `/tasks/{id}/`
    Task(TaskId),
    /// `/projects/{id}/`
    Project(ProjectId),
}

/// Where the paths of the upstream begin: its script name, such as `/ls`, or nothing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct PathPrefix(Box<[Box<[u8]>]>);

/// A text that is no prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the beginning of a path; write it as /ls, without an encoded, empty, \".\" or \"..\" segment")]
pub struct ParsePrefixError;

/// Why a path that is ours names no object.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseRouteError {
    /// `fileuri` absent or empty.
    #[error("the query has no fileuri")]
    FileUriMissing,
    /// Two `fileuri`, of which another reader may take the other.
    #[error("the query has more than one fileuri")]
    FileUriDuplicated,
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("the object is not encoded as UTF-8 in valid percent-encoding or base64")]
    Encoding,
    /// A `..` that may turn the path into one of Label Studio's; browsers remove it before they send.
    #[error("the path has a segment \"..\"")]
    PathDotSegment,
    /// The task or project is not an id.
    #[error("the task or project is not an id")]
    Id(#[from] ParseIdError),
    /// Decoded, but not an object.
    #[error("what is asked for is not an object")]
    Object(#[from] ParseObjectError),
}

impl Route {
    /// Reads path and query; scheme, authority and method play no part.
    pub fn parse(uri: &Uri) -> Result<Self, ParseRouteError> {
        Self::parse_under(uri, &PathPrefix::default())
    }

    /// As [`parse`](Self::parse); Label Studio's paths may also stand under the prefix.
    pub fn parse_under(uri: &Uri, prefix: &PathPrefix) -> Result<Self, ParseRouteError> {
        if let Some((bucket, key)) = uri.path().strip_prefix("/media/").and_then(|rest| rest.split_once('/'))
        {
            let bucket = Bucket::parse(bucket)?;
            let key = ObjectKey::parse(&percent_decoded(key)?)?;
            let object = ObjectUri { bucket, key };
            return Ok(Self::Media(MediaRoute { kind: RouteKind::Media, object, scope: None }));
        }
        let Some((kind, scope)) = label_studio_path(uri.path(), prefix)? else {
            return Ok(Self::Forward);
        };
        let object = file_uri(uri.query().unwrap_or_default())?;
        Ok(Self::Media(MediaRoute { kind, object, scope: Some(scope) }))
    }
}

impl RouteKind {
    /// The label value of the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Media => "media",
            Self::Resolve => "resolve",
            Self::Presign => "presign",
        }
    }
}

impl TryFrom<String> for PathPrefix {
    type Error = ParsePrefixError;

    fn try_from(text: String) -> Result<Self, ParsePrefixError> {
        let text = text.strip_suffix('/').unwrap_or(&text);
        let Some(segments) = text.strip_prefix('/') else {
            return if text.is_empty() { Ok(Self::default()) } else { Err(ParsePrefixError) };
        };
        let plain = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|byte| byte.is_ascii_graphic() && !b"%?#".contains(&byte))
        };
        if !segments.split('/').all(plain) {
            return Err(ParsePrefixError);
        }
        Ok(Self(segments.split('/').map(|segment| segment.as_bytes().into()).collect()))
    }
}

impl std::fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|segment| write!(f, "/{}", String::from_utf8_lossy(segment)))
    }
}

impl PathPrefix {
    /// What follows the prefix, or all where the path does not begin with it.
    fn strip<'s, 'p>(&self, segments: &'s [&'p [u8]]) -> &'s [&'p [u8]] {
        match segments.split_at_checked(self.0.len()) {
            Some((head, rest)) if head.iter().zip(&self.0).all(|(one, own)| **one == **own) => rest,
            _ => segments,
        }
    }
}

/// `None` where the path is not one of Label Studio's four, in any spelling.
fn label_studio_path(path: &str, prefix: &PathPrefix) -> Result<Option<(RouteKind, Scope)>, ParseRouteError> {
    let path: Cow<'_, [u8]> = percent_decode_str(path).into();
    let mut segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    segments.retain(|segment| !matches!(*segment, b"" | b"."));
    if segments.contains(&b"..".as_slice()) && segments.iter().any(|segment| kind(segment).is_some()) {
        return Err(ParseRouteError::PathDotSegment);
    }
    // Under the prefix and without it: a proxy before the upstream may take either away.
    let guarded = [prefix.strip(&segments), &segments].into_iter().find_map(guarded);
    let Some((owner, id, kind)) = guarded else { return Ok(None) };
    let id = str::from_utf8(id).map_err(|_| ParseRouteError::Encoding)?;
    let scope = match owner {
        Owner::Task => Scope::Task(TaskId::parse(id)?),
        Owner::Project => Scope::Project(ProjectId::parse(id)?),
    };
    Ok(Some((kind, scope)))
}

/// Whose objects a path is about.
enum Owner {
    Task,
    Project,
}

fn guarded<'p>(segments: &[&'p [u8]]) -> Option<(Owner, &'p [u8], RouteKind)> {
    let [owner, id, verb] = segments else { return None };
    let owner = match *owner {
        b"tasks" => Owner::Task,
        b"projects" => Owner::Project,
        _ => return None,
    };
    Some((owner, id, kind(verb)?))
}

fn kind(segment: &[u8]) -> Option<RouteKind> {
    match segment {
        b"resolve" => Some(RouteKind::Resolve),
        b"presign" => Some(RouteKind::Presign),
        _ => None,
    }
}

/// The one `fileuri` of a query.
fn file_uri(query: &str) -> Result<ObjectUri, ParseRouteError> {
    let mut values = query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        percent_decode_str(name).eq("fileuri".bytes()).then_some(value)
    });
    match (values.next(), values.next()) {
        (None | Some(""), None) => Err(ParseRouteError::FileUriMissing),
        (Some(value), None) => decode_file_uri(value),
        (_, Some(_)) => Err(ParseRouteError::FileUriDuplicated),
    }
}

/// Base64 of the URI, or the URI itself; the two cannot be confused, since `:` and `%` are not base64.
///
/// Surrounding white space is dropped, as Label Studio does. A URI that still has no `s3://` after one decoding
/// was encoded twice. Label Studio decodes twice in any case, and so misses keys with a `%` in them.
fn decode_file_uri(value: &str) -> Result<ObjectUri, ParseRouteError> {
    // Here `+` is a digit of base64, which query encoding would read as a space.
    if let Some(bytes) = from_base64(&percent_decoded(value)?) {
        let text = String::from_utf8(bytes).map_err(|_| ParseRouteError::Encoding)?;
        return Ok(ObjectUri::parse(text.trim())?);
    }
    let spaced = value.replace('+', "%20");
    let once = percent_decoded(&spaced)?;
    let uri = if once.trim_start().starts_with("s3://") { once } else { percent_decoded(&once)? };
    Ok(ObjectUri::parse(uri.trim())?)
}

/// Decodes either alphabet, padded or not.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.iter().find_map(|engine| engine.decode(text).ok())
}

static BASE64: [GeneralPurpose; 2] =
    [GeneralPurpose::new(&URL_SAFE, PADDING_OPTIONAL), GeneralPurpose::new(&STANDARD, PADDING_OPTIONAL)];

const PADDING_OPTIONAL: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Decodes once, and refuses what a lenient decoder would leave as it is.
fn percent_decoded(text: &str) -> Result<Cow<'_, str>, ParseRouteError> {
    let escapes = |after: &str| matches!(after.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(escapes) {
        return Err(ParseRouteError::Encoding);
    }
    percent_decode_str(text).decode_utf8().map_err(|_| ParseRouteError::Encoding)
}

#[cfg(test)]
mod tests;
