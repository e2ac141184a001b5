//! Reading the items of files: against s3s, and against a server that breaks off.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use mediagate::{
    object::{ETag, ObjectKey},
    s3::{self, Connection},
    sidecar::{Items, Limits, ObjectFault, ReadError, Source},
    task::ItemFault,
};

use super::{error, step};
use crate::support::{
    s3::{S3Server, Stored, config, connect},
    scripted::{
        Scripted,
        Step::{Head, Send},
        response,
    },
};

mod parquet;

const LIMITS: Limits = Limits { item_size: 1000, object_size: 10_000_000 };

/// The data of each row, or why it is no task; and why there was no more.
async fn read(media: &Connection, key: &str, limits: Limits) -> (Vec<(u64, String)>, Option<ReadError>) {
    let key = ObjectKey::parse(key).unwrap();
    let mut found = Vec::new();
    let mut items =
        match Items::open(Source { connection: media, key: &key, size: 0, etag: None }, limits).await {
            Ok(items) => items,
            Err(error) => return (found, Some(error)),
        };
    loop {
        match items.next().await {
            Ok(Some(read)) => {
                let text =
                    read.item.map_or_else(|fault| fault.to_string(), |item| item.data.get().to_owned());
                found.push((read.row, text));
            }
            Ok(None) => return (found, None),
            Err(error) => {
                assert!(items.next().await.unwrap().is_none(), "nothing comes behind an error");
                return (found, Some(error));
            }
        }
    }
}

fn pack(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn object(error: Option<ReadError>) -> ObjectFault {
    match error {
        Some(ReadError::Object(fault)) => fault,
        other => panic!("no fault of the file: {other:?}"),
    }
}

#[tokio::test]
async fn what_a_file_is_its_content_says() {
    let server = S3Server::start().await;
    let lines = "\u{feff}{\"a\":1}\n\n{\"data\":{\"b\":2}}\n";
    let list = "[{\"a\":1}, {\"data\":{\"b\":2}}]";
    let members = [pack("{\"a\":1}\n{\"da"), pack("ta\":{\"b\":2}}")].concat();
    for (key, bytes) in [
        ("lines.jsonl", lines.as_bytes().to_vec()),
        ("list.json", list.as_bytes().to_vec()),
        ("no_name", lines.as_bytes().to_vec()),
        ("lines.parquet", lines.as_bytes().to_vec()),
        ("lines.gz", pack(lines)),
        ("packed_list.json", pack(list)),
        ("members.gz", members),
    ] {
        server.put("media", key, &bytes);
    }
    let encoded = Stored { content_encoding: Some("gzip"), ..Stored::default() };
    server.put_with("media", "encoded.jsonl", &pack(lines), encoded);
    let media = server.connect("media").await;
    for key in [
        "lines.jsonl",
        "list.json",
        "no_name",
        "lines.parquet",
        "lines.gz",
        "packed_list.json",
        "members.gz",
        "encoded.jsonl",
    ] {
        let (found, error) = read(&media, key, LIMITS).await;
        assert_eq!(found, [(0, "{\"a\":1}".to_owned()), (1, "{\"b\":2}".to_owned())], "{key}");
        assert!(error.is_none(), "{key}: {error:?}");
    }
}

#[tokio::test]
async fn a_bad_item_keeps_its_row_and_costs_no_other() {
    let server = S3Server::start().await;
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(2000));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(300), "]".repeat(300));
    let items = [
        b"{\"a\":1}",
        large.as_bytes(),
        b"{\"a\": nope}",
        b"{\"a\":\"\xff\"}",
        deep.as_bytes(),
        b"17",
        b"{\"a\":1,}",
        b"{\"a\":NaN}",
        b"{\"b\":2}",
    ];
    server.put("media", "lines", &items.join(&b'\n'));
    server.put("media", "list", &[b"[", items.join(&b',').as_slice(), b"]"].concat());
    let media = server.connect("media").await;
    for key in ["lines", "list"] {
        let (found, error) = read(&media, key, LIMITS).await;
        assert!(error.is_none(), "{error:?}");
        assert!(found.iter().map(|(row, _)| *row).eq(0..9), "{found:?}");
        for ((row, text), want) in found.iter().zip([
            "{\"a\":1}",
            "larger than 1000 bytes",
            "not JSON: expected ident",
            "not JSON: invalid unicode",
            "nested deeper",
            "a task is a JSON object, and this is a number",
            "not JSON: key must be a string",
            "not JSON: expected value",
            "{\"b\":2}",
        ]) {
            assert!(text.starts_with(want), "{key} {row}: {text}");
        }
    }
}

