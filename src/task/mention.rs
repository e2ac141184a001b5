//! Where a text mentions objects: `s3://` URIs in the data of a task.
//!
//! A text that begins with `s3://` is one URI as a whole, whatever characters its key has. Elsewhere, in HTML or prose, a
//! URI begins at `s3://` and ends before the quote that it stands in, or else before white space, `<`, `>` or a quote. What
//! stands in an HTML attribute may be escaped, so its plain form counts as mentioned, too: it is what a browser asks for.

use std::{borrow::Cow, ops::Range};

use memchr::memmem;

use crate::object::ObjectUri;

/// A URI in a text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mention {
    /// The object.
    pub object: ObjectUri,
    /// Where it stands in the text, in bytes.
    pub place: Range<usize>,
}

/// The URIs in a text, in its order. What is not a URI of a possible object is left out.
pub fn mentions(text: &str) -> Vec<Mention> {
    let trimmed = text.trim();
    let start = text.len() - text.trim_start().len();
    if let Ok(object) = ObjectUri::parse(trimmed)
        && !looks_like_markup(trimmed)
    {
        return vec![Mention { object, place: start..start + trimmed.len() }];
    }
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = memmem::find(text.as_bytes().get(from..).unwrap_or_default(), SCHEME) {
        let start = from + at;
        let end = start + length(text, start);
        from = start + SCHEME.len();
        let Some(uri) = text.get(start..end) else { continue };
        if let Ok(object) = ObjectUri::parse(&unescaped(uri)) {
            found.push(Mention { object, place: start..end });
            from = end;
        }
    }
    found
}

/// The objects that any text within a JSON value mentions, keys of objects left out.
pub fn mentions_in_json(json: &str) -> Vec<ObjectUri> {
    let mut found = Vec::new();
    super::rewrite::each_text(json, |text| {
        found.extend(mentions(text).into_iter().map(|mention| mention.object));
        None
    });
    found
}

/// A text that begins with a URI and goes on as markup or with another URI is not one URI.
fn looks_like_markup(text: &str) -> bool {
    memmem::find(text.as_bytes().get(SCHEME.len()..).unwrap_or_default(), SCHEME).is_some()
}

/// How long the URI is that begins here.
fn length(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let before = text.get(..start).unwrap_or_default();
    if let Some(quote) = before.chars().next_back().filter(|c| matches!(c, '"' | '\''))
        && let Some(end) = rest.find(quote)
    {
        return end;
    }
    if let Some(quote) = ESCAPED_QUOTES.iter().find(|quote| before.ends_with(**quote))
        && let Some(end) = rest.find(*quote)
    {
        return end;
    }
    rest.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\'')).unwrap_or(rest.len())
}

/// Takes back what HTML escapes in an attribute.
fn unescaped(uri: &str) -> Cow<'_, str> {
    if !uri.contains('&') {
        return Cow::Borrowed(uri);
    }
    let plain = uri
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#x27;", "'")
        .replace("&amp;", "&");
    Cow::Owned(plain)
}

const SCHEME: &[u8] = b"s3://";
const ESCAPED_QUOTES: [&str; 3] = ["&quot;", "&#39;", "&#x27;"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_found_where_they_stand() {
        for (text, want) in [
            ("s3://media/a.jpg", &["s3://media/a.jpg"][..]),
            ("  s3://media/a b?c#d=e.jpg ", &["s3://media/a b?c#d=e.jpg"]),
            ("s3://media/", &[]),
            ("S3://media/a.jpg", &[]),
            ("https://media/a.jpg", &[]),
            ("see s3://media/a.jpg please", &["s3://media/a.jpg"]),
            (r#"<img src="s3://media/a b.jpg"/><p>x</p>"#, &["s3://media/a b.jpg"]),
            (r#"<a href='s3://media/a"b'>s3://media/c</a>"#, &["s3://media/a\"b", "s3://media/c"]),
            (r#"<img src="s3://media/a?x=1&amp;y=2">"#, &["s3://media/a?x=1&y=2"]),
            ("a &quot;s3://media/a b&quot; c", &["s3://media/a b"]),
            ("s3://media/a.jpg s3://media/b.jpg", &["s3://media/a.jpg", "s3://media/b.jpg"]),
            ("s3://s3://media/a", &["s3://media/a"]),
            ("\"s3://media/unclosed quote", &["s3://media/unclosed"]),
            ("s3://media/../x", &[]),
        ] {
            let found: Vec<String> =
                mentions(text).iter().map(|mention| mention.object.to_string()).collect();
            assert_eq!(found, want, "{text:?}");
        }
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = "ä <img src=\"s3://media/ü.jpg\"> s3://media/b";
        let places: Vec<&str> =
            mentions(text).into_iter().map(|mention| text.get(mention.place).unwrap()).collect();
        assert_eq!(places, ["s3://media/ü.jpg", "s3://media/b"]);
    }
}
