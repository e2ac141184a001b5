//! Annotations as they are accepted, and what each target lacks of them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mediagate::{
    annotation::{Annotation, Beside, Change},
    id::{AnnotationId, ProjectId, StorageId, TaskId},
    storage::{Direction, Layout, Unit},
    store::{Accepted, AnnotationPage, Delivered, Due, NewStorage, OutboxFilter, OutboxState, Store},
};
use serde_json::{json, value::to_raw_value};

use super::{new_storage, settings};

pub(super) async fn suite(store: &Store) {
    replays_and_disorder_end_in_the_newest_state(store).await;
    deletions_win_over_what_is_older(store).await;
    a_batch_is_accepted_in_its_order(store).await;
    annotations_go_to_the_targets_of_their_project(store).await;
    a_claim_keeps_others_off_and_ends_with_its_lease(store).await;
    a_target_that_was_edited_is_claimed_by_who_knows_the_edit_alone(store).await;
    a_state_that_comes_during_an_attempt_is_due_after_it(store).await;
    what_was_given_up_is_seen_and_goes_again(store).await;
    objects_of_tasks_are_one_for_all_annotations(store).await;
    pages_go_through_all_of_a_project(store).await;
}

async fn replays_and_disorder_end_in_the_newest_state(store: &Store) {
    let states = [put("d1", "1", 10, "a"), put("d1", "1", 30, "c"), put("d1", "1", 20, "b")];
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 1, 0]] {
        let mut changed = 0;
        for at in order {
            changed += accept(store, &states[at..=at]).await.changed;
        }
        assert!(changed <= 3, "{order:?}");
        let kept = store.annotation("d1").await.unwrap().unwrap();
        assert!(kept.body.get().contains("\"c\""), "{order:?}: {}", kept.body);
        assert_eq!(kept.updated_at, at(30));
    }
    assert_eq!(accept(store, &states).await, Accepted { changed: 0, known: 3 }, "all of it is known");
    let other = accept(store, &[put("d1", "1", 30, "C")]).await;
    assert_eq!(other.changed, 1, "of one time, the later to arrive is the newer");
    assert!(store.annotation("d1").await.unwrap().unwrap().body.get().contains("\"C\""));
}

async fn deletions_win_over_what_is_older(store: &Store) {
    accept(store, &[put("x1", "x", 50, "a")]).await;
    // The clock of whoever deletes is behind.
    assert_eq!(accept(store, &[Change::Delete(id("x1"), at(40))]).await.changed, 1);
    assert_eq!(accept(store, &[Change::Delete(id("x1"), at(41))]).await.changed, 0, "once");
    for (time, is_there) in [(45, false), (50, false), (51, true)] {
        accept(store, &[put("x1", "x", time, "b")]).await;
        assert_eq!(store.annotation("x1").await.unwrap().is_some(), is_there, "{time}");
    }
    accept(store, &[Change::Delete(id("x2"), at(60))]).await;
    accept(store, &[put("x2", "x", 59, "came late")]).await;
    assert!(store.annotation("x2").await.unwrap().is_none(), "a deletion that came first");
    accept(store, &[put("x3", "gone", 70, "a"), put("x4", "gone", 70, "a")]).await;
    assert_eq!(accept(store, &[Change::DeleteTask(task("gone"), at(80))]).await.changed, 1);
    accept(store, &[put("x3", "gone", 75, "b"), put("x5", "gone", 75, "a"), put("x6", "gone", 81, "a")])
        .await;
    for (id, is_there) in [("x3", false), ("x4", false), ("x5", false), ("x6", true)] {
        assert_eq!(store.annotation(id).await.unwrap().is_some(), is_there, "{id}");
    }
}

