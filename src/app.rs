//! The composition root: a configuration becomes running listeners and tasks.
//!
//! The one module that knows all the others. The public listener and the data path run on the runtime of the
//! caller; the control side has a thread and a runtime of its own, so that health and metrics answer while the data
//! path is saturated. What a configuration makes is one generation, replaced as a whole when it is loaded again.

mod jwks;
mod metrics;
mod reload;
mod storages;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use http::Request;
use hyper::body::Incoming;
use prometheus::Registry;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;

use crate::{
    access::{self, Allowlist, TrustedProxies, Verifier, mint::Minter},
    config::Config,
    control::{self, Bearer, Control, Readiness, Unready},
    egress::{self, Egress},
    gateway::{self, Gateway, State, cors, deliver::Deliverer, forward, limits::Limits, locate::Storages},
    id::StorageName,
    lifecycle::{Lifecycle, Shutdown},
    s3,
    server::{self, Listener},
    telemetry,
};

/// A gateway that listens, before it runs.
#[derive(Debug)]
pub struct App {
    public: Listener,
    admin: Listener,
    control: Control,
    public_metrics: server::ServerMetrics,
    admin_metrics: server::ServerMetrics,
    context: Arc<Context>,
}

/// What outlives a configuration.
#[derive(Debug)]
struct Context {
    gateway: Arc<Gateway>,
    generation: Arc<ArcSwap<Generation>>,
    s3_metrics: s3::S3Metrics,
    metrics: metrics::Metrics,
    clock: fn() -> SystemTime,
    life: Arc<Lifecycle>,
}

/// What the control side sees of the process.
struct Observed {
    context: Arc<Context>,
    registry: Registry,
}

/// What one configuration made, besides the state of the data path.
#[derive(Debug)]
struct Generation {
    connections: Vec<s3::Connection>,
    verifier: Arc<Verifier>,
    minter: Arc<Minter>,
    egress: Arc<Egress>,
    /// Ends the tasks of this generation.
    ended: CancellationToken,
}

