//! How the process ends and how it is told to read its configuration again.
//!
//! The end has two steps. Soft: nothing new is begun, what is in flight goes on. Hard: everything is dropped.
//! The first SIGTERM or SIGINT is soft; the second one, or the drain deadline, is hard. SIGHUP asks for a
//! reload. Background tasks are tracked, so that the process leaves after them and not in their middle. This
//! module uses nothing else of ours.

use std::{future::Future, io, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The two steps of the end. Hard implies soft: whoever waits for both need not look at the second before the first came.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// A child of `hard`.
    soft: CancellationToken,
    hard: CancellationToken,
}

/// The life of the process: its end, its reloads, its background tasks.
#[derive(Debug)]
pub struct Lifecycle {
    shutdown: Shutdown,
    reload: watch::Sender<u64>,
    tasks: TaskTracker,
}

/// What an operator tells the process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Signal {
    Stop,
    Reload,
}

impl Shutdown {
    /// Begin nothing new, finish what is in flight.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Drop everything.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Both steps at once.
    pub fn now(&self) {
        self.hard.cancel();
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        let hard = CancellationToken::new();
        Self { soft: hard.child_token(), hard }
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Lifecycle {
    /// A life that nothing ends yet.
    pub fn new() -> Self {
        Self { shutdown: Shutdown::default(), reload: watch::Sender::new(0), tasks: TaskTracker::new() }
    }

    /// The two steps, for whoever has to take part.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Changes once for every reload asked for, by SIGHUP or by [`Lifecycle::ask_for_reload`]. The value is
    /// the number of requests so far; several at once may be seen as one.
    pub fn reloads(&self) -> watch::Receiver<u64> {
        self.reload.subscribe()
    }

    /// Asks for a reload, as SIGHUP does.
    pub fn ask_for_reload(&self) {
        self.reload.send_modify(|count| *count += 1);
    }

    /// Runs a background task that [`Lifecycle::tasks_ended`] waits for. The hard step drops it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let hard = self.shutdown.hard.clone();
        self.tasks.spawn(async move {
            hard.run_until_cancelled(task).await;
        });
    }

    /// Waits until every background task has ended.
    pub async fn tasks_ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Follows the signals of the process until the hard step is taken; `drain_timeout` is the time between
    /// the steps at most. The error is of the registration of the signals.
    pub async fn follow_signals(&self, drain_timeout: Duration) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let (tell, told) = mpsc::channel(8);
        let listen = async move {
            loop {
                let signal = tokio::select! {
                    _ = terminate.recv() => Signal::Stop,
                    _ = interrupt.recv() => Signal::Stop,
                    _ = hangup.recv() => Signal::Reload,
                };
                if tell.send(signal).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = listen => {}
            () = self.follow(told, drain_timeout) => {}
        }
        Ok(())
    }

    async fn follow(&self, mut told: mpsc::Receiver<Signal>, drain_timeout: Duration) {
        let mut deadline = None;
        while !self.shutdown.hard.is_cancelled() {
            let drained = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(signal) = told.recv() => match signal {
                    Signal::Reload => self.ask_for_reload(),
                    Signal::Stop if deadline.is_some() => {
                        tracing::warn!("second signal: dropping what is in flight");
                        self.shutdown.now();
                    }
                    Signal::Stop => {
                        tracing::info!(drain_timeout = ?drain_timeout, "stopping: finishing what is in flight");
                        self.shutdown.soft.cancel();
                        deadline = Some(Instant::now() + drain_timeout);
                    }
                },
                () = drained => {
                    tracing::warn!("drain deadline reached: dropping what is in flight");
                    self.shutdown.now();
                }
                () = self.shutdown.hard.cancelled() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const DRAIN: Duration = Duration::from_secs(30);

    #[test]
    fn hard_implies_soft() {
        let (soft, hard) = (Shutdown::default(), Shutdown::default());
        soft.soft.cancel();
        hard.hard.cancel();
        assert_eq!((soft.soft.is_cancelled(), soft.hard.is_cancelled()), (true, false));
        assert_eq!((hard.soft.is_cancelled(), hard.hard.is_cancelled()), (true, true));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_stop_is_soft_and_the_deadline_is_hard() {
        let life = Lifecycle::new();
        let (tell, told) = mpsc::channel(8);
        tell.send(Signal::Stop).await.unwrap();
        let begin = Instant::now();
        let soft_then_hard = async {
            life.shutdown().soft.cancelled().await;
            assert!(!life.shutdown().hard.is_cancelled());
            life.shutdown().hard.cancelled().await;
        };
        tokio::join!(life.follow(told, DRAIN), soft_then_hard);
        assert_eq!(begin.elapsed(), DRAIN);
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_stop_is_hard_at_once() {
        let life = Lifecycle::new();
        let (tell, told) = mpsc::channel(8);
        tell.send(Signal::Stop).await.unwrap();
        tell.send(Signal::Stop).await.unwrap();
        let begin = Instant::now();
        life.follow(told, DRAIN).await;
        assert!(life.shutdown().soft.is_cancelled());
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_is_told_and_ends_nothing() {
        let life = Lifecycle::new();
        let mut reloads = life.reloads();
        let (tell, told) = mpsc::channel(8);
        tell.send(Signal::Reload).await.unwrap();
        tokio::select! {
            () = life.follow(told, DRAIN) => panic!("a reload is no stop"),
            changed = reloads.changed() => changed.unwrap(),
        }
        assert_eq!(*reloads.borrow(), 1);
        assert!(!life.shutdown().soft.is_cancelled());
    }

    #[tokio::test]
    async fn the_hard_step_drops_background_tasks() {
        let life = Lifecycle::new();
        life.spawn(pending());
        life.shutdown().now();
        life.tasks_ended().await;
    }
}
