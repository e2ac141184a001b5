//! Sidecars that end in the middle of their work, and a Label Studio that loses requests and answers.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use mediagate::{
    id::ProjectId,
    run::{Job, RunStatus, Trigger},
    storage::ImportMethod,
    store,
};
use tokio_util::sync::CancellationToken;

use super::{Bench, keys};
use crate::support::{clock, postgres::shared, sidecar::see_through};

/// Two sidecars, either of which is dropped at any moment, as a kill drops it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_object_has_one_task_whatever_is_dropped_whenever() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("state.db").display());
    let on_disk = store::Config { url: Some(url.into()), ..store::Config::default() };
    let url = Some(shared().database().await.into());
    let in_postgres = store::Config { url, key: Some("11".repeat(32).into()), ..store::Config::default() };
    for config in [on_disk, in_postgres] {
        let mut bench = Bench::over(config, keys(2000), later).await;
        bench.config.import_settle = Duration::from_mins(1);
        bench.studio.fail_by_chance(100);
        let storage = bench.storage(bench.settings(ImportMethod::Files)).await;
        let run = bench.store.enqueue_run(storage, Job::Sync, Trigger::Api).await.unwrap().run.id;
        for _ in 0..15 {
            // A lease that is over at once: whoever asks next takes the run over, also from one that still works.
            let both = [Duration::ZERO, Duration::from_millis(20)].map(|lease| {
                let runner = bench.runner(lease);
                tokio::spawn(async move { runner.run_one(run, CancellationToken::new()).await })
            });
            let moment = Duration::from_micros(fastrand::u64(1000..300_000));
            tokio::time::timeout(moment, std::future::pending::<()>()).await.unwrap_err();
            for sidecar in both {
                sidecar.abort();
                drop(sidecar.await);
            }
        }
        // The last one's lease is over.
        AHEAD.fetch_add(1, Ordering::Relaxed);
        let runner = bench.runner(Duration::from_hours(1));
        let ended = tokio::select! {
            ended = see_through(&runner, run) => ended,
            () = pass_time() => unreachable!(),
        };
        assert_eq!(ended.status, RunStatus::Completed, "{:?}", ended.error);
        assert_eq!(bench.studio.keys(), bench.wanted());
        assert_eq!(ended.counters.created, 2000);
        check(&bench).await;
    }
}

/// Each task of ours knows its task there, and the other way round.
async fn check(bench: &Bench) {
    let there = bench.studio.tasks();
    let numbers: Vec<_> = there
        .iter()
        .map(|(_, task)| mediagate::id::TaskNumber(task["meta"]["mediagate"]["task"].as_i64().unwrap()))
        .collect();
    let known = bench.store.deliveries(&ProjectId::parse("5").unwrap(), &numbers).await.unwrap();
    assert_eq!(known.len(), there.len());
    for ((id, task), number) in there.iter().zip(&numbers) {
        let delivery = &known[number];
        assert_eq!(delivery.remote, Some(*id));
        assert_eq!(task["meta"]["mediagate"]["key"], delivery.key);
    }
}

/// Lets the store's time go so quickly that lost answers need not be waited for, and so slowly that none is given up that is
/// still to come.
async fn pass_time() {
    loop {
        tokio::time::sleep(Duration::from_millis(700)).await;
        AHEAD.fetch_add(61, Ordering::Relaxed);
    }
}

fn later() -> SystemTime {
    clock() + Duration::from_secs(AHEAD.load(Ordering::Relaxed))
}

/// Seconds that the store's time is ahead.
static AHEAD: AtomicU64 = AtomicU64::new(0);