async fn a_batch_is_accepted_in_its_order(store: &Store) {
    let batch = [
        put("b1", "b", 10, "a"),
        put("b1", "b", 12, "b"),
        put("b2", "b", 10, "a"),
        Change::Delete(id("b2"), at(11)),
        put("b1", "b", 11, "late"),
        put("b3", "b", 10, "Ünïcode \u{1f600} \"quoted\" \\u0000"),
    ];
    let accepted = accept(store, &batch).await;
    assert_eq!(accepted, Accepted { changed: 4, known: 2 });
    assert!(store.annotation("b1").await.unwrap().unwrap().body.get().contains("\"b\""));
    assert!(store.annotation("b2").await.unwrap().is_none());
    let Change::Put(sent) = &batch[5] else { unreachable!() };
    let kept = store.annotation("b3").await.unwrap().unwrap();
    assert_eq!(kept.body.get(), sent.body.get(), "to the byte");
    assert_eq!(kept.task_body.unwrap().get(), sent.task_body.as_ref().unwrap().get());
    let without = Annotation { task_body: None, updated_at: at(13), ..(**sent).clone() };
    accept(store, &[Change::Put(Box::new(without))]).await;
    assert!(store.annotation("b3").await.unwrap().unwrap().task_body.is_some(), "the task is still known");
}

async fn annotations_go_to_the_targets_of_their_project(store: &Store) {
    let (own, other, all) = (
        target(store, Some("p1"), "annotation").await,
        target(store, Some("p2"), "task").await,
        target(store, None, "annotation").await,
    );
    accept(store, &[of_project("t1", "p1"), of_project("t2", "p2"), put("t3", "t", 10, "a")]).await;
    assert_eq!(items(&claim(store, own, "a", HOUR).await), ["annotation t1"]);
    assert_eq!(items(&claim(store, other, "a", HOUR).await), ["task 1"]);
    assert_eq!(
        items(&claim(store, all, "a", HOUR).await),
        ["annotation t1", "annotation t2", "annotation t3"]
    );
    remove(store, &[own, other, all]).await;
}

async fn a_claim_keeps_others_off_and_ends_with_its_lease(store: &Store) {
    let storage = target(store, Some("c"), "annotation").await;
    accept(store, &[of_project("c1", "c"), of_project("c2", "c")]).await;
    let first = claim(store, storage, "a", Duration::ZERO).await;
    assert_eq!(first.len(), 2);
    let second = claim(store, storage, "b", HOUR).await;
    assert_eq!(items(&second), items(&first), "a lease that ran out");
    assert!(claim(store, storage, "c", HOUR).await.is_empty(), "they are held");
    settle(store, &first[0], done("late")).await;
    assert!(claim(store, storage, "c", HOUR).await.is_empty(), "who lost a claim settles nothing");
    settle(store, &second[0], Delivered::Untried).await;
    let third = claim(store, storage, "c", HOUR).await;
    assert_eq!(items(&third), items(&second[..1]));
    assert_eq!(third[0].key, None);
    settle(store, &third[0], done("k")).await;
    settle(store, &second[1], done("k2")).await;
    assert!(claim(store, storage, "d", HOUR).await.is_empty(), "nothing is due");
    accept(store, &[put_in("c1", "c", 20)]).await;
    let again = claim(store, storage, "d", HOUR).await;
    assert_eq!((again[0].key.as_deref(), again[0].hash.as_deref()), (Some("k"), Some("hash")));
    let these = store
        .claim_items(storage, "e", HOUR, (Unit::Annotation, &["c1".into(), "c2".into(), "new".into()]))
        .await
        .unwrap();
    assert_eq!(items(&these), ["annotation c2", "annotation new"], "due or not, but not what is held");
    remove(store, &[storage]).await;
}

/// What was accepted after the edit went to the old place alone, where a gateway had not heard of the edit, and where a claim
/// or an export was under way.
async fn a_target_that_was_edited_is_claimed_by_who_knows_the_edit_alone(store: &Store) {
    let storage = target(store, Some("edited"), "annotation").await;
    let before = store.storage(storage).await.unwrap().unwrap();
    accept(store, &[of_project("e2", "edited"), of_project("e3", "edited")]).await;
    let held = claim(store, storage, "a", HOUR).await;
    let edited = store.update_storage(&before).await.unwrap();
    assert_ne!(before.revision, edited.revision);
    accept(store, &[of_project("e1", "edited")]).await;
    let claim = async |revision| store.claim_due((storage, revision), "a", HOUR, 10).await.unwrap();
    assert_eq!(items(&claim(before.revision).await), [""; 0]);
    assert_eq!(items(&claim(edited.revision).await), ["annotation e1"]);
    settle(store, &held[0], done("old.json")).await;
    settle(store, &held[1], Delivered::Moot).await;
    let again = claim(edited.revision).await;
    assert_eq!(items(&again), ["annotation e2", "annotation e3"], "at the new place they are not");
    let settled = [(again[0].clone(), done("new.json")), (again[1].clone(), Delivered::Moot)];
    store.settle(edited.revision, &settled).await.unwrap();
    assert_eq!(items(&claim(edited.revision).await), [""; 0]);
    remove(store, &[storage]).await;
}

