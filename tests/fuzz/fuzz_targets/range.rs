//! Any `Range` and `Content-Range`: what is read says the same when written, and selects no byte that is not
//! there.
#![no_main]

use http::{HeaderMap, HeaderValue, header::RANGE};
use libfuzzer_sys::fuzz_target;
use mediagate::object::{ByteRange, ContentRange, MAX_RANGES, RangeRequest, coalesce};

fuzz_target!(|input: (u64, &[u8])| {
    let (size, line) = input;
    if let Some(part) = str::from_utf8(line).ok().and_then(ContentRange::parse) {
        assert!(part.range.start < part.range.end && part.range.end <= part.size, "{part}");
        assert_eq!(ContentRange::parse(&part.to_string()), Some(part));
    }
    // Behind the prefix the fuzzer gets further.
    for line in [line.to_vec(), [b"bytes=", line].concat()] {
        let Ok(value) = HeaderValue::from_bytes(&line) else { continue };
        match RangeRequest::parse(&HeaderMap::from_iter([(RANGE, value)])) {
            RangeRequest::Whole => {}
            RangeRequest::One(range) => check(&[range], size),
            RangeRequest::Many(ranges) => {
                assert!((2..=MAX_RANGES).contains(&ranges.len()));
                check(&ranges, size);
            }
        }
    }
});

fn check(asked: &[ByteRange], size: u64) {
    for range in asked {
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::try_from(range.to_header()).unwrap())]);
        assert_eq!(RangeRequest::parse(&headers), RangeRequest::One(*range));
    }
    let ranges: Vec<_> = asked.iter().filter_map(|range| range.within(size).ok()).collect();
    assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size), "{ranges:?} of {size}");
    let merged = coalesce(ranges.clone());
    for (index, one) in merged.iter().enumerate() {
        assert!(merged.iter().skip(index + 1).all(|other| one.end < other.start || other.end < one.start));
    }
    let is_kept = |part: &std::ops::Range<u64>| {
        merged.iter().any(|whole| whole.start <= part.start && part.end <= whole.end)
    };
    assert!(ranges.iter().all(is_kept), "{ranges:?} {merged:?}");
}
