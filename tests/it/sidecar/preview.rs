//! Previews: pages, filters, limits and the deadline.

use std::time::Duration;

use mediagate::{
    sidecar::{Preview, PreviewError, PreviewRequest, preview},
    storage::{MatchError, Settings},
};
use tokio::time::Instant;

use super::{error, filter, listed, source, step};
use crate::support::{
    s3::{S3Server, config, connect},
    scripted::{
        Scripted,
        Step::{Hang, Head},
    },
};

fn keys(preview: &Preview) -> Vec<&str> {
    preview.files.iter().map(|file| file.key.as_str()).collect()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

const ENOUGH: PreviewRequest = PreviewRequest { limit: 100 };

#[tokio::test]
async fn what_a_sync_would_take() {
    let server = S3Server::start().await;
    for (key, size) in
        [("img/a.jpg", 1), ("img/b.png", 2), ("img/sub/c.jpg", 4), ("imgs/d.jpg", 8), ("e.jpg", 16)]
    {
        server.put("media", key, &vec![0; size]);
    }
    let media = server.connect("media").await;
    let all = Settings { prefix: None, recursive: true, ..source() };
    for (settings, want, size) in [
        (source(), vec!["img/a.jpg", "img/b.png"], 3),
        (Settings { recursive: true, ..source() }, vec!["img/a.jpg", "img/b.png", "img/sub/c.jpg"], 7),
        (
            Settings { recursive: true, filter: Some(filter(r".*\.jpg$")), ..source() },
            vec!["img/a.jpg", "img/sub/c.jpg"],
            5,
        ),
        // From the beginning of the whole key, as `re.match` has it.
        (Settings { filter: Some(filter(r"a\.jpg")), ..source() }, vec![], 0),
        (Settings { prefix: None, ..source() }, vec!["e.jpg"], 16),
        (all, vec!["e.jpg", "img/a.jpg", "img/b.png", "img/sub/c.jpg", "imgs/d.jpg"], 31),
    ] {
        let found = preview(&media, &settings, &ENOUGH, soon()).await.unwrap();
        assert_eq!(keys(&found), want, "{settings:?}");
        assert_eq!((found.count, found.total_size), (want.len() as u64, size), "{settings:?}");
        assert!(!found.is_cut && !found.is_timed_out);
        assert!(found.files.iter().all(|file| file.last_modified.is_some()));
    }
}

#[tokio::test]
async fn the_limit_cuts_only_where_there_is_more() {
    let server = S3Server::start().await;
    for key in ["img/a", "img/b", "img/c"] {
        server.put("media", key, b"xy");
    }
    let media = server.connect("media").await;
    for (limit, want, is_cut) in [(3, 3, false), (2, 2, true), (1, 1, true), (4, 3, false)] {
        let found = preview(&media, &source(), &PreviewRequest { limit }, soon()).await.unwrap();
        assert_eq!((found.files.len(), found.is_cut), (want, is_cut), "{limit}");
        assert_eq!((found.count, found.total_size), (want as u64, 2 * want as u64), "{limit}");
    }
}

fn page(keys: &[&str], next: Option<&str>) -> Vec<u8> {
    let items: Vec<String> =
        keys.iter().map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>")).collect();
    listed(&items.concat(), next)
}

#[tokio::test]
async fn pages_follow_each_other_and_folders_are_no_files() {
    let server = Scripted::start(vec![
        step(page(&["img/", "img/a"], Some("two"))),
        step(page(&["img/folder/", "img/b"], Some("three"))),
        step(page(&["img/c"], None)),
    ])
    .await;
    let media = connect(config(&server.url(), "media")).await;
    let found = preview(&media, &source(), &ENOUGH, soon()).await.unwrap();
    assert_eq!(keys(&found), ["img/a", "img/b", "img/c"]);
    let heads = server.heads();
    assert!(heads[1].1.contains("continuation-token=two "), "{}", heads[1].1);
    assert!(heads[2].1.contains("continuation-token=three "), "{}", heads[2].1);
    assert!(heads.iter().all(|(_, head)| head.contains("prefix=img%2F") && head.contains("delimiter=%2F")));
}

#[tokio::test]
async fn no_page_is_asked_for_behind_the_limit() {
    let server = Scripted::start(vec![step(page(&["img/a", "img/b"], Some("two")))]).await;
    let media = connect(config(&server.url(), "media")).await;
    let found = preview(&media, &source(), &PreviewRequest { limit: 1 }, soon()).await.unwrap();
    assert!(found.is_cut && server.heads().len() == 1, "{found:?}");
}

#[tokio::test]
async fn the_deadline_leaves_what_was_found() {
    let server = Scripted::start(vec![step(page(&["img/a"], Some("two"))), vec![Head, Hang]]).await;
    let media = connect(config(&server.url(), "media")).await;
    let deadline = Instant::now() + Duration::from_millis(500);
    let found = preview(&media, &source(), &ENOUGH, deadline).await.unwrap();
    assert!(found.is_timed_out && !found.is_cut);
    assert_eq!((keys(&found), found.count), (vec!["img/a"], 1));
}

#[tokio::test]
async fn a_slow_filter_does_not_outlast_the_deadline() {
    let server = Scripted::start(vec![step(page(&["img/a"; 1000], None))]).await;
    let media = connect(config(&server.url(), "media")).await;
    let found = preview(&media, &source(), &ENOUGH, Instant::now()).await.unwrap();
    assert!(found.is_timed_out && found.files.is_empty(), "{found:?}");
}

#[tokio::test]
async fn what_cannot_be_judged_or_listed_is_an_error() {
    let server = S3Server::start().await;
    server.put("media", &format!("img/{}", "a".repeat(200)), b"x");
    let media = server.connect("media").await;
    let hard = Settings { filter: Some(filter(r"img/(a|aa)+\1-")), ..source() };
    let refused = preview(&media, &hard, &ENOUGH, soon()).await;
    assert!(matches!(refused, Err(PreviewError::Filter(MatchError::TooHard))), "{refused:?}");
    let server = Scripted::start(vec![step(error("403 Forbidden", "AccessDenied"))]).await;
    let media = connect(config(&server.url(), "media")).await;
    let refused = preview(&media, &source(), &ENOUGH, soon()).await;
    assert!(matches!(refused, Err(PreviewError::S3(mediagate::s3::Error::AccessDenied))), "{refused:?}");
}
