//! Any interleaving of changes and syncs converges to what a model of a few lines says.

use std::collections::BTreeMap;

use mediagate::storage::{ImportMethod, OnChanged, OnVanished, Settings};
use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy, any, prop_oneof},
    test_runner::TestRunner,
};
use tokio_util::sync::CancellationToken;

use super::{Bench, runner};

/// What happens between syncs.
#[derive(Clone, Debug)]
enum Event {
    /// An object is written, perhaps over an old one.
    Put(u8, u8),
    Remove(u8),
    Sync,
    /// A sync that is cut off after so many requests of it.
    Cut(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..40u8, any::<u8>()).prop_map(|(key, body)| Event::Put(key, body % 3)),
        2 => (0..40u8).prop_map(Event::Remove),
        2 => Just(Event::Sync),
        1 => any::<u8>().prop_map(Event::Cut),
    ]
}

#[test]
fn any_interleaving_of_changes_and_syncs_converges() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for method in [ImportMethod::Files, ImportMethod::Tasks] {
        let mut runner = TestRunner::new(ProptestConfig {
            cases: 24,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let events = vec(event(), 1..40);
        runner
            .run(&events, |events| {
                runtime.block_on(converges(&events, method));
                Ok(())
            })
            .unwrap();
    }
}

async fn converges(events: &[Event], method: ImportMethod) {
    let (bench, _folder) = Bench::on_disk([]).await;
    let settings =
        Settings { method, on_changed: OnChanged::Update, on_vanished: OnVanished::Mark, ..bench.settings() };
    let storage = bench.storage(settings).await;
    let mut numbers = BTreeMap::new();
    for event in events {
        match event {
            Event::Put(key, body) => bench.bucket.put(&name(*key), content(*body)),
            Event::Remove(key) => bench.bucket.remove(&name(*key)),
            Event::Sync => drop(bench.sync_well(storage).await),
            Event::Cut(after) => {
                let run = bench.queue(storage).await;
                let runner = runner(&bench.store, std::time::Duration::ZERO);
                let work = runner.run_one(run, CancellationToken::new());
                let mut work = std::pin::pin!(work);
                // So many times it may go on, and then it is dropped.
                for _ in 0..*after {
                    if futures_util::poll!(&mut work).is_ready() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
        // A task keeps its number for ever, and there is one for each object and row.
        for task in bench.tasks().await {
            let number = *numbers.entry((task.key.clone(), task.row)).or_insert(task.number);
            assert_eq!(number, task.number, "{} {:?}", task.key, task.row);
        }
    }
    // The first ends a run that was cut off, which may have passed what was changed since; the second sees all.
    bench.sync_well(storage).await;
    bench.sync_well(storage).await;
    let is_there: BTreeMap<(String, Option<i64>), String> = model(&bench, method);
    let linked: BTreeMap<(String, Option<i64>), String> = bench
        .tasks()
        .await
        .into_iter()
        .filter(|task| task.vanished_at.is_none())
        .map(|task| ((task.key, task.row), task.item.data.get().to_owned()))
        .collect();
    assert_eq!(linked, is_there);
}

/// What the bucket means.
fn model(bench: &Bench, method: ImportMethod) -> BTreeMap<(String, Option<i64>), String> {
    let mut tasks = BTreeMap::new();
    for key in bench.bucket.keys() {
        match method {
            ImportMethod::Files => {
                tasks.insert((key.clone(), None), format!(r#"{{"$undefined$":"s3://media/{key}"}}"#));
            }
            ImportMethod::Tasks => {
                let body = bench.bucket.body(&key);
                for (row, line) in (0..).zip(body.lines()) {
                    tasks.insert((key.clone(), Some(row)), line.to_owned());
                }
            }
        }
    }
    tasks
}

fn name(key: u8) -> String {
    format!("{}/{key:02}.jsonl", key % 3)
}

/// As many lines as its number, plus one.
fn content(body: u8) -> String {
    (0..=body).map(|line| format!("{{\"body\": {body}, \"line\": {line}}}\n")).collect::<Vec<_>>().concat()
}
