//! The gateway's access log as the page sees it: a short history, then live lines, as server-sent events.
//!
//! Every line has a number, sent as the event's id, so that a browser that reconnects misses and repeats
//! nothing that is still in the history. An event is `{"at": <milliseconds since 1970>, "request": <the line>}`.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use axum::response::sse::Event;
use futures_util::{Stream, stream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// Lines that a new page gets at once.
const HISTORY: usize = 200;
/// Lines that a slow reader may be behind.
const BACKLOG: usize = 1024;

/// The log: a sink for the gateway, and any number of readers.
#[derive(Clone, Debug)]
pub(super) struct RequestLog {
    sink: broadcast::Sender<String>,
    numbered: Arc<Mutex<Numbered>>,
}

#[derive(Debug)]
struct Numbered {
    last: u64,
    history: VecDeque<Line>,
    feed: broadcast::Sender<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    number: u64,
    text: Arc<str>,
}

impl RequestLog {
    /// Starts the task that numbers lines; it ends with `shutdown`.
    pub(super) fn start(
        clock: fn() -> SystemTime,
        shutdown: CancellationToken,
    ) -> (Self, AbortOnDropHandle<()>) {
        let (sink, mut lines) = broadcast::channel(BACKLOG);
        let (feed, _) = broadcast::channel(BACKLOG);
        let numbered = Numbered { last: 0, history: VecDeque::with_capacity(HISTORY), feed };
        let log = Self { sink, numbered: Arc::new(Mutex::new(numbered)) };
        let writer = log.clone();
        let task = tokio::spawn(async move {
            loop {
                let line = tokio::select! {
                    line = lines.recv() => line,
                    () = shutdown.cancelled() => return,
                };
                match line {
                    Ok(line) => writer.push(&line, clock()),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        (log, AbortOnDropHandle::new(task))
    }

    pub(super) fn sink(&self) -> broadcast::Sender<String> {
        self.sink.clone()
    }

    /// The lines after number `after`, then every new one until `shutdown`.
    pub(super) fn follow(
        &self,
        after: u64,
        shutdown: CancellationToken,
    ) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
        // One lock for both, so that no line falls between history and feed, or into both.
        let (history, feed) = {
            let numbered = self.numbered.lock().unwrap_or_else(PoisonError::into_inner);
            (numbered.history.clone(), numbered.feed.subscribe())
        };
        let missed: VecDeque<Line> = history.into_iter().filter(|line| line.number > after).collect();
        stream::unfold((missed, feed, shutdown), |(mut missed, mut feed, shutdown)| async move {
            let line = if let Some(line) = missed.pop_front() {
                line
            } else {
                tokio::select! {
                    line = next(&mut feed) => line?,
                    () = shutdown.cancelled() => return None,
                }
            };
            let event = Event::default().id(line.number.to_string()).data(&line.text);
            Some((Ok(event), (missed, feed, shutdown)))
        })
    }

    fn push(&self, line: &str, now: SystemTime) {
        let at = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        // An event ends with its line.
        let text = format!(r#"{{"at":{at},"request":{}}}"#, line.replace(['\r', '\n'], " "));
        let mut numbered = self.numbered.lock().unwrap_or_else(PoisonError::into_inner);
        numbered.last += 1;
        let line = Line { number: numbered.last, text: text.into() };
        if numbered.history.len() == HISTORY {
            numbered.history.pop_front();
        }
        numbered.history.push_back(line.clone());
        // Nobody may be listening.
        drop(numbered.feed.send(line));
    }
}

async fn next(feed: &mut broadcast::Receiver<Line>) -> Option<Line> {
    loop {
        match feed.recv().await {
            Ok(line) => return Some(line),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}
