//! Log lines for machines: an event as one JSON object.
//!
//! The lines are those of the JSON format of `tracing_subscriber` to the byte, which a test holds them to; they are
//! made without its intermediate text, since every media request has two of them. A field goes straight into a
//! buffer of the thread, text without anything to escape is copied at once, and what is alike in many lines is
//! formatted once: the time of a second, and the names in the lines of one place in the code. Spans are not told.

use std::{
    cell::RefCell,
    fmt::{self, Write},
    ptr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer};

use super::lines::Lines;

/// Writes every event as a line of JSON.
pub(super) struct Json {
    lines: Lines,
    clock: fn() -> SystemTime,
}

/// What a thread keeps from one line for the next.
#[derive(Default)]
struct Draft {
    line: Vec<u8>,
    /// The second, since the epoch, that `begin` is of.
    second: Option<u64>,
    /// The beginning of a line, up to the point of the seconds.
    begin: String,
    /// As many as places in the code that this thread has logged from.
    frames: Vec<Frame>,
}

/// What the lines of one place in the code have in common.
struct Frame {
    of: &'static Metadata<'static>,
    /// `,"level":"INFO"`
    level: Vec<u8>,
    /// `,"name":` of each field.
    names: Vec<Vec<u8>>,
    /// `,"target":"mediagate"}` and a line break.
    end: Vec<u8>,
}

/// The fields of an event, each after a comma.
struct Members<'a> {
    line: &'a mut Vec<u8>,
    names: &'a [Vec<u8>],
}

/// Text that is escaped as it is written.
struct Escaped<'a>(&'a mut Vec<u8>);

thread_local! {
    static DRAFT: RefCell<Draft> = RefCell::default();
}

impl Json {
    pub(super) fn new(lines: Lines, clock: fn() -> SystemTime) -> Self {
        Self { lines, clock }
    }

    fn put(&self, event: &Event<'_>, draft: &mut Draft) {
        let of = event.metadata();
        draft.begin((self.clock)());
        let Draft { line, frames, .. } = draft;
        let frame = Frame::among(frames, of);
        line.extend_from_slice(&frame.level);
        event.record(&mut Members { line, names: &frame.names });
        line.extend_from_slice(&frame.end);
        self.lines.put(of, line);
    }
}

impl<S: Subscriber> Layer<S> for Json {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        let put = DRAFT.try_with(|draft| {
            let Ok(mut draft) = draft.try_borrow_mut() else { return false };
            self.put(event, &mut draft);
            true
        });
        // A value that logs while it is formatted, or a thread at its end.
        if put != Ok(true) {
            self.put(event, &mut Draft::default());
        }
    }
}

impl Draft {
    /// Begins a line with its time.
    fn begin(&mut self, now: SystemTime) {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(now.as_secs()) {
            let second = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(now.as_secs()));
            self.begin = format!("{{\"timestamp\":\"{second}");
            // The fraction comes before the zone.
            if self.begin.ends_with('Z') {
                self.begin.pop();
            }
            self.second = Some(now.as_secs());
        }
        self.line.clear();
        self.line.extend_from_slice(self.begin.as_bytes());
        let micros = now.subsec_micros();
        self.line.push(b'.');
        for place in [100_000, 10_000, 1_000, 100, 10, 1] {
            self.line.push(DIGITS[(micros / place % 10) as usize]);
        }
        self.line.extend_from_slice(b"Z\"");
    }
}

impl Frame {
    /// The one of these lines, made where it is not there yet.
    fn among<'f>(frames: &'f mut Vec<Self>, of: &'static Metadata<'static>) -> &'f Self {
        let at = frames.iter().position(|frame| ptr::eq(frame.of, of)).unwrap_or_else(|| {
            frames.push(Self::new(of));
            frames.len() - 1
        });
        &frames[at]
    }

    fn new(of: &'static Metadata<'static>) -> Self {
        let member = |name: &str| {
            let mut text = vec![b','];
            put_text(&mut text, name);
            text.push(b':');
            text
        };
        let mut level = member("level");
        put_text(&mut level, of.level().as_str());
        let mut end = member("target");
        put_text(&mut end, of.target());
        end.extend_from_slice(b"}\n");
        Self { of, level, names: of.fields().iter().map(|field| member(field.name())).collect(), end }
    }
}

impl Members<'_> {
    fn name(&mut self, field: &Field) {
        self.line.extend_from_slice(&self.names[field.index()]);
    }

    fn put(&mut self, field: &Field, value: impl Serialize) {
        self.name(field);
        // Numbers and truth values, into memory: there is nothing to fail.
        if serde_json::to_writer(&mut *self.line, &value).is_err() {
            self.line.extend_from_slice(b"null");
        }
    }
}

impl Visit for Members<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        put_text(self.line, value);
    }

    /// Errors, `%` and wider integers come here too.
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        self.line.push(b'"');
        let told = write!(Escaped(self.line), "{value:?}");
        // A value that cannot say what it is leaves what it said so far.
        debug_assert!(told.is_ok(), "the value of {field} cannot be formatted");
        self.line.push(b'"');
    }
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text.as_bytes());
        Ok(())
    }
}

fn put_text(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    escape(line, text.as_bytes());
    line.push(b'"');
}

/// Appends text as a JSON string has it inside.
fn escape(line: &mut Vec<u8>, text: &[u8]) {
    // No way out of this loop, so that it is done for many bytes at once.
    if !text.iter().fold(false, |any, byte| any | is_special(*byte)) {
        return line.extend_from_slice(text);
    }
    for part in text.split_inclusive(|byte| is_special(*byte)) {
        let Some((last, plain)) = part.split_last().filter(|(last, _)| is_special(**last)) else {
            line.extend_from_slice(part);
            continue;
        };
        line.extend_from_slice(plain);
        match last {
            b'"' => line.extend_from_slice(b"\\\""),
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x08 => line.extend_from_slice(b"\\b"),
            0x0c => line.extend_from_slice(b"\\f"),
            other => {
                line.extend_from_slice(b"\\u00");
                line.extend([other >> 4, other & 15].map(|digit| DIGITS[usize::from(digit)]));
            }
        }
    }
}

/// What RFC 8259 section 7 has escaped.
fn is_special(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\')
}

const DIGITS: [u8; 16] = *b"0123456789abcdef";

#[cfg(test)]
mod tests;
