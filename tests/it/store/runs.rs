//! Runs, their steps, and the links and tasks that they leave.

use std::time::Duration;

use mediagate::{
    id::{RunId, StorageId, TaskNumber},
    object::ETag,
    run::{Claim, Counters, Ending, Fault, Job, RunStatus, Trigger},
    storage::Status,
    store::{
        Error, ItemRow, Items, Keys, ObjectVersion, Part, RunFilter, SourceId, SourceSpec, Step, Store,
        TaskFilter, Unit,
    },
    task::Item,
};

use super::new_storage;

pub(super) async fn suite(store: &Store) {
    a_storage_has_one_open_run(store).await;
    a_claim_passes_on_and_the_loser_is_refused(store).await;
    runs_are_cancelled_and_opened_again(store).await;
    schedules_leave_a_pause(store).await;
    steps_are_taken_once(store).await;
    links_are_unique_and_looked_up(store).await;
    items_are_kept_and_replaced(store).await;
    states_are_told_in_label_studios_words(store).await;
}

async fn a_storage_has_one_open_run(store: &Store) {
    let storage = storage(store).await;
    let first = store.enqueue_run(storage, Job::Sync, Trigger::Api).await.unwrap();
    assert!(first.is_new);
    assert_eq!((first.run.status, first.run.claims), (RunStatus::Queued, 0));
    let second = store.enqueue_run(storage, Job::Sync, Trigger::Terminal).await.unwrap();
    assert!(!second.is_new);
    assert_eq!((second.run.id, second.run.trigger), (first.run.id, Trigger::Api));
    let error = store.enqueue_run(StorageId(999_999), Job::Sync, Trigger::Api).await.unwrap_err();
    assert!(matches!(error, Error::StorageUnknown(_)), "{error:?}");
    let claim = claim(store, first.run.id).await;
    assert!(!store.enqueue_run(storage, Job::Sync, Trigger::Api).await.unwrap().is_new, "nor while it runs");
    store.end_run(claim, &Ending::Completed).await.unwrap();
    let third = store.enqueue_run(storage, Job::Sync, Trigger::Api).await.unwrap();
    assert!(third.is_new && third.run.id > first.run.id);
    let of_storage = RunFilter { storage: Some(storage), ..RunFilter::newest(10) };
    let ids: Vec<RunId> = store.runs(&of_storage).await.unwrap().iter().map(|run| run.id).collect();
    assert_eq!(ids, [third.run.id, first.run.id]);
    let before = RunFilter { before: Some(third.run.id), ..of_storage };
    assert_eq!(store.runs(&before).await.unwrap().len(), 1);
    let queued = RunFilter { status: Some(RunStatus::Queued), ..of_storage };
    assert_eq!(store.runs(&queued).await.unwrap()[0].id, third.run.id);
    store.cancel_run(third.run.id).await.unwrap().unwrap();
    store.drop_old_runs(storage, 1).await.unwrap();
    let ids: Vec<RunId> = store.runs(&of_storage).await.unwrap().iter().map(|run| run.id).collect();
    assert_eq!(ids, [third.run.id]);
    let fourth = store.enqueue_run(storage, Job::Sync, Trigger::Api).await.unwrap().run;
    assert_eq!(fourth.attempt, 3, "what was dropped still counts");
    store.cancel_run(fourth.id).await.unwrap().unwrap();
}

