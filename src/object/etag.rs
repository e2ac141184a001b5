//! Entity tags (RFC 9110 section 8.8.3): the name of one version of an object.
//!
//! A tag is kept as it came over the wire, so that what S3 said is what the client hears and what goes back
//! in `If-Match`. Nothing inside the quotes is interpreted: S3's tags look like digests and often are not.

use std::sync::Arc;

/// An entity tag, quotes and weakness mark included: `"d3b5"` or `W/"d3b5"`.
///
/// `==` compares the text. Comparing two versions of an object is [`strong_eq`](Self::strong_eq) or
/// [`weak_eq`](Self::weak_eq).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ETag(Arc<str>);

impl ETag {
    /// Parses one entity tag with nothing before or after it.
    pub fn parse(text: &str) -> Option<Self> {
        match Self::split_first(text)? {
            (tag, "") => Some(tag),
            _ => None,
        }
    }

    /// The tag as on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the tag only promises an equivalent object, not the same bytes.
    pub fn is_weak(&self) -> bool {
        self.0.starts_with(WEAK)
    }

    /// The same bytes: both strong and equal (RFC 9110 section 8.8.3.2).
    pub fn strong_eq(&self, other: &Self) -> bool {
        !self.is_weak() && self == other
    }

    /// An equivalent object: equal but for the weakness mark (RFC 9110 section 8.8.3.2).
    pub fn weak_eq(&self, other: &Self) -> bool {
        self.opaque() == other.opaque()
    }

    /// Parses the tag at the start of the text and returns what follows it.
    pub(super) fn split_first(text: &str) -> Option<(Self, &str)> {
        let inner = text.strip_prefix(WEAK).unwrap_or(text).strip_prefix('"')?;
        let (opaque, rest) = inner.split_once('"')?;
        let tag = text.get(..text.len() - rest.len())?;
        opaque.bytes().all(is_etagc).then(|| (Self(tag.into()), rest))
    }

    fn opaque(&self) -> &str {
        self.0.strip_prefix(WEAK).unwrap_or(&self.0)
    }
}

/// The weakness mark, which is case-sensitive.
const WEAK: &str = "W/";

/// RFC 9110 section 8.8.3; the quote is missing here because it ends the tag.
fn is_etagc(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_quoted_text() {
        for (text, want) in [
            (r#""d3b5""#, true),
            (r#""""#, true),
            (r#"W/"d3b5""#, true),
            (r#""9bb5-12""#, true),
            (r#""a,b""#, true),
            (r#""a\""#, true),
            (r#""é""#, true),
            ("", false),
            ("d3b5", false),
            ("*", false),
            (r#"""#, false),
            (r#""d3b5"#, false),
            (r#"d3b5""#, false),
            (r#""d3" "#, false),
            (r#" "d3""#, false),
            (r#""d 3""#, false),
            (r#""d"3""#, false),
            ("\"d\n3\"", false),
            ("\"d\x7f\"", false),
            (r#"w/"d3""#, false),
            (r#"W/ "d3""#, false),
            (r#"W/W/"d3""#, false),
            ("W/d3", false),
        ] {
            assert_eq!(ETag::parse(text).is_some(), want, "{text:?}");
            if let Some(tag) = ETag::parse(text) {
                assert_eq!(tag.as_str(), text);
            }
        }
    }

    /// The table of RFC 9110 section 8.8.3.2, and a tag whose text begins like the mark.
    #[test]
    fn strong_and_weak_comparison() {
        for (one, other, strong, weak) in [
            (r#"W/"1""#, r#"W/"1""#, false, true),
            (r#"W/"1""#, r#"W/"2""#, false, false),
            (r#"W/"1""#, r#""1""#, false, true),
            (r#""1""#, r#""1""#, true, true),
            (r#""1""#, r#""2""#, false, false),
            (r#""a""#, r#""A""#, false, false),
            (r#""W/1""#, r#""1""#, false, false),
            (r#""W/1""#, r#""W/1""#, true, true),
        ] {
            let (a, b) = (ETag::parse(one).unwrap(), ETag::parse(other).unwrap());
            assert_eq!((a.strong_eq(&b), a.weak_eq(&b)), (strong, weak), "{one} {other}");
            assert_eq!((b.strong_eq(&a), b.weak_eq(&a)), (strong, weak), "{other} {one}");
        }
    }
}
