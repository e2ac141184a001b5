//! Connections without a request.
//!
//! They are sockets in a list, and nobody's task: what an origin does to one is seen when it is taken. A connection that
//! nobody takes is let go after the idle timeout by a task that lives while there are any.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Context,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::connection::Connection;

/// The connections of one door, by origin.
#[derive(Debug)]
pub(super) struct Pool {
    idle_timeout: Duration,
    max_per_origin: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The longest unused first.
    by_origin: HashMap<Arc<str>, VecDeque<Idle>>,
    is_swept: bool,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

impl Pool {
    pub(super) fn new(idle_timeout: Duration, max_per_origin: usize) -> Self {
        Self { idle_timeout, max_per_origin, kept: Mutex::default() }
    }

    /// The connection that was used last: the others are then let go when there is less to do.
    pub(super) fn take(&self, origin: &str, cx: &mut Context<'_>) -> Option<Box<Connection>> {
        loop {
            let idle = self.lock().by_origin.get_mut(origin)?.pop_back()?;
            let Idle { mut connection, since } = idle;
            if since.elapsed() < self.idle_timeout && connection.is_quiet(cx) {
                return Some(connection);
            }
        }
    }

    pub(super) fn put(self: &Arc<Self>, connection: Box<Connection>) {
        if self.idle_timeout.is_zero() {
            return;
        }
        let mut kept = self.lock();
        let of_origin = match kept.by_origin.get_mut(connection.origin()) {
            Some(of_origin) => of_origin,
            None => kept.by_origin.entry(Arc::clone(connection.origin())).or_default(),
        };
        if of_origin.len() < self.max_per_origin {
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
        kept.by_origin.retain(|_, of_origin| {
            let fresh = of_origin.iter().position(|idle| now - idle.since < self.idle_timeout);
            old.extend(of_origin.drain(..fresh.unwrap_or(of_origin.len())));
            !of_origin.is_empty()
        });
        kept.is_swept = !kept.by_origin.is_empty();
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
