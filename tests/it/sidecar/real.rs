//! Against s3s, which checks signatures.

use mediagate::{
    s3::CredentialsConfig,
    sidecar::{Probe, Use, examine},
    storage::{Direction, Settings},
};

use super::{assert_says, examine_source, examine_target, filter, findings, only, outline, source, target};
use crate::support::{
    clock,
    s3::{ACCESS_KEY_ID, S3Server, connect},
};

const PAGE: &str = "https://app.example.org";

#[tokio::test]
async fn a_source_is_listed_and_read() {
    let server = S3Server::start().await;
    server.put("media", "img/a.jpg", b"abc");
    let report = examine_source(&server.connect("media").await, &source()).await;
    assert_eq!(outline(&report), [(Probe::List, true), (Probe::Get, true)]);
    assert!(report.is_ok() && report.notes.is_empty(), "{report:?}");
    let range = server.seen().iter().find_map(|seen| seen.headers.get("range").cloned());
    assert_eq!(range.unwrap(), "bytes=0-0", "one byte is enough");
}

#[tokio::test]
async fn an_empty_object_can_be_read() {
    let server = S3Server::start().await;
    server.put("media", "img/empty", b"");
    let report = examine_source(&server.connect("media").await, &source()).await;
    assert_eq!(outline(&report), [(Probe::List, true), (Probe::Get, true)], "{report:?}");
}

#[tokio::test]
async fn what_there_is_to_read() {
    let server = S3Server::start().await;
    server.put("media", "img/sub/a.jpg", b"abc");
    server.put("media", "flat/a.png", b"abc");
    server.bucket("empty");
    for (bucket, settings, problem, note) in [
        (
            "media",
            source(),
            "",
            "s3://media/img/ holds objects in sub-folders only, such as img/sub/; turn on",
        ),
        ("media", Settings { recursive: true, ..source() }, "", ""),
        // Only served, so that a sync's view does not count.
        ("media", Settings { synchronizable: false, ..source() }, "", ""),
        (
            "media",
            Settings { prefix: Some("im".into()), ..source() },
            "s3://media/im/ not found: it holds no object",
            "",
        ),
        ("empty", Settings { prefix: None, ..source() }, "", "s3://empty/ holds no object"),
        ("empty", Settings { synchronizable: false, ..source() }, "", "s3://empty/img/ holds no object"),
        (
            "media",
            Settings { prefix: Some("flat".into()), filter: Some(filter(r".*\.png$")), ..source() },
            "",
            "",
        ),
        (
            "media",
            Settings { prefix: Some("flat/".into()), filter: Some(filter(r"a\.png")), ..source() },
            "",
            "none of the objects under s3://media/flat/ matches the file name filter",
        ),
    ] {
        let report = examine_source(&server.connect(bucket).await, &settings).await;
        match findings(&report).as_slice() {
            [] => assert_eq!(problem, "", "{settings:?}"),
            [(Probe::List, finding)] => assert_says(finding, problem, "prefix"),
            others => panic!("{others:#?}"),
        }
        assert!(report.notes.concat().contains(note), "{note}: {report:?}");
        assert_eq!(report.notes.is_empty(), note.is_empty(), "{report:?}");
    }
}

#[tokio::test]
async fn a_filter_that_is_too_hard_is_a_finding() {
    let server = S3Server::start().await;
    server.put("media", &format!("img/{}", "a".repeat(200)), b"abc");
    let settings = Settings { filter: Some(filter(r"img/(a|aa)+\1-")), ..source() };
    let report = examine_source(&server.connect("media").await, &settings).await;
    assert_says(only(&report, Probe::List), "takes too many steps", "repeats within repeats");
}

#[tokio::test]
async fn a_target_is_written_read_back_and_deleted() {
    let server = S3Server::start().await;
    let folder = server.bucket("media");
    let report = examine_target(&server.connect("media").await, &target(true)).await;
    assert_eq!(outline(&report), [(Probe::Put, true), (Probe::ReadBack, true), (Probe::Delete, true)]);
    assert!(report.notes.is_empty(), "{report:?}");
    let left = std::fs::read_dir(folder.join("img")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "the probe object was left behind");
}

#[tokio::test]
async fn where_deleting_is_off_one_object_stays() {
    let server = S3Server::start().await;
    let folder = server.bucket("media");
    let connection = server.connect("media").await;
    for settings in [target(false), Settings { can_delete_objects: None, ..source() }, target(false)] {
        let report = examine_target(&connection, &settings).await;
        assert_eq!(outline(&report), [(Probe::Put, true), (Probe::ReadBack, true)]);
        assert!(report.notes.concat().contains("s3://media/img/.mediagate-probe stays"), "{report:?}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.join("img")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(server.seen().iter().all(|seen| seen.method != "DELETE"));
}

#[tokio::test]
async fn wrong_keys_and_buckets() {
    let server = S3Server::start().await;
    server.put("media", "img/a", b"abc");
    let mut config = server.config("media");
    config.credentials = CredentialsConfig::Static {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: "wrong".into(),
        session_token: None,
    };
    let report = examine_source(&connect(config).await, &source()).await;
    assert_says(
        only(&report, Probe::List),
        "S3 rejected the credentials",
        "check access_key_id and secret_access_key",
    );
    let report = examine_source(&server.connect("absent").await, &source()).await;
    assert_says(only(&report, Probe::List), "Cannot find bucket absent in S3 at http://127", "bucket's name");
}

#[tokio::test]
async fn what_browsers_will_ask_is_asked() {
    let server = S3Server::start().await;
    server.put("media", "img/a", b"abc");
    let settings = Settings { presign: true, ..source() };
    let origins = [PAGE.to_owned()];
    let usage = Use { direction: Direction::Import, settings: &settings, origins: &origins };
    let report = examine(&server.connect("media").await, usage, clock).await;
    // s3s knows no CORS, and so allows it to nobody.
    let finding = only(&report, Probe::Cors);
    assert_says(finding, "does not let pages of https://app.example.org read", "mediagate policy cors");
    assert_eq!(outline(&report)[2], (Probe::Presigned, true));
    // Without an object the signature can still be tried.
    let settings = Settings { prefix: None, ..settings };
    server.bucket("empty");
    let usage = Use { direction: Direction::Import, settings: &settings, origins: &[] };
    let report = examine(&server.connect("empty").await, usage, clock).await;
    assert_eq!(outline(&report), [(Probe::List, true), (Probe::Presigned, true)], "{report:?}");
}
