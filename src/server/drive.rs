//! The timer of a connection, and its part in the shutdown.
//!
//! One timer per connection, and it is lazy: it fires at the earliest moment at which something could be
//! wrong, looks at what the connection is doing, and goes on from there. Only the start of a request head
//! moves it nearer.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Config, Outcome,
    activity::{Activity, Waiting},
};
use crate::lifecycle::Shutdown;

/// For how long a connection that was told to end may stay without a request.
const LINGER: Duration = Duration::from_secs(5);

/// For how long a connection that is only refused may stay after the refusal.
const REFUSED_IDLE: Duration = Duration::from_secs(1);

/// What ends a connection from outside.
#[derive(Debug)]
pub(super) struct Driver {
    activity: Arc<Activity>,
    header_timeout: Duration,
    idle_timeout: Duration,
    // Children: polling a token locks it, and all connections share the parents.
    soft: CancellationToken,
    hard: CancellationToken,
}

/// What the timer found.
enum Finding {
    /// Nothing yet.
    Fine,
    /// The connection has nothing to do.
    Idle,
    /// It had been told to end, and has nothing to do.
    Lingered,
    /// The head of a request does not come to its end.
    HeadLate,
}

impl Driver {
    pub(super) fn new(config: &Config, shutdown: &Shutdown, activity: Arc<Activity>, refused: bool) -> Self {
        Self {
            activity,
            header_timeout: config.header_timeout,
            idle_timeout: if refused { REFUSED_IDLE } else { config.idle_timeout },
            soft: shutdown.soft().child_token(),
            hard: shutdown.hard().child_token(),
        }
    }

