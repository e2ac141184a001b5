//! Who made annotations, and how far projects were compared.

use std::time::{Duration, UNIX_EPOCH};

use mediagate::{
    annotation::{Annotation, Beside, Change, Person},
    id::ProjectId,
    storage::{Direction, Unit},
    store::{Delivered, NewStorage, Reconciliation, Store},
};
use serde_json::{json, value::to_raw_value};

use super::new_storage;

pub(super) async fn suite(store: &Store) {
    people_are_kept_and_renamed(store).await;
    what_waited_for_somebody_is_due_again(store).await;
    a_turn_is_for_one_at_a_time(store).await;
    a_pass_goes_on_where_it_was(store).await;
    states_and_numbers_are_told(store).await;
}

async fn people_are_kept_and_renamed(store: &Store) {
    assert_eq!(store.learn_people(&[person("901", "Ann"), person("902", "Bo\0b")]).await.unwrap(), 0);
    let ids = ["901".to_owned(), "902".to_owned(), "903".to_owned()];
    let mut known = store.people(&ids).await.unwrap();
    known.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(known, [person("901", "Ann"), person("902", "Bo\u{fffd}b")]);
    store.learn_people(&[person("901", "Anna")]).await.unwrap();
    assert_eq!(store.people(&ids[..1]).await.unwrap(), [person("901", "Anna")]);
}

async fn what_waited_for_somebody_is_due_again(store: &Store) {
    let target = NewStorage { direction: Direction::Export, ..new_storage("follow") };
    let made = store.create_storage(&target).await.unwrap();
    let (storage, revision) = (made.id, made.revision);
    store.accept(&[put("fo1", "follow", 1), put("fo2", "follow", 1)]).await.unwrap();
    let due = store.claim_due((storage, revision), "a", HOUR, 10).await.unwrap();
    let done = Delivered::Done { object: Some(("k".into(), "h".into())) };
    let settled: Vec<_> = due.into_iter().map(|due| (due, done.clone())).collect();
    store.settle(revision, &settled).await.unwrap();
    for item in ["fo1", "fo1", "fo2"] {
        let person = if item == "fo1" { "911" } else { "912" };
        store.await_person(person, storage, (Unit::Annotation, item)).await.unwrap();
    }
    assert_eq!(store.learn_people(&[person("911", "Ann")]).await.unwrap(), 1);
    let due = store.claim_due((storage, revision), "a", HOUR, 10).await.unwrap();
    assert_eq!(due.iter().map(|due| due.item.as_str()).collect::<Vec<_>>(), ["fo1"]);
    assert_eq!(
        store.learn_people(&[person("911", "Anna")]).await.unwrap(),
        0,
        "another name rewrites nothing"
    );
    // Somebody became known between the look and the waiting.
    store.learn_people(&[person("912", "Bob")]).await.unwrap();
    store.await_person("912", storage, (Unit::Annotation, "fo2")).await.unwrap();
    assert_eq!(store.learn_people(&[]).await.unwrap(), 1);
    assert!(store.delete_storage(storage).await.unwrap());
    store.forget_targets().await.unwrap();
}

async fn a_turn_is_for_one_at_a_time(store: &Store) {
    let take = |pause| store.take_reconciliation("turn", pause, HOUR);
    assert!(take(Duration::ZERO).await.unwrap());
    assert!(!take(Duration::ZERO).await.unwrap(), "somebody is at it");
    store.end_reconciliation("turn").await.unwrap();
    assert!(!take(HOUR).await.unwrap(), "it ended a moment ago");
    assert!(take(Duration::ZERO).await.unwrap());
    store.postpone_reconciliation("turn", Duration::ZERO).await.unwrap();
    assert!(take(Duration::ZERO).await.unwrap(), "it broke off");
    store.postpone_reconciliation("turn", HOUR).await.unwrap();
    assert!(!take(Duration::ZERO).await.unwrap(), "it is left alone");
    assert!(store.take_reconciliation("other", HOUR, Duration::ZERO).await.unwrap(), "it had no turn yet");
    assert!(store.take_reconciliation("other", HOUR, HOUR).await.unwrap(), "whoever was at it is dead");
}

async fn a_pass_goes_on_where_it_was(store: &Store) {
    assert_eq!(store.reconciliation("pass").await.unwrap(), Reconciliation::default());
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let under_way = Reconciliation {
        since: Some(at(10)),
        begun: Some((at(20), 4711)),
        compared_at: Some(at(5)),
        surplus: -3,
    };
    for state in [under_way.clone(), Reconciliation { since: Some(at(20)), begun: None, ..under_way }] {
        store.keep_reconciliation("pass", &state, HOUR).await.unwrap();
        assert_eq!(store.reconciliation("pass").await.unwrap(), state);
    }
    store.end_reconciliation("pass").await.unwrap();
    assert_eq!(store.reconciliation("pass").await.unwrap().surplus, -3);
}

async fn states_and_numbers_are_told(store: &Store) {
    let project = ProjectId::parse("numbers").unwrap();
    store.accept(&[put("n1", "numbers", 1), put("n2", "numbers", 2)]).await.unwrap();
    assert_eq!(store.count_annotations(&project).await.unwrap(), 2);
    let Change::Put(gone) = put("n2", "numbers", 2) else { unreachable!() };
    store.accept(&[Change::Delete(gone.id, UNIX_EPOCH + HOUR)]).await.unwrap();
    assert_eq!(store.count_annotations(&project).await.unwrap(), 1);
    let tasks = ["task-of-n1".to_owned(), "task-of-n2".to_owned(), "no-task".to_owned()];
    let mut states = store.annotation_states(&tasks).await.unwrap();
    states.sort_by(|a, b| a.id.cmp(&b.id));
    let told: Vec<_> = states.iter().map(|state| (state.id.as_str(), state.is_deleted)).collect();
    assert_eq!(told, [("n1", false), ("n2", true)]);
    assert_eq!(states[0].updated_at, UNIX_EPOCH + Duration::from_secs(1));
}

fn person(id: &str, name: &str) -> Person {
    Person {
        id: id.to_owned(),
        first_name: name.to_owned(),
        last_name: String::new(),
        email: format!("{id}@example.com"),
    }
}

fn put(id: &str, project: &str, second: u64) -> Change {
    let body = json!({ "id": id, "result": [], "project": project, "task": format!("task-of-{id}") });
    let at = UNIX_EPOCH + Duration::from_secs(second);
    let annotation = Annotation::read(&to_raw_value(&body).unwrap(), Beside::default(), at);
    Change::Put(Box::new(annotation.unwrap()))
}

const HOUR: Duration = Duration::from_hours(1);
