//! Logs and the metric registry of the process.
//!
//! The registry is made once and passed down; every module registers its own families beside its logic, and
//! nothing here knows them. Logs go to standard error, one line an event: text for people, JSON for machines.

mod json;
mod lines;

use std::{
    io::{self, IsTerminal},
    time::SystemTime,
};

use prometheus::{IntGauge, Registry, TextEncoder};
use serde::Deserialize;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, Registry as Subscribers,
    filter::{FilterExt, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use self::json::Json;
pub use self::lines::Logs;

/// `[log]`: how log lines look and which are written.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Text, JSON, or text on a terminal and JSON elsewhere.
    pub format: Format,
    /// A filter such as `info` or `info,mediagate::audit=off`; `RUST_LOG` wins over it.
    pub filter: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// A layer that somebody else wants to see the events with, such as the demo's live log.
pub type ExtraLayer = Box<dyn Layer<Subscribers> + Send + Sync>;

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not a list of `target=level`.
    #[error("log.filter is not a list of target=level")]
    FilterInvalid(#[source] tracing_subscriber::filter::ParseError),
    /// Somebody set a subscriber before.
    #[error("logging was set up twice")]
    AlreadySet,
    /// There is no thread for it.
    #[error("the thread that writes log lines cannot start")]
    Thread(#[source] io::Error),
    /// Two families of one name.
    #[error("a metric family was registered twice")]
    Registry(#[from] prometheus::Error),
}

impl Default for Config {
    fn default() -> Self {
        Self { format: Format::default(), filter: "info".to_owned() }
    }
}

/// Starts logging for the process. The lines have their time from `clock`; whoever holds [`Logs`] drops it last.
pub fn init_logs(
    config: &Config,
    clock: fn() -> SystemTime,
    extra: Option<ExtraLayer>,
) -> Result<Logs, Error> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| config.filter.clone());
    let filter =
        EnvFilter::builder().parse(filter).map_err(Error::FilterInvalid)?.and(filter_fn(tells_no_secret));
    let is_terminal = io::stderr().is_terminal();
    let json = match config.format {
        Format::Json => true,
        Format::Text => false,
        Format::Auto => !is_terminal,
    };
    let logs = Logs::start(Box::new(io::stderr())).map_err(Error::Thread)?;
    let lines: ExtraLayer = if json {
        Json::new(logs.lines(), clock).with_filter(filter).boxed()
    } else {
        let text = tracing_subscriber::fmt::layer().with_writer(logs.lines()).with_ansi(is_terminal);
        text.with_filter(filter).boxed()
    };
    let mut layers = vec![lines];
    layers.extend(extra);
    Subscribers::default().with(layers).try_init().map_err(|_| Error::AlreadySet)?;
    Ok(logs)
}

/// Lines of JSON to somewhere, as [`init_logs`] has them on standard error.
pub fn json_lines(
    to: Box<dyn io::Write + Send>,
    clock: fn() -> SystemTime,
) -> Result<(ExtraLayer, Logs), Error> {
    let logs = Logs::start(to).map_err(Error::Thread)?;
    Ok((Json::new(logs.lines(), clock).boxed(), logs))
}

/// Finer levels of these crates print header fields and what is signed: tokens and credentials.
fn tells_no_secret(event: &Metadata<'_>) -> bool {
    *event.level() <= Level::INFO
        || !["aws_", "h2", "hyper", "rustls", "s3s"].iter().any(|name| event.target().starts_with(name))
}

/// Makes the registry of this process, with build information and the figures of the process itself.
pub fn registry() -> Result<Registry, Error> {
    let registry = Registry::new();
    let build = prometheus::Opts::new("mediagate_build_info", "1, labelled with the version.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    let build = IntGauge::with_opts(build)?;
    build.set(1);
    registry.register(Box::new(build))?;
    let process = prometheus::process_collector::ProcessCollector::for_self();
    registry.register(Box::new(process))?;
    Ok(registry)
}

/// Renders everything registered in the Prometheus text format, version 0.0.4.
pub fn render(registry: &Registry) -> Result<String, Error> {
    Ok(TextEncoder::new().encode_to_string(&registry.gather())?)
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// `RUST_LOG=trace` is what somebody in trouble types first.
    #[test]
    fn crates_that_print_what_they_send_are_never_heard_in_detail() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let filter = EnvFilter::new("trace").and(filter_fn(tells_no_secret));
        let subscriber = Subscribers::default().with(layer.with_filter(filter));
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "h2::codec", "a secret");
            tracing::trace!(target: "hyper::proto::h1", "a secret");
            tracing::debug!(target: "hyper_util::client", "a secret");
            tracing::trace!(target: "aws_sigv4::http_request", "a secret");
            tracing::debug!(target: "rustls::client", "a secret");
            tracing::trace!(target: "s3s::ops", "a secret");
            tracing::warn!(target: "hyper::proto", "a word of theirs");
            tracing::trace!(target: "mediagate::gateway", "a word of ours");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains("a word of theirs") && text.contains("a word of ours"), "{text}");
    }
}
