//! `mediagate demo`: everything in one process, for a first look.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::sync::broadcast;
use tracing::{Event, Subscriber, field};
use tracing_subscriber::{Layer, filter::Targets, layer};

use crate::{
    app::{self, App},
    config::Config,
    demo::{Demo, Options},
    lifecycle::Lifecycle,
    telemetry,
};

/// Try it: an embedded S3 server, sample media and a page that shows them through the gateway.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Where the gateway listens; open this in a browser.
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))]
    listen: SocketAddr,
    /// Where health and metrics listen.
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)))]
    admin_listen: SocketAddr,
    /// Where the embedded S3 server listens; redirected media come from there. Port 0: any free one.
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    s3_listen: SocketAddr,
    /// Take free ports in place of 8080 and 9090.
    #[arg(long, conflicts_with_all = ["listen", "admin_listen"])]
    free_ports: bool,
    /// Log every request on the terminal too; the page shows them anyway.
    #[arg(long)]
    log: bool,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        super::runtime()?.block_on(self.serve())
    }

    async fn serve(&self) -> anyhow::Result<()> {
        let options = Options { s3_listen: self.s3_listen, ..Options::new(app::wall_clock) };
        let demo = Demo::start(&options).await.context("cannot start the demo's S3 server and page")?;
        let page_log = LiveLog(demo.log_sink())
            .with_filter(Targets::new().with_target("mediagate::access", tracing::Level::INFO));
        let filter = if self.log { "info" } else { "warn" };
        let log = telemetry::Config { filter: filter.to_owned(), ..telemetry::Config::default() };
        let _logs = telemetry::init_logs(&log, app::wall_clock, Some(page_log.boxed()))?;
        let config = self.config(&demo)?;
        let life = Arc::new(Lifecycle::new());
        let app = App::build(&config, Arc::clone(&life), app::wall_clock)
            .await
            .context("cannot start the gateway; --free-ports takes other ports")?;
        announce(&app, &demo)?;
        let ended = super::run_to_the_end(app, &life, config.server.drain_timeout).await;
        demo.stop().await;
        ended
    }

    /// The configuration that a person would write for this demo.
    fn config(&self, demo: &Demo) -> anyhow::Result<Config> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (listen, admin) = if self.free_ports { (free, free) } else { (self.listen, self.admin_listen) };
        let storage = |name: &str, bucket: &str, delivery: &str| {
            serde_json::json!({
                "name": name, "bucket": bucket, "delivery": delivery, "region": demo.region(),
                "endpoint": demo.s3_endpoint(), "addressing": "path",
                "access_key_id": demo.access_key_id(),
                "secret_access_key": demo.secret_access_key().expose_secret(),
            })
        };
        let config = serde_json::json!({
            // The page keeps its live log open for ever: there is nothing to wait for at the end.
            "server": { "listen": listen, "drain_timeout": "2s" },
            "admin": { "listen": admin, "token": crate::access::mint::random_id() },
            "access": {
                "audience": Demo::TOKEN_AUDIENCE,
                "keys": [{ "id": Demo::TOKEN_KEY_ID, "algorithm": "HS256",
                           "secret": demo.token_secret().expose_secret() }],
            },
            "store": { "url": "sqlite::memory:" },
            "upstream": { "url": demo.frontend_url() },
            "storages": [
                storage("media", Demo::STREAM_BUCKET, "stream"),
                storage("media-direct", Demo::REDIRECT_BUCKET, "redirect"),
            ],
        });
        serde_json::from_value(config).context("the demo's configuration is not valid")
    }
}

fn announce(app: &App, demo: &Demo) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "mediagate demo is running. Open this page:\n")?;
    writeln!(out, "    http://{}/\n", app.public_addr())?;
    writeln!(out, "  metrics     http://{}/metrics", app.admin_addr())?;
    writeln!(out, "  readiness   http://{}/readyz", app.admin_addr())?;
    writeln!(out, "  embedded S3 {} (checks signatures; gone when this ends)", demo.s3_endpoint())?;
    writeln!(out, "\nStop it with Ctrl-C.")?;
    out.flush().context("cannot write to the terminal")
}

/// Hands every access line to the page as JSON.
struct LiveLog(broadcast::Sender<String>);

impl<S: Subscriber> Layer<S> for LiveLog {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        let mut members = Members::default();
        event.record(&mut members);
        // Nobody reading is no error: the page need not be open.
        drop(self.0.send(serde_json::Value::Object(members.0).to_string()));
    }
}

#[derive(Default)]
struct Members(serde_json::Map<String, serde_json::Value>);

impl Members {
    fn put(&mut self, field: &field::Field, value: impl Into<serde_json::Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl field::Visit for Members {
    fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &field::Field, value: &str) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &field::Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &field::Field, value: i64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &field::Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &field::Field, value: bool) {
        self.put(field, value);
    }
}
