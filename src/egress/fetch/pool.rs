//! Connections without a request.
//!
//! They are sockets in a list, and nobody's task: what an origin does to one is seen when it is taken. Each thread has a list
//! of its own, since a socket wakes whoever waits for it by the thread that made it. A connection that nobody takes is let
//! go after the idle timeout by a task that lives while there are any.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Context,
    thread::{self, ThreadId},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::connection::Connection;

/// The connections of one door, by thread and origin.
#[derive(Debug)]
pub(super) struct Pool {
    idle_timeout: Duration,
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_thread: HashMap<ThreadId, HashMap<Arc<str>, VecDeque<Idle>>>,
    /// Whether a task lets go of what is too old.
    is_swept: bool,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

impl Pool {
    /// Keeps at most so many of one thread and origin.
    pub(super) fn new(idle_timeout: Duration, most: usize) -> Self {
        Self { idle_timeout, most, kept: Mutex::default() }
    }

    /// The connection that was used last: the others are then let go when there is less to do.
    pub(super) fn take(&self, origin: &str, now: Instant, cx: &mut Context<'_>) -> Option<Box<Connection>> {
        let thread = thread::current().id();
        loop {
            let idle = self.lock().by_thread.get_mut(&thread)?.get_mut(origin)?.pop_back()?;
            let Idle { mut connection, since } = idle;
            if now.saturating_duration_since(since) < self.idle_timeout && connection.is_quiet(cx) {
                return Some(connection);
            }
        }
    }

    pub(super) fn put(self: &Arc<Self>, connection: Box<Connection>) {
        if self.idle_timeout.is_zero() {
            return;
        }
        let mut kept = self.lock();
        let of_thread = kept.by_thread.entry(thread::current().id()).or_default();
        let of_origin = match of_thread.get_mut(connection.origin()) {
            Some(of_origin) => of_origin,
            None => of_thread.entry(Arc::clone(connection.origin())).or_default(),
        };
        if of_origin.len() < self.most {
            // The longest unused stays first.
            of_origin.push_back(Idle { connection, since: Instant::now() });
        }
        if !kept.is_swept {
            kept.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self), self.idle_timeout));
        }
    }

    /// Lets go of what is too old; tells whether anything is left.
    fn sweep(&self) -> bool {
        let now = Instant::now();
        let mut old = Vec::new();
        let mut kept = self.lock();
        kept.by_thread.retain(|_, of_thread| {
            of_thread.retain(|_, of_origin| {
                let fresh = of_origin.iter().position(|idle| now - idle.since < self.idle_timeout);
                old.extend(of_origin.drain(..fresh.unwrap_or(of_origin.len())));
                !of_origin.is_empty()
            });
            !of_thread.is_empty()
        });
        kept.is_swept = !kept.by_thread.is_empty();
        let is_any_left = kept.is_swept;
        // Closing sockets takes longer than anybody should wait for the lock.
        drop(kept);
        drop(old);
        is_any_left
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep(pool: Weak<Pool>, idle_timeout: Duration) {
    // Late by a quarter at most, and never busy.
    let pause = (idle_timeout / 4).max(Duration::from_millis(50));
    loop {
        sleep(pause).await;
        if !pool.upgrade().is_some_and(|pool| pool.sweep()) {
            return;
        }
    }
}
