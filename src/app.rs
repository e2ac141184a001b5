//! The composition root: a configuration becomes running listeners and tasks.
//!
//! The one module that knows all the others. The data path runs on a thread for each core, or on the runtime of the caller
//! alone; the control side has a thread and a runtime of its own, with the store's connections, so that health and
//! metrics answer while the data path is saturated. What a configuration makes is one generation, replaced as a whole
//! when it is loaded again; the storages of the store are put beside it, and replaced when the store changes.

mod admin_token;
mod context;
mod control_thread;
mod error;
mod generation;
mod jwks;
mod metrics;
mod reload;
mod served;
mod sidecar_thread;
mod storages;

use std::{
    net::SocketAddr,
    num::NonZero,
    path::PathBuf,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use http::Request;
use hyper::body::Incoming;
use prometheus::Registry;
use tokio::sync::{Mutex, mpsc};

use self::{
    context::{Context, Observed, Waiting},
    control_thread::{ControlThread, Serve},
    generation::{Commanded, Studio},
};
pub use self::{
    error::{ConfigError, Error},
    storages::settings_of,
};
use crate::{
    config::Config,
    control::{self, Control},
    gateway::{self, Gateway, deliver::Deliverer, limits::Limits, links::Links, locate::Storages},
    label_studio::{FollowMetrics, Follower},
    lifecycle::{Lifecycle, Shutdown},
    s3,
    server::{self, Listener, Workers},
    sidecar::{Exporter, RunMetrics, Runner},
    store::Store,
    telemetry,
};

/// A gateway that listens, before it runs.
#[derive(Debug)]
pub struct App {
    public: Listener,
    admin: Listener,
    control: Control,
    control_thread: ControlThread,
    public_metrics: server::ServerMetrics,
    admin_metrics: server::ServerMetrics,
    exporter: Exporter,
    follower: Follower,
    runner: Runner,
    context: Arc<Context>,
    /// The version of the store that is in force.
    version: i64,
    waiting: mpsc::Receiver<Waiting>,
}

impl App {
    /// Binds the listeners, opens the store and makes the first generation; serves nothing yet.
    pub async fn build(
        config: &Config,
        life: Arc<Lifecycle>,
        clock: fn() -> SystemTime,
    ) -> Result<Self, Error> {
        let registry = telemetry::registry()?;
        let s3_metrics = s3::S3Metrics::register(&registry)?;
        let assembled = generation::assemble(config, &s3_metrics, clock, None).await?;
        let public = Listener::bind(&config.server)?;
        let admin = Listener::bind(&admin_server(config.admin.listen))?;
        let (control_thread, store) = ControlThread::start(config.store.clone(), clock).await?;
        let bearer = admin_token::bearer(&config.admin, &store).await?;
        let gateway = Arc::new(Gateway::new(
            assembled.state,
            Limits::new(&config.limits, stream_cost(config)),
            Deliverer::new(s3::Presigner::new(PRESIGNED_URLS)),
            Links::new(store.clone()),
            gateway::metrics::Metrics::register(&registry)?,
            clock,
        ));
        let public_metrics = server::ServerMetrics::register(&registry, "public")?;
        let admin_metrics = server::ServerMetrics::register(&registry, "admin")?;
        let metrics = metrics::Metrics::register(&registry)?;
        let intake_metrics = control::IntakeMetrics::register(&registry)?;
        let run_metrics = RunMetrics::register(&registry)?;
        let (wanted, waiting) = mpsc::channel(WAITING);
        let context = Arc::new(Context {
            gateway,
            generation: ArcSwap::from_pointee(assembled.generation),
            store: store.clone(),
            served: Mutex::default(),
            wanted,
            storages_api: OnceLock::new(),
            run_queued: Arc::default(),
            s3_metrics,
            metrics,
            clock,
            life,
        });
        let version = store.version().await?;
        context.keep_file_storages(&config.storages).await?;
        context.take_from_store().await?;
        let in_force = {
            let context = Arc::clone(&context);
            Box::new(move || context.generation.load().label_studio.as_ref().map(Studio::for_sidecar))
        };
        let follow_metrics = FollowMetrics::register(&registry)?;
        let secret = config.hooks.read_secret().map_err(ConfigError::from)?;
        let follower = Follower::new(in_force, store.clone(), follow_metrics, secret.clone(), clock);
        let host = Arc::new(Observed {
            context: Arc::clone(&context),
            registry: registry.clone(),
            follower: follower.clone(),
        });
        let exporter = Exporter::new(host.clone(), store.clone(), run_metrics.exports().clone());
        let runner = Runner::new(host, store.clone(), Arc::clone(&context.run_queued), run_metrics);
        let observed = Observed { context: Arc::clone(&context), registry, follower: follower.clone() };
        let control = Control::new(observed, store, clock, bearer)
            .with_intake(intake_metrics, config.admin.max_annotations_body)
            .with_hooks(secret.as_ref());
        context.open_storages(control.storages_router());
        Ok(Self {
            public,
            admin,
            control,
            control_thread,
            public_metrics,
            admin_metrics,
            exporter,
            follower,
            runner,
            context,
            version,
            waiting,
        })
    }

    /// Where clients connect.
    pub fn public_addr(&self) -> SocketAddr {
        self.public.local_addr()
    }

    /// Where the control side listens.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// Loads `path` again when it, or a file it names, changes, or when a reload is asked for.
    pub fn watch(&self, path: PathBuf) {
        let life = &self.context.life;
        let stopping = life.shutdown().soft().clone();
        let watch = Box::pin(reload::watch(Arc::clone(&self.context), path, life.reloads()));
        life.spawn(async move {
            stopping.run_until_cancelled(watch).await;
        });
    }

    /// Serves on the runtime of the caller until the end of the process's life; returns when the last connection has ended.
    pub async fn run(self) -> Result<(), Error> {
        self.run_on(Workers::none()).await
    }

    /// The same, with a thread for each core to serve clients.
    pub async fn run_on_all_cores(self) -> Result<(), Error> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        self.run_on(Workers::start(cores).map_err(Error::Thread)?).await
    }

    async fn run_on(self, workers: Workers) -> Result<(), Error> {
        let Self {
            public,
            admin,
            control,
            control_thread,
            public_metrics,
            admin_metrics,
            exporter,
            follower,
            runner,
            context,
            ..
        } = self;
        context.start(&context.generation.load());
        let follow = Arc::clone(&context).follow_store(context.store.watch(self.version), self.waiting);
        let stopping = context.life.shutdown().soft().clone();
        context.life.spawn(async move {
            stopping.run_until_cancelled(follow).await;
        });
        let shutdown = context.life.shutdown();
        // The control side ends after the data path: a draining process still says so.
        let after = Shutdown::default();
        let serve = Serve { listener: admin, control, shutdown: after.clone(), metrics: admin_metrics };
        let thread = control_thread.serve(serve)?;
        let runs_ended =
            sidecar_thread::start(runner, exporter, follower, context.life.shutdown().soft().clone())?;
        let gateway = Arc::clone(&context.gateway);
        // Asked for each connection: a proxy that a reload no longer trusts is believed by no door.
        let trusted = move |ip| gateway.state().trusted.trusts(ip);
        let gateway = Arc::clone(&context.gateway);
        let service = move |request: Request<Incoming>, peer: server::Peer| {
            let gateway = Arc::clone(&gateway);
            async move { gateway.handle(request, gateway::Peer { ip: peer.addr.ip(), tls: peer.tls }).await }
        };
        server::serve(public, trusted, service, shutdown, public_metrics, &workers).await;
        context.end().await;
        context.life.tasks_ended().await;
        if tokio::time::timeout(RUNS_GIVEN_BACK, runs_ended).await.is_err() {
            tracing::warn!(
                "runs were not given back in time; other sidecars take them over when their lease ends"
            );
        }
        after.now();
        if tokio::task::spawn_blocking(move || thread.join()).await.is_err() {
            tracing::warn!("the control thread did not end");
        }
        Ok(())
    }
}