#[tokio::test]
async fn lines_are_told() {
    let server = S3Server::start().await;
    server.put("media", "list", b"\n[{\n},\n\n  nope]");
    let media = server.connect("media").await;
    let key = ObjectKey::parse("list").unwrap();
    let source = Source { connection: &media, key: &key, size: 0, etag: None };
    let mut items = Items::open(source, LIMITS).await.unwrap();
    let first = items.next().await.unwrap().unwrap();
    assert_eq!((first.row, first.line, first.item.is_ok()), (0, Some(2), true));
    let second = items.next().await.unwrap().unwrap();
    assert_eq!((second.row, second.line), (1, Some(5)));
    assert!(matches!(second.item, Err(ItemFault::NotJson(_))));
}

#[tokio::test]
async fn files_that_are_no_tasks() {
    let server = S3Server::start().await;
    let bomb = pack(&format!("{{}}\n{}", " ".repeat(20_000_000)));
    assert!(bomb.len() < 100_000);
    let packed = pack("{\"a\":1}\n{\"b\":2}");
    for (key, bytes, rows, want) in [
        ("empty", &b""[..], 0, ObjectFault::Empty),
        ("blank", b" \n", 0, ObjectFault::Empty),
        ("image", b"\x89PNG\r\n\x1a\n", 0, ObjectFault::NotTasks),
        ("utf16", b"\xff\xfe[\0]\0", 0, ObjectFault::Utf16),
        ("cut", b"[{},{", 1, ObjectFault::ListCut { row: 1, line: 1 }),
        ("behind", b"[{}]\n[]", 1, ObjectFault::BehindList { line: 2 }),
        ("cut.gz", &packed[..packed.len() - 4], 2, ObjectFault::GzipCut),
        ("image.gz", &pack("\u{89}PNG"), 0, ObjectFault::NotTasks),
        ("parquet.gz", &pack("PAR1..."), 0, ObjectFault::ParquetInGzip),
        ("encrypted", b"PARE...", 0, ObjectFault::ParquetEncrypted),
        ("bomb", &bomb, 1, ObjectFault::UnpackedTooLarge { limit: 10_000_000 }),
        ("large", &vec![b' '; 10_000_001], 0, ObjectFault::TooLarge { size: 10_000_001, limit: 10_000_000 }),
    ] {
        server.put("media", key, bytes);
        let media = server.connect("media").await;
        let (found, error) = read(&media, key, LIMITS).await;
        assert_eq!(found.len(), rows, "{key}: {found:?}");
        assert_eq!(object(error), want, "{key}");
    }
    server.put("media", "none", b"[ ]");
    let (found, error) = read(&server.connect("media").await, "none", LIMITS).await;
    assert!(found.is_empty() && error.is_none(), "{error:?}");
}

/// What a listing says is enough to refuse it: no request is made.
#[tokio::test]
async fn a_file_that_is_listed_as_too_large_is_not_opened() {
    let server = S3Server::start().await;
    let media = server.connect("media").await;
    let key = ObjectKey::parse("large").unwrap();
    let source = Source { connection: &media, key: &key, size: 10_000_001, etag: None };
    assert!(matches!(
        Items::open(source, LIMITS).await,
        Err(ReadError::Object(ObjectFault::TooLarge { .. }))
    ));
    assert!(server.seen().is_empty());
}

