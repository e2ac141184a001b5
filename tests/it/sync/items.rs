//! Tasks mode: a task for each item.

use std::io::Write as _;

use mediagate::{
    run::RunStatus,
    storage::{ImportMethod, OnChanged, Settings},
};

use super::Bench;

/// A storage that reads files of tasks.
async fn storage(bench: &Bench) -> mediagate::id::StorageId {
    bench.storage(Settings { method: ImportMethod::Tasks, ..bench.settings() }).await
}

#[tokio::test]
async fn items_of_all_formats_become_tasks() {
    for bench in Bench::both(&[]).await {
        bench.bucket.put(
            "a.json",
            r#"[{"data": {"image": "s3://media/1.jpg"}, "meta": {"x": 1.10}}, {"text": "flat"}]"#,
        );
        bench.bucket.put("b.jsonl", "\u{feff}{\"n\": 1}\n\n{\"n\": 2}\n");
        bench.bucket.put("c", "{\n  \"one\": {\n    \"object\": true\n  }\n}");
        bench.bucket.put("d.json.gz", gzip(br#"[{"packed": 1}]"#));
        let storage = storage(&bench).await;
        let run = bench.sync_well(storage).await;
        assert_eq!((run.counters.listed, run.counters.created), (4, 6));
        let made: Vec<_> = bench
            .tasks()
            .await
            .into_iter()
            .map(|task| (task.key, task.row, task.item.data.get().to_owned()))
            .collect();
        let want = [
            ("a.json", 0, r#"{"image": "s3://media/1.jpg"}"#),
            ("a.json", 1, r#"{"text": "flat"}"#),
            ("b.jsonl", 0, r#"{"n": 1}"#),
            ("b.jsonl", 1, r#"{"n": 2}"#),
            ("c", 0, "{\n  \"one\": {\n    \"object\": true\n  }\n}"),
            ("d.json.gz", 0, r#"{"packed": 1}"#),
        ];
        let want: Vec<_> = want.map(|(key, row, data)| (key.to_owned(), Some(row), data.to_owned())).into();
        assert_eq!(made, want);
        let again = bench.sync_well(storage).await;
        assert_eq!((again.counters.created, again.counters.existed), (0, 6));
    }
}

#[tokio::test]
async fn bad_items_and_files_are_named_and_the_rest_is_synced() {
    let bench = Bench::start([]).await;
    bench
        .bucket
        .put("a.jsonl", "{\"n\": 1}\n{\"n\": nope}\n{\"image\": 1, \"predictions\": []}\n{\"n\": 4}\n");
    bench.bucket.put("b.jpg", &b"\xff\xd8\xff\xe0 no tasks"[..]);
    bench.bucket.put("c.json", r#"[{"n": 5}, 17]"#);
    let storage = storage(&bench).await;
    let run = bench.sync(storage).await;
    assert_eq!(
        (run.status, run.counters.created, run.counters.failed),
        (RunStatus::CompletedWithErrors, 3, 4)
    );
    let faults: Vec<String> =
        bench.store.faults(run.id, 10).await.unwrap().iter().map(ToString::to_string).collect();
    assert!(faults[0].starts_with("a.jsonl, line 2: not JSON: expected ident at column 8"), "{faults:?}");
    assert!(faults[1].starts_with("a.jsonl, line 3: If you use \"predictions\" field"), "{faults:?}");
    assert!(faults[2].starts_with("b.jpg: ") && faults[2].contains("Files"), "{faults:?}");
    assert_eq!(faults[3], "c.json, line 1: a task is a JSON object, and this is a number");
    let state = bench.store.sync_state(storage).await.unwrap();
    assert_eq!(state.meta["tasks_failed_validation"], 4);

    // A file that nothing came of is tried again, one that was read is not.
    let again = bench.sync(storage).await;
    assert_eq!((again.counters.existed, again.counters.failed), (3, 1));
    // Whoever mends a file gets the rest of its tasks, and no task twice.
    let before: Vec<_> = bench.tasks().await.iter().map(|task| task.number).collect();
    bench.bucket.put("a.jsonl", "{\"n\": 1}\n{\"n\": 2}\n{\"n\": 3}\n{\"n\": 4}\n");
    bench.bucket.remove("b.jpg");
    let mended = bench.sync_well(storage).await;
    assert_eq!(mended.counters.created, 2);
    let after: Vec<_> = bench.tasks().await.iter().map(|task| task.number).collect();
    assert_eq!(after[..3], before[..]);
    assert_eq!(after.len(), 5);
}

#[tokio::test]
async fn a_changed_file_updates_its_tasks_where_that_is_asked_for() {
    let bench = Bench::start([]).await;
    bench.bucket.put("a.jsonl", "{\"n\": 1}\n{\"n\": 2}\n{\"n\": 3}\n");
    let storage = storage(&bench).await;
    bench.sync_well(storage).await;
    let before = bench.tasks().await;
    bench.bucket.put("a.jsonl", "{\"n\": 1}\n{\"n\": 20}\n");
    let run = bench.sync_well(storage).await;
    assert_eq!((run.counters.changed, run.counters.updated), (1, 0), "reported");
    bench.change(storage, |settings| settings.on_changed = OnChanged::Update).await;
    let run = bench.sync_well(storage).await;
    assert_eq!((run.counters.changed, run.counters.updated, run.counters.created), (1, 1, 0));
    let after = bench.tasks().await;
    assert_eq!(after.len(), 3);
    assert_eq!((after[1].number, after[1].item.data.get()), (before[1].number, "{\"n\": 20}"));
    assert!(after[2].vanished_at.is_some(), "the item is gone");
    assert_eq!(bench.sync_well(storage).await.counters.updated, 0);
}

#[tokio::test]
async fn a_large_file_is_read_in_steps_and_completed_after_a_break() {
    let (bench, folder) = Bench::on_disk([]).await;
    let lines = (0..30_000)
        .map(|n| format!("{{\"n\": {n}, \"text\": \"{}\"}}\n", "x".repeat(100)))
        .collect::<Vec<_>>()
        .concat();
    bench.bucket.put("big.jsonl", lines);
    let storage = storage(&bench).await;
    let run = bench.queue(storage).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let runner = super::runner(&bench.store, std::time::Duration::from_secs(30));
    let mut work = Box::pin(runner.run_one(run, stop));
    // Until some of it is there, and then it is dropped.
    loop {
        let poll = futures_util::poll!(&mut work);
        assert!(poll.is_pending(), "it ended before it could be broken off: {poll:?}");
        tokio::task::yield_now().await;
        if !bench.tasks().await.is_empty() {
            break;
        }
    }
    drop(work);
    drop(runner);
    let half = bench.tasks().await.len();
    assert!(half < 30_000, "{half}");
    let bench = bench.an_hour_later(&folder).await;
    let done = bench.sync_well(storage).await;
    assert_eq!(bench.tasks().await.len(), 30_000);
    assert_eq!(done.counters.created, 30_000, "{half} were there, counted in the same run");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
