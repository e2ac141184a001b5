use proptest::prelude::*;

use super::*;

const fn from_to(first: u64, last: u64) -> ByteRange {
    ByteRange::FromTo { first, last }
}

const fn from(first: u64) -> ByteRange {
    ByteRange::From { first }
}

const fn suffix(len: u64) -> ByteRange {
    ByteRange::Suffix { len }
}

fn request(lines: &[&str]) -> RangeRequest {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(RANGE, HeaderValue::from_str(line).unwrap());
    }
    RangeRequest::parse(&headers)
}

#[test]
fn one_range_is_read() {
    for (line, want) in [
        ("bytes=0-499", from_to(0, 499)),
        ("bytes=0-0", from_to(0, 0)),
        ("bytes=500-", from(500)),
        ("bytes=-500", suffix(500)),
        ("bytes=-0", suffix(0)),
        ("Bytes=007-8", from_to(7, 8)),
        ("bytes=, \t0-1 ,,", from_to(0, 1)),
        ("bytes=0-9223372036854775808", from_to(0, MAX_POSITION)),
        ("bytes=0-99999999999999999999999999", from_to(0, MAX_POSITION)),
        ("bytes=-99999999999999999999999999", suffix(MAX_POSITION)),
        ("bytes=99999999999999999999999999-", from(MAX_POSITION)),
    ] {
        assert_eq!(request(&[line]), RangeRequest::One(want), "{line}");
    }
}

#[test]
fn what_is_ignored() {
    let many = |count: usize| format!("bytes={}", vec!["0-1"; count].join(","));
    let too_many = many(MAX_RANGES + 1);
    for lines in [
        &[][..],
        &["bytes=0-1", "bytes=0-1"],
        &[""],
        &["bytes"],
        &["bytes="],
        &["bytes=,"],
        &["bytes=-"],
        &["bytes=0"],
        &["bytes=5-2"],
        &["bytes=0-1,5-2"],
        &["bytes=abc"],
        &["bytes=0-1,abc"],
        &["bytes=0x0-1"],
        &["bytes=+0-1"],
        &["bytes=--1"],
        &["bytes=0--1"],
        &["bytes=0-1-2"],
        &["bytes=0 - 1"],
        &["bytes = 0-1"],
        &["bytes 0-1"],
        &["bytes=0-1;2-3"],
        &["bytes=0-1=2"],
        &["bytes=\u{661}-2"],
        &["items=0-5"],
        &["=0-5"],
        &[&too_many],
    ] {
        assert_eq!(request(lines), RangeRequest::Whole, "{lines:?}");
    }
    assert_eq!(request(&[&many(MAX_RANGES)]), RangeRequest::Many(vec![from_to(0, 1); MAX_RANGES]));
}

#[test]
fn several_ranges_keep_their_order() {
    let want = vec![from(9500), from_to(0, 0), suffix(1)];
    assert_eq!(request(&["bytes=9500-,0-0, -1"]), RangeRequest::Many(want));
}

#[test]
fn a_range_within_an_object() {
    for (range, size, want) in [
        (from_to(0, 499), 1000, Ok(0..500)),
        (from_to(999, 999), 1000, Ok(999..1000)),
        (from_to(999, 5000), 1000, Ok(999..1000)),
        (from_to(0, u64::MAX), 1000, Ok(0..1000)),
        (from_to(0, u64::MAX), u64::MAX, Ok(0..u64::MAX)),
        (from_to(1000, 1000), 1000, Err(Unsatisfiable)),
        (from_to(5, 2), 1000, Err(Unsatisfiable)),
        (from(0), 1, Ok(0..1)),
        (from(999), 1000, Ok(999..1000)),
        (from(1000), 1000, Err(Unsatisfiable)),
        (from(u64::MAX), u64::MAX, Err(Unsatisfiable)),
        (suffix(1), 1000, Ok(999..1000)),
        (suffix(2000), 1000, Ok(0..1000)),
        (suffix(0), 1000, Err(Unsatisfiable)),
        (from_to(0, 0), 0, Err(Unsatisfiable)),
        (from(0), 0, Err(Unsatisfiable)),
        (suffix(1), 0, Err(Unsatisfiable)),
    ] {
        assert_eq!(range.within(size), want, "{range} of {size}");
    }
}