const TEXT: &str = "{\"a\":1}\n{\"b\":2}\n{\"c\":3}";

fn whole(len: usize) -> Vec<u8> {
    let headers = [("Content-Length", "23"), ("ETag", "\"e\""), ("Connection", "close")];
    response("200 OK", &headers, &TEXT.as_bytes()[..len])
}

#[tokio::test]
async fn a_body_that_breaks_off_goes_on_in_the_same_version() {
    let rest = [
        ("Content-Length", "12"),
        ("Content-Range", "bytes 11-22/23"),
        ("ETag", "\"e\""),
        ("Connection", "close"),
    ];
    let rest = response("206 Partial Content", &rest, &TEXT.as_bytes()[11..]);
    let server = Scripted::start(vec![vec![Head, Send(whole(11))], vec![Head, Send(rest)]]).await;
    let media = connect(config(&server.url(), "media")).await;
    let (found, error) = read(&media, "k", LIMITS).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(found.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n"), TEXT);
    let second = server.heads()[1].1.to_ascii_lowercase();
    assert!(second.contains("range: bytes=11-22") && second.contains("if-match: \"e\""), "{second}");
}

#[tokio::test]
async fn what_may_succeed_the_next_time_is_said() {
    let gone = error("412 Precondition Failed", "PreconditionFailed");
    for (answers, rows, is_transient, is_changed) in [
        (vec![error("500 Internal Server Error", "InternalError")], 0, true, false),
        (vec![error("503 Slow Down", "SlowDown")], 0, true, false),
        (vec![error("404 Not Found", "NoSuchKey")], 0, false, false),
        (vec![error("403 Forbidden", "AccessDenied")], 0, false, false),
        (vec![gone.clone()], 0, false, true),
        (vec![whole(11), error("500 Internal Server Error", "InternalError")], 1, true, false),
        (vec![whole(11), gone], 1, false, true),
    ] {
        let server = Scripted::start(answers.clone().into_iter().map(step).collect()).await;
        let media = connect(config(&server.url(), "media")).await;
        let (found, error) = read(&media, "k", LIMITS).await;
        let error = error.unwrap();
        assert_eq!(found.len(), rows, "{error}");
        assert_eq!(error.is_transient(), is_transient, "{error:?}");
        assert_eq!(matches!(error, ReadError::Changed), is_changed, "{error:?}");
        assert!(!matches!(error, ReadError::Object(_)), "{error:?}");
    }
}

#[tokio::test]
async fn only_the_version_that_was_asked_for_is_read() {
    let server = S3Server::start().await;
    server.put("media", "k", b"{}");
    let media = server.connect("media").await;
    let key = ObjectKey::parse("k").unwrap();
    for (tag, want) in
        [(media.head(&key).await.unwrap().etag.unwrap(), true), (ETag::parse("\"x\"").unwrap(), false)]
    {
        let source = Source { connection: &media, key: &key, size: 2, etag: Some(&tag) };
        let opened = Items::open(source, LIMITS).await;
        assert_eq!(opened.is_ok(), want, "{opened:?}");
        assert!(want || matches!(opened, Err(ReadError::Changed)), "{opened:?}");
    }
    let absent = ObjectKey::parse("absent").unwrap();
    let source = Source { connection: &media, key: &absent, size: 2, etag: None };
    assert!(matches!(Items::open(source, LIMITS).await, Err(ReadError::S3(s3::Error::NoSuchKey))));
}

/// To be awaited on any thread, as a run does.
#[test]
fn reading_can_be_moved_between_threads() {
    fn assert_send<T: std::marker::Send>(_: &T) {}
    let open = |source: Source<'static>| Items::open(source, LIMITS);
    let next = |mut items: Items| async move { items.next().await };
    let check = |source: Source<'static>, items: Items| {
        assert_send(&open(source));
        assert_send(&next(items));
    };
    let _ = check;
}
