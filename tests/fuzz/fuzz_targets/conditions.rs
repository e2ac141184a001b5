//! Any conditional headers: the five lines of the input, one header each.
#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use http::{
    HeaderMap, HeaderValue,
    header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE},
};
use libfuzzer_sys::fuzz_target;
use mediagate::object::{Conditions, ETag, IfRange, Verdict};

fuzz_target!(|input: &[u8]| {
    let names = [IF_MATCH, IF_UNMODIFIED_SINCE, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE];
    let mut headers = HeaderMap::new();
    for (name, line) in names.into_iter().zip(input.split(|byte| *byte == b'\n')) {
        headers.extend(HeaderValue::from_bytes(line).ok().map(|value| (name, value)));
    }
    let current = ETag::parse("\"a\"").expect("a tag");
    let modified = UNIX_EPOCH + Duration::from_secs(784_111_777);
    let conditions = Conditions::parse(&headers);
    let verdict = conditions.evaluate(Some(&current), Some(modified));
    assert!(!conditions.is_empty() || verdict == Verdict::Proceed);
    if let Some(if_range) = IfRange::parse(&headers) {
        assert!(if_range.holds(Some(&current), Some(modified)) || !is_plain_tag(&headers));
    }
    for tag in input.split(|byte| *byte == b'\n').filter_map(|line| ETag::parse(str::from_utf8(line).ok()?)) {
        assert_eq!(ETag::parse(tag.as_str()).as_ref(), Some(&tag));
        assert!(tag.weak_eq(&tag) && tag.strong_eq(&tag) != tag.is_weak());
    }
});

fn is_plain_tag(headers: &HeaderMap) -> bool {
    headers.get(IF_RANGE).is_some_and(|value| value == "\"a\"")
}
