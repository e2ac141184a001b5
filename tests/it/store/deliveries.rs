//! Tasks that live in another application.

use std::time::Duration;

use mediagate::{
    id::{ProjectId, TaskNumber},
    run::{Claim, Counters, Ending},
    store::{Batch, Bounds, Delivery, DeliveryState, Error, ItemRow, Items, Part, SourceId, Step, Store},
};

use super::runs::{bare, begin, item, version};

pub(super) async fn suite(store: &Store) {
    assert_eq!(store.identity().await.unwrap(), store.identity().await.unwrap(), "it keeps its name");
    links_are_delivered_once(store).await;
    a_lost_answer_is_looked_for_before_it_is_sent_again(store).await;
    what_changes_is_sent_again(store).await;
    what_is_refused_is_tried_by_the_next_run(store).await;
    what_is_gone_is_due_again(store).await;
    numbers_that_are_given_again_belong_to_the_new_task(store).await;
    links_from_before_are_delivered_too(store).await;
}

async fn links_are_delivered_once(store: &Store) {
    let (claim, source) = linked(store, "delivered", &["a", "b", "c"]).await;
    let first = batch(store, claim, source).await;
    assert_eq!(keys(&first), ["a", "b"]);
    let second = batch(store, claim, source).await;
    assert_eq!(keys(&second), ["c"]);
    assert!(store.claim_batch(claim, source, BOUNDS).await.unwrap().is_none(), "all are on their way");
    deliver(store, claim, &first, 100).await;
    deliver(store, claim, &first, 200).await;
    store.return_batch(&second.id).await.unwrap();
    let again = batch(store, claim, source).await;
    assert_eq!(keys(&again), ["c"], "what was not sent is due");
    deliver(store, claim, &again, 102).await;
    assert_eq!(store.next_delivery(source).await.unwrap(), None);
    let delivery = one(store, first.parcels[1].task.number).await;
    let want = (DeliveryState::Done, Some(101), Some(first.id.as_str()), "b", -1);
    let Delivery { state, remote, batch, key, row, .. } = &delivery;
    assert_eq!((*state, *remote, batch.as_deref(), key.as_str(), *row), want, "the first number is kept");
    let counted = store.run(claim.run).await.unwrap().unwrap().counters;
    assert_eq!(counted, Counters { created: 3, ..Counters::default() }, "made where they live");
    let later = Claim { number: claim.number + 1, ..claim };
    let refused = store.claim_batch(later, source, BOUNDS).await;
    assert!(refused.is_ok_and(|batch| batch.is_none()), "nothing is due");
    let (other, open) = linked(store, "fenced", &["x"]).await;
    let stale = Claim { number: other.number + 1, ..other };
    let error = store.claim_batch(stale, open, BOUNDS).await.unwrap_err();
    assert!(matches!(error, Error::ClaimLost), "{error:?}");
    end(store, claim).await;
    end(store, other).await;
}

async fn a_lost_answer_is_looked_for_before_it_is_sent_again(store: &Store) {
    let (claim, source) = linked(store, "lost", &["a", "b"]).await;
    let sent = batch(store, claim, source).await;
    assert!(store.next_delivery(source).await.unwrap().unwrap() > HOUR / 2, "an answer may still come");
    assert!(store.lost_deliveries(claim, source, HOUR).await.unwrap().is_empty());
    store.keep_batch(&sent.id, Duration::ZERO).await.unwrap();
    let lost = store.lost_deliveries(claim, source, HOUR).await.unwrap();
    assert_eq!(lost.len(), 2);
    assert!(lost.iter().all(|lost| lost.batch == sent.id && lost.after.is_none()));
    assert!(store.lost_deliveries(claim, source, HOUR).await.unwrap().is_empty(), "one looks at a time");
    let found = &lost[0];
    store.put_down_delivered(claim, &sent.id, &[(found.task, 310)]).await.unwrap();
    store.resend(&lost).await.unwrap();
    let again = batch(store, claim, source).await;
    assert_eq!(again.parcels.len(), 1, "what was found is not sent again");
    assert_ne!(again.parcels[0].task.number, found.task);
    store.resend(&lost).await.unwrap();
    assert!(store.claim_batch(claim, source, BOUNDS).await.unwrap().is_none(), "it is on its way by now");
    deliver(store, claim, &again, 311).await;
    let project = ProjectId::parse("1").unwrap();
    assert!(store.delivered(&project).await.unwrap().2, "one may be there twice");
    store.put_down_single(&project).await.unwrap();
    assert!(!store.delivered(&project).await.unwrap().2);
    end(store, claim).await;
}

