//! Other texts in place of some in a JSON value, and everything else as it was.
//!
//! The value is gone through once, token by token, and never built: numbers, the order of keys, spaces and the spelling of
//! texts that do not change are copied to the byte.

use std::borrow::Cow;

/// Gives every text of a JSON value that is not the key of a member to `replace`, and puts what that returns in its place.
/// The text of the value has to be valid JSON; one that is not is copied as far as it is not understood.
pub fn rewrite(json: &str, mut replace: impl FnMut(&str) -> Option<String>) -> Cow<'_, str> {
    let mut written: Option<String> = None;
    let mut copied = 0;
    walk(json, |text, start, end| {
        let Some(new) = replace(text) else { return };
        let out = written.get_or_insert_with(|| String::with_capacity(json.len() + new.len()));
        out.push_str(json.get(copied..start).unwrap_or_default());
        out.push_str(&serde_json::Value::String(new).to_string());
        copied = end;
    });
    match written {
        None => Cow::Borrowed(json),
        Some(mut out) => {
            out.push_str(json.get(copied..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

/// The same without a result.
pub(super) fn each_text(json: &str, mut look: impl FnMut(&str) -> Option<String>) {
    walk(json, |text, _, _| {
        look(text);
    });
}

/// Visits every text that is no key, with where its quotes are.
fn walk(json: &str, mut visit: impl FnMut(&str, usize, usize)) {
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'"', bytes.get(at..).unwrap_or_default()) {
        let start = at + found;
        let Some(end) = end_of_text(bytes, start) else { return };
        at = end;
        if is_key(bytes, end) {
            continue;
        }
        let Some(token) = json.get(start..end) else { return };
        if let Ok(text) = serde_json::from_str::<Cow<'_, str>>(token) {
            visit(&text, start, end);
        }
    }
}

/// Behind the closing quote of the text whose opening one is at `start`.
fn end_of_text(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn is_key(bytes: &[u8], end: usize) -> bool {
    let next = bytes.iter().skip(end).find(|byte| !byte.is_ascii_whitespace());
    next == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_texts_change_and_keys_do_not() {
        for (json, want) in [
            (
                r#"{"a": "x", "x" : [1.10, "x", {"k":"x"}], "b":12345678901234567890.0e5}"#,
                r#"{"a": "Y", "x" : [1.10, "Y", {"k":"Y"}], "b":12345678901234567890.0e5}"#,
            ),
            (r#"{"a":"y\u00e4\"x"}"#, r#"{"a":"y\u00e4\"x"}"#),
            (r#""x""#, r#""Y""#),
            (r#""\u0078""#, r#""Y""#),
            ("[]", "[]"),
            (r#"{"a": "unclosed"#, r#"{"a": "unclosed"#),
            (r#"["x\\"]"#, r#"["x\\"]"#),
        ] {
            assert_eq!(rewrite(json, |text| (text == "x").then(|| "Y".to_owned())), want, "{json}");
        }
    }

    #[test]
    fn what_is_put_in_is_escaped() {
        assert_eq!(rewrite(r#"["x"]"#, |_| Some("a\"b\\".to_owned())), r#"["a\"b\\"]"#);
    }
}
