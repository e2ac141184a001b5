//! What is an item, and that it is the same however the text is cut.

use proptest::prelude::*;

use super::*;

/// All pieces, with a fault as the last thing where there is one.
fn split(text: &[u8], cuts: &[usize], limit: u64) -> (Vec<Piece>, Option<ObjectFault>) {
    let (mut splitter, mut pieces, mut rest) = (Splitter::new(limit), Vec::new(), text);
    let mut chunks = Vec::new();
    for cut in cuts {
        let (chunk, behind) = rest.split_at((*cut).min(rest.len()));
        chunks.push(chunk);
        rest = behind;
    }
    chunks.push(rest);
    for mut chunk in chunks {
        loop {
            match splitter.next(&mut chunk) {
                Ok(Some(piece)) => pieces.push(piece),
                Ok(None) => break,
                Err(fault) => return (pieces, Some(fault)),
            }
        }
        assert!(chunk.is_empty());
    }
    match splitter.finish() {
        Ok(piece) => (pieces.into_iter().chain(piece).collect(), None),
        Err(fault) => (pieces, Some(fault)),
    }
}

/// The texts with their lines, after the same was seen for every place where one cut can be.
fn texts(text: &[u8]) -> (Vec<(u64, String)>, Option<ObjectFault>) {
    let whole = split(text, &[], 1000);
    for cut in 0..=text.len() {
        assert_eq!(split(text, &[cut], 1000), whole, "cut at {cut}: {}", String::from_utf8_lossy(text));
    }
    assert_eq!(split(text, &vec![1; text.len()], 1000), whole, "single bytes");
    let (pieces, fault) = whole;
    assert!(pieces.iter().enumerate().all(|(row, piece)| piece.row == row as u64));
    let text = |piece: Piece| String::from_utf8_lossy(&piece.text.unwrap()).into_owned();
    (pieces.into_iter().map(|piece| (piece.line, text(piece))).collect(), fault)
}

#[track_caller]
fn assert_items(text: &str, want: &[(u64, &str)], fault: Option<ObjectFault>) {
    let want: Vec<_> = want.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
    assert_eq!(texts(text.as_bytes()), (want, fault), "{text:?}");
}

