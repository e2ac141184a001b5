//! Where log lines go: one way to standard error for the whole process.
//!
//! A write of its own costs a line more than all that is said in it. So the lines that every request has are gathered,
//! those of INFO level and the targets `mediagate::access` and `mediagate::audit`, and a thread of their own writes
//! them together within 10 ms. Any other line is written at once by the thread that logs it, after all that was
//! logged before it: the order of lines is the order in which they were logged.
//!
//! Nothing is dropped for want of room. When more than 4 MiB wait, the thread that logs writes as well, and so
//! waits until whoever reads standard error goes on. When [`Logs`] is dropped, at the end of the process, what waits is
//! written, and every later line at once. Only what ends the process without asking it, such as SIGKILL or an
//! abort, takes the gathered lines of the last 10 ms along.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Keeps log lines being gathered. To be dropped at the end of the process, after all else: that writes what waits.
#[must_use = "dropped at once, it ends the gathering of lines"]
pub struct Logs(Lines);

/// The way of all lines to one sink.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

/// One line on its way.
pub(super) struct Line<'a> {
    lines: &'a Lines,
    may_wait: bool,
}

struct Shared {
    /// Locked to append a line, or to take all of them: never while something is written.
    waiting: Mutex<Waiting>,
    /// The first line waits, or the gathering has ended.
    begun: Condvar,
    /// Locked before `waiting` by whoever takes lines, so that they are written in their order.
    sink: Mutex<Sink>,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    has_ended: bool,
}

struct Sink {
    /// Empty but while it is written; kept for its capacity.
    taken: Vec<u8>,
    to: Box<dyn Write + Send>,
}

impl Logs {
    /// Starts the thread that writes what is gathered.
    pub(super) fn start(to: Box<dyn Write + Send>) -> io::Result<Self> {
        let sink = Mutex::new(Sink { taken: Vec::new(), to });
        let lines = Lines(Arc::new(Shared { waiting: Mutex::default(), begun: Condvar::new(), sink }));
        let gathered = lines.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || gathered.follow())?;
        Ok(Self(lines))
    }

    /// The way for lines.
    pub(super) fn lines(&self) -> Lines {
        self.0.clone()
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").finish_non_exhaustive()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.0.waiting().has_ended = true;
        self.0.0.begun.notify_one();
        self.0.write_out();
    }
}

impl Lines {
    /// Takes a whole line, with its end.
    pub(super) fn put(&self, of: &Metadata<'_>, line: &[u8]) {
        self.append(line, may_wait(of));
    }

    fn append(&self, line: &[u8], may_wait: bool) {
        let mut waiting = self.waiting();
        let is_first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        let is_due = !may_wait || waiting.has_ended || waiting.lines.len() > LIMIT;
        drop(waiting);
        if is_due {
            self.write_out();
        } else if is_first {
            self.0.begun.notify_one();
        }
    }

    /// Writes all that waits; what others write meanwhile is written before this is done.
    fn write_out(&self) {
        let mut sink = self.0.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let Sink { taken, to } = &mut *sink;
        mem::swap(taken, &mut self.waiting().lines);
        write_all(to, taken);
        taken.clear();
    }

    /// Writes what is gathered, until the gathering has ended.
    fn follow(&self) {
        loop {
            let idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.has_ended;
            let waiting = self.0.begun.wait_while(self.waiting(), idle);
            if waiting.unwrap_or_else(PoisonError::into_inner).has_ended {
                return;
            }
            pause(GATHERING);
            self.write_out();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, may_wait: false }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Line<'a> {
        Line { lines: self, may_wait: may_wait(of) }
    }
}

impl Write for Line<'_> {
    /// `tracing_subscriber` hands over a line in one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.append(line, self.may_wait);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that every request has.
fn may_wait(of: &Metadata<'_>) -> bool {
    *of.level() == Level::INFO && ["mediagate::access", "mediagate::audit"].contains(&of.target())
}

/// There is nobody to tell of an error: a log whose reader is gone ends silently.
fn write_all(to: &mut dyn Write, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(count @ 1..) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Who started the process may have made its standard error non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock => pause(RETRY),
            Ok(0) | Err(_) => return,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the thread of this module, or one that has to wait for the reader"
)]
fn pause(time: Duration) {
    thread::sleep(time);
}

/// How long lines are gathered.
const GATHERING: Duration = Duration::from_millis(10);
/// When a full pipe is tried again.
const RETRY: Duration = Duration::from_millis(1);
/// How many bytes may wait.
const LIMIT: usize = 4 << 20;

#[cfg(test)]
mod tests;
