//! Asking for fresh key sets when a token names an unknown key.
//!
//! Anybody can send such a token, so asking must cost little: all who ask within one round share it, and a new
//! round starts only some time after the last. Whoever may not ask is refused at once. The fetching is somebody
//! else's: they wait on [`Refresh::wanted`] and report every set they have tried.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout_at},
};

/// The meeting point of those who miss a key and the one who fetches.
#[derive(Debug)]
pub(super) struct Refresh {
    wanted: Notify,
    /// How many times a set was tried, whatever came of it.
    tried: watch::Sender<u64>,
    round: Mutex<Option<Round>>,
    sources: u64,
}

/// From an ask until each set was tried.
#[derive(Clone, Copy, Debug)]
struct Round {
    asked_at: Instant,
    ends_at_tried: u64,
}

/// The wait for a round.
pub(super) struct Wait {
    tried: watch::Receiver<u64>,
    deadline: Instant,
    seen: u64,
    ends_at_tried: u64,
}

impl Refresh {
    pub(super) fn new(sources: usize) -> Self {
        Self {
            wanted: Notify::new(),
            tried: watch::Sender::new(0),
            round: Mutex::new(None),
            sources: u64::try_from(sources).unwrap_or(u64::MAX),
        }
    }

    /// Joins the round under way, or starts one; `None` where there is nothing to fetch or the last was just now.
    pub(super) fn ask(&self) -> Option<Wait> {
        if self.sources == 0 {
            return None;
        }
        let tried = self.tried.subscribe();
        let done = *tried.borrow();
        let now = Instant::now();
        let mut round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
        let current = match *round {
            Some(last) if done < last.ends_at_tried && now < last.asked_at + MAX_WAIT => last,
            Some(last) if now < last.asked_at + PAUSE => return None,
            _ => {
                self.wanted.notify_one();
                *round.insert(Round { asked_at: now, ends_at_tried: done + self.sources })
            }
        };
        let Round { asked_at, ends_at_tried } = current;
        Some(Wait { tried, deadline: asked_at + MAX_WAIT, seen: done, ends_at_tried })
    }

    /// Waits until somebody asks; an ask that came before is not lost.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// One set was tried.
    pub(super) fn report(&self) {
        self.tried.send_modify(|tried| *tried += 1);
    }
}

impl Wait {
    /// Waits until another set was tried since the last call, or since the ask; false when the round or the time is
    /// over.
    pub(super) async fn next(&mut self) -> bool {
        loop {
            let tried = *self.tried.borrow_and_update();
            if tried > self.seen {
                self.seen = tried;
                return true;
            }
            let over = tried >= self.ends_at_tried;
            if over || !matches!(timeout_at(self.deadline, self.tried.changed()).await, Ok(Ok(()))) {
                return false;
            }
        }
    }
}

/// How long a request waits for a round.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// From the start of one round to the start of the next.
const PAUSE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_share_a_round() {
        let refresh = Refresh::new(2);
        let (mut one, mut two) = (refresh.ask().unwrap(), refresh.ask().unwrap());
        refresh.wanted().await;
        refresh.report();
        assert!(one.next().await && two.next().await);
        refresh.report();
        assert!(one.next().await && two.next().await);
        assert!(!one.next().await && !two.next().await, "both sets were tried");
        let again = tokio::time::timeout(Duration::from_mins(1), refresh.wanted()).await;
        assert!(again.is_err(), "one ask is one fetch");
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_round_is_some_time_off() {
        let refresh = Refresh::new(1);
        assert!(refresh.ask().is_some());
        refresh.report();
        assert!(refresh.ask().is_none(), "just now");
        tokio::time::advance(PAUSE.mul_f64(0.999)).await;
        assert!(refresh.ask().is_none(), "still");
        tokio::time::advance(PAUSE.mul_f64(0.002)).await;
        assert!(refresh.ask().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_issuer_costs_a_request_two_seconds_once() {
        let refresh = Refresh::new(1);
        let began = Instant::now();
        let mut wait = refresh.ask().unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let mut late = refresh.ask().unwrap();
        assert!(!wait.next().await && !late.next().await);
        assert_eq!(began.elapsed().as_secs(), MAX_WAIT.as_secs(), "who joins late leaves with the others");
        assert!(refresh.ask().is_none(), "refused at once until the pause is over");
    }

    #[tokio::test]
    async fn without_sources_nobody_waits() {
        assert!(Refresh::new(0).ask().is_none());
    }
}
