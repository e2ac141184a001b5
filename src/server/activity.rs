//! What a connection is doing, for whoever has to decide that it has done so for too long.
//!
//! Written by the bytes and the requests that pass, read by the timer of the connection. Nothing here arms a
//! timer: a connection that is busy costs a few stores, and the timer looks at them when it happens to fire.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::Context,
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::{sync::Notify, time::Instant};

use super::head::Framing;

/// The state of one connection, shared by its bytes, its requests and its timer.
#[derive(Debug)]
pub(super) struct Activity {
    begun: Instant,
    in_flight: AtomicU32,
    idle_since: Mark,
    head_since: Mark,
    times_heads: AtomicBool,
    single_framing: AtomicBool,
    has_body: AtomicBool,
    trailed: AtomicBool,
    pipelined: AtomicBool,
    stalled: AtomicBool,
    upgraded: AtomicBool,
    unsent: AtomicBool,
    cut: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
    ended: Notify,
    opened: Mutex<Option<Arc<Stream>>>,
}

/// An answer of an HTTP/2 connection, which may wait for its client while others do not.
#[derive(Debug)]
pub(super) struct Stream {
    begun: Instant,
    handed_over: Mark,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Waiting {
    /// For its own answers, or for the client to take them.
    Answering,
    /// For the rest of a request head that began then.
    Head(Instant),
    /// For a request, since then.
    Idle(Instant),
}

/// What bytes of the client are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Received {
    /// The start of a request head.
    NewHead,
    /// More of it.
    Head,
    /// A request body, frames of HTTP/2, or anything that came before the last answer was given.
    Other,
}

/// A request that has not got the last byte of its answer.
#[derive(Debug)]
pub(super) struct InFlight {
    activity: Arc<Activity>,
    stream: Option<Arc<Stream>>,
}

impl Activity {
    /// A connection that was just accepted, and whose first head is awaited.
    pub(super) fn begin() -> Arc<Self> {
        let activity = Self {
            begun: Instant::now(),
            in_flight: AtomicU32::new(0),
            idle_since: Mark::default(),
            head_since: Mark::default(),
            times_heads: AtomicBool::new(true),
            single_framing: AtomicBool::new(false),
            has_body: AtomicBool::new(false),
            trailed: AtomicBool::new(false),
            pipelined: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
            unsent: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            ended: Notify::new(),
            opened: Mutex::default(),
        };
        activity.head_since.set(activity.begun);
        Arc::new(activity)
    }

    /// When the connection was accepted.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// The frames of HTTP/2 do not tell where a head begins; the idle timeout bounds them.
    pub(super) fn multiplexed(&self) {
        self.times_heads.store(false, Relaxed);
        self.head_since.clear();
        self.idle_since.set(self.begun);
    }

    /// Bytes of the client came in, line breaks alone or more; tells what they are.
    pub(super) fn received(&self, blank: bool) -> Received {
        if !self.times_heads.load(Relaxed) {
            Received::Other
        } else if self.in_flight.load(Relaxed) != 0 {
            if !blank && !self.has_body.load(Relaxed) {
                self.pipelined.store(true, Relaxed);
            }
            Received::Other
        } else if self.head_since.is_set() {
            Received::Head
        } else {
            Received::NewHead
        }
    }

    /// The head that began is incomplete. One that comes whole is a request before anybody looks, so that most cost no look at
    /// the clock.
    pub(super) fn awaits_head(&self) {
        if !self.head_since.is_set() {
            self.head_since.set(self.begun);
        }
    }

    /// What the bytes of the head say about the length of the body, and whether bytes came behind it.
    pub(super) fn framed(&self, framing: Framing, trailed: bool) {
        self.single_framing.store(framing == Framing::Single, Relaxed);
        self.trailed.store(trailed, Relaxed);
    }

    /// Whether the head of the request that begins now says at most once how long its body is; `has_body` tells
    /// whether it says so at all.
    ///
    /// Where bytes came before the answer to a request without a body, a head may begin anywhere in them. None is
    /// looked at on such a connection any more, and each counts as one that does not. Bytes behind a body are not
    /// told from it.
    pub(super) fn take_single_framing(&self, has_body: bool) -> bool {
        let pipelined = self.pipelined.load(Relaxed);
        if self.trailed.swap(false, Relaxed) && !has_body {
            self.pipelined.store(true, Relaxed);
        }
        self.has_body.store(has_body, Relaxed);
        self.single_framing.swap(false, Relaxed) && !pipelined
    }

