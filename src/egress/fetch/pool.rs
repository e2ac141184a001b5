//! Connections without a request.
//!
//! They are sockets in a list, and nobody's task: what an origin does to one is seen when it is taken. Each thread has a list
//! of its own, since a socket wakes whoever waits for it by the thread that made it. A connection that nobody takes is let
//! go after the idle timeout by a task that lives while there are any.
//!
//! Who finds none begins to connect, and is woken when another comes free. The one that was begun then stays, too, for the
//! next who finds none: there are never more under way than have waited at once.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Context,
    thread::{self, ThreadId},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{FetchError, connection::Connection};

/// The connections of one door, by thread and origin.
#[derive(Debug)]
pub(super) struct Pool {
    idle_timeout: Duration,
    most: usize,
    kept: Mutex<Kept>,
}

/// A connection that is being made.
pub(super) type Connecting = Pin<Box<dyn Future<Output = Result<Box<Connection>, FetchError>> + Send>>;

#[derive(Debug, Default)]
struct Kept {
    by_thread: HashMap<ThreadId, HashMap<Arc<str>, OfOrigin>>,
    /// Whether a task lets go of what is too old.
    is_swept: bool,
}

/// What one thread has of one origin, the longest unused first.
#[derive(Debug, Default)]
struct OfOrigin {
    idle: VecDeque<Since<Box<Connection>>>,
    begun: VecDeque<Since<Connecting>>,
    /// Whoever waits for a connection holds it, too.
    freed: Arc<Notify>,
}

struct Since<T> {
    at: Instant,
    value: T,
}

impl Pool {
    /// Keeps at most so many of one thread and origin.
    pub(super) fn new(idle_timeout: Duration, most: usize) -> Self {
        Self { idle_timeout, most, kept: Mutex::default() }
    }

    /// Whether a connection serves more than one request.
    pub(super) fn keeps_any(&self) -> bool {
        !self.idle_timeout.is_zero() && self.most > 0
    }

    /// The connection that was used last: the others are then let go when there is less to do.
    pub(super) fn take(&self, origin: &str, now: Instant, cx: &mut Context<'_>) -> Option<Box<Connection>> {
        let thread = thread::current().id();
        loop {
            let idle = self.lock().by_thread.get_mut(&thread)?.get_mut(origin)?.idle.pop_back()?;
            if let Some(mut connection) = idle.fresh(now, self.idle_timeout)
                && connection.is_quiet(cx)
            {
                return Some(connection);
            }
        }
    }

    /// For whoever found none: what tells of one that comes free, and one that was begun and left.
    pub(super) fn wait(
        self: &Arc<Self>,
        origin: &Arc<str>,
        now: Instant,
    ) -> (Arc<Notify>, Option<Connecting>) {
        let mut kept = self.lock();
        self.see_to_sweeping(&mut kept);
        let of_origin = kept.of_thread().entry(Arc::clone(origin)).or_default();
        let (freed, begun) = (Arc::clone(&of_origin.freed), of_origin.begun.pop_back());
        // Closing one that is too old takes longer than anybody should wait for the lock.
        drop(kept);
        (freed, begun.and_then(|begun| begun.fresh(now, self.idle_timeout)))
    }

    /// Takes a connection back whose last answer was read to its end.
    pub(super) fn put(self: &Arc<Self>, connection: Box<Connection>) {
        if !self.keeps_any() {
            return;
        }
        let mut kept = self.lock();
        self.see_to_sweeping(&mut kept);
        let of_thread = kept.of_thread();
        let of_origin = match of_thread.get_mut(connection.origin()) {
            Some(of_origin) => of_origin,
            None => of_thread.entry(Arc::clone(connection.origin())).or_default(),
        };
        // Who waits is woken and not given it: it may be gone, or be polled by nobody for long.
        if Arc::strong_count(&of_origin.freed) > 1 {
            of_origin.freed.notify_one();
        }
        if of_origin.idle.len() < self.most {
            of_origin.idle.push_back(Since::now(connection));
        }
    }

    /// Takes a connection that was begun, and that nobody waits for.
    pub(super) fn leave(self: &Arc<Self>, origin: &Arc<str>, connecting: Connecting) {
        let mut kept = self.lock();
        self.see_to_sweeping(&mut kept);
        let begun = &mut kept.of_thread().entry(Arc::clone(origin)).or_default().begun;
        if begun.len() < self.most {
            begun.push_back(Since::now(connecting));
        }
    }

    fn see_to_sweeping(self: &Arc<Self>, kept: &mut Kept) {
        if !kept.is_swept {
            kept.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self), self.idle_timeout));
        }
    }

    /// Lets go of what is too old; tells whether anything is left.
    fn sweep(&self) -> bool {
        let now = Instant::now();
        let (mut idle, mut begun) = (Vec::new(), Vec::new());
        let mut kept = self.lock();
        kept.by_thread.retain(|_, of_thread| {
            of_thread.retain(|_, of_origin| {
                idle.extend(old(&mut of_origin.idle, now, self.idle_timeout));
                begun.extend(old(&mut of_origin.begun, now, self.idle_timeout));
                let is_awaited = Arc::strong_count(&of_origin.freed) > 1;
                is_awaited || !of_origin.idle.is_empty() || !of_origin.begun.is_empty()
            });
            !of_thread.is_empty()
        });
        kept.is_swept = !kept.by_thread.is_empty();
        let is_any_left = kept.is_swept;
        // Closing sockets takes longer than anybody should wait for the lock.
        drop(kept);
        drop((idle, begun));
        is_any_left
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn of_thread(&mut self) -> &mut HashMap<Arc<str>, OfOrigin> {
        self.by_thread.entry(thread::current().id()).or_default()
    }
}

impl<T> Since<T> {
    fn now(value: T) -> Self {
        Self { at: Instant::now(), value }
    }

    fn is_fresh(&self, now: Instant, most: Duration) -> bool {
        now.saturating_duration_since(self.at) < most
    }

    fn fresh(self, now: Instant, most: Duration) -> Option<T> {
        self.is_fresh(now, most).then_some(self.value)
    }
}

impl<T> fmt::Debug for Since<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Since").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Takes what is too old from the front of a list.
fn old<T>(list: &mut VecDeque<Since<T>>, now: Instant, most: Duration) -> impl Iterator<Item = Since<T>> {
    let fresh = list.iter().position(|since| since.is_fresh(now, most));
    list.drain(..fresh.unwrap_or(list.len()))
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
