//! The body of a forwarded request, on its way to the application.
//!
//! Frames pass through; each one is a beat of the [`Pulse`]. The time an application may take to answer is counted from
//! the last beat and not from the first byte, so that an upload of any size passes and a silent one still ends.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

/// A body that tells when something of it passed.
#[derive(Debug)]
pub struct Upload {
    body: Incoming,
    pulse: Pulse,
}

/// When the last frame of an upload passed; cloning shares it.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    began: Instant,
    /// Milliseconds from `began` to the last beat.
    last: AtomicU64,
}

impl Upload {
    /// Watches a body with a pulse of its own.
    pub fn new(body: Incoming) -> Self {
        Self { body, pulse: Pulse::new() }
    }

    /// The pulse, to be waited for while the body is sent.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }
}

impl Pulse {
    fn new() -> Self {
        Self(Arc::new(Beats { began: Instant::now(), last: AtomicU64::new(0) }))
    }

    fn beat(&self) {
        let millis = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(millis, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.0.began + Duration::from_millis(self.0.last.load(Ordering::Relaxed))
    }

    /// Waits until there was no beat for this long.
    pub async fn stopped_for(&self, timeout: Duration) {
        loop {
            let deadline = self.last() + timeout;
            if Instant::now() >= deadline {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        this.pulse.beat();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const TIMEOUT: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_goes_on_never_runs_out_of_time_and_a_silent_one_does() {
        let pulse = Pulse::new();
        let mut stopped = Box::pin(pulse.stopped_for(TIMEOUT));
        for minute in 0..10 {
            advance(TIMEOUT / 2).await;
            assert!(futures_util::poll!(stopped.as_mut()).is_pending(), "cut at step {minute}");
            pulse.beat();
        }
        let before = Instant::now();
        stopped.await;
        assert_eq!(before.elapsed(), TIMEOUT);
    }
}
