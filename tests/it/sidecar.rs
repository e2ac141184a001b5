//! Testing connections and previewing: against s3s, and against a server that answers what S3 may answer.

use bytes::Bytes;
use mediagate::{
    object::Bucket,
    s3::Connection,
    sidecar::{Check, Finding, Probe, Report, Use, examine},
    storage::{Direction, KeyFilter, Settings},
};

use crate::support::{
    clock,
    scripted::{
        Scripted,
        Step::{self, Head, Send},
        response,
    },
};

mod faults;
mod inventory;
mod items;
mod preview;
mod reach;
mod real;
mod time;

/// Of a source under `img` that is only streamed.
fn source() -> Settings {
    Settings {
        bucket: Some(Bucket::parse("media").unwrap()),
        prefix: Some("img".to_owned()),
        presign: false,
        ..Settings::default()
    }
}

fn target(deletes: bool) -> Settings {
    Settings { can_delete_objects: Some(deletes), ..source() }
}

fn filter(pattern: &str) -> KeyFilter {
    KeyFilter::parse(pattern).unwrap()
}

async fn examine_source(connection: &Connection, settings: &Settings) -> Report {
    examine(connection, Use { direction: Direction::Import, settings, origins: &[] }, clock).await
}

async fn examine_target(connection: &Connection, settings: &Settings) -> Report {
    examine(connection, Use { direction: Direction::Export, settings, origins: &[] }, clock).await
}

/// What was tried, and whether it went through.
fn outline(report: &Report) -> Vec<(Probe, bool)> {
    report.checks.iter().map(|check| (check.probe, check.result.is_ok())).collect()
}

/// The failures.
fn findings(report: &Report) -> Vec<(Probe, &Finding)> {
    let failed = |check: &'_ Check| check.probe;
    report.checks.iter().filter_map(|check| Some((failed(check), check.result.as_ref().err()?))).collect()
}

/// The only failure.
#[track_caller]
fn only(report: &Report, probe: Probe) -> &Finding {
    match findings(report).as_slice() {
        [(found, finding)] if *found == probe => finding,
        others => panic!("not one failure of {probe:?}: {others:#?}"),
    }
}

#[track_caller]
fn assert_says(finding: &Finding, problem: &str, advice: &str) {
    assert!(finding.problem.contains(problem), "{problem:?} is not in {finding:#?}");
    assert!(finding.advice.contains(advice), "{advice:?} is not in {finding:#?}");
    for text in [&finding.problem, &finding.advice] {
        assert!(!text.contains('\n') && !text.contains("X-Amz-Signature") && !text.ends_with('.'), "{text}");
    }
}

/// Plays one script for each request; each answer closes its connection.
async fn serve(answers: Vec<Vec<u8>>) -> Scripted {
    Scripted::start(answers.into_iter().map(|answer| vec![Head, Send(answer)]).collect()).await
}

fn step(answer: Vec<u8>) -> Vec<Step> {
    vec![Head, Send(answer)]
}

fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let len = body.len().to_string();
    let all = [&[("Content-Length", len.as_str()), ("Connection", "close")], headers].concat();
    response(status, &all, body)
}

/// One of S3's errors.
fn error(status: &str, code: &str) -> Vec<u8> {
    answer(status, &[], format!("<Error><Code>{code}</Code><Message>m</Message></Error>").as_bytes())
}

fn listing(keys: &[&str]) -> Vec<u8> {
    let objects: Vec<String> = keys
        .iter()
        .map(|key| format!("<Contents><Key>{key}</Key><Size>3</Size><ETag>\"e\"</ETag></Contents>"))
        .collect();
    listed(&objects.concat(), None)
}

fn listed(items: &str, next: Option<&str>) -> Vec<u8> {
    let next = next.map_or_else(
        || "<IsTruncated>false</IsTruncated>".to_owned(),
        |next| {
            format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>")
        },
    );
    let xml = format!("<ListBucketResult>{next}{items}</ListBucketResult>");
    answer("200 OK", &[("Content-Type", "application/xml")], xml.as_bytes())
}

/// The first byte of three.
fn first_byte() -> Vec<u8> {
    answer("206 Partial Content", &[("Content-Range", "bytes 0-0/3"), ("ETag", "\"e\"")], b"a")
}

fn done() -> Vec<u8> {
    answer("200 OK", &[("ETag", "\"e\"")], &Bytes::new())
}
