//! Parquet files that pyarrow and duckdb wrote (`tests/python/parquet_files.py`), by range requests.

use std::{fs, path::Path, sync::Arc};

use mediagate::{
    object::ObjectKey,
    sidecar::{Items, Limits, ObjectFault, ReadError, Source},
};
use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use serde::Deserialize;
use serde_json::Value;

use super::{object, read};
use crate::support::{
    s3::{S3Server, config, connect},
    scripted::{
        Scripted,
        Step::{self, Head, Send},
        response,
    },
};

const LIMITS: Limits = Limits { item_size: 100_000, object_size: 10_000_000 };

/// What a file has to be read as.
#[derive(Deserialize)]
struct Expected {
    rows: Vec<Value>,
    /// For each row, what its text has in it to the letter.
    exact: Vec<Vec<String>>,
}

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/parquet").join(name)).unwrap()
}

#[tokio::test]
async fn files_of_other_writers_become_the_json_that_they_mean() {
    let server = S3Server::start().await;
    let media = server.connect("media").await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/parquet");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".parquet") else { continue };
        let expected: Expected = serde_json::from_slice(&file(&format!("{stem}.json"))).unwrap();
        server.put("media", &name, &file(&name));
        let (found, error) = read(&media, &name, LIMITS).await;
        assert!(error.is_none(), "{name}: {error:?}");
        assert_eq!(found.len(), expected.rows.len().max(expected.exact.len()), "{name}");
        for (at, (row, text)) in found.iter().enumerate() {
            assert_eq!(*row, at as u64, "{name}");
            let value: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{name} {row}: {text}"));
            if let Some(want) = expected.rows.get(at) {
                assert_eq!(value, *want, "{name} {row}: {text}");
            }
            for exact in expected.exact.get(at).into_iter().flatten() {
                assert!(text.contains(exact), "{name} {row}: {exact} is not in {text}");
            }
        }
        count += 1;
    }
    assert!(count >= 28, "{count} files");
}

