//! Any text as a file of tasks: its items are the same however it is cut into chunks, their rows count up and their
//! lines never go back, and what is kept has no more than the limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mediagate::{
    sidecar::{ObjectFault, Piece, Splitter},
    task::Item,
};

fuzz_target!(|input: &[u8]| {
    let Some((&[limit, cut], text)) = input.split_first_chunk::<2>() else { return };
    let limit = u64::from(limit);
    let whole = split(text, text.len().max(1), limit);
    assert_eq!(split(text, 1, limit), whole);
    assert_eq!(split(text, usize::from(cut) + 1, limit), whole);
    let mut line = 1;
    for (row, piece) in whole.0.iter().enumerate() {
        assert_eq!(piece.row, row as u64);
        assert!(piece.line >= line);
        line = piece.line;
        let Some(text) = &piece.text else { continue };
        assert!(text.len() as u64 <= limit);
        if let Ok(item) = Item::parse(text) {
            // What is kept of it is of its text.
            assert!(contains(text, item.data.get().as_bytes()));
        }
    }
    values_come_back(text);
});

/// Whole values of JSON, written as lines and as a list, are the items.
fn values_come_back(text: &[u8]) {
    let values: Vec<serde_json::Value> = serde_json::Deserializer::from_slice(text)
        .into_iter()
        .map_while(Result::ok)
        .filter(serde_json::Value::is_object)
        .collect();
    if values.is_empty() {
        return;
    }
    for is_pretty in [false, true] {
        let spell = |value| {
            if is_pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }
        };
        let texts: Vec<String> = values.iter().map(|value| spell(value).expect("a value is JSON")).collect();
        for file in [texts.join("\n"), texts.concat(), format!("[{}]", texts.join(","))] {
            let (pieces, fault) = split(file.as_bytes(), 7, u64::MAX);
            assert_eq!(fault, None);
            let back = pieces.iter().map(|piece| piece.text.as_deref().unwrap_or_default());
            assert!(back.eq(texts.iter().map(String::as_bytes)), "{file}");
        }
    }
}

fn split(text: &[u8], size: usize, limit: u64) -> (Vec<Piece>, Option<ObjectFault>) {
    let (mut splitter, mut pieces) = (Splitter::new(limit), Vec::new());
    for mut chunk in text.chunks(size) {
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

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