/// Why a configuration that could be read cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `[access]`.
    #[error("access")]
    Access(#[from] access::BuildError),
    /// `[egress]`.
    #[error("egress")]
    Egress(#[from] egress::Error),
    /// `[upstream]`.
    #[error(transparent)]
    Upstream(#[from] forward::ConfigError),
    /// `[cors]`.
    #[error(transparent)]
    Cors(#[from] cors::ConfigError),
    /// `[[storages]]`.
    #[error("storage {name}")]
    Storage {
        /// Which.
        name: StorageName,
        /// Why.
        source: storages::Error,
    },
    /// Two storages of one name.
    #[error("two storages are named {0}; names are metric labels, so each needs its own")]
    StorageTwice(StorageName),
    /// Two storages for one bucket and prefix.
    #[error("storages {0} and {1} serve the same bucket and prefix; give one of them another prefix")]
    StorageShadowed(StorageName, StorageName),
    /// `[admin]`.
    #[error("admin.token (or what admin.token_file holds) is empty; set one, or neither for a fresh one")]
    AdminTokenEmpty,
    /// `[admin]`.
    #[error("admin.token_file {} cannot be read", path.display())]
    AdminTokenUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Why the gateway did not start or broke.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A listener.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// The registry.
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    /// A metric family of one name twice.
    #[error("a metric family was registered twice")]
    Registry(#[from] prometheus::Error),
    /// The control thread.
    #[error("the control thread cannot be started")]
    Thread(#[source] std::io::Error),
}

impl App {
    /// Binds the listeners and makes the first generation; serves nothing yet.
    pub async fn build(
        config: &Config,
        life: Arc<Lifecycle>,
        clock: fn() -> SystemTime,
    ) -> Result<Self, Error> {
        let registry = telemetry::registry()?;
        let s3_metrics = s3::S3Metrics::register(&registry)?;
        let assembled = assemble(config, &s3_metrics, clock, None).await?;
        let gateway = Arc::new(Gateway::new(
            assembled.state,
            Limits::new(&config.limits, stream_cost(config)),
            Deliverer::new(s3::Presigner::new(PRESIGNED_URLS)),
            gateway::metrics::Metrics::register(&registry)?,
            clock,
        ));
        let public_metrics = server::ServerMetrics::register(&registry, "public")?;
        let admin_metrics = server::ServerMetrics::register(&registry, "admin")?;
        let context = Arc::new(Context {
            gateway,
            generation: Arc::new(ArcSwap::from_pointee(assembled.generation)),
            s3_metrics,
            metrics: metrics::Metrics::register(&registry)?,
            clock,
            life,
        });
        let bearer = admin_bearer(&config.admin)?;
        Ok(Self {
            public: Listener::bind(&config.server)?,
            admin: Listener::bind(&admin_server(config.admin.listen))?,
            control: Control::new(Observed { context: Arc::clone(&context), registry }, clock, bearer),
            public_metrics,
            admin_metrics,
            context,
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
        let stopping = life.shutdown().soft;
        let watch = Box::pin(reload::watch(Arc::clone(&self.context), path, life.reloads()));
        life.spawn(async move {
            stopping.run_until_cancelled(watch).await;
        });
    }

    /// Serves until the end of the process's life; returns when the last connection has ended.
    pub async fn run(self) -> Result<(), Error> {
        let Self { public, admin, control, public_metrics, admin_metrics, context } = self;
        context.start(&context.generation.load());
        let shutdown = context.life.shutdown();
        // The control side ends after the data path: a draining process still says so.
        let after = Shutdown { soft: CancellationToken::new(), hard: CancellationToken::new() };
        let thread = control_thread(admin, control, after.clone(), admin_metrics)?;
        let gateway = Arc::clone(&context.gateway);
        // Asked for each connection: a proxy that a reload no longer trusts is believed by no door.
        let trusted = move |ip| gateway.state().trusted.trusts(ip);
        let gateway = Arc::clone(&context.gateway);
        let service = move |request: Request<Incoming>, peer: server::Peer| {
            let gateway = Arc::clone(&gateway);
            async move { gateway.handle(request, gateway::Peer { ip: peer.addr.ip(), tls: peer.tls }).await }
        };
        server::serve(public, trusted, service, shutdown, public_metrics).await;
        context.generation.load().ended.cancel();
        context.life.tasks_ended().await;
        after.now();
        if tokio::task::spawn_blocking(move || thread.join()).await.is_err() {
            tracing::warn!("the control thread did not end");
        }
        Ok(())
    }
}

impl Context {
    /// Starts the tasks of a generation: credentials and key sets are fetched ahead of need.
    fn start(&self, generation: &Arc<Generation>) {
        for connection in &generation.connections {
            let connection = connection.clone();
            let ended = generation.ended.clone();
            self.life.spawn(async move { connection.refresh_loop(ended).await });
        }
        let keys =
            jwks::refresh(Arc::clone(&generation.verifier), Arc::clone(&generation.egress), self.clock);
        let ended = generation.ended.clone();
        self.life.spawn(async move {
            ended.run_until_cancelled(keys).await;
        });
    }
}

impl control::Process for Observed {
    fn metrics(&self) -> String {
        let context = &self.context;
        context.metrics.observe(&context.generation.load().verifier, (context.clock)());
        telemetry::render(&self.registry).unwrap_or_else(|error| {
            tracing::error!(%error, "metrics cannot be rendered");
            String::new()
        })
    }

    fn readiness(&self) -> Readiness {
        self.context.readiness()
    }

    fn minter(&self) -> Arc<Minter> {
        Arc::clone(&self.context.generation.load().minter)
    }
}

impl Context {
    fn readiness(&self) -> Readiness {
        let mut unready = Vec::new();
        if self.life.shutdown().soft.is_cancelled() {
            unready.push(Unready { what: "draining", name: None, hint: "the process is being stopped" });
        }
        let generation = self.generation.load();
        for connection in generation.connections.iter().filter(|connection| !connection.credentials_ready()) {
            unready.push(Unready {
                what: "credentials",
                name: Some(connection.name().to_string()),
                hint: "no valid AWS credentials for this storage yet; the log says why",
            });
        }
        if !generation.verifier.has_keys() {
            unready.push(Unready {
                what: "keys",
                name: None,
                hint: "no key to verify tokens with: add [[access.keys]] or [[access.jwks]], or see the log",
            });
        }
        Readiness { unready }
    }
}

struct Assembled {
    state: State,
    generation: Generation,
}

/// Makes all that a configuration asks for, or says what is wrong with it; changes nothing that runs.
async fn assemble(
    config: &Config,
    s3_metrics: &s3::S3Metrics,
    clock: fn() -> SystemTime,
    before: Option<&Generation>,
) -> Result<Assembled, ConfigError> {
    let egress = Arc::new(Egress::build(&config.egress)?);
    let verifier = Arc::new(Verifier::build(&config.access, clock())?);
    if let Some(before) = before {
        verifier.inherit_jwks(&before.verifier);
    }
    let minter = Arc::new(Minter::build(&config.access)?);
    let storages = storages::connect(&config.storages, &egress, s3_metrics, clock).await?;
    let connections = storages.iter().map(|storage| storage.connection.clone()).collect();
    let upstream = config.upstream.as_ref().map(|upstream| forward::Upstream::build(upstream, &egress));
    let state = State {
        allowlist: Arc::new(Allowlist::new(&config.access.allow, &config.access.deny)),
        trusted: Arc::new(TrustedProxies::new(&config.access.trusted_proxies, config.access.client_address)),
        verifier: Arc::clone(&verifier),
        storages: Arc::new(Storages::new(storages)),
        upstream: upstream.transpose()?.map(Arc::new),
        cors: Arc::new(cors::Cors::build(&config.cors)?),
    };
    let ended = CancellationToken::new();
    Ok(Assembled { state, generation: Generation { connections, verifier, minter, egress, ended } })
}

/// Checks a configuration as far as that goes without serving.
pub async fn try_out(
    config: &Config,
    registry: &Registry,
    clock: fn() -> SystemTime,
) -> Result<Arc<Storages>, Error> {
    let s3_metrics = s3::S3Metrics::register(registry)?;
    Ok(assemble(config, &s3_metrics, clock, None).await?.state.storages)
}

/// The wall clock, which is handed down to whatever needs the time.
#[expect(clippy::disallowed_methods, reason = "the one place where the time comes from")]
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// The control side on its own thread, so that a starved data path cannot silence it.
fn control_thread(
    listener: Listener,
    control: Control,
    shutdown: Shutdown,
    metrics: server::ServerMetrics,
) -> Result<std::thread::JoinHandle<()>, Error> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
    let router = hyper_util::service::TowerToHyperService::new(control.router());
    let service = move |request: Request<Incoming>, _: server::Peer| {
        let answer = hyper::service::Service::call(&router, request);
        async move {
            let Ok(response) = answer.await;
            response
        }
    };
    let run = move || runtime.block_on(server::serve(listener, |_| false, service, shutdown, metrics));
    std::thread::Builder::new().name("control".to_owned()).spawn(run).map_err(Error::Thread)
}

fn admin_server(listen: SocketAddr) -> server::Config {
    server::Config { listen, max_connections: 256, ..server::Config::default() }
}

/// What one stream whose client has stopped reading holds: about four reads of S3 on their way through, one buffer of the
/// listener, and the state of two connections. Measured on 2026-11-24 with 1,000 such clients: 93 KiB each by default.
fn stream_cost(config: &Config) -> u64 {
    const STATE: u64 = 16 * 1024;
    4 * config.egress.read_buffer.as_u64() + config.server.write_buffer.as_u64() + STATE
}

/// The configured bearer, or a fresh one that is printed once.
fn admin_bearer(config: &control::Config) -> Result<Bearer, ConfigError> {
    let configured = match (&config.token, &config.token_file) {
        (Some(token), _) => Some(token.clone()),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::AdminTokenUnreadable { path: path.clone(), source })?;
            Some(SecretString::from(text.trim().to_owned()))
        }
        (None, None) => None,
    };
    if let Some(token) = configured {
        let empty = token.expose_secret().trim().is_empty();
        return if empty { Err(ConfigError::AdminTokenEmpty) } else { Ok(Bearer::new(&token)) };
    }
    let fresh = access::mint::random_id();
    // Not through the log, which is kept and shipped: this is the one time the token is shown.
    let line = format!("admin token for this run (set admin.token_file to keep one): {fresh}\n");
    if std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).is_err() {
        tracing::warn!("the admin token of this run could not be printed");
    }
    Ok(Bearer::new(&SecretString::from(fresh)))
}

/// What presigned URLs may occupy: one an object, window and token lifetime.
const PRESIGNED_URLS: bytesize::ByteSize = bytesize::ByteSize::mib(32);