    /// Polls the connection until it ends or has to. `close` asks it to end after what is in flight.
    pub(super) async fn drive<C>(self, connection: C, close: fn(Pin<&mut C>)) -> Outcome
    where
        C: Future<Output = Result<(), hyper::Error>>,
    {
        let mut connection = pin!(connection);
        let mut timer = pin!(sleep(self.header_timeout.min(self.idle_timeout)));
        let mut soft = pin!(self.soft.cancelled());
        let mut hard = pin!(self.hard.cancelled());
        let mut is_soft = false;
        let mut closing: Option<Instant> = None;
        let mut outcome = Outcome::Closed;
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(end) = connection.as_mut().poll(cx) {
                    return Poll::Ready(self.outcome(end.is_ok(), outcome));
                }
                // The hard step implies the soft one, so that one of them is waited for at a time.
                let mut ask = false;
                if !is_soft {
                    is_soft = soft.as_mut().poll(cx).is_ready();
                    ask = is_soft && closing.is_none();
                }
                if is_soft && hard.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Outcome::Aborted);
                }
                match self.poll_timer(timer.as_mut(), closing, cx) {
                    Finding::Lingered => return Poll::Ready(outcome),
                    Finding::HeadLate => return Poll::Ready(Outcome::HeaderTimedOut),
                    Finding::Idle => {
                        outcome = Outcome::Idled;
                        ask = true;
                    }
                    Finding::Fine => {}
                }
                if !ask {
                    return Poll::Pending;
                }
                closing = Some(Instant::now());
                close(connection.as_mut());
            }
        })
        .await
    }

    fn outcome(&self, ended_well: bool, outcome: Outcome) -> Outcome {
        if self.activity.is_stalled() {
            Outcome::WriteTimedOut
        } else if ended_well {
            outcome
        } else {
            Outcome::Failed
        }
    }

    fn poll_timer(
        &self,
        mut timer: Pin<&mut Sleep>,
        closing: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Finding {
        loop {
            let next = self.next(closing);
            if let Some((due, _)) = next
                && due < timer.deadline()
            {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Finding::Fine;
            }
            // The time is asked for here alone, and not whenever the connection is polled.
            let now = Instant::now();
            match next {
                Some((due, then)) if due <= now => return then,
                Some((due, _)) => timer.as_mut().reset(due),
                None => timer.as_mut().reset(now + self.idle_timeout),
            }
        }
    }

    /// What will be wrong and when, if nothing happens until then; `None` while the connection has to answer.
    fn next(&self, closing: Option<Instant>) -> Option<(Instant, Finding)> {
        match (self.activity.waiting(), closing) {
            (Waiting::Answering, _) => None,
            (Waiting::Head(since), _) => Some((since + self.header_timeout, Finding::HeadLate)),
            (Waiting::Idle(since), Some(closing)) => Some((since.max(closing) + LINGER, Finding::Lingered)),
            (Waiting::Idle(since), None) => Some((since + self.idle_timeout, Finding::Idle)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const HEADER: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    /// A connection that never ends by itself; tells when it was asked to.
    struct Deaf(Option<Instant>);

    impl Future for Deaf {
        type Output = Result<(), hyper::Error>;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Pending
        }
    }

    fn driver(activity: &Arc<Activity>, shutdown: &Shutdown) -> Driver {
        let config = Config { header_timeout: HEADER, idle_timeout: IDLE, ..Config::default() };
        Driver::new(&config, shutdown, activity.clone(), false)
    }

    async fn drive(activity: &Arc<Activity>, shutdown: &Shutdown) -> (Outcome, Duration) {
        let begun = Instant::now();
        let close = |mut deaf: Pin<&mut Deaf>| {
            assert!(deaf.0.replace(Instant::now()).is_none(), "asked twice");
        };
        (driver(activity, shutdown).drive(Deaf(None), close).await, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_is_awaited_for_the_header_timeout() {
        let ended = drive(&Activity::begin(), &Shutdown::default()).await;
        assert_eq!(ended, (Outcome::HeaderTimedOut, HEADER));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_lingers_after_the_idle_timeout() {
        let activity = Activity::begin();
        drop(activity.request());
        let ended = drive(&activity, &Shutdown::default()).await;
        assert_eq!(ended, (Outcome::Idled, IDLE + LINGER));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_any_time_and_idleness_begins_after_it() {
        let activity = Activity::begin();
        let in_flight = activity.request();
        let answer = async move {
            sleep(IDLE * 10 + HEADER / 2).await;
            drop(in_flight);
        };
        let shutdown = Shutdown::default();
        let (ended, ()) = tokio::join!(drive(&activity, &shutdown), answer);
        assert_eq!(ended, (Outcome::Idled, IDLE * 11 + HEADER / 2 + LINGER));
    }

    /// A slow download that HTTP has let go of was cut at once when it ended more than [`LINGER`] after the soft step.
    #[tokio::test(start_paused = true)]
    async fn bytes_that_the_client_still_takes_are_not_cut_by_the_soft_step_or_idleness() {
        let (activity, shutdown) = (Activity::begin(), Shutdown::default());
        drop(activity.request());
        activity.unsent(true);
        let steps = async {
            sleep(HEADER).await;
            shutdown.soft().cancel();
            sleep(IDLE * 2 + HEADER).await;
            activity.unsent(false);
        };
        let (ended, ()) = tokio::join!(drive(&activity, &shutdown), steps);
        assert_eq!(ended, (Outcome::Closed, HEADER * 2 + IDLE * 2 + LINGER));
        let (activity, shutdown) = (Activity::begin(), Shutdown::default());
        drop(activity.request());
        activity.unsent(true);
        let taken = async {
            sleep(HEADER + IDLE * 2).await;
            activity.unsent(false);
        };
        let (ended, ()) = tokio::join!(drive(&activity, &shutdown), taken);
        assert_eq!(ended, (Outcome::Idled, HEADER + IDLE * 3 + LINGER));
    }

    #[tokio::test(start_paused = true)]
    async fn a_multiplexed_connection_has_no_heads_to_wait_for() {
        let activity = Activity::begin();
        activity.multiplexed();
        let ended = drive(&activity, &Shutdown::default()).await;
        assert_eq!(ended, (Outcome::Idled, IDLE + LINGER));
    }

    #[tokio::test(start_paused = true)]
    async fn the_soft_step_waits_for_the_answer_and_the_hard_step_for_nothing() {
        let activity = Activity::begin();
        let _in_flight = activity.request();
        let shutdown = Shutdown::default();
        let steps = async {
            sleep(HEADER).await;
            shutdown.soft().cancel();
            sleep(IDLE * 3).await;
            shutdown.hard().cancel();
        };
        let (ended, ()) = tokio::join!(drive(&activity, &shutdown), steps);
        assert_eq!(ended, (Outcome::Aborted, HEADER + IDLE * 3));
    }
}