#[tokio::test]
async fn what_stands_beside_the_data_is_kept() {
    let server = S3Server::start().await;
    server.put("media", "k", &file("data_struct.parquet"));
    let media = server.connect("media").await;
    let key = ObjectKey::parse("k").unwrap();
    let source = Source { connection: &media, key: &key, size: 0, etag: None };
    let mut items = Items::open(source, LIMITS).await.unwrap();
    let read = items.next().await.unwrap().unwrap();
    let item = read.item.unwrap();
    assert_eq!(read.line, None);
    assert_eq!(item.meta.unwrap().get(), r#"{"a": 1}"#);
    assert_eq!(item.predictions.unwrap().get(), r#"[{"result": []}]"#);
    let second = items.next().await.unwrap().unwrap().item.unwrap();
    assert!(second.meta.is_none());
    assert!(items.next().await.unwrap().is_none());
    assert!(items.next().await.unwrap().is_none());
}

/// One request for what the file is, and one for a small file as a whole; all for the version that was opened.
#[tokio::test]
async fn a_small_file_is_one_range() {
    let server = S3Server::start().await;
    server.put("media", "k", &file("groups.parquet"));
    let media = server.connect("media").await;
    let (found, error) = read(&media, "k", LIMITS).await;
    assert!(error.is_none() && found.len() == 300, "{error:?}");
    let seen = server.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[1].headers.contains_key("range") && seen[1].headers.contains_key("if-match"), "{seen:?}");
}

/// Two columns of numbers and texts that do not pack, in groups.
fn large(groups: i64, rows: i64) -> Vec<u8> {
    let schema = parse_message_type("message m { required int64 n; required binary t (UTF8); }").unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(300_000)
        .set_write_batch_size(64)
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).unwrap();
    for group in 0..groups {
        let numbers: Vec<_> = (group * rows..(group + 1) * rows).collect();
        let texts: Vec<_> = numbers.iter().map(|n| ByteArray::from(large_text(*n).as_str())).collect();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&numbers, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

fn large_text(n: i64) -> String {
    format!("{n:x}").repeat(400)
}

/// Windows follow each other without a gap, and little is read twice.
#[tokio::test]
async fn a_large_file_is_read_in_windows() {
    let server = S3Server::start().await;
    let bytes = large(3, 1500);
    assert!(bytes.len() > 5_000_000, "{}", bytes.len());
    server.put("media", "k", &bytes);
    let media = server.connect("media").await;
    let (found, error) = read(&media, "k", LIMITS).await;
    assert!(error.is_none() && found.len() == 4500, "{error:?}");
    for (row, text) in &found {
        let n = i64::try_from(*row).unwrap();
        assert_eq!(*text, format!("{{\"n\":{n},\"t\":\"{}\"}}", large_text(n)));
    }
    let (mut asked, mut most) = (0, 0);
    for seen in server.seen().iter().skip(1) {
        let range = seen.headers["range"].to_str().unwrap().strip_prefix("bytes=").unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let len = last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1;
        (asked, most) = (asked + len, most.max(len));
    }
    assert!(most <= 1024 * 1024, "a request for {most} bytes");
    assert!(asked < bytes.len() * 3 / 2, "{asked} of {}", bytes.len());
}

#[tokio::test]
async fn a_row_over_the_limit_is_one_bad_item() {
    let server = S3Server::start().await;
    server.put("media", "k", &file("scalars.parquet"));
    let media = server.connect("media").await;
    let (found, error) = read(&media, "k", Limits { item_size: 600, ..LIMITS }).await;
    assert!(error.is_none(), "{error:?}");
    let texts: Vec<_> = found.iter().map(|(_, text)| text.starts_with("larger than 600 bytes")).collect();
    assert_eq!(texts, [false, true, false], "{found:?}");
}

#[tokio::test]
async fn files_that_are_damaged_say_so() {
    let server = S3Server::start().await;
    let whole = file("groups.parquet");
    let cut = &whole[..whole.len() / 2];
    let mut encrypted = whole.clone();
    let end = encrypted.len() - 4;
    encrypted[end..].copy_from_slice(b"PARE");
    let mut footer = whole.clone();
    footer[end - 4..end].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut pages = whole.clone();
    pages[4..100].fill(0xff);
    for (key, bytes, rows, words) in [
        ("cut", cut, 0, "has no footer"),
        ("short", b"PAR1".as_slice(), 0, "has no footer"),
        ("encrypted", &encrypted, 0, "is encrypted"),
        ("footer", &footer, 0, "has no footer"),
        ("pages", &pages, 0, "cannot be read"),
    ] {
        server.put("media", key, bytes);
        let (found, error) = read(&server.connect("media").await, key, LIMITS).await;
        assert_eq!(found.len(), rows, "{key}");
        let fault = object(error);
        assert!(matches!(fault, ObjectFault::Parquet(_) | ObjectFault::ParquetEncrypted), "{key}: {fault:?}");
        assert!(fault.to_string().contains(words), "{key}: {fault}");
    }
}

/// Whatever is wrong with a file, it is the file's fault, and the process goes on.
#[tokio::test]
async fn no_single_byte_can_do_harm() {
    let server = S3Server::start().await;
    let media = server.connect("media").await;
    let mut faults = 0;
    for name in ["nested.parquet", "duckdb_types.parquet", "codec_snappy.parquet"] {
        let whole = file(name);
        for at in (4..whole.len()).step_by(131) {
            for bits in [0x01, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= bits;
                server.put("media", "k", &damaged);
                let (found, error) = read(&media, "k", LIMITS).await;
                assert!(found.len() <= 1000, "{name} {at} {bits}");
                if let Some(error) = error {
                    assert!(matches!(error, ReadError::Object(_)), "{name} {at} {bits}: {error:?}");
                    faults += 1;
                }
            }
        }
    }
    assert!(faults > 10, "{faults}");
}

/// A server that knows ranges.
fn ranges(bytes: &[u8]) -> impl Fn(&str, u64, u64) -> Vec<u8> {
    move |tag, start, end| {
        let part = &bytes[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
        let range = format!("bytes {start}-{}/{}", end - 1, bytes.len());
        let len = part.len().to_string();
        let headers = [
            ("Content-Length", len.as_str()),
            ("Content-Range", &range),
            ("ETag", tag),
            ("Connection", "close"),
        ];
        response("206 Partial Content", &headers, part)
    }
}

fn whole(bytes: &[u8], tag: &str) -> Vec<u8> {
    let len = bytes.len().to_string();
    response("200 OK", &[("Content-Length", len.as_str()), ("ETag", tag), ("Connection", "close")], bytes)
}

fn play(answer: Vec<u8>) -> Vec<Step> {
    vec![Head, Send(answer)]
}

#[tokio::test]
async fn ranges_that_fail_are_no_fault_of_the_file() {
    let bytes = file("required.parquet");
    let size = bytes.len() as u64;
    let part = ranges(&bytes);
    let failure = super::error("500 Internal Server Error", "InternalError");
    let gone = super::error("412 Precondition Failed", "PreconditionFailed");
    for (answer, is_transient, is_changed) in [
        (failure, true, false),
        (gone, false, true),
        (part("\"f\"", 0, size), false, true),
        (whole(&bytes[..bytes.len() - 1], "\"e\""), false, true),
    ] {
        let server = Scripted::start(vec![play(whole(&bytes, "\"e\"")), play(answer)]).await;
        let media = connect(config(&server.url(), "media")).await;
        let (found, error) = read(&media, "k", LIMITS).await;
        let error = error.unwrap();
        assert!(found.is_empty());
        assert_eq!(error.is_transient(), is_transient, "{error:?}");
        assert_eq!(matches!(error, ReadError::Changed), is_changed, "{error:?}");
    }
    // Servers without ranges send everything, which is as good where everything was asked for.
    let server = Scripted::start(vec![play(whole(&bytes, "\"e\"")), play(whole(&bytes, "\"e\""))]).await;
    let (found, error) = read(&connect(config(&server.url(), "media")).await, "k", LIMITS).await;
    assert!(error.is_none() && found.len() == 2, "{error:?}");
}

/// The thread that waits for bytes ends with its reader: the server sees its client leave.
#[tokio::test]
async fn dropping_the_reader_ends_the_thread() {
    let bytes = file("required.parquet");
    let mut server = Scripted::start(vec![play(whole(&bytes, "\"e\"")), vec![Head, Step::Hang]]).await;
    let media = connect(config(&server.url(), "media")).await;
    let key = ObjectKey::parse("k").unwrap();
    let source = Source { connection: &media, key: &key, size: 0, etag: None };
    let items = Items::open(source, LIMITS).await.unwrap();
    server.next().await;
    server.next().await;
    drop(items);
    assert_eq!(server.next().await, crate::support::scripted::Event::ClientLeft { sent: 0 });
}
