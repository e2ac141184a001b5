//! Lines come out whole, in order and all of them, whatever the reader does.

use std::{
    collections::VecDeque,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    Layer, Registry,
    layer::{self, SubscriberExt},
};

use super::*;

/// Keeps what is written, and each write on its own.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Vec<u8>>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().concat()).unwrap()
    }

    fn until(&self, holds: impl Fn(&str) -> bool) -> String {
        loop {
            let text = self.text();
            if holds(&text) {
                return text;
            }
            thread::yield_now();
        }
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Answers each write by a script, then takes everything.
struct Scripted(VecDeque<io::Result<usize>>, Kept);

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.0.pop_front().unwrap_or(Ok(bytes.len()))?.min(bytes.len());
        self.1.write(&bytes[..count])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader that reads nothing until it is told to; it says when it is first asked.
struct Stalled(Option<(Sender<()>, Receiver<()>)>, Kept);

impl Write for Stalled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some((asked, open)) = self.0.take() {
            asked.send(()).unwrap();
            open.recv().unwrap();
        }
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the lines of events may wait.
struct Asked(Arc<Mutex<Vec<bool>>>);

impl<S: Subscriber> Layer<S> for Asked {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        self.0.lock().unwrap().push(may_wait(event.metadata()));
    }
}

#[test]
fn lines_of_many_threads_are_whole_and_in_order() {
    const THREADS: usize = 8;
    const LINES: usize = 2_000;
    let kept = Kept::default();
    let logs = Logs::start(Box::new(kept.clone())).unwrap();
    thread::scope(|scope| {
        for name in 0..THREADS {
            let lines = logs.lines();
            scope.spawn(move || {
                for number in 0..LINES {
                    lines.append(format!("{name} {number}\n").as_bytes(), number % 100 != 0);
                }
            });
        }
    });
    drop(logs);
    let mut next = [0; THREADS];
    for line in kept.text().lines() {
        let (name, number) = line.split_once(' ').expect(line);
        let next = &mut next[name.parse::<usize>().expect(line)];
        assert_eq!(number.parse(), Ok(*next), "{line}");
        *next += 1;
    }
    assert_eq!(next, [LINES; THREADS]);
}

#[test]
fn a_line_that_may_not_wait_takes_those_before_it_along() {
    let kept = Kept::default();
    let logs = Logs::start(Box::new(kept.clone())).unwrap();
    let lines = logs.lines();
    lines.append(b"request\n", true);
    lines.append(b"error\n", false);
    assert_eq!(kept.text(), "request\nerror\n");
}

/// Through a layer for people, which has its writer from the same place.
#[test]
fn only_the_lines_of_requests_may_wait() {
    let kept = Kept::default();
    let logs = Logs::start(Box::new(kept.clone())).unwrap();
    let rows: [(&str, bool, fn()); _] = [
        ("access", true, || tracing::info!(target: "mediagate::access", "access")),
        ("audit", true, || tracing::info!(target: "mediagate::audit", "audit")),
        ("warned", false, || tracing::warn!(target: "mediagate::access", "warned")),
        ("traced", false, || tracing::trace!(target: "mediagate::audit", "traced")),
        ("other", false, || tracing::info!(target: "mediagate::access::other", "other")),
        ("ours", false, || tracing::info!("ours")),
    ];
    let asked = Arc::new(Mutex::new(Vec::new()));
    let text = tracing_subscriber::fmt::layer().without_time().with_ansi(false).with_writer(logs.lines());
    let subscriber = Registry::default().with(text).with(Asked(Arc::clone(&asked)));
    tracing::subscriber::with_default(subscriber, || {
        for (name, want, say) in rows {
            say();
            assert_eq!(asked.lock().unwrap().last(), Some(&want), "{name}");
            assert!(want || kept.text().ends_with(&format!(": {name}\n")), "{name}");
        }
    });
    let text = kept.text();
    let told: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(told, rows.map(|(name, ..)| name));
}

#[test]
fn gathered_lines_are_written_by_themselves_and_together() {
    let kept = Kept::default();
    let logs = Logs::start(Box::new(kept.clone())).unwrap();
    let lines = logs.lines();
    for round in 1..=3 {
        for _ in 0..10 {
            lines.append(b"request\n", true);
        }
        kept.until(|text| text.lines().count() == 10 * round);
    }
    let writes = kept.0.lock().unwrap().len();
    assert!(writes < 30, "{writes} writes");
}

#[test]
fn the_end_writes_what_waits_and_after_it_nothing_waits() {
    let kept = Kept::default();
    let logs = Logs::start(Box::new(kept.clone())).unwrap();
    let lines = logs.lines();
    lines.append(b"request\n", true);
    drop(logs);
    assert_eq!(kept.text(), "request\n");
    lines.append(b"another\n", true);
    assert_eq!(kept.text(), "request\nanother\n");
}

#[test]
fn with_too_much_waiting_whoever_logs_waits_and_nothing_is_lost() {
    const LINE: usize = 64 << 10;
    const LINES: usize = 4 * LIMIT / LINE;
    let kept = Kept::default();
    let ((asked, is_asked), (open, opened)) = (mpsc::channel(), mpsc::channel());
    let logs = Logs::start(Box::new(Stalled(Some((asked, opened)), kept.clone()))).unwrap();
    let lines = logs.lines();
    let (done, is_done) = mpsc::channel();
    let logging = thread::spawn(move || {
        for number in 0..LINES {
            lines.append(format!("{number:0width$}\n", width = LINE - 1).as_bytes(), true);
        }
        done.send(()).unwrap();
    });
    is_asked.recv().unwrap();
    assert_eq!(is_done.recv_timeout(Duration::from_millis(100)), Err(RecvTimeoutError::Timeout));
    assert!(logs.0.waiting().lines.len() <= LIMIT + LINE);
    open.send(()).unwrap();
    is_done.recv().unwrap();
    logging.join().unwrap();
    drop(logs);
    let text = kept.text();
    assert_eq!(text.len(), LINES * LINE);
    for (number, line) in text.lines().enumerate() {
        assert_eq!(line.trim_start_matches('0').parse().unwrap_or(0), number);
    }
}

#[test]
fn a_sink_that_takes_little_gets_everything_and_one_that_is_gone_nothing() {
    for (script, want) in [
        (vec![Ok(1), Ok(3)], "a line\n"),
        (vec![Err(ErrorKind::Interrupted.into()), Ok(2)], "a line\n"),
        (vec![Ok(4), Err(ErrorKind::WouldBlock.into()), Err(ErrorKind::WouldBlock.into())], "a line\n"),
        (vec![Ok(2), Err(ErrorKind::BrokenPipe.into())], "a "),
        (vec![Ok(0)], ""),
    ] {
        let (kept, told) = (Kept::default(), format!("{script:?}"));
        write_all(&mut Scripted(script.into(), kept.clone()), b"a line\n");
        assert_eq!(kept.text(), want, "{told}");
    }
}