async fn a_claim_passes_on_and_the_loser_is_refused(store: &Store) {
    let run = store.enqueue_run(storage(store).await, Job::Sync, Trigger::Api).await.unwrap().run.id;
    let lost = store.claim_run("a", Duration::ZERO, Some(run)).await.unwrap().unwrap();
    assert_eq!((lost.claim.number, lost.job), (1, Job::Sync));
    let held = store.claim_run("b", HOUR, Some(run)).await.unwrap().unwrap().claim;
    assert_eq!(held.number, 2);
    assert!(store.claim_run("c", HOUR, Some(run)).await.unwrap().is_none(), "it is held");
    assert!(!store.renew_claim(held, HOUR).await.unwrap());
    for refused in [
        store.renew_claim(lost.claim, HOUR).await.map(drop),
        store.end_run(lost.claim, &Ending::Completed).await,
        store.plan_parts(lost.claim, 1, &[Part::default()]).await,
        store.release_claim(lost.claim).await,
    ] {
        assert!(matches!(refused, Err(Error::ClaimLost)), "{refused:?}");
    }
    store.release_claim(held).await.unwrap();
    let next = store.claim_run("c", HOUR, Some(run)).await.unwrap().unwrap().claim;
    assert_eq!(next.number, 3, "one that was given back is free at once");
    store.end_run(next, &Ending::Failed("no \0 luck".to_owned())).await.unwrap();
    let ended = store.run(run).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.error.as_deref()), (RunStatus::Failed, Some("no \u{fffd} luck")));
    assert!(ended.started_at.is_some() && ended.ended_at.is_some());
}

async fn runs_are_cancelled_and_opened_again(store: &Store) {
    let storage = storage(store).await;
    let run = store.enqueue_run(storage, Job::Sync, Trigger::Api).await.unwrap().run.id;
    let cancelled = store.cancel_run(run).await.unwrap().unwrap();
    assert_eq!(cancelled.status, RunStatus::Cancelled, "what waits is stopped at once");
    assert!(store.cancel_run(run).await.unwrap().is_none(), "what ended is not stopped");
    assert_eq!(store.reopen_run(run).await.unwrap().unwrap().status, RunStatus::Queued);
    let claim = claim(store, run).await;
    let told = store.cancel_run(run).await.unwrap().unwrap();
    assert_eq!((told.status, told.is_cancelling), (RunStatus::InProgress, true));
    assert!(store.renew_claim(claim, HOUR).await.unwrap(), "its sidecar hears of it");
    store.end_run(claim, &Ending::Cancelled).await.unwrap();
    let other = store.enqueue_run(storage, Job::Sync, Trigger::Api).await.unwrap().run.id;
    let error = store.reopen_run(run).await.unwrap_err();
    assert!(matches!(error, Error::Conflict), "{error:?}");
    store.cancel_run(other).await.unwrap();
    assert!(store.run(RunId(999_999)).await.unwrap().is_none());
}

async fn schedules_leave_a_pause(store: &Store) {
    let storage = storage(store).await;
    let due = store.enqueue_due_run(storage, Job::Sync, HOUR).await.unwrap().unwrap();
    assert!(
        store.enqueue_due_run(storage, Job::Sync, Duration::ZERO).await.unwrap().is_none(),
        "one is open"
    );
    store.cancel_run(due).await.unwrap();
    assert!(store.enqueue_due_run(storage, Job::Sync, HOUR).await.unwrap().is_none(), "too early");
    let next = store.enqueue_due_run(storage, Job::Sync, Duration::ZERO).await.unwrap().unwrap();
    store.cancel_run(next).await.unwrap();
}

