//! Examinations end in time and leave nothing behind.

use std::time::Duration;

use mediagate::{
    sidecar::{Probe, Use, examine_within},
    storage::Direction,
};

use super::{assert_says, done, findings, outline, source, step, target};
use crate::support::{
    clock,
    s3::{config, connect},
    scripted::{
        Event, Scripted,
        Step::{Hang, Head},
    },
};

const SHORT: Duration = Duration::from_millis(400);

#[tokio::test]
async fn the_whole_is_cut_and_says_so() {
    let server = Scripted::start(vec![vec![Head, Hang]]).await;
    let connection = connect(config(&server.url(), "media")).await;
    let settings = source();
    let usage = Use { direction: Direction::Import, settings: &settings, origins: &[] };
    let report = examine_within(&connection, usage, clock, SHORT).await;
    assert_eq!(outline(&report), [(Probe::List, false)]);
    assert_says(findings(&report)[0].1, "took longer than 400ms and was cut", "what follows was not tested");
}

#[tokio::test]
async fn the_probe_object_is_deleted_when_the_time_is_over() {
    let server = Scripted::start(vec![step(done()), vec![Head, Hang], step(done())]).await;
    let connection = connect(config(&server.url(), "media")).await;
    let settings = target(true);
    let usage = Use { direction: Direction::Export, settings: &settings, origins: &[] };
    let report = examine_within(&connection, usage, clock, SHORT).await;
    assert_eq!(outline(&report), [(Probe::Put, true), (Probe::ReadBack, false), (Probe::Delete, true)]);
    let methods: Vec<String> =
        server.heads().iter().map(|(_, head)| head.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(methods, ["PUT", "GET", "DELETE"]);
}

/// Nobody waits any more: S3 was slow to confirm the object, or the client has gone.
#[tokio::test]
async fn the_probe_object_is_deleted_when_writing_it_was_given_up() {
    let mut server = Scripted::start(vec![vec![Head, Hang], step(done())]).await;
    let connection = connect(config(&server.url(), "media")).await;
    let settings = target(true);
    let usage = Use { direction: Direction::Export, settings: &settings, origins: &[] };
    let report = examine_within(&connection, usage, clock, SHORT).await;
    assert_eq!(outline(&report), [(Probe::Put, false)]);
    let mut heads = Vec::new();
    while heads.len() < 2 {
        if let Event::Head { head, .. } = server.next().await {
            heads.push(head);
        }
    }
    let key = |head: &str| head.split([' ', '?']).nth(1).unwrap().to_owned();
    assert!(heads[1].starts_with("DELETE /media/img/.mediagate-probe-"), "{}", heads[1]);
    assert_eq!(key(&heads[0]), key(&heads[1]));
}
