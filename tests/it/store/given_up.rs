//! Calls whose callers go away: a client hangs up, a process stops, a deadline is over.

use std::{
    future::poll_fn,
    pin::pin,
    task::Poll::{Pending, Ready},
};

use mediagate::run::{Job, Trigger};

use super::{Database, new_storage};

/// What is said to be kept must be there for others: a call that was given up in the midst of its `BEGIN` must not leave the
/// connection in a transaction, in which all that follows would be lost.
#[tokio::test]
async fn a_call_that_is_given_up_anywhere_takes_nothing_of_others_with_it() {
    for mut database in Database::both().await {
        database.config.max_connections = 1;
        let store = database.open().await;
        let storage = store.create_storage(&new_storage("1")).await.unwrap().id;
        for waits in 0..40 {
            give_up_after(waits, store.create_storage(&new_storage("2"))).await;
            // One statement each, in a transaction of its own.
            let run = store.enqueue_run(storage, Job::Sync, Trigger::Api).await.unwrap().run.id;
            assert!(store.cancel_run(run).await.unwrap().is_some());
            let kept = database.texts("SELECT id || ' ' || status FROM runs").await;
            assert!(kept.contains(&format!("{} cancelled", run.0)), "given up after {waits}: {kept:?}");
        }
    }
}

/// Drops a call when it has waited so often.
async fn give_up_after(waits: usize, call: impl Future) {
    let (mut call, mut left) = (pin!(call), waits);
    poll_fn(|context| {
        if call.as_mut().poll(context).is_ready() || left == 0 {
            return Ready(());
        }
        left -= 1;
        Pending
    })
    .await;
}