/// Checks a configuration as far as that goes without serving.
pub async fn try_out(
    config: &Config,
    registry: &Registry,
    clock: fn() -> SystemTime,
) -> Result<Arc<Storages>, Error> {
    let s3_metrics = s3::S3Metrics::register(registry)?;
    Ok(generation::assemble(config, &s3_metrics, clock, None).await?.state.storages)
}

/// A runner for a command, with what a configuration says; it serves nothing.
pub async fn runner(config: &Config, store: &Store, clock: fn() -> SystemTime) -> Result<Runner, Error> {
    let registry = telemetry::registry()?;
    let s3_metrics = s3::S3Metrics::register(&registry)?;
    let assembled = generation::assemble(config, &s3_metrics, clock, None).await?;
    let listed: Vec<_> = config.storages.iter().map(storages::listed).collect();
    store.reconcile_file_storages(&listed).await?;
    let generation = Arc::new(assembled.generation);
    let in_force = {
        let generation = Arc::clone(&generation);
        Box::new(move || generation.label_studio.as_ref().map(Studio::for_sidecar))
    };
    let metrics = FollowMetrics::register(&registry)?;
    let follower = Follower::new(in_force, store.clone(), metrics, None, clock);
    let host = Arc::new(Commanded { generation, follower });
    Ok(Runner::new(host, store.clone(), Arc::default(), RunMetrics::register(&registry)?))
}

/// The wall clock, which is handed down to whatever needs the time.
#[expect(clippy::disallowed_methods, reason = "the one place where the time comes from")]
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}

fn admin_server(listen: SocketAddr) -> server::Config {
    server::Config { listen, max_connections: 256, ..server::Config::default() }
}

/// What one stream whose client has stopped reading holds at most: a read of S3 that is being written and the next one, one
/// buffer of the listener, and the state of two connections. Measured on 2026-11-27: 120 KiB each by default.
fn stream_cost(config: &Config) -> u64 {
    const STATE: u64 = 16 * 1024;
    2 * config.egress.read_buffer.as_u64() + config.server.write_buffer.as_u64() + STATE
}

/// What presigned URLs may occupy: one an object, window and token lifetime, of those that were asked for twice.
const PRESIGNED_URLS: bytesize::ByteSize = bytesize::ByteSize::mib(32);

/// How long runs may take to be given back at the end of the process.
const RUNS_GIVEN_BACK: Duration = Duration::from_secs(5);

/// Changes made through the API that wait to be in force here, at once.
const WAITING: usize = 64;
