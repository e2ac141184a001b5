//! Syncs whose tasks go to Label Studio.

mod kills;
mod studio;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use mediagate::{
    gateway::forward,
    id::{ProjectId, StorageId},
    label_studio::{Client, Config, Sink},
    run::{Job, Run, RunStatus, Trigger},
    sidecar::{Runner, sync::TaskSink},
    storage::{ImportMethod, OnChanged, Settings, Storage},
    store::{self, Store},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::studio::{Fault, Studio};
use crate::support::{bucket::MemoryBucket, clock, sidecar};

/// A bucket, a Label Studio, and a sidecar between them.
struct Bench {
    store: Store,
    bucket: MemoryBucket,
    studio: Studio,
    config: Config,
}

impl Bench {
    async fn over(
        store: store::Config,
        keys: impl IntoIterator<Item = String>,
        clock: fn() -> SystemTime,
    ) -> Self {
        let config = Config {
            token: Some("t".into()),
            import_batch: 100,
            import_settle: Duration::ZERO,
            ..Config::default()
        };
        Self {
            store: Store::open(&store, clock).await.unwrap(),
            bucket: MemoryBucket::start(keys).await,
            studio: Studio::start().await,
            config,
        }
    }

    async fn start(keys: impl IntoIterator<Item = String>) -> Self {
        Self::over(memory(), keys, clock).await
    }

    /// A bucket of one file of tasks.
    async fn with_items(lines: &str) -> Self {
        let bench = Self::start([]).await;
        bench.bucket.put("tasks.jsonl", lines.to_owned());
        bench
    }

    fn settings(&self, method: ImportMethod) -> Settings {
        sidecar::settings(&self.bucket, "5", method)
    }

    async fn storage(&self, settings: Settings) -> StorageId {
        sidecar::add_source(&self.store, settings).await
    }

    fn runner(&self, lease: Duration) -> Runner {
        let egress = sidecar::egress();
        let upstream: forward::Config =
            serde_json::from_value(json!({ "url": self.studio.server.url(), "kind": "label-studio" }))
                .unwrap();
        let client = Arc::new(Client::build(&upstream, &self.config, &egress, clock).unwrap());
        let config = self.config.clone();
        let sink = move |store: &Store, storage: &Storage| {
            Ok(Arc::new(Sink::build(store, &client, &config, storage)?) as Arc<dyn TaskSink>)
        };
        sidecar::runner(&self.store, lease, egress, Box::new(sink))
    }

    async fn sync(&self, storage: StorageId) -> Run {
        let run = self.store.enqueue_run(storage, Job::Sync, Trigger::Api).await.unwrap().run.id;
        self.runner(Duration::from_secs(30)).run_one(run, CancellationToken::new()).await.unwrap().unwrap()
    }

    async fn sync_well(&self, storage: StorageId) -> Run {
        let run = self.sync(storage).await;
        assert_eq!(run.status, RunStatus::Completed, "{:?} {:?}", run.error, self.faults(&run).await);
        run
    }

    async fn faults(&self, run: &Run) -> Vec<String> {
        self.store.faults(run.id, 10).await.unwrap().iter().map(ToString::to_string).collect()
    }

