//! Where the answers of an HTTP/2 connection run.
//!
//! Flow control is per stream: a client may take one answer and leave another, while the socket is never
//! full. Such an answer holds its source for as long as the client likes, so it is cut after the write
//! timeout, and only it.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use hyper::rt::Executor;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::{
    Config, ServerMetrics,
    activity::{Activity, Stream},
};

/// Spawns the answers of one connection.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    activity: Arc<Activity>,
    tasks: TaskTracker,
    metrics: ServerMetrics,
    write_timeout: Duration,
}

impl Streams {
    pub(super) fn new(
        config: &Config,
        tasks: &TaskTracker,
        activity: Arc<Activity>,
        metrics: &ServerMetrics,
    ) -> Self {
        Self { activity, tasks: tasks.clone(), metrics: metrics.clone(), write_timeout: config.write_timeout }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, answer: F) {
        // hyper calls the service and hands the answer over in one step, so the newest stream is its own.
        let Some(stream) = self.activity.take_stream() else {
            self.tasks.spawn(answer);
            return;
        };
        let (metrics, write_timeout) = (self.metrics.clone(), self.write_timeout);
        self.tasks.spawn(async move {
            if !until_stalled(answer, &stream, write_timeout).await {
                metrics.stream_stalled();
            }
        });
    }
}

/// Runs an answer to its end, or drops it when the client has left its bytes lying for too long; tells
/// whether it came to its end.
async fn until_stalled(answer: impl Future<Output = ()>, stream: &Stream, write_timeout: Duration) -> bool {
    let mut answer = pin!(answer);
    let mut timer = pin!(sleep(write_timeout));
    poll_fn(|cx| {
        if answer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        // The timer is never armed for an answer that its client takes at once.
        let Some(since) = stream.handed_over() else { return Poll::Pending };
        let due = since + write_timeout;
        loop {
            ready!(timer.as_mut().poll(cx));
            if due <= Instant::now() {
                return Poll::Ready(false);
            }
            timer.as_mut().reset(due);
        }
    })
    .await
}
