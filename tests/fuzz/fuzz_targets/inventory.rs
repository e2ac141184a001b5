//! Any text as a manifest, its schema, and lines of an inventory: entries have keys, and reading the lines one by
//! one gives what reading them together gives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mediagate::sidecar::{CsvColumns, Manifest, read_lines};

fuzz_target!(|text: &[u8]| {
    if let Ok(manifest) = Manifest::parse(text) {
        assert!(manifest.files().iter().all(|file| !file.key.as_str().is_empty()));
    }
    let (schema, lines) = text.split_at(text.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    let schema = std::str::from_utf8(schema).ok().and_then(|schema| CsvColumns::parse(schema).ok());
    let known = CsvColumns::parse("Bucket, Key, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag");
    for columns in schema.into_iter().chain(known) {
        let entries = read_lines(&columns, lines, 1);
        for (place, entry) in entries.iter().enumerate() {
            match entry {
                Ok(listed) => assert!(!listed.key.is_empty()),
                Err(fault) => {
                    assert_eq!(place + 1, entries.len(), "a fault is the last");
                    assert!(fault.line >= 1 && fault.line <= lines.len() as u64 + 1);
                }
            }
        }
        // Fields of an inventory hold no quotes and no ends of lines.
        if !lines.contains(&b'"') && !lines.contains(&b'\r') {
            let keys = |text: &[u8]| -> Vec<String> {
                read_lines(&columns, text, 1)
                    .into_iter()
                    .map_while(Result::ok)
                    .map(|listed| listed.key)
                    .collect()
            };
            let mut one_by_one = Vec::new();
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                let found = read_lines(&columns, line, 1);
                let is_bad = found.iter().any(Result::is_err);
                one_by_one.extend(found.into_iter().map_while(Result::ok).map(|listed| listed.key));
                if is_bad {
                    break;
                }
            }
            assert_eq!(keys(lines), one_by_one);
        }
    }
});