async fn steps_are_taken_once(store: &Store) {
    let (storage, claim, source) = begin(store, "steps").await;
    let part = Part { until: Some("m".to_owned()), ..Part::default() };
    let rest = Part { number: 1, after: "m".to_owned(), ..Part::default() };
    assert!(store.parts(claim, 1).await.unwrap().is_none(), "nothing is planned yet");
    store.plan_parts(claim, 1, &[part.clone(), rest.clone()]).await.unwrap();
    assert_eq!(store.parts(claim, 1).await.unwrap().unwrap(), [part.clone(), rest]);
    assert!(
        store.parts(claim, 2).await.unwrap().is_none(),
        "the storage is no longer the one it was planned for"
    );
    let step = Step {
        found: Counters { listed: 2, matched: 1, ..Counters::default() },
        after: Some("b"),
        objects: vec![version("a", Some("\"1\""))],
        faults: vec![fault("b")],
        ..bare(claim, source, storage, &part)
    };
    let after = store.take_step(&step).await.unwrap();
    let want = Counters { listed: 2, matched: 1, created: 1, failed: 1, ..Counters::default() };
    assert_eq!((after.after.as_str(), after.steps, after.counters), ("b", 1, want));
    assert_eq!(store.take_step(&step).await.unwrap(), after, "one whose answer got lost counts once");
    assert_eq!(store.parts(claim, 1).await.unwrap().unwrap()[0], after);
    let stale = Step { part: &Part { steps: 7, ..part.clone() }, ..bare(claim, source, storage, &part) };
    assert!(matches!(store.take_step(&stale).await, Err(Error::ClaimLost)));
    let faults = store.faults(claim.run, 10).await.unwrap();
    assert_eq!(faults, [fault("b")]);
    store.release_claim(claim).await.unwrap();
    let next = store.claim_run("b", HOUR, Some(claim.run)).await.unwrap().unwrap().claim;
    let late = store
        .take_step(&Step { objects: vec![version("z", None)], ..bare(claim, source, storage, &after) })
        .await;
    assert!(matches!(late, Err(Error::ClaimLost)), "{late:?}");
    assert!(known(store, source, Keys::Between("y", None)).await.is_empty(), "and wrote nothing");
    store.end_run(next, &Ending::Completed).await.unwrap();
    let run = store.run(claim.run).await.unwrap().unwrap();
    assert_eq!((run.status, run.counters), (RunStatus::CompletedWithErrors, want));
}