    /// A head is complete.
    pub(super) fn request(self: &Arc<Self>) -> InFlight {
        self.head_since.clear();
        self.in_flight.fetch_add(1, Relaxed);
        let stream = (!self.times_heads.load(Relaxed))
            .then(|| Arc::new(Stream { begun: self.begun, handed_over: Mark::default() }));
        if let Some(stream) = &stream {
            *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(stream));
        }
        InFlight { activity: Arc::clone(self), stream }
    }

    /// The stream of the newest request, once.
    pub(super) fn take_stream(&self) -> Option<Arc<Stream>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether bytes wait for the client to take them. HTTP lets go of an answer when it has all of it, and the client
    /// may have much of that still before it.
    pub(super) fn unsent(&self, is_unsent: bool) {
        if !is_unsent {
            self.idle_since.set(self.begun);
        }
        self.unsent.store(is_unsent, Release);
    }

    pub(super) fn waiting(&self) -> Waiting {
        if self.in_flight.load(Acquire) > 0 || self.unsent.load(Acquire) {
            Waiting::Answering
        } else if let Some(since) = self.head_since.get(self.begun) {
            Waiting::Head(since)
        } else {
            Waiting::Idle(self.idle_since.get(self.begun).unwrap_or(self.begun))
        }
    }

    /// The client took no byte for too long.
    pub(super) fn stall(&self) {
        self.stalled.store(true, Relaxed);
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Relaxed)
    }

    /// The bytes now belong to another protocol, and no longer to the task of the connection.
    pub(super) fn upgrade(&self) {
        self.upgraded.store(true, Relaxed);
    }

    pub(super) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Relaxed)
    }

    /// Ends an upgraded connection from outside.
    pub(super) fn cut(&self) {
        self.cut.store(true, Release);
        self.reader.wake();
        self.writer.wake();
    }

    /// Whether an upgraded connection was cut; else wakes its reader once it is.
    pub(super) fn poll_read_cut(&self, cx: &Context<'_>) -> bool {
        self.is_upgraded() && self.poll_cut(&self.reader, cx)
    }

    /// Whether an upgraded connection was cut; else wakes its writer once it is.
    pub(super) fn poll_write_cut(&self, cx: &Context<'_>) -> bool {
        self.is_upgraded() && self.poll_cut(&self.writer, cx)
    }

    fn poll_cut(&self, waker: &AtomicWaker, cx: &Context<'_>) -> bool {
        waker.register(cx.waker());
        self.cut.load(Acquire)
    }

    /// The last owner of the bytes let go of them.
    pub(super) fn end(&self) {
        self.ended.notify_one();
    }

    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }
}

impl InFlight {
    /// The answer gave bytes away; the client now has to take them.
    pub(super) fn handed_over(&self) {
        if let Some(stream) = &self.stream {
            stream.handed_over.set(stream.begun);
        }
    }

    /// The answer is asked for more: what it gave was taken.
    pub(super) fn asked(&self) {
        if let Some(stream) = &self.stream {
            stream.handed_over.clear();
        }
    }

    pub(super) fn upgrade(&self) {
        self.activity.upgrade();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.idle_since.set(self.activity.begun);
        // Whoever sees the last request gone also sees since when.
        self.activity.in_flight.fetch_sub(1, Release);
    }
}

impl Stream {
    /// Since when the client has left bytes lying; `None` while the answer waits for its own source.
    pub(super) fn handed_over(&self) -> Option<Instant> {
        self.handed_over.get(self.begun)
    }
}

/// A moment, or none: milliseconds since the connection began, plus one.
#[derive(Debug, Default)]
struct Mark(AtomicU64);

impl Mark {
    /// Sets the moment to now.
    fn set(&self, begun: Instant) {
        let elapsed = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.0.store(elapsed + 1, Relaxed);
    }

    fn clear(&self) {
        self.0.store(0, Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    fn get(&self, begun: Instant) -> Option<Instant> {
        Some(begun + Duration::from_millis(self.0.load(Relaxed).checked_sub(1)?))
    }
}
