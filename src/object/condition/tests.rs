use std::time::Duration;

use proptest::prelude::*;

use super::*;

const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

/// What [`AT`] says, and a part of a second that HTTP cannot say.
fn at() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(784_111_777_250)
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&str, &str)| {
        (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.iter().map(line) {
        headers.append(name, value);
    }
    headers
}

/// Judges an object with the tag `"a"`, last modified [`at`].
fn verdict(lines: &[(&str, &str)]) -> Verdict {
    Conditions::parse(&headers(lines)).evaluate(ETag::parse(r#""a""#).as_ref(), Some(at()))
}

#[test]
fn one_condition() {
    use Verdict::{NotModified, PreconditionFailed, Proceed};
    for (name, value, want) in [
        ("if-match", r#""a""#, Proceed),
        ("if-match", r#""b", "a""#, Proceed),
        ("if-match", r#","b",, "a" ,"#, Proceed),
        ("if-match", "*", Proceed),
        ("if-match", r#""b""#, PreconditionFailed),
        ("if-match", r#"W/"a""#, PreconditionFailed),
        ("if-match", "a", PreconditionFailed),
        ("if-match", "", PreconditionFailed),
        ("if-match", r#""a" "b""#, PreconditionFailed),
        ("if-match", r#""a", b"#, PreconditionFailed),
        ("if-match", r#""a", *"#, PreconditionFailed),
        ("if-none-match", r#""a""#, NotModified),
        ("if-none-match", r#"W/"a""#, NotModified),
        ("if-none-match", r#""b","a""#, NotModified),
        ("if-none-match", r#""x,y" , W/"a""#, NotModified),
        ("if-none-match", "*", NotModified),
        ("if-none-match", r#""b""#, Proceed),
        ("if-none-match", r#""b, a""#, Proceed),
        ("if-none-match", r#""A""#, Proceed),
        ("if-none-match", "a", Proceed),
        ("if-none-match", "", Proceed),
        ("if-none-match", r#""a", b"#, Proceed),
        ("if-modified-since", AT, NotModified),
        ("if-modified-since", AFTER, NotModified),
        ("if-modified-since", BEFORE, Proceed),
        ("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT", NotModified),
        ("if-modified-since", "Sun Nov  6 08:49:37 1994", NotModified),
        ("if-modified-since", "1994-11-06T08:49:38Z", Proceed),
        ("if-modified-since", "Sun, 31 Feb 2094 08:49:37 GMT", Proceed),
        ("if-modified-since", "*", Proceed),
        ("if-unmodified-since", AT, Proceed),
        ("if-unmodified-since", AFTER, Proceed),
        ("if-unmodified-since", BEFORE, PreconditionFailed),
        ("if-unmodified-since", "yesterday", Proceed),
        ("range", "bytes=0-1", Proceed),
    ] {
        assert_eq!(verdict(&[(name, value)]), want, "{name}: {value}");
    }
}

#[test]
fn several_conditions_are_judged_in_order() {
    use Verdict::{NotModified, PreconditionFailed, Proceed};
    let (holds, fails) = (r#""a""#, r#""b""#);
    for (lines, want) in [
        (&[][..], Proceed),
        // If-Match hides If-Unmodified-Since, If-None-Match hides If-Modified-Since.
        (&[("if-match", holds), ("if-unmodified-since", BEFORE)], Proceed),
        (&[("if-match", fails), ("if-unmodified-since", AFTER)], PreconditionFailed),
        (&[("if-none-match", fails), ("if-modified-since", AFTER)], Proceed),
        (&[("if-none-match", "garbage"), ("if-modified-since", AFTER)], Proceed),
        (&[("if-none-match", holds), ("if-modified-since", BEFORE)], NotModified),
        // A 412 is judged before a 304.
        (&[("if-match", holds), ("if-none-match", holds)], NotModified),
        (&[("if-match", fails), ("if-none-match", holds)], PreconditionFailed),
        (&[("if-unmodified-since", BEFORE), ("if-none-match", holds)], PreconditionFailed),
        (&[("if-unmodified-since", BEFORE), ("if-modified-since", AFTER)], PreconditionFailed),
        (&[("if-unmodified-since", AT), ("if-modified-since", AT)], NotModified),
        // Lists go on over lines; dates do not.
        (&[("if-none-match", fails), ("if-none-match", holds)], NotModified),
        (&[("if-none-match", "*"), ("if-none-match", holds)], Proceed),
        (&[("if-modified-since", AFTER), ("if-modified-since", AFTER)], Proceed),
        (&[("if-unmodified-since", BEFORE), ("if-unmodified-since", BEFORE)], Proceed),
    ] {
        assert_eq!(verdict(lines), want, "{lines:?}");
    }
}

#[test]
fn an_object_without_tag_or_date() {
    use Verdict::{NotModified, PreconditionFailed, Proceed};
    for (name, value, want) in [
        ("if-match", r#""a""#, PreconditionFailed),
        ("if-match", "*", Proceed),
        ("if-none-match", r#""a""#, Proceed),
        ("if-none-match", "*", NotModified),
        ("if-modified-since", AFTER, Proceed),
        ("if-unmodified-since", BEFORE, Proceed),
    ] {
        let conditions = Conditions::parse(&headers(&[(name, value)]));
        assert_eq!(conditions.evaluate(None, None), want, "{name}: {value}");
    }
}

#[test]
fn emptiness_is_about_what_counts() {
    for (lines, want) in [
        (&[][..], true),
        (&[("range", "bytes=0-1"), ("if-range", r#""a""#)], true),
        (&[("if-modified-since", "yesterday")], true),
        (&[("if-modified-since", AT)], false),
        (&[("if-unmodified-since", AT)], false),
        (&[("if-match", "garbage")], false),
        (&[("if-none-match", "*")], false),
    ] {
        assert_eq!(Conditions::parse(&headers(lines)).is_empty(), want, "{lines:?}");
    }
}

#[test]
fn if_range_holds_for_exactly_this_version() {
    let tag = ETag::parse(r#""a""#);
    for (lines, want) in [
        (&[r#""a""#][..], Some(true)),
        (&[AT], Some(true)),
        (&["Sunday, 06-Nov-94 08:49:37 GMT"], Some(true)),
        (&[], None),
        (&[r#""b""#], Some(false)),
        (&[r#"W/"a""#], Some(false)),
        (&[BEFORE], Some(false)),
        (&[AFTER], Some(false)),
        (&["*"], Some(false)),
        (&["a"], Some(false)),
        (&[""], Some(false)),
        (&[r#""a", "b""#], Some(false)),
        (&[r#""a""#, r#""a""#], Some(false)),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("if-range", *line)).collect();
        let got = IfRange::parse(&headers(&lines)).map(|range| range.holds(tag.as_ref(), Some(at())));
        assert_eq!(got, want, "{lines:?}");
    }
    let weak = ETag::parse(r#"W/"a""#);
    for (line, etag) in [(r#""a""#, None), (r#"W/"a""#, weak.as_ref()), (r#""a""#, weak.as_ref()), (AT, None)]
    {
        let range = IfRange::parse(&headers(&[("if-range", line)])).unwrap();
        assert!(!range.holds(etag, None), "{line} {etag:?}");
    }
    assert_eq!(IfRange::parse(&headers(&[("if-range", r#"W/"a""#)])), Some(IfRange::Never));
}

fn any_tag() -> impl Strategy<Value = ETag> {
    "(W/)?\"[a,é]{0,2}\"".prop_map(|text| ETag::parse(&text).unwrap())
}

proptest! {
    /// A list, however it is spread over lines and padded, matches where one of its tags does.
    #[test]
    fn a_list_matches_where_a_member_does(
        tags in prop::collection::vec((any_tag(), "[ \t]{0,2},[ \t,]{0,2}", any::<bool>()), 1..6),
        current in any_tag(),
    ) {
        let mut lines = vec![String::new()];
        for (tag, comma, line_ends) in &tags {
            let line = lines.last_mut().unwrap();
            *line = format!("{line}{}{comma}", tag.as_str());
            if *line_ends {
                lines.push(String::new());
            }
        }
        let named = |name| headers(&lines.iter().map(|line| (name, line.as_str())).collect::<Vec<_>>());
        let judge = |name| Conditions::parse(&named(name)).evaluate(Some(&current), None);
        let is_weak_member = tags.iter().any(|(tag, ..)| tag.weak_eq(&current));
        let is_strong_member = tags.iter().any(|(tag, ..)| tag.strong_eq(&current));
        prop_assert_eq!(judge("if-none-match") == Verdict::NotModified, is_weak_member);
        prop_assert_eq!(judge("if-match") == Verdict::Proceed, is_strong_member);
    }

    #[test]
    fn no_header_is_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
        let names = [IF_MATCH, IF_UNMODIFIED_SINCE, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE];
        let headers: HeaderMap = names.into_iter().map(|name| (name, value.clone())).collect();
        Conditions::parse(&headers).evaluate(None, None);
        let _if_range = IfRange::parse(&headers);
    }
}
