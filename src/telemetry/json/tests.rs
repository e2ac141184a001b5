//! Lines are held to those of `tracing_subscriber`, which readers of the log were made for.

use std::{
    error::Error,
    io,
    sync::{Arc, Mutex},
};

use tracing::{debug, error, info, info_span, trace, warn};
use tracing_subscriber::{
    Registry,
    fmt::{format::Writer, time::FormatTime},
    layer::SubscriberExt,
};

use super::*;
use crate::telemetry::{ExtraLayer, Logs};

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

/// What our clock says, as text.
struct Text;

/// A value that logs while it is formatted.
struct Talkative;

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FormatTime for Text {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        w.write_str("2026-11-27T13:55:25.012345Z")
    }
}

impl fmt::Display for Talkative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info!("a line within a line");
        f.write_str("said")
    }
}

fn clock() -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(1_795_787_725_012_345_678)
}

/// What both layers write of the same events.
fn written(events: fn()) -> (String, String) {
    let (ours, theirs) = (Kept::default(), Kept::default());
    let logs = Logs::start(Box::new(ours.clone())).unwrap();
    let writer = theirs.clone();
    let layers: Vec<ExtraLayer> = vec![
        Json::new(logs.lines(), clock).boxed(),
        tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_timer(Text)
            .with_writer(move || writer.clone())
            .boxed(),
    ];
    tracing::subscriber::with_default(Registry::default().with(layers), events);
    drop(logs);
    (ours.text(), theirs.text())
}

#[test]
fn lines_are_those_of_tracing_subscriber_to_the_byte() {
    let events: [(&str, fn()); _] = [
        ("a message", || info!("request")),
        ("no message", || info!(a = 1)),
        ("nothing", || info!(target: "t", {}, "")),
        ("levels", || {
            error!("e");
            warn!("w");
            info!("i");
            debug!("d");
            trace!("t");
        }),
        ("targets", || {
            info!(target: "mediagate::access", "request");
            info!(target: "mediagate::audit", "decision");
            info!(target: "odd \"target\"\n", "request");
        }),
        ("whole numbers", || {
            info!(a = 0_u8, b = u64::MAX, c = i64::MIN, d = -1_i32, e = usize::MAX, f = 303_u16);
            info!(wide = u128::MAX, low = i128::MIN);
        }),
        ("numbers", || {
            info!(
                a = 0.0,
                b = -0.0,
                c = 12.345,
                d = 0.001,
                e = 1e300,
                f = 1e-7,
                g = 123_456_789.125,
                h = 5_f32
            );
            info!(
                a = f64::NAN,
                b = f64::INFINITY,
                c = f64::NEG_INFINITY,
                d = f64::MAX,
                e = f64::MIN_POSITIVE
            );
        }),
        ("truth", || info!(yes = true, no = false)),
        ("every character of ASCII", || {
            let every: String = (0..=0x7f_u8).map(char::from).collect();
            info!(every, shown = %every, debugged = ?every, "{every}");
            for character in every.chars() {
                info!(one = %character, before = format!("{character} and more"), after = format!("more and {character}"));
            }
        }),
        ("other characters", || {
            let text = "é ü ß 漢字 \u{2028} \u{feff} \u{85} 😀\" \\ 😀";
            info!(text, shown = %text, debugged = ?text, "{text}");
        }),
        ("empty text", || info!(empty = "", shown = %"", "")),
        ("long text", || info!(long = "0123456789abcdef\"".repeat(10_000), plain = "x".repeat(100_000))),
        ("fields that are absent", || {
            info!(
                a = None::<u64>,
                b = Some("b"),
                c = None::<&str>,
                d = None.map(|()| field_of(1)),
                e = Some(true)
            );
        }),
        ("shown and debugged", || {
            let address = std::net::IpAddr::from([192, 0, 2, 1]);
            info!(%address, debugged = ?address, within = ?Some("a \"b\""), client = Some(field_of(7)), ?address);
            info!(time = ?Duration::from_millis(1500), list = ?["a\n", "b"], pretty = format_args!("{:#?}", ("a", 1)));
        }),
        ("errors", || {
            let inner = io::Error::other("the \"inner\" one");
            let outer = io::Error::other(inner);
            info!(error = &outer as &(dyn Error + 'static), "failed: {outer}");
        }),
        ("bytes", || info!(bytes = &b"a\"\0\xff"[..])),
        ("names", || {
            info!(r#type = 1, run.id = 2, r#fn = %"shown", r#loop = ?"debugged", "odd \"name\"\n" = 3, "ü" = 4);
            info!(message = "text", level = "mine", target = "mine", timestamp = "mine");
            info!(a = 1, a = 2, "named twice");
            info!(log.target = "kept", log.line = 1, "as from the other crate");
        }),
        ("within spans", || {
            let _outer = info_span!("outer", secret = "of a span").entered();
            let inner = info_span!("inner", secret = tracing::field::Empty);
            inner.record("secret", 2);
            inner.in_scope(|| info!(a = 1, "within"));
            info!(parent: None, "without");
        }),
        ("a value that logs", || info!(value = %Talkative, after = 1, "outer")),
    ];
    for (name, events) in events {
        let (ours, theirs) = written(events);
        assert!(!theirs.is_empty(), "{name}");
        assert_eq!(ours, theirs, "{name}");
        for line in ours.lines() {
            assert!(
                line.starts_with("{\"timestamp\":\"2026-11-27T13:55:25.012345Z\",\"level\":\""),
                "{line}"
            );
        }
    }
}

fn field_of(value: u64) -> tracing::field::DisplayValue<u64> {
    tracing::field::display(value)
}

#[test]
fn the_time_of_a_line_is_of_its_own_second() {
    let mut draft = Draft::default();
    for (second, nanos, want) in [
        (0, 0, "1970-01-01T00:00:00.000000Z"),
        (0, 999, "1970-01-01T00:00:00.000000Z"),
        (951_782_399, 999_999_999, "2000-02-28T23:59:59.999999Z"),
        (951_782_400, 1_000, "2000-02-29T00:00:00.000001Z"),
        (951_782_400, 120_000_000, "2000-02-29T00:00:00.120000Z"),
        // A clock that is set back.
        (951_782_399, 0, "2000-02-28T23:59:59.000000Z"),
        (1_795_787_725, 12_345_678, "2026-11-27T13:55:25.012345Z"),
        (4_107_542_399, 5_000, "2100-02-28T23:59:59.000005Z"),
        (4_107_542_400, 5_000, "2100-03-01T00:00:00.000005Z"),
        (253_402_300_799, 999_999_000, "9999-12-31T23:59:59.999999Z"),
    ] {
        draft.begin(UNIX_EPOCH + Duration::new(second, nanos));
        let line = String::from_utf8(draft.line.clone()).unwrap();
        assert_eq!(line, format!("{{\"timestamp\":\"{want}\""), "{second}.{nanos:09}");
    }
    draft.begin(UNIX_EPOCH - Duration::from_secs(1));
    assert!(draft.line.starts_with(b"{\"timestamp\":\"1970-01-01T00:00:00.000000Z"));
}