#[test]
fn lists() {
    for (text, want) in [
        ("[]", &[][..]),
        (" \n[ \n ] \n", &[]),
        ("\u{feff}[{}]", &[(1, "{}")]),
        (r#"[{"a":1},{"b":[2,{}]}]"#, &[(1, r#"{"a":1}"#), (1, r#"{"b":[2,{}]}"#)]),
        ("[\n {\"a\":1}\n,\n\n {\n\"b\":2} ]\n", &[(2, r#"{"a":1}"#), (5, "{\n\"b\":2}")]),
        (r#"[{"a":"]},{\"[\\"},2, "x,y" ]"#, &[(1, r#"{"a":"]},{\"[\\"}"#), (1, "2"), (1, r#""x,y""#)]),
        // What is wrong in one stays in it.
        (r#"[{"a": nope},{"b":1}]"#, &[(1, r#"{"a": nope}"#), (1, r#"{"b":1}"#)]),
        (r#"[{"a":[1},{"b":1}]"#, &[(1, r#"{"a":[1}"#), (1, r#"{"b":1}"#)]),
        (r#"[{"a":1}},{"b":1}]"#, &[(1, r#"{"a":1}}"#), (1, r#"{"b":1}"#)]),
        (r#"[{"a":{"b":[[1]},"c":2},{}]"#, &[(1, r#"{"a":{"b":[[1]},"c":2}"#), (1, "{}")]),
        (r#"[{"a":1} {"b":2},{}]"#, &[(1, r#"{"a":1} {"b":2}"#), (1, "{}")]),
        ("[{\"a\":\"x\ny\"},\n{}]", &[(1, "{\"a\":\"x\ny\"}"), (3, "{}")]),
        ("[{},]", &[(1, "{}"), (1, "")]),
        ("[,{}]", &[(1, ""), (1, "{}")]),
        ("[{}, ,{}]", &[(1, "{}"), (1, ""), (1, "{}")]),
        ("[// one\n{}]", &[(1, "// one\n{}")]),
    ] {
        assert_items(text, want, None);
    }
}

#[test]
fn lists_that_cannot_be_followed() {
    for (text, want, fault) in [
        ("[", &[][..], ObjectFault::ListCut { row: 0, line: 1 }),
        ("[\n{},\n", &[(2, "{}")], ObjectFault::ListCut { row: 1, line: 3 }),
        ("[{},\n{\"a\":1", &[(1, "{}")], ObjectFault::ListCut { row: 1, line: 2 }),
        ("[{}\n", &[], ObjectFault::ListCut { row: 0, line: 1 }),
        ("[{}]\n\n[{}]", &[(1, "{}")], ObjectFault::BehindList { line: 3 }),
        ("[{}],", &[(1, "{}")], ObjectFault::BehindList { line: 1 }),
        ("[]x", &[], ObjectFault::BehindList { line: 1 }),
        (r#"[{"a":1],{}]"#, &[(1, r#"{"a":1"#)], ObjectFault::BehindList { line: 1 }),
    ] {
        assert_items(text, want, Some(fault));
    }
}

#[test]
fn objects() {
    for (text, want) in [
        ("{}", &[(1, "{}")][..]),
        ("\u{feff}\n {\"a\":1}", &[(2, r#"{"a":1}"#)]),
        ("{\"a\":1}\n\n \r\n{\"b\":2}\r\n", &[(1, r#"{"a":1}"#), (4, r#"{"b":2}"#)]),
        (r#"{"a":"}{"}{"b":[{}]} {}"#, &[(1, r#"{"a":"}{"}"#), (1, r#"{"b":[{}]}"#), (1, "{}")]),
        (
            "{\n  \"a\": [\n    {\n      \"b\": 1\n    }\n  ]\n}\n",
            &[(1, "{\n  \"a\": [\n    {\n      \"b\": 1\n    }\n  ]\n}")],
        ),
        // Without indentation, as `indent=0` writes it, also one after the other.
        (
            "{\n\"a\": [\n{\n},\n{\n}\n],\n\"b\":\n{}\n}\n{\n\"c\": 1\n}",
            &[(1, "{\n\"a\": [\n{\n},\n{\n}\n],\n\"b\":\n{}\n}"), (11, "{\n\"c\": 1\n}")],
        ),
        // `jq` writes small objects in one line and others in many.
        (
            "{}\n{\n  \"a\": {\n    \"b\": [\n      {}\n    ]\n  }\n}\n{}",
            &[(1, "{}"), (2, "{\n  \"a\": {\n    \"b\": [\n      {}\n    ]\n  }\n}"), (9, "{}")],
        ),
    ] {
        assert_items(text, want, None);
    }
}

#[test]
fn a_bad_line_is_one_bad_item() {
    let good = (3, r#"{"c":3}"#);
    for (bad, want) in [
        (r#"{"b": nope}"#, r#"{"b": nope}"#),
        (r#"{"b": 2"#, r#"{"b": 2"#),
        (r#"{"b": {"x": 1}"#, r#"{"b": {"x": 1}"#),
        (r#"{"b":"#, r#"{"b":"#),
        (r#"{"b": [1,"#, r#"{"b": [1,"#),
        (r#"{"b": [1}"#, r#"{"b": [1}"#),
        (r#"{"b": "x"#, r#"{"b": "x"#),
        (r#"{"b": "x\"#, r#"{"b": "x\"#),
        ("nope", "nope"),
        ("[1, {}]", "[1, {}]"),
        ("\"{}\"", "\"{}\""),
        ("17 ", "17"),
        ("}", "}"),
        ("\u{0}", "\u{0}"),
    ] {
        assert_items(
            &format!("{{\"a\":1}}\n{bad}\n{{\"c\":3}}\n"),
            &[(1, r#"{"a":1}"#), (2, want), good],
            None,
        );
        assert_items(
            &format!("{{\"a\":1}}\r\n{bad}\r\n{{\"c\":3}}"),
            &[(1, r#"{"a":1}"#), (2, want), good],
            None,
        );
    }
    // The first line, before anything says that it is one object per line.
    for bad in [r#"{"a": nope}"#, r#"{"a": 1"#, r#"{"a": [{}]"#, r#"{"a": "x"#, r#"{"a"#] {
        assert_items(&format!("{bad}\n{{\"b\":2}}\n"), &[(1, bad), (2, r#"{"b":2}"#)], None);
    }
    // Here JSON allows an object, so that the line after it belongs to it.
    assert_items("{\"a\":\n{}\n{}\n{}", &[(1, "{\"a\":\n{}"), (3, "{}"), (4, "{}")], None);
    // The last line, cut.
    assert_items("{}\n{\"a\": [", &[(1, "{}"), (2, "{\"a\": [")], None);
    assert_items("{} x {}\n{}", &[(1, "{}"), (1, "x {}"), (2, "{}")], None);
}

#[test]
fn an_object_over_many_lines_with_a_fault_ends_before_the_next() {
    let broken = "{\n  \"a\": \"x\n  \"b\": [\n  {\"c\": 1}\n]";
    assert_items(&format!("{broken}\n{{\"d\": 2}}"), &[(1, broken), (6, r#"{"d": 2}"#)], None);
    let unclosed = "{\n  \"a\": {\n  \"b\": 1\n}";
    assert_items(&format!("{unclosed}\n{{\n}}"), &[(1, unclosed), (5, "{\n}")], None);
}

#[test]
fn what_is_no_text_of_tasks() {
    for (text, fault) in [
        (&b""[..], ObjectFault::Empty),
        (b" \n\t\r ", ObjectFault::Empty),
        (b"\xef\xbb\xbf", ObjectFault::Empty),
        (b"\xef\xbb\xbf \n", ObjectFault::Empty),
        (b"\xef\xbb", ObjectFault::NotTasks),
        (b"\xef\xbbx", ObjectFault::NotTasks),
        (b"\xff\xfe{\0}\0", ObjectFault::Utf16),
        (b"\xfe\xff\0{\0}", ObjectFault::Utf16),
        (b"\xff\xd8\xff\xe0", ObjectFault::NotTasks),
        (b"\x89PNG\r\n", ObjectFault::NotTasks),
        (b"\"text\"", ObjectFault::NotTasks),
        (b"17", ObjectFault::NotTasks),
        (b"null", ObjectFault::NotTasks),
        (b"id,text\n1,a\n", ObjectFault::NotTasks),
        (b"<html>", ObjectFault::NotTasks),
    ] {
        assert_eq!(texts(text), (vec![], Some(fault)), "{text:?}");
    }
}

#[test]
fn an_item_over_the_limit_is_left_out_and_the_rest_goes_on() {
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(100));
    for text in [format!("[{{}},{large},{{}}]"), format!("{{}}\n{large}\n{{}}")] {
        for (limit, fits) in [(108, true), (107, false), (20, false)] {
            let (pieces, fault) = split(text.as_bytes(), &[], limit);
            assert_eq!(fault, None);
            let sizes: Vec<_> = pieces.iter().map(|piece| piece.text.as_ref().map(Vec::len)).collect();
            assert_eq!(sizes, [Some(2), fits.then_some(108), Some(2)], "{limit} {text}");
            for cut in 0..text.len() {
                assert_eq!(split(text.as_bytes(), &[cut, 3], limit).0, pieces, "{cut}");
            }
        }
    }
}

/// Memory is bounded by the limit, whatever comes.
#[test]
fn an_endless_item_is_not_kept() {
    for (start, more) in [("[{\"a\":\"", "x"), ("{\"a\":", "["), ("[", "["), ("{}\nx", "y"), ("[1", " ")] {
        let mut splitter = Splitter::new(64);
        let more = more.repeat(1000);
        for text in std::iter::once(start).chain(std::iter::repeat_n(more.as_str(), 1000)) {
            let mut chunk = text.as_bytes();
            while splitter.next(&mut chunk).unwrap().is_some() {}
        }
        assert!(splitter.text.is_none(), "{start}");
    }
}

proptest! {
    #[test]
    fn any_cuts_give_the_same(
        text in r#"(\u{feff}|\[|\{)?([\[\]{}:,"\\\n a1]|"[a\\\n]{0,3}"|\{"a":1\}\n?){0,60}"#,
        cuts in prop::collection::vec(0_usize..8, 0..40),
        limit in 1_u64..40,
    ) {
        let whole = split(text.as_bytes(), &[], limit);
        prop_assert_eq!(split(text.as_bytes(), &cuts, limit), whole, "{:?}", text);
    }

    /// Whatever the values, their spelling and what stands between them: they come back.
    #[test]
    fn values_come_back(
        keys in prop::collection::vec(("\\PC{0,8}", -9_i32..9), 1..8),
        is_pretty: bool,
        is_list: bool,
    ) {
        let values: Vec<_> = keys.iter().map(|(key, n)| serde_json::json!({ key: [n, {key: key}], "n": {} })).collect();
        let text = |value: &serde_json::Value| {
            if is_pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }.unwrap()
        };
        let texts: Vec<_> = values.iter().map(text).collect();
        let file = if is_list { format!("[{}]", texts.join(",\n")) } else { texts.join("\n") };
        let (pieces, fault) = split(file.as_bytes(), &[], 10_000);
        prop_assert_eq!(fault, None);
        let back: Vec<_> = pieces.into_iter().map(|piece| String::from_utf8(piece.text.unwrap()).unwrap()).collect();
        prop_assert_eq!(back, texts);
    }
}