    /// The keys of the bucket, as the tasks of Label Studio should carry them.
    fn wanted(&self) -> Vec<(String, Option<i64>)> {
        self.bucket.keys().into_iter().map(|key| (key, None)).collect()
    }
}

#[tokio::test]
async fn each_object_becomes_one_task_of_the_project() {
    let bench = Bench::start(keys(250)).await;
    let storage = bench.storage(bench.settings(ImportMethod::Files)).await;
    let run = bench.sync_well(storage).await;
    assert_eq!((run.counters.listed, run.counters.created, run.counters.failed), (250, 250, 0));
    assert_eq!(bench.studio.keys(), bench.wanted());
    assert_eq!(bench.studio.imports(), [100, 100, 50]);
    let (_, task) = &bench.studio.tasks()[0];
    let key = &bench.bucket.keys()[0];
    assert_eq!(task["data"], json!({ "image": format!("s3://media/{key}") }));
    assert_eq!(task["meta"]["mediagate"]["store"], bench.store.identity().await.unwrap());
    let again = bench.sync_well(storage).await;
    assert_eq!((again.counters.created, again.counters.existed), (0, 250));
    bench.bucket.put("new.jpg", "new");
    assert_eq!(bench.sync_well(storage).await.counters.created, 1);
    assert_eq!((bench.studio.imports(), bench.studio.tasks().len()), (vec![1], 251));
}

#[tokio::test]
async fn items_keep_their_parts_and_a_bad_one_is_named_by_its_line() {
    let lines = concat!(
        "{\"data\": {\"image\": \"s3://media/1\"}, \"meta\": {\"a\": 1}, \"allow_skip\": false}\n\n",
        "{\"data\": {\"text\": \"no image\"}}\n",
        "{\"data\": {\"image\": \"2\"}, \"annotations\": [5]}\n",
        "{\"data\": {\"image\": \"3\"}, \"annotations\": [{\"result\": [], \"completed_by\": {\"email\": \"nobody@example.com\"}}]}\n",
        "{\"data\": {\"image\": \"4\"}, \"predictions\": [{\"result\": []}]}\n",
    );
    let bench = Bench::with_items(lines).await;
    let storage = bench.storage(bench.settings(ImportMethod::Tasks)).await;
    for created in [2, 0] {
        let run = bench.sync(storage).await;
        assert_eq!(run.status, RunStatus::CompletedWithErrors, "{:?}", run.error);
        assert_eq!(
            (run.counters.created, run.counters.failed),
            (created, 3),
            "{:?}",
            bench.faults(&run).await
        );
        let faults = bench.faults(&run).await;
        assert!(
            faults[0].starts_with("tasks.jsonl, line 3: \"image\" key is expected in task data"),
            "{faults:?}"
        );
        assert_eq!(faults[1], "tasks.jsonl, line 4: \"annotations\" has to be a list of objects");
        assert_eq!(faults[2], "tasks.jsonl, line 5: Unknown annotator's email nobody@example.com");
    }
    assert_eq!(
        bench.studio.keys(),
        [("tasks.jsonl".to_owned(), Some(0)), ("tasks.jsonl".to_owned(), Some(4))]
    );
    let (_, first) = &bench.studio.tasks()[0];
    assert_eq!((&first["meta"]["a"], &first["allow_skip"]), (&json!(1), &json!(false)));
}

#[tokio::test]
async fn a_task_is_there_once_whatever_befalls_its_import() {
    for fault in [
        Fault::RequestLost,
        Fault::AnswerLost,
        Fault::Broken,
        Fault::BrokenBehind,
        Fault::BadGateway,
        Fault::Throttled,
        Fault::NoNumbers,
    ] {
        let bench = Bench::start(keys(250)).await;
        let storage = bench.storage(bench.settings(ImportMethod::Files)).await;
        bench.studio.script([fault, fault]);
        let run = bench.sync_well(storage).await;
        assert_eq!(run.counters.created, 250, "{fault:?}");
        assert_eq!(bench.studio.keys(), bench.wanted(), "{fault:?}");
    }
}

#[tokio::test]
async fn an_import_that_is_done_late_is_waited_for() {
    let mut bench = Bench::start(keys(50)).await;
    bench.config.import_settle = Duration::from_millis(300);
    let storage = bench.storage(bench.settings(ImportMethod::Files)).await;
    bench.studio.script([Fault::Late]);
    let (run, ()) = tokio::join!(bench.sync_well(storage), async {
        while bench.studio.commit() == 0 {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(run.counters.created, 50);
    assert_eq!((bench.studio.keys(), bench.studio.imports()), (bench.wanted(), vec![50]));
}

/// Longer than anybody waits for: the tasks are there twice until the next run looks.
#[tokio::test]
async fn a_task_that_came_twice_is_there_once_after_the_next_run() {
    let bench = Bench::start(keys(50)).await;
    let storage = bench.storage(bench.settings(ImportMethod::Files)).await;
    bench.studio.script([Fault::Late]);
    bench.sync_well(storage).await;
    assert_eq!(bench.studio.commit(), 1);
    assert_eq!(bench.studio.tasks().len(), 100);
    let worked_on = bench.studio.tasks()[99].0;
    bench.studio.annotate(worked_on);
    // A copy that somebody made is theirs.
    bench.studio.add(bench.studio.tasks()[0].1.clone());
    bench.sync_well(storage).await;
    let left: Vec<i64> = bench.studio.tasks().iter().map(|(id, _)| *id).collect();
    assert_eq!(left, (1..=50).chain([worked_on, 101]).collect::<Vec<_>>(), "what was worked on stays");
    bench.studio.listings();
    bench.sync_well(storage).await;
    assert_eq!(bench.studio.listings(), 1, "there is nothing more to look for");
}

#[tokio::test]
async fn requests_that_are_too_large_are_halved() {
    let bench = Bench::start(keys(100)).await;
    bench.studio.take_at_most(30);
    let storage = bench.storage(bench.settings(ImportMethod::Files)).await;
    assert_eq!(bench.sync_well(storage).await.counters.created, 100);
    assert_eq!(bench.studio.imports(), [100, 50, 25, 25, 50, 25, 25]);
    assert_eq!(bench.studio.keys(), bench.wanted());
}

#[tokio::test]
async fn a_task_at_which_label_studio_fails_is_refused_and_the_others_are_not() {
    let lines = "{\"image\": \"1\"}\n{\"image\": \"2\", \"crash\": true}\n{\"image\": \"3\"}\n";
    let bench = Bench::with_items(lines).await;
    let storage = bench.storage(bench.settings(ImportMethod::Tasks)).await;
    let run = bench.sync(storage).await;
    assert_eq!((run.counters.created, run.counters.failed), (2, 1), "{:?}", run.error);
    assert_eq!(
        bench.faults(&run).await,
        ["tasks.jsonl, line 2: Label Studio fails at it: database is locked"]
    );
}

#[tokio::test]
async fn changed_items_change_their_tasks() {
    let line = |n: i32| format!("{{\"data\": {{\"image\": \"{n}\"}}, \"meta\": {{\"n\": {n}}}}}\n");
    let bench = Bench::with_items(&(line(1) + &line(2))).await;
    let settings = Settings { on_changed: OnChanged::Update, ..bench.settings(ImportMethod::Tasks) };
    let storage = bench.storage(settings).await;
    bench.sync_well(storage).await;
    bench.bucket.put("tasks.jsonl", line(1) + &line(3));
    let run = bench.sync_well(storage).await;
    assert_eq!((run.counters.created, run.counters.updated, bench.studio.changes()), (0, 1, 1));
    let (id, changed) = &bench.studio.tasks()[1];
    assert_eq!((&changed["data"]["image"], &changed["meta"]["n"]), (&json!("3"), &json!(3)));
    assert_eq!(changed["meta"]["mediagate"]["row"], 1, "it keeps its marker");
    // Deleted between the look at the beginning and the change.
    let deleted = *id;
    bench.studio.add(changed.clone());
    bench.studio.delete(deleted);
    bench.bucket.put("tasks.jsonl", line(1) + &line(4));
    let run = bench.sync_well(storage).await;
    assert_eq!((run.counters.created, run.counters.updated), (0, 0), "a change makes no task");
}

#[tokio::test]
async fn tasks_that_were_deleted_are_made_again() {
    let bench = Bench::start(keys(700)).await;
    let storage = bench.storage(bench.settings(ImportMethod::Files)).await;
    bench.sync_well(storage).await;
    for id in [1, 350, 700] {
        bench.studio.delete(id);
    }
    let theirs = bench.studio.add(json!({ "data": { "image": "theirs" }, "meta": {} }));
    assert_eq!(theirs, 700, "SQLite gives it again");
    bench.studio.imports();
    assert_eq!(bench.sync_well(storage).await.counters.created, 2);
    assert_eq!((bench.studio.imports(), bench.studio.tasks().len()), (vec![2], 700));
    bench.studio.delete(theirs);
    assert_eq!(bench.sync_well(storage).await.counters.created, 1);
    assert_eq!(bench.studio.keys(), bench.wanted());
    bench.studio.listings();
    bench.sync_well(storage).await;
    assert_eq!(bench.studio.listings(), 1, "one look at how many there are");
}

#[tokio::test]
async fn what_cannot_be_delivered_says_what_to_do() {
    for (token, project, want) in [
        (Some("t"), Some("6"), "does not let the user of label_studio.token_file change project 6 (403)"),
        (Some("t"), Some("9"), "has no project 9 for the user of label_studio.token_file (404)"),
        (Some("bad"), Some("5"), "refuses the token of label_studio.token_file (401"),
        (None, Some("5"), "label_studio.token_file is not set"),
        (Some("t"), None, "the storage has no project"),
        (Some("t"), Some("five"), "the storage's project is no number"),
    ] {
        let mut bench = Bench::start(keys(3)).await;
        bench.config.token = token.map(Into::into);
        let project = project.map(|project| ProjectId::parse(project).unwrap());
        let storage = bench.storage(Settings { project, ..bench.settings(ImportMethod::Files) }).await;
        let run = bench.sync(storage).await;
        let error = run.error.unwrap_or_default();
        assert_eq!(run.status, RunStatus::Failed);
        assert!(error.contains(want), "{error}");
        assert!(bench.studio.tasks().is_empty());
        bench.config.token = Some("t".into());
        let mut mended = bench.store.storage(storage).await.unwrap().unwrap();
        mended.settings.project = Some(ProjectId::parse("5").unwrap());
        bench.store.update_storage(&mended).await.unwrap();
        assert_eq!(bench.sync_well(storage).await.counters.created, 3, "{error}");
    }
}

/// Whoever may write tasks of one project may put any marker into them.
#[tokio::test]
async fn a_marker_that_is_copied_into_another_project_moves_nothing_there() {
    let bench = Bench::start(keys(3)).await;
    let storage = bench.storage(bench.settings(ImportMethod::Files)).await;
    bench.sync_well(storage).await;
    let project = Some(ProjectId::parse("7").unwrap());
    let other = bench.storage(Settings { project, ..bench.settings(ImportMethod::Files) }).await;
    let victim = bench.studio.tasks()[2].1.clone();
    let mut forged = victim.clone();
    forged["meta"]["mediagate"]["batch"] = json!("0000000000000000");
    // The first answer is lost, so that the sync of the other project looks at what is there.
    bench.studio.add(forged);
    bench.studio.script([Fault::RequestLost]);
    bench.sync_well(other).await;
    let left: Vec<i64> = bench.studio.tasks().iter().map(|(id, _)| *id).collect();
    assert_eq!(left, [1, 2, 3, 4, 5, 6, 7], "nothing is deleted");
}

/// Two storages over one bucket and project have their tasks together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_storages_that_sync_at_once_make_each_task_once() {
    let bench = Bench::start(keys(1000)).await;
    bench.studio.fail_by_chance(200);
    let (one, two) = (
        bench.storage(bench.settings(ImportMethod::Files)).await,
        bench.storage(bench.settings(ImportMethod::Files)).await,
    );
    let (one, two) = tokio::join!(bench.sync_well(one), bench.sync_well(two));
    assert_eq!(one.counters.created + two.counters.created, 1000);
    assert_eq!(bench.studio.keys(), bench.wanted());
}

fn memory() -> store::Config {
    store::Config { url: Some("sqlite::memory:".into()), ..store::Config::default() }
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("img/{n:06}.jpg")).collect()
}