async fn a_state_that_comes_during_an_attempt_is_due_after_it(store: &Store) {
    let storage = target(store, Some("w"), "annotation").await;
    let failed = Delivered::Later { wait: HOUR, reason: "S3 is away".into() };
    let dead = Delivered::Dead { reason: "denied".into(), revision: 1 };
    for (n, delivered) in (0..).zip([done("k"), failed, dead]) {
        accept(store, &[put_in("w1", "w", 10 + 2 * n)]).await;
        let held = claim(store, storage, "a", HOUR).await;
        assert_eq!(items(&held), ["annotation w1"], "{n}");
        accept(store, &[put_in("w1", "w", 11 + 2 * n)]).await;
        assert!(claim(store, storage, "b", HOUR).await.is_empty(), "no two at once");
        settle(store, &held[0], delivered).await;
        let next = claim(store, storage, "b", HOUR).await;
        assert_eq!(items(&next), ["annotation w1"], "{n}");
        settle(store, &next[0], done("k")).await;
        assert!(claim(store, storage, "b", HOUR).await.is_empty(), "{n}");
    }
    remove(store, &[storage]).await;
}

async fn what_was_given_up_is_seen_and_goes_again(store: &Store) {
    let storage = target(store, Some("g"), "annotation").await;
    let before = store.depth().await.unwrap();
    accept(store, &[of_project("g1", "g"), of_project("g2", "g")]).await;
    let held = claim(store, storage, "a", HOUR).await;
    settle(store, &held[0], Delivered::Dead { reason: "denied \0".into(), revision: 3 }).await;
    settle(store, &held[1], Delivered::Later { wait: HOUR, reason: "away".into() }).await;
    let depth = store.depth().await.unwrap();
    assert_eq!((depth.dead, depth.retrying), (before.dead + 1, before.retrying + 1));
    assert!(depth.oldest.is_some());
    for (state, want) in [(OutboxState::Dead, "g1: denied \u{fffd}"), (OutboxState::Due, "g2: away")] {
        let filter = OutboxFilter { storage: Some(storage), state, after: 0, limit: 10 };
        let listed = store.outbox(&filter).await.unwrap();
        let line = format!("{}: {}", listed[0].item, listed[0].reason.as_deref().unwrap());
        assert_eq!((listed.len(), line.as_str(), listed[0].attempts), (1, want, 1));
        let behind = OutboxFilter { after: listed[0].number, ..filter };
        assert!(store.outbox(&behind).await.unwrap().is_empty());
    }
    assert!(claim(store, storage, "b", HOUR).await.is_empty(), "neither is due");
    assert_eq!(store.revive(storage, 3).await.unwrap(), 0, "the storage is as it was");
    assert_eq!(store.revive(storage, 4).await.unwrap(), 1, "the storage was changed");
    assert_eq!(store.hurry(storage).await.unwrap(), 1);
    let again = claim(store, storage, "b", HOUR).await;
    assert_eq!(again.len(), 2);
    let attempts = |item: &str| again.iter().find(|due| due.item == item).unwrap().attempts;
    assert_eq!((attempts("g1"), attempts("g2")), (0, 1));
    settle(store, &again[0], Delivered::Dead { reason: "denied".into(), revision: 4 }).await;
    assert_eq!(store.retry_dead("nothing").await.unwrap(), 0);
    assert_eq!(store.retry_dead(&again[0].item).await.unwrap(), 1);
    assert_eq!(claim(store, storage, "c", HOUR).await.len(), 1);
    store.delete_storage(storage).await.unwrap();
    assert_eq!(store.forget_targets().await.unwrap(), 2);
}