async fn what_changes_is_sent_again(store: &Store) {
    let (storage, claim, source) = begin(store, "changes").await;
    let part = Part::default();
    store.plan_parts(claim, 1, std::slice::from_ref(&part)).await.unwrap();
    let items = |text: &str, replace| Items {
        object: version("a.jsonl", Some("\"1\"")),
        rows: vec![ItemRow { row: 0, line: Some(3), item: item(text) }],
        replace,
        end: None,
    };
    let take = async |part: &Part, items| {
        let step = Step { items: vec![items], is_for_delivery: true, ..bare(claim, source, storage, part) };
        store.take_step(&step).await.unwrap()
    };
    let part = take(&part, items(r#"{"n": 1}"#, false)).await;
    let sent = batch(store, claim, source).await;
    assert_eq!(sent.parcels[0].line, Some(3));
    // Before its answer.
    let part = take(&part, items(r#"{"n": 2}"#, true)).await;
    deliver(store, claim, &sent, 320).await;
    let change = store.claim_change(claim, source, HOUR).await.unwrap().unwrap();
    let parcel = &change.parcels[0];
    assert_eq!(
        (parcel.task.item.data.get(), parcel.remote, &parcel.batch),
        (r#"{"n": 2}"#, Some(320), &sent.id)
    );
    store.put_down_changed(claim, parcel.task.number, true).await.unwrap();
    assert!(store.claim_change(claim, source, HOUR).await.unwrap().is_none());
    let part = take(&part, items(r#"{"n": 2}"#, true)).await;
    assert!(store.claim_change(claim, source, HOUR).await.unwrap().is_none(), "it says the same");
    take(&part, items(r#"{"n": 3}"#, true)).await;
    let lost = store.claim_change(claim, source, Duration::ZERO).await.unwrap().unwrap();
    assert!(store.lost_deliveries(claim, source, HOUR).await.unwrap().is_empty(), "a change is no task");
    let again = store.claim_change(claim, source, HOUR).await.unwrap().unwrap();
    assert_eq!(again.parcels[0].task.number, lost.parcels[0].task.number);
    let counted = store.run(claim.run).await.unwrap().unwrap().counters;
    assert_eq!((counted.created, counted.updated), (1, 1));
    end(store, claim).await;
}

async fn what_is_refused_is_tried_by_the_next_run(store: &Store) {
    let (claim, source) = linked(store, "refused", &["a"]).await;
    let sent = batch(store, claim, source).await;
    for _ in 0..2 {
        store.put_down_refused(claim, &sent.parcels[0], "no \"image\"".to_owned()).await.unwrap();
    }
    assert_eq!(store.next_delivery(source).await.unwrap(), None);
    let faults = store.faults(claim.run, 9).await.unwrap();
    assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a: no \"image\""]);
    assert_eq!(store.run(claim.run).await.unwrap().unwrap().counters.failed, 1, "once is once");
    store.begin_deliveries(claim, source).await.unwrap();
    assert_eq!(keys(&batch(store, claim, source).await), ["a"]);
    end(store, claim).await;
}

async fn what_is_gone_is_due_again(store: &Store) {
    let (claim, source) = linked(store, "gone", &["a", "b", "c"]).await;
    for start in [400, 402] {
        let sent = batch(store, claim, source).await;
        deliver(store, claim, &sent, start).await;
    }
    let project = ProjectId::parse("1").unwrap();
    assert_eq!(store.forget_deliveries(&project, 401..=499, &[401]).await.unwrap(), 1);
    assert_eq!(keys(&batch(store, claim, source).await), ["c"]);
    assert_eq!(store.forget_deliveries(&ProjectId::parse("2").unwrap(), 0..=499, &[]).await.unwrap(), 0);
    end(store, claim).await;
}

/// SQLite gives the highest number again when its task is gone.
async fn numbers_that_are_given_again_belong_to_the_new_task(store: &Store) {
    let (claim, source) = linked(store, "again", &["a", "b", "c"]).await;
    let first = batch(store, claim, source).await;
    deliver(store, claim, &first, 500).await;
    let second = batch(store, claim, source).await;
    deliver(store, claim, &second, 501).await;
    assert_eq!(one(store, second.parcels[0].task.number).await.remote, Some(501));
    let gone = one(store, first.parcels[1].task.number).await;
    assert_eq!((gone.state, gone.remote), (DeliveryState::Due, None));
    end(store, claim).await;
}

async fn links_from_before_are_delivered_too(store: &Store) {
    let (storage, claim, source) = begin(store, "before").await;
    let part = Part::default();
    store.plan_parts(claim, 1, std::slice::from_ref(&part)).await.unwrap();
    let step = Step { objects: vec![version("a", None)], ..bare(claim, source, storage, &part) };
    assert_eq!(store.take_step(&step).await.unwrap().counters.created, 1, "made by our own store");
    assert!(store.claim_batch(claim, source, BOUNDS).await.unwrap().is_none());
    store.begin_deliveries(claim, source).await.unwrap();
    assert_eq!(keys(&batch(store, claim, source).await), ["a"]);
    end(store, claim).await;
}

/// Links for delivery, in a run of their own.
async fn linked(store: &Store, bucket: &'static str, keys: &[&str]) -> (Claim, SourceId) {
    let (storage, claim, source) = begin(store, bucket).await;
    let part = Part::default();
    store.plan_parts(claim, 1, std::slice::from_ref(&part)).await.unwrap();
    let objects = keys.iter().map(|key| version(key, None)).collect();
    let step = Step { objects, is_for_delivery: true, ..bare(claim, source, storage, &part) };
    assert_eq!(store.take_step(&step).await.unwrap().counters.created, 0, "made when they are delivered");
    (claim, source)
}

async fn batch(store: &Store, claim: Claim, source: SourceId) -> Batch {
    store.claim_batch(claim, source, BOUNDS).await.unwrap().unwrap()
}

/// Gives the tasks of a batch numbers from this one.
async fn deliver(store: &Store, claim: Claim, batch: &Batch, first: i64) {
    let numbers: Vec<_> =
        batch.parcels.iter().zip(first..).map(|(parcel, number)| (parcel.task.number, number)).collect();
    store.put_down_delivered(claim, &batch.id, &numbers).await.unwrap();
}

async fn one(store: &Store, task: TaskNumber) -> Delivery {
    let project = |id| ProjectId::parse(id).unwrap();
    assert!(store.deliveries(&project("2"), &[task]).await.unwrap().is_empty(), "it is no other project's");
    store.deliveries(&project("1"), &[task]).await.unwrap().remove(&task).unwrap()
}

async fn end(store: &Store, claim: Claim) {
    store.end_run(claim, &Ending::Completed).await.unwrap();
}

fn keys(batch: &Batch) -> Vec<&str> {
    batch.parcels.iter().map(|parcel| parcel.task.key.as_str()).collect()
}

const HOUR: Duration = Duration::from_hours(1);
const BOUNDS: Bounds = Bounds { tasks: 2, bytes: 1 << 20, settle: HOUR };
