//! Files mode: a task for each object.

use mediagate::{
    run::{Counters, RunStatus},
    storage::{Inventory, KeyFilter, OnChanged, OnVanished, Settings},
};
use tokio_util::sync::CancellationToken;

use super::{Bench, keys};

#[tokio::test]
async fn every_object_becomes_a_task_once_and_a_second_sync_writes_nothing() {
    let all = keys(3333);
    for bench in Bench::both(&all).await {
        let storage = bench.storage(bench.settings()).await;
        let run = bench.sync_well(storage).await;
        let want = Counters { listed: 3333, matched: 3333, created: 3333, ..Counters::default() };
        assert_eq!(run.counters, want);
        assert_eq!(bench.linked().await, bench.bucket.keys());
        let tasks = bench.tasks().await;
        assert_eq!(tasks[0].item.data.get(), format!(r#"{{"$undefined$":"s3://media/{}"}}"#, tasks[0].key));
        let again = bench.sync_well(storage).await;
        assert_eq!(again.counters, Counters { created: 0, existed: 3333, ..want });
        let after = bench.tasks().await;
        let told = |tasks: &[mediagate::task::Task]| {
            tasks.iter().map(|task| (task.number, task.updated_at, task.etag.clone())).collect::<Vec<_>>()
        };
        assert_eq!(told(&tasks), told(&after));
        let state = bench.store.sync_state(storage).await.unwrap();
        assert_eq!((state.last_sync_count, &state.meta["tasks_existed"]), (Some(0), &3333.into()));
    }
}

#[tokio::test]
async fn prefix_depth_and_filter_choose_the_objects() {
    let all = ["a.jpg", "img/1.jpg", "img/2.png", "img/sub/3.jpg", "img/sub/", "imgs/4.jpg", "img/é.jpg"];
    let bench = Bench::start(all.map(str::to_owned)).await;
    let filter = |text: &str| Some(KeyFilter::parse(text).unwrap());
    for (change, want) in [
        (
            Settings { recursive: true, ..Settings::default() },
            &["a.jpg", "img/1.jpg", "img/2.png", "img/sub/3.jpg", "imgs/4.jpg", "img/é.jpg"][..],
        ),
        (Settings { recursive: false, ..Settings::default() }, &["a.jpg"]),
        (
            Settings { prefix: Some("img".to_owned()), recursive: false, ..Settings::default() },
            &["img/1.jpg", "img/2.png", "img/é.jpg"],
        ),
        (
            Settings {
                prefix: Some("img/".to_owned()),
                recursive: true,
                filter: filter(r".*\.jpg$"),
                ..Settings::default()
            },
            &["img/1.jpg", "img/sub/3.jpg", "img/é.jpg"],
        ),
        (Settings { recursive: true, filter: filter("img/s"), ..Settings::default() }, &["img/sub/3.jpg"]),
    ] {
        let settings = Settings {
            recursive: change.recursive,
            prefix: change.prefix.clone(),
            filter: change.filter,
            duplicates: true,
            ..bench.settings()
        };
        let storage = bench.storage(settings).await;
        bench.sync_well(storage).await;
        let mut made: Vec<String> = bench
            .tasks()
            .await
            .into_iter()
            .filter(|task| task.storage == storage)
            .map(|task| task.key)
            .collect();
        made.sort_unstable();
        let mut want: Vec<&str> = want.to_vec();
        want.sort_unstable();
        assert_eq!(made, want, "{:?} {}", change.prefix, change.recursive);
    }
}

#[tokio::test]
async fn storages_of_one_project_share_their_objects_unless_asked() {
    let bench = Bench::start(keys(10)).await;
    let first = bench.storage(bench.settings()).await;
    bench.sync_well(first).await;
    let second = bench.storage(Settings { prefix: Some("img".to_owned()), ..bench.settings() }).await;
    let run = bench.sync_well(second).await;
    assert_eq!((run.counters.created, run.counters.existed), (0, 10), "not a second time");
    let project = Some(mediagate::id::ProjectId::parse("2").unwrap());
    let other = bench.storage(Settings { project, ..bench.settings() }).await;
    assert_eq!(bench.sync_well(other).await.counters.created, 10, "another project has its own");
    let own = bench.storage(Settings { duplicates: true, ..bench.settings() }).await;
    assert_eq!(bench.sync_well(own).await.counters.created, 10, "asked for");
    assert_eq!(bench.sync_well(own).await.counters.created, 0);
}

#[tokio::test]
async fn changed_objects_are_reported_or_updated() {
    for bench in Bench::both(&keys(5)).await {
        let storage = bench.storage(bench.settings()).await;
        bench.sync_well(storage).await;
        let before = bench.tasks().await;
        bench.bucket.put(&before[2].key, "changed");
        for _ in 0..2 {
            let run = bench.sync_well(storage).await;
            assert_eq!(
                (run.counters.changed, run.counters.updated, run.counters.created),
                (1, 0, 0),
                "reported"
            );
        }
        bench.change(storage, |settings| settings.on_changed = OnChanged::Update).await;
        let run = bench.sync_well(storage).await;
        assert_eq!((run.counters.changed, run.counters.updated), (1, 1));
        let after = bench.tasks().await;
        assert_eq!(after[2].number, before[2].number);
        assert_ne!(after[2].etag, before[2].etag);
        assert!(after[2].updated_at.is_some() && after[1].updated_at.is_none());
        assert_eq!(bench.sync_well(storage).await.counters.changed, 0);
    }
}

#[tokio::test]
async fn vanished_objects_are_reported_or_marked_and_come_back() {
    for bench in Bench::both(&keys(3000)).await {
        let storage = bench.storage(bench.settings()).await;
        bench.sync_well(storage).await;
        let all = bench.bucket.keys();
        // At the beginning, at the end, and more than a page in a row.
        let gone = [&all[..2], &all[700..2100], &all[2998..]].concat();
        for key in &gone {
            bench.bucket.remove(key);
        }
        for _ in 0..2 {
            let run = bench.sync_well(storage).await;
            assert_eq!(run.counters.vanished, 1404, "reported each time");
        }
        assert!(bench.tasks().await.iter().all(|task| task.vanished_at.is_none()));
        bench.change(storage, |settings| settings.on_vanished = OnVanished::Mark).await;
        assert_eq!(bench.sync_well(storage).await.counters.vanished, 1404);
        let marked: Vec<String> = bench
            .tasks()
            .await
            .into_iter()
            .filter(|task| task.vanished_at.is_some())
            .map(|task| task.key)
            .collect();
        assert_eq!(marked.len(), 1404);
        assert!(gone.iter().all(|key| marked.contains(key)));
        assert_eq!(bench.sync_well(storage).await.counters.vanished, 0, "marked once");
        bench.bucket.put(&gone[0], gone[0].clone());
        let run = bench.sync_well(storage).await;
        assert_eq!((run.counters.created, run.counters.updated), (0, 1), "it came back and is no new task");
        let back = bench.tasks().await.into_iter().find(|task| task.key == gone[0]).unwrap();
        assert!(back.vanished_at.is_none());
    }
}

#[tokio::test]
async fn objects_of_other_prefixes_and_depths_are_not_missed() {
    let bench = Bench::start(["a/1", "a/b/2", "c/3"].map(str::to_owned)).await;
    let wide = bench.storage(bench.settings()).await;
    bench.sync_well(wide).await;
    let narrow = Settings { prefix: Some("a".to_owned()), recursive: false, ..bench.settings() };
    let narrow = bench.storage(Settings { on_vanished: OnVanished::Mark, ..narrow }).await;
    let run = bench.sync_well(narrow).await;
    assert_eq!((run.counters.vanished, run.counters.existed), (0, 1));
    assert!(bench.tasks().await.iter().all(|task| task.vanished_at.is_none()));
}

#[tokio::test]
async fn keys_that_cannot_be_served_are_named_and_the_rest_is_synced() {
    let bench = Bench::start(["a/../b", "a/c", "a/./d"].map(str::to_owned)).await;
    let storage = bench.storage(bench.settings()).await;
    let run = bench.sync(storage).await;
    assert_eq!((run.status, run.counters.failed), (RunStatus::CompletedWithErrors, 2));
    assert_eq!(bench.linked().await, ["a/c"]);
    let state = bench.store.sync_state(storage).await.unwrap();
    assert!(state.traceback.unwrap().contains("a/../b: the key has a path segment"));
}

#[tokio::test]
async fn what_cannot_be_synced_says_why() {
    let bench = Bench::start(keys(3)).await;
    let wrong = bench.storage(bench.settings()).await;
    bench
        .change(wrong, |settings| settings.bucket = Some(mediagate::object::Bucket::parse("nobody").unwrap()))
        .await;
    let keys = mediagate::storage::Keys {
        access_key_id: Some("AKIANOBODY".into()),
        secret_access_key: Some("wrong".into()),
        session_token: None,
    };
    let mut storage = bench.store.storage(wrong).await.unwrap().unwrap();
    storage.keys = keys;
    bench.store.update_storage(&storage).await.unwrap();
    let run = bench.sync(wrong).await;
    assert_eq!(run.status, RunStatus::Failed);
    assert_eq!(run.error.unwrap(), "the bucket cannot be listed: S3 rejected the credentials");
    let hard = bench
        .storage(Settings { filter: Some(KeyFilter::parse(r"(a|aa)+\1-").unwrap()), ..bench.settings() })
        .await;
    bench.bucket.put(&"a".repeat(200), "x");
    let run = bench.sync(hard).await;
    assert!(run.error.as_ref().is_some_and(|error| error.contains("too many steps")), "{:?}", run.error);
}

#[tokio::test]
async fn a_cancelled_run_stops_and_a_retry_goes_on_where_it_stopped() {
    let bench = Bench::start(keys(5000)).await;
    let storage = bench.storage(bench.settings()).await;
    let run = bench.queue(storage).await;
    bench.store.cancel_run(run).await.unwrap().unwrap();
    let stop = CancellationToken::new();
    assert_eq!(
        bench.runner().run_one(run, stop.clone()).await.unwrap().unwrap().status,
        RunStatus::Cancelled
    );
    assert!(bench.linked().await.is_empty(), "it was never begun");
    bench.store.reopen_run(run).await.unwrap().unwrap();
    stop.cancel();
    let given_back = bench.runner().run_one(run, stop).await.unwrap().unwrap();
    assert_eq!(given_back.status, RunStatus::InProgress, "a process that stops gives its run back");
    let done = bench.runner().run_one(run, CancellationToken::new()).await.unwrap().unwrap();
    assert_eq!((done.status, done.claims), (RunStatus::Completed, 2));
    assert_eq!(bench.linked().await.len(), 5000);
}

/// In a folder of deliveries the newest counts; its keys are in no order, and what it does not have is not missed.
#[tokio::test]
async fn an_inventory_takes_the_place_of_the_listing() {
    for bench in Bench::both(&[]).await {
        let lines = |from: usize, to: usize| -> String {
            let line = |n: usize| format!("\"media\",\"img/{:02}/a+{n}%26.jpg\",\"1\",\"{n:032x}\"\n", n % 7);
            (from..to).rev().map(line).collect()
        };
        let manifest = |files: &[&str], bucket: &str| {
            let files: Vec<_> = files
                .iter()
                .map(|key| serde_json::json!({ "key": key, "size": 1, "MD5checksum": "0" }))
                .collect();
            serde_json::json!({
                "sourceBucket": bucket, "destinationBucket": "arn:aws:s3:::media", "version": "2016-11-30",
                "creationTimestamp": "1514944800000", "fileFormat": "CSV", "fileSchema": "Bucket, Key, Size, ETag", "files": files,
            })
            .to_string()
        };
        bench.bucket.put("inv/data/1.csv.gz", gzip(&lines(0, 1500)));
        bench.bucket.put("inv/data/2.csv.gz", gzip(&lines(1500, 3000)));
        bench.bucket.put("inv/2026-11-23T01-00Z/manifest.json", manifest(&["inv/data/absent"], "media"));
        bench.bucket.put(
            "inv/2026-11-24T01-00Z/manifest.json",
            manifest(&["inv/data/1.csv.gz", "inv/data/2.csv.gz"], "media"),
        );
        let inventory = Some(Inventory::parse("s3://media/inv/").unwrap());
        let settings = Settings { prefix: Some("img".to_owned()), inventory, ..bench.settings() };
        let storage = bench.storage(Settings { on_vanished: OnVanished::Mark, ..settings }).await;
        let run = bench.sync_well(storage).await;
        assert_eq!((run.counters.listed, run.counters.created), (3000, 3000));
        let tasks = bench.tasks().await;
        assert!(tasks.iter().any(|task| task.key == "img/01/a 8&.jpg"), "{}", tasks[0].key);
        assert_eq!(tasks[0].etag.as_ref().map(String::len), Some(34));
        bench.bucket.put("inv/2026-11-24T02-00Z/manifest.json", manifest(&["inv/data/2.csv.gz"], "media"));
        let run = bench.sync_well(storage).await;
        assert_eq!((run.counters.existed, run.counters.created, run.counters.vanished), (1500, 0, 0));
        bench.bucket.put("inv/2026-11-24T03-00Z/manifest.json", manifest(&[], "other"));
        let run = bench.sync(storage).await;
        assert!(
            run.error.as_ref().is_some_and(|error| error.contains("one of the bucket other")),
            "{:?}",
            run.error
        );
        bench
            .change(storage, |settings| {
                settings.inventory = Some(Inventory::parse("s3://media/none/").unwrap());
            })
            .await;
        let run = bench.sync(storage).await;
        assert!(
            run.error.as_ref().is_some_and(|error| error.contains("no manifest.json under s3://media/none/")),
            "{:?}",
            run.error
        );
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}