#[test]
#[expect(clippy::single_range_in_vec_init, reason = "a list of one range is what is meant")]
fn ranges_are_merged_where_they_overlap_or_touch() {
    for (ranges, want) in [
        (vec![], vec![]),
        (vec![0..5], vec![0..5]),
        (vec![0..5, 5..9], vec![0..9]),
        (vec![0..5, 6..9], vec![0..5, 6..9]),
        (vec![6..9, 0..5], vec![6..9, 0..5]),
        (vec![6..9, 0..5, 5..6], vec![0..9]),
        (vec![20..30, 6..9, 0..5, 4..7], vec![20..30, 0..9]),
        (vec![6..9, 20..30, 0..5, 4..7, 40..50], vec![0..9, 20..30, 40..50]),
        (vec![0..5, 10..15, 20..25, 0..25], vec![0..25]),
        (vec![0..u64::MAX, 3..4], vec![0..u64::MAX]),
        (vec![3..3, 0..2], vec![0..2]),
    ] {
        assert_eq!(coalesce(ranges.clone()), want, "{ranges:?}");
    }
}

#[test]
fn content_ranges() {
    for (text, want) in [
        ("bytes 0-499/1000", Some((0..500, 1000))),
        ("bytes 999-999/1000", Some((999..1000, 1000))),
        ("Bytes 0-0/1", Some((0..1, 1))),
        ("bytes 0-18446744073709551614/18446744073709551615", Some((0..u64::MAX, u64::MAX))),
        ("bytes 0-18446744073709551615/18446744073709551615", None),
        ("bytes 0-18446744073709551615/18446744073709551616", None),
        ("bytes 0-1000/1000", None),
        ("bytes 5-2/1000", None),
        ("bytes 0-499/*", None),
        ("bytes */1000", None),
        ("bytes 0-499", None),
        ("bytes=0-499/1000", None),
        ("bytes  0-499/1000", None),
        ("bytes 0-499/1000 ", None),
        ("bytes +0-499/1000", None),
        ("bytes -0-499/1000", None),
        ("bytes -499/1000", None),
        ("bytes 0-/1000", None),
        ("bytes 0-499/", None),
        ("items 0-499/1000", None),
        ("", None),
    ] {
        let want = want.map(|(range, size)| ContentRange { range, size });
        assert_eq!(ContentRange::parse(text), want, "{text:?}");
    }
    assert_eq!(ContentRange::unsatisfied(1000), "bytes */1000");
    assert_eq!(ContentRange { range: 0..500, size: 1000 }.to_header(), "bytes 0-499/1000");
}

fn any_range() -> impl Strategy<Value = ByteRange> {
    let position = || prop_oneof![0..64_u64, 0..=MAX_POSITION];
    prop_oneof![
        (position(), position()).prop_map(|(a, b)| from_to(a.min(b), a.max(b))),
        position().prop_map(from),
        position().prop_map(suffix),
    ]
}

proptest! {
    #[test]
    fn a_range_says_what_it_was_read_from(range in any_range()) {
        let header = range.to_header();
        prop_assert_eq!(request(&[&header]), RangeRequest::One(range));
    }

    /// The bytes of the range are those whose position RFC 9110 section 14.1.2 puts in it.
    #[test]
    fn a_range_selects_the_bytes_it_names(range in any_range(), size in 0..80_u64) {
        let selected = |at: &u64| match range {
            ByteRange::FromTo { first, last } => (first..=last).contains(at),
            ByteRange::From { first } => *at >= first,
            ByteRange::Suffix { len } => size - at <= len,
        };
        let want: Vec<_> = (0..size).filter(selected).collect();
        let got: Vec<_> = range.within(size).map(Iterator::collect).unwrap_or_default();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn merging_keeps_the_bytes_and_leaves_gaps(
        ranges in prop::collection::vec((0..60_u64, 0..12_u64).prop_map(|(at, len)| at..at + len), 0..=MAX_RANGES),
    ) {
        let merged = coalesce(ranges.clone());
        for at in 0..80 {
            let before = ranges.iter().any(|range| range.contains(&at));
            let after = merged.iter().filter(|range| range.contains(&at)).count();
            prop_assert_eq!(usize::from(before), after, "byte {}", at);
        }
        for (index, one) in merged.iter().enumerate() {
            prop_assert!(merged.iter().skip(index + 1).all(|other| one.end < other.start || other.end < one.start));
        }
    }

    #[test]
    fn content_range_round_trip(first in 0..u64::MAX, len in 1..=u64::MAX, beyond in 0..=u64::MAX) {
        let end = first.saturating_add(len);
        let part = ContentRange { range: first..end, size: end.saturating_add(beyond) };
        prop_assert_eq!(ContentRange::parse(&part.to_string()), Some(part));
    }

    #[test]
    fn no_header_is_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let set = [b"bytes=", bytes.as_slice()].concat();
        for line in [bytes, set] {
            let mut headers = HeaderMap::new();
            headers.extend(HeaderValue::from_bytes(&line).ok().map(|value| (RANGE, value)));
            RangeRequest::parse(&headers);
        }
    }
}