async fn objects_of_tasks_are_one_for_all_annotations(store: &Store) {
    let storage = target(store, Some("o"), "task").await;
    accept(store, &[of_project("o1", "o"), of_project("o2", "o")]).await;
    let held = claim(store, storage, "a", HOUR).await;
    assert_eq!(items(&held), ["task 1"]);
    settle(store, &held[0], done("1.json")).await;
    accept(store, &[Change::Delete(id("o1"), at(99))]).await;
    assert_eq!(items(&claim(store, storage, "a", HOUR).await), ["task 1"], "a deletion changes it too");
    let of_task: Vec<String> =
        store.annotations_of("1").await.unwrap().iter().map(|one| one.id.to_string()).collect();
    assert!(of_task.contains(&"o2".to_owned()) && !of_task.contains(&"o1".to_owned()), "{of_task:?}");
    remove(store, &[storage]).await;
}

async fn pages_go_through_all_of_a_project(store: &Store) {
    let project = ProjectId::parse("pages").unwrap();
    let puts: Vec<Change> = (0..5).map(|n| of_project(&format!("q{n}"), "pages")).collect();
    accept(store, &puts).await;
    accept(store, &[Change::Delete(id("q3"), at(99))]).await;
    let page = AnnotationPage { project: Some(&project), unit: Unit::Annotation, after: "", limit: 3 };
    let first = store.annotation_ids(&page).await.unwrap();
    assert_eq!(first, ["q0", "q1", "q2"]);
    assert_eq!(store.annotation_ids(&AnnotationPage { after: "q2", ..page.clone() }).await.unwrap(), ["q4"]);
    assert_eq!(store.annotation_ids(&AnnotationPage { unit: Unit::Task, ..page }).await.unwrap(), ["1"]);
}

async fn accept(store: &Store, changes: &[Change]) -> Accepted {
    store.accept(changes).await.unwrap()
}

async fn claim(store: &Store, storage: StorageId, who: &str, lease: Duration) -> Vec<Due> {
    let revision = store.storage(storage).await.unwrap().unwrap().revision;
    let mut due = store.claim_due((storage, revision), who, lease, 100).await.unwrap();
    due.sort_by(|a, b| a.item.cmp(&b.item));
    due
}

/// By who knows the target as it was made.
async fn settle(store: &Store, due: &Due, delivered: Delivered) {
    store.settle(MADE, &[(due.clone(), delivered)]).await.unwrap();
}

async fn target(store: &Store, project: Option<&str>, layout: &str) -> StorageId {
    let mut settings = settings(project.unwrap_or("1"));
    settings.project = project.map(|project| ProjectId::parse(project).unwrap());
    settings.layout = Layout::parse(layout).unwrap();
    let new = NewStorage { direction: Direction::Export, settings, ..new_storage("1") };
    store.create_storage(&new).await.unwrap().id
}

async fn remove(store: &Store, storages: &[StorageId]) {
    for storage in storages {
        assert!(store.delete_storage(*storage).await.unwrap());
    }
    store.forget_targets().await.unwrap();
}

fn items(due: &[Due]) -> Vec<String> {
    let mut items: Vec<String> =
        due.iter().map(|due| format!("{} {}", due.unit.as_str(), due.item)).collect();
    items.sort();
    items
}

fn done(key: &str) -> Delivered {
    Delivered::Done { object: Some((key.to_owned(), "hash".to_owned())) }
}

/// An annotation with its task, and no project.
pub(super) fn put(id: &str, task: &str, updated_at: u64, text: &str) -> Change {
    let body = json!({ "id": id, "result": [text], "task": { "id": task, "data": { "n": text } } });
    change(&body, updated_at)
}

fn of_project(id: &str, project: &str) -> Change {
    change(&json!({ "id": id, "result": [], "task": 1, "project": project }), 10)
}

fn put_in(id: &str, project: &str, updated_at: u64) -> Change {
    change(&json!({ "id": id, "result": [updated_at], "task": 1, "project": project }), updated_at)
}

fn change(body: &serde_json::Value, updated_at: u64) -> Change {
    let body = to_raw_value(body).unwrap();
    Change::Put(Box::new(Annotation::read(&body, Beside::default(), at(updated_at)).unwrap()))
}

fn id(text: &str) -> AnnotationId {
    AnnotationId::parse(text).unwrap()
}

fn task(text: &str) -> TaskId {
    TaskId::parse(text).unwrap()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

const HOUR: Duration = Duration::from_hours(1);
/// The revision of a storage that nobody edited.
const MADE: i64 = 1;
