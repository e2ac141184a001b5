use serde::Deserialize;

use super::*;

/// What `tests/python/filters.py` printed.
#[derive(Deserialize)]
struct Fixture {
    keys: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    pattern: String,
    matches: Option<String>,
    error: Option<String>,
    refused: Option<String>,
}

#[test]
fn what_python_matches_we_match() {
    let fixture: Fixture = serde_json::from_str(include_str!("../../../tests/python/filters.json")).unwrap();
    assert!(fixture.rows.len() > 900, "the fixture is cut");
    let wrong: Vec<String> = fixture.rows.iter().filter_map(|row| judge(row, &fixture.keys)).collect();
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with our answers to a row.
fn judge(row: &Row, keys: &[String]) -> Option<String> {
    let Row { pattern, matches, error, refused } = row;
    match (KeyFilter::parse(pattern), matches) {
        (Ok(filter), Some(matches)) => {
            let wants = matches.chars().map(|digit| digit == '1');
            let differ = keys.iter().zip(wants).find(|(key, want)| filter.matches(key) != Ok(*want));
            differ.map(|(key, want)| format!("{pattern:?} on {key:?}: not {want}"))
        }
        (Ok(_), None) => Some(format!("{pattern:?} was taken; python: {error:?}, we: {refused:?}")),
        (Err(found), None) => {
            let text = found.to_string();
            let is_said = refused.as_ref().is_none_or(|words| text.contains(words.as_str()));
            let is_line = !text.contains('\n');
            (!is_said || !is_line).then(|| format!("{pattern:?}: {text}, not {refused:?}"))
        }
        (Err(found), Some(_)) => Some(format!("{pattern:?} was refused: {found}")),
    }
}

#[test]
fn errors_say_what_and_where_in_one_line() {
    for (pattern, want) in [
        ("a[b", "not a regular expression: unterminated character set at position 1"),
        ("é(a", "not a regular expression: missing ), unterminated subpattern at position 1"),
        ("*.jpg", "not a regular expression: nothing to repeat at position 0"),
        ("a\\q", "not a regular expression: bad escape \"\\\\q\" at position 1"),
        ("a\\\n[", "not a regular expression: unterminated character set at position 3"),
        (
            "\\N{DASH}",
            "not a regular expression: \\N{...} is valid in Python, but not supported here; \
             write \\uXXXX or the character itself at position 0",
        ),
        ("(?<n>a)", "not a regular expression: unknown extension ?<n at position 0"),
    ] {
        assert_eq!(KeyFilter::parse(pattern).unwrap_err().to_string(), want);
    }
}

#[test]
fn what_takes_too_long_is_an_error_and_no_answer() {
    let key = "a".repeat(1000);
    for pattern in [r"(a|aa)+\1-", r"(?:a|\Ba)*-", r"(.*)(.*)(.*)\1\2\3!"] {
        assert_eq!(KeyFilter::parse(pattern).unwrap().matches(&key), Err(MatchError::TooHard), "{pattern}");
    }
    // Without look-around and references the time is linear.
    for pattern in [r"(a+)+$", r"(a+)+b", r".*.*.*.*.*.*-$"] {
        let filter = KeyFilter::parse(pattern).unwrap();
        assert_eq!(filter.matches(&key), Ok(pattern == r"(a+)+$"), "{pattern}");
    }
}

#[test]
fn it_is_kept_as_it_was_written() {
    let filter = KeyFilter::parse(r"(?i).*\.jpe?g$").unwrap();
    assert_eq!(serde_json::to_string(&filter).unwrap(), r#""(?i).*\\.jpe?g$""#);
    let kept: KeyFilter = serde_json::from_str(r#""(?i).*\\.jpe?g$""#).unwrap();
    assert_eq!(kept, filter);
    assert!(serde_json::from_str::<KeyFilter>("\"(\"").is_err());
}
