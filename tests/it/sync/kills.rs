//! Sidecars that end in the middle of their work, and an S3 that fails.

use std::{sync::Arc, time::Duration};

use mediagate::run::RunStatus;
use tokio_util::sync::CancellationToken;

use super::{Bench, keys, postgres, runner};
use crate::support::sidecar::see_through;

/// Two sidecars over one store, either of which is dropped at any moment, as a kill drops it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_equal_the_listing_whatever_is_dropped_whenever() {
    let all = keys(20_000);
    let (on_disk, _folder) = Bench::on_disk(all.clone()).await;
    for bench in [on_disk, Bench::over(postgres().await, all).await] {
        bench.bucket.fail(20);
        let storage = bench.storage(bench.settings()).await;
        let run = bench.queue(storage).await;
        let mut drops = 0;
        loop {
            // A lease that is over at once: whoever asks next takes the run over, also from one that still works.
            let both = [Duration::ZERO, Duration::from_millis(20)].map(|lease| {
                let runner = runner(&bench.store, lease);
                tokio::spawn(async move { runner.run_one(run, CancellationToken::new()).await })
            });
            let moment = Duration::from_micros(fastrand::u64(1000..120_000));
            tokio::time::timeout(moment, std::future::pending::<()>()).await.unwrap_err();
            both.iter().for_each(tokio::task::JoinHandle::abort);
            drops += 1;
            let status = bench.store.run(run).await.unwrap().unwrap().status;
            if status.is_ended() {
                assert_eq!(status, RunStatus::Completed);
                break;
            }
            if drops == 50 {
                bench.bucket.fail(0);
                let runner = runner(&bench.store, Duration::from_secs(30));
                let done = see_through(&runner, run).await;
                assert_eq!(done.status, RunStatus::Completed, "{:?}", done.error);
                break;
            }
        }
        assert_eq!(bench.linked().await, bench.bucket.keys(), "after {drops} drops");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_s3_that_fails_now_and_then_only_takes_longer() {
    let bench = Arc::new(Bench::start(keys(20_000)).await);
    bench.bucket.fail(150);
    let storage = bench.storage(bench.settings()).await;
    let run = bench.sync_well(storage).await;
    assert_eq!(run.counters.created, 20_000);
    assert_eq!(run.counters.listed, 20_000, "pages that came twice are counted once");
    assert_eq!(bench.linked().await, bench.bucket.keys());
}
