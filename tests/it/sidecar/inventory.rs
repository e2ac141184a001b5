//! Inventories in CSV and Parquet, as S3 writes them.

use std::{fs, io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};
use mediagate::{
    object::ObjectKey,
    s3::{Connection, Listed},
    sidecar::{Entries, InventoryError, Manifest, ManifestFault, ReadError},
};

use super::{error, step};
use crate::support::{
    s3::{S3Server, config, connect},
    scripted::Scripted,
};

const SCHEMA: &str = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag";

fn pack(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn manifest(format: &str, schema: &str, files: &[&str]) -> String {
    let files: Vec<_> =
        files.iter().map(|key| serde_json::json!({"key": key, "size": 1, "MD5checksum": "0"})).collect();
    serde_json::json!({
        "sourceBucket": "media", "destinationBucket": "arn:aws:s3:::reports", "version": "2016-11-30",
        "creationTimestamp": "1514944800000", "fileFormat": format, "fileSchema": schema, "files": files,
    })
    .to_string()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

async fn open(reports: &Connection) -> Result<Manifest, InventoryError> {
    Manifest::read(reports, &key("inv/manifest.json")).await
}

/// The entries of all files, and why there were no more.
async fn entries(reports: &Connection) -> (Vec<Listed>, Option<InventoryError>) {
    let manifest = open(reports).await.unwrap();
    let mut found = Vec::new();
    for place in 0..manifest.files().len() {
        let mut entries = match Entries::open(reports, &manifest, place).await {
            Ok(entries) => entries.unwrap(),
            Err(error) => return (found, Some(error)),
        };
        loop {
            match entries.next().await {
                Ok(Some(listed)) => found.push(listed),
                Ok(None) => break,
                Err(error) => {
                    assert!(entries.next().await.unwrap().is_none(), "nothing comes behind an error");
                    return (found, Some(error));
                }
            }
        }
    }
    assert!(Entries::open(reports, &manifest, manifest.files().len()).await.unwrap().is_none());
    (found, None)
}

#[tokio::test]
async fn csv_files_list_what_a_listing_has() {
    let server = S3Server::start().await;
    let line = |at: u32| {
        let (latest, marker) = (at % 5 != 3, at % 7 == 6);
        let size = if marker { String::new() } else { at.to_string() };
        format!(
            "\"media\",\"img/a+%C3%A9%2B{at:07}.jpg\",\"v\",\"{latest}\",\"{marker}\",\"{size}\",\"2024-02-29T13:05:00.000Z\",\"d41d8cd9\"\n"
        )
    };
    let first: String = (0..20_000).map(line).collect();
    let second: String = (20_000..20_010).map(line).collect();
    server.put(
        "reports",
        "inv/manifest.json",
        manifest("CSV", SCHEMA, &["data/1.csv.gz", "data/2.csv.gz"]).as_bytes(),
    );
    server.put("reports", "data/1.csv.gz", &pack(&first));
    server.put("reports", "data/2.csv.gz", &pack(second.trim_end()));
    let reports = server.connect("reports").await;
    assert_eq!(open(&reports).await.unwrap().source_bucket(), "media");
    let (found, error) = entries(&reports).await;
    assert!(error.is_none(), "{error:?}");
    let want: Vec<_> = (0..20_010_u32).filter(|at| at % 5 != 3 && at % 7 != 6).collect();
    assert_eq!(found.len(), want.len());
    for (listed, at) in found.iter().zip(want) {
        assert_eq!(listed.key, format!("img/a é+{at:07}.jpg"));
        assert_eq!((listed.size, listed.etag.as_ref().unwrap().as_str()), (at.into(), "\"d41d8cd9\""));
        assert!(listed.last_modified.is_some());
    }
}

#[tokio::test]
async fn parquet_files_list_what_a_listing_has() {
    let server = S3Server::start().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/parquet");
    server.put(
        "reports",
        "inv/manifest.json",
        manifest("Parquet", "message s3.inventory {}", &["1.parquet"]).as_bytes(),
    );
    server.put("reports", "1.parquet", &fs::read(folder.join("inventory.parquet.bin")).unwrap());
    let (found, error) = entries(&server.connect("reports").await).await;
    assert!(error.is_none(), "{error:?}");
    let row = |listed: &Listed| {
        let at = listed.last_modified.map(|at| humantime::format_rfc3339_millis(at).to_string());
        (listed.key.clone(), listed.size, at.unwrap(), listed.etag.as_ref().unwrap().as_str().to_owned())
    };
    let at = || "2024-02-29T13:05:00.250Z".to_owned();
    assert_eq!(
        found.iter().map(row).collect::<Vec<_>>(),
        [
            ("a b+c%20/é\"\n.jpg".to_owned(), 12, at(), "\"9bb5-2\"".to_owned()),
            ("current".to_owned(), 1 << 40, at(), "\"d41d\"".to_owned()),
        ]
    );
}

#[tokio::test]
async fn a_fault_names_file_and_line() {
    let server = S3Server::start().await;
    server.put(
        "reports",
        "inv/manifest.json",
        manifest("CSV", "Bucket, Key, Size", &["data/1.csv.gz"]).as_bytes(),
    );
    let reports = server.connect("reports").await;
    let packed = pack("b,k,1\nb,l,2\n");
    for (bytes, rows, want) in [
        (pack("b,k,1\nb,l,2\nb,m,x\nb,n,3\n"), 2, "data/1.csv.gz cannot be read: no size: \"x\" in line 3"),
        (pack(&format!("b,k,1\nb,{}", "x".repeat(200_000))), 1, "more than 65536 bytes in line 2"),
        (packed[..packed.len() - 3].to_vec(), 2, "data/1.csv.gz cannot be read: the gzip data breaks off"),
    ] {
        server.put("reports", "data/1.csv.gz", &bytes);
        let (found, error) = entries(&reports).await;
        let error = error.unwrap();
        assert_eq!(found.len(), rows, "{error}");
        assert!(error.to_string().contains(want) && !error.is_transient(), "{error}");
    }
    fs::remove_file(server.bucket("reports").join("data/1.csv.gz")).unwrap();
    let (_, error) = entries(&reports).await;
    assert!(error.unwrap().to_string().contains("data/1.csv.gz cannot be read: the key does not exist"));
}

#[tokio::test]
async fn the_checksum_beside_a_manifest_counts() {
    let server = S3Server::start().await;
    let text = "{\"sourceBucket\":\"b\",\"fileFormat\":\"CSV\",\"fileSchema\":\"Key,Size\",\"files\":[]}";
    server.put("reports", "inv/manifest.json", text.as_bytes());
    let reports = server.connect("reports").await;
    for (sum, fits) in [("b4f2fa54bbb0c3c5f6c1a9d5f33d7a5e", false), ("MD5", true), ("", false)] {
        // The sum of the text itself, by another tool than the one under test.
        let sum = if sum == "MD5" { SUM } else { sum };
        server.put("reports", "inv/manifest.checksum", sum.as_bytes());
        let read = open(&reports).await;
        assert_eq!(read.is_ok(), fits, "{sum}: {read:?}");
        assert!(fits || matches!(read, Err(InventoryError::Manifest(ManifestFault::Checksum))), "{read:?}");
    }
}

/// `printf '%s' '{"sourceBucket":..' | md5sum`
const SUM: &str = "22bfe40f962978dca78bccfc39223d60\n";

#[tokio::test]
async fn what_may_succeed_the_next_time_is_said() {
    let failure = || error("500 Internal Server Error", "InternalError");
    let server = Scripted::start(vec![step(failure())]).await;
    let failed = open(&connect(config(&server.url(), "reports")).await).await.unwrap_err();
    assert!(failed.is_transient(), "{failed}");
    let text = manifest("CSV", "Key,Size", &["1.csv.gz"]);
    let server = Scripted::start(vec![
        step(super::answer("200 OK", &[("ETag", "\"e\"")], text.as_bytes())),
        step(error("404 Not Found", "NoSuchKey")),
        step(failure()),
    ])
    .await;
    let (found, error) = entries(&connect(config(&server.url(), "reports")).await).await;
    let error = error.unwrap();
    assert!(found.is_empty() && error.is_transient(), "{error}");
    assert!(matches!(error, InventoryError::File { error: ReadError::S3(_), .. }), "{error:?}");
}