async fn links_are_unique_and_looked_up(store: &Store) {
    let (storage, claim, source) = begin(store, "links").await;
    assert_eq!(store.source(spec("links")).await.unwrap(), source, "the same is the same");
    let other = store.source(SourceSpec { is_own: true, ..spec("links") }).await.unwrap();
    assert_ne!(other, source);
    let renamed =
        store.source(SourceSpec { endpoint: "https://renamed.example", ..spec("links") }).await.unwrap();
    assert_eq!(renamed, source, "a storage keeps its links when its endpoint gets another name");
    let first = Part::default();
    store.plan_parts(claim, 1, std::slice::from_ref(&first)).await.unwrap();
    let keys = ["a", "a/b", "ä", "b \"quoted\"", "b'c"];
    let objects: Vec<ObjectVersion> = keys.iter().map(|key| version(key, Some("\"1\""))).collect();
    let step = Step { objects: objects[..4].to_vec(), ..bare(claim, source, storage, &first) };
    let part = store.take_step(&step).await.unwrap();
    assert_eq!(part.counters.created, 4);
    let again = [&objects[..], &objects[4..]].concat();
    let again = Step { objects: again, ..bare(claim, source, storage, &part) };
    let part = store.take_step(&again).await.unwrap();
    assert_eq!(part.counters.created, 5, "nothing is made twice");
    assert_eq!(known(store, source, Keys::Between("a", Some("b'c"))).await, ["a/b", "b \"quoted\"", "b'c"]);
    assert_eq!(
        known(store, source, Keys::Between("", None)).await.last().unwrap(),
        "ä",
        "in the order of bytes"
    );
    assert_eq!(known(store, source, Keys::These(&["ä".to_owned(), "c".to_owned()])).await, ["ä"]);
    assert!(known(store, other, Keys::Between("", None)).await.is_empty());
    let changes = Step {
        renewed: vec![version("a", Some("\"2\""))],
        vanished: vec!["ä".to_owned()],
        ..bare(claim, source, storage, &part)
    };
    let part = store.take_step(&changes).await.unwrap();
    let found = store.known(source, Unit::Object, Keys::Between("", None), 10).await.unwrap();
    assert_eq!(found["a"].etag.as_ref().map(ETag::as_str), Some("\"2\""));
    assert!(found["ä"].is_vanished && !found["a"].is_vanished);
    let back = Step { renewed: vec![version("ä", Some("\"1\""))], ..bare(claim, source, storage, &part) };
    store.take_step(&back).await.unwrap();
    assert!(!store.known(source, Unit::Object, Keys::Between("", None), 10).await.unwrap()["ä"].is_vanished);
    let tasks = store
        .tasks(&TaskFilter { storage: Some(storage), limit: 10, ..TaskFilter::default() })
        .await
        .unwrap();
    assert_eq!(tasks.len(), 5);
    assert_eq!(tasks[3].item.data.get(), r#"{"$undefined$":"s3://links/b \"quoted\""}"#);
    assert_eq!(store.task(tasks[0].number).await.unwrap().unwrap().key, tasks[0].key);
    let behind = TaskFilter {
        storage: Some(storage),
        after: Some(tasks[3].number),
        limit: 10,
        ..TaskFilter::default()
    };
    assert_eq!(store.tasks(&behind).await.unwrap().len(), 1);
    store.end_run(claim, &Ending::Completed).await.unwrap();
}

async fn items_are_kept_and_replaced(store: &Store) {
    let (storage, claim, source) = begin(store, "items").await;
    let first = Part::default();
    store.plan_parts(claim, 1, std::slice::from_ref(&first)).await.unwrap();
    let object = version("tasks.json", Some("\"1\""));
    let text = [r#"{"data": {"n": 1.10}, "meta": {"a": 1}}"#, r#"{"n": 2}"#, r#"{"n": 3}"#];
    let rows = || {
        text.iter()
            .zip(0..)
            .map(|(text, row)| ItemRow { row, line: None, item: item(text) })
            .collect::<Vec<_>>()
    };
    let half = Items { object: object.clone(), rows: rows()[..2].to_vec(), replace: false, end: None };
    let step = Step { items: vec![half], ..bare(claim, source, storage, &first) };
    let part = store.take_step(&step).await.unwrap();
    assert!(
        store.known(source, Unit::Items, Keys::Between("", None), 9).await.unwrap().is_empty(),
        "half is not read"
    );
    let whole = Items { object: object.clone(), rows: rows(), replace: false, end: Some((3, 0)) };
    let part =
        store.take_step(&Step { items: vec![whole], ..bare(claim, source, storage, &part) }).await.unwrap();
    assert_eq!(part.counters.created, 3, "the rest is completed");
    assert_eq!(store.known(source, Unit::Items, Keys::Between("", None), 9).await.unwrap().len(), 1);
    let filter = TaskFilter { storage: Some(storage), limit: 10, ..TaskFilter::default() };
    let before = store.tasks(&filter).await.unwrap();
    assert_eq!(before[0].item.data.get(), r#"{"n": 1.10}"#, "to the byte");
    assert_eq!(before[0].item.meta.as_ref().unwrap().get(), r#"{"a": 1}"#);
    let changed = version("tasks.json", Some("\"2\""));
    let nine = r#"{"n": 9}"#;
    let rows =
        [(0, text[0]), (1, nine)].map(|(row, text)| ItemRow { row, line: None, item: item(text) }).into();
    let shorter = Items { object: changed, rows, replace: true, end: Some((2, 0)) };
    let part =
        store.take_step(&Step { items: vec![shorter], ..bare(claim, source, storage, &part) }).await.unwrap();
    assert_eq!((part.counters.created, part.counters.updated), (3, 1), "what says the same is not updated");
    let after = store.tasks(&filter).await.unwrap();
    let numbers =
        |tasks: &[mediagate::task::Task]| tasks.iter().map(|task| task.number).collect::<Vec<TaskNumber>>();
    assert_eq!(numbers(&before), numbers(&after), "tasks keep their numbers");
    assert_eq!((after[1].item.data.get(), after[2].vanished_at.is_some()), (r#"{"n": 9}"#, true));
    store.end_run(claim, &Ending::Completed).await.unwrap();
}

async fn states_are_told_in_label_studios_words(store: &Store) {
    let (storage, claim, source) = begin(store, "states").await;
    let state = store.sync_state(storage).await.unwrap();
    assert_eq!((state.status, state.last_sync), (Status::InProgress, None));
    let first = Part::default();
    store.plan_parts(claim, 1, std::slice::from_ref(&first)).await.unwrap();
    let found = Counters { listed: 30, existed: 4, ..Counters::default() };
    let faults = (0..25).map(|n| fault(&format!("{n:02}"))).collect();
    let step =
        Step { found, faults, objects: vec![version("a", None)], ..bare(claim, source, storage, &first) };
    store.take_step(&step).await.unwrap();
    store.end_run(claim, &Ending::Completed).await.unwrap();
    let state = store.sync_state(storage).await.unwrap();
    assert_eq!((state.status, state.last_sync_count), (Status::CompletedWithErrors, Some(1)));
    assert!(state.last_sync.is_some());
    let traceback = state.traceback.unwrap();
    assert!(traceback.starts_with("00, line 3: not good\n"), "{traceback}");
    assert!(traceback.ends_with(&format!("and 5 more; see /api/runs/{}", claim.run)), "{traceback}");
    for (key, want) in [("attempts", 1), ("tasks_existed", 4), ("tasks_failed_validation", 25)] {
        assert_eq!(state.meta[key], want, "{key}");
    }
    let time = state.meta["time_completed"].as_str().unwrap();
    assert!(time.len() == 32 && time.ends_with("+00:00") && !time.contains('T'), "{time}");
    assert_eq!(store.sync_state(StorageId(999_999)).await.unwrap().status, Status::Initialized);
}

async fn storage(store: &Store) -> StorageId {
    store.create_storage(&new_storage("1")).await.unwrap().id
}

async fn claim(store: &Store, run: RunId) -> Claim {
    store.claim_run("test", HOUR, Some(run)).await.unwrap().unwrap().claim
}

/// A claimed run and a source of its own.
pub(super) async fn begin(store: &Store, bucket: &'static str) -> (StorageId, Claim, SourceId) {
    let storage = storage(store).await;
    let run = store.enqueue_run(storage, Job::Sync, Trigger::Api).await.unwrap().run.id;
    (storage, claim(store, run).await, store.source(spec(bucket)).await.unwrap())
}

fn spec(bucket: &str) -> SourceSpec<'_> {
    SourceSpec {
        endpoint: "https://s3.example",
        bucket,
        project: Some("1"),
        storage: StorageId(1),
        is_own: false,
    }
}

pub(super) fn bare(claim: Claim, source: SourceId, storage: StorageId, part: &Part) -> Step<'_> {
    Step {
        claim,
        source,
        storage,
        part,
        found: Counters::default(),
        after: None,
        is_done: false,
        objects: Vec::new(),
        renewed: Vec::new(),
        items: Vec::new(),
        vanished: Vec::new(),
        faults: Vec::new(),
        is_for_delivery: false,
    }
}

pub(super) fn version(key: &str, etag: Option<&str>) -> ObjectVersion {
    ObjectVersion { key: key.to_owned(), etag: etag.and_then(ETag::parse) }
}

pub(super) fn item(text: &str) -> Item {
    Item::parse(text.as_bytes()).unwrap()
}

fn fault(key: &str) -> Fault {
    Fault { key: key.to_owned(), row: Some(2), line: Some(3), reason: "not good".to_owned() }
}

async fn known(store: &Store, source: SourceId, keys: Keys<'_>) -> Vec<String> {
    let mut keys: Vec<String> =
        store.known(source, Unit::Object, keys, 100).await.unwrap().into_keys().collect();
    keys.sort_unstable();
    keys
}

const HOUR: Duration = Duration::from_hours(1);
