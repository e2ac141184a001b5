//! Two lists made one: Label Studio's entries of other types stay to the byte.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Where an entry says its type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Key {
    /// A storage, under `type`.
    Type,
    /// A type that is offered, under `name`.
    Name,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

/// Ours, then those of theirs that are not of our types; `None` where one of the two is no list.
pub(super) fn merge(ours: &[u8], theirs: &[u8], key: Key) -> Option<Vec<u8>> {
    let mut entries: Vec<&RawValue> = serde_json::from_slice(ours).ok()?;
    let theirs: Vec<&RawValue> = serde_json::from_slice(theirs).ok()?;
    entries.extend(theirs.into_iter().filter(|entry| !is_of_our_types(entry, key)));
    serde_json::to_vec(&entries).ok()
}

fn is_of_our_types(entry: &RawValue, key: Key) -> bool {
    serde_json::from_str(entry.get()).is_ok_and(|entry: Entry<'_>| {
        let word = match key {
            Key::Type => entry.r#type,
            Key::Name => entry.name,
        };
        matches!(word.as_deref(), Some("s3" | "s3s"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_is_ours_and_the_rest_stays_to_the_byte() {
        let gcs = r#"{"id":1,  "type":"gcs","name":"s3","big":123456789012345678901234567890}"#;
        for (key, ours, theirs, want) in [
            (Key::Type, "[]", "[]", "[]".to_owned()),
            (
                Key::Type,
                "[{\"id\":9}]",
                &format!("[{{\"type\":\"s3\"}},{gcs}]"),
                format!("[{{\"id\":9}},{gcs}]"),
            ),
            (
                Key::Type,
                "[]",
                r#"[{"type":"\u0073\u0033"},{"type":"s3s"},{"type":"S3"}]"#,
                r#"[{"type":"S3"}]"#.to_owned(),
            ),
            (Key::Type, "[]", r#"[null,7,{"type":5},{}]"#, r#"[null,7,{"type":5},{}]"#.to_owned()),
            (Key::Name, "[]", &format!("[{gcs}]"), "[]".to_owned()),
        ] {
            let merged = merge(ours.as_bytes(), theirs.as_bytes(), key).unwrap();
            assert_eq!(String::from_utf8(merged).unwrap(), want, "{theirs}");
        }
        for theirs in ["{}", "", "[", "null", "[]x"] {
            assert_eq!(merge(b"[]", theirs.as_bytes(), Key::Type), None, "{theirs}");
        }
    }
}
