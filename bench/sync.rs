//! What a sync costs beside bare listing: 10,000, 100,000 and a million objects, into SQLite and PostgreSQL.
//!
//! `cargo bench --bench sync`; with `MEDIAGATE_BENCH_POSTGRES=postgres://...` PostgreSQL too, whose schema is emptied.
//! `MEDIAGATE_BENCH_SIZES=10000,100000` for fewer. The bucket is another process, so that the memory told is the sidecar's.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says so")]

#[expect(unreachable_pub, dead_code, reason = "shared with the integration tests")]
#[path = "../tests/it/support/bucket.rs"]
mod bucket;

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime},
};

use mediagate::{
    egress::{self, Egress},
    id::{StorageId, StorageName},
    object::Bucket,
    run::{Job, Run, Trigger},
    s3::{Connection, ConnectionConfig, CredentialsConfig, ListRequest, S3Metrics, Timeouts},
    sidecar::{
        self, Connector, Doors, Host, RunMetrics, Runner, Sidecar,
        sync::{SinkUnavailable, StoreSink, TaskSink},
    },
    storage::{Addressing, Direction, EndpointUrl, ImportMethod, Keys, Kind, Settings, Storage},
    store::{self, NewStorage, Store},
};
use prometheus::Registry;
use sqlx::Connection as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The keys of the bucket's server.
mod s3 {
    pub(crate) const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
    pub(crate) const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match std::env::var(SERVE) {
        Ok(count) => runtime.block_on(serve(count.parse().unwrap())),
        Err(_) => runtime.block_on(measure()),
    }
}

/// The process of the bucket: prints its address and waits for its end.
async fn serve(count: usize) {
    let keys = (0..count).map(|n| format!("img/{:03}/{n:08}.jpg", n % 211));
    let bucket = bucket::MemoryBucket::start(keys).await;
    say(&bucket.url());
    std::future::pending::<()>().await;
}

async fn measure() {
    let sizes = std::env::var("MEDIAGATE_BENCH_SIZES").unwrap_or_else(|_| "10000,100000,1000000".to_owned());
    say("| objects | store | bare listing | first sync | ratio | second sync | peak memory |");
    say("|--:|---|--:|--:|--:|--:|--:|");
    for size in sizes.split(',').map(|size| size.parse::<usize>().unwrap()) {
        let server = Server::start(size);
        for store in stores().await {
            row(&server, size, &store).await;
        }
    }
}

async fn row(
    server: &Server,
    size: usize,
    (name, config, folder): &(&str, store::Config, tempfile::TempDir),
) {
    let store = Store::open(config, clock).await.unwrap();
    let storage = storage(&store, &server.url).await;
    let began = Instant::now();
    let listed = list(&server.url).await;
    let bare = began.elapsed();
    assert_eq!(listed, size);
    let (first, took) = sync(&store, storage).await;
    assert_eq!(usize::try_from(first.counters.created).unwrap(), size, "{:?}", first.error);
    let (second, again) = sync(&store, storage).await;
    assert_eq!(second.counters.created, 0);
    let ratio = took.as_secs_f64() / bare.as_secs_f64();
    let memory = peak_memory();
    say(&format!("| {size} | {name} | {bare:.2?} | {took:.2?} | {ratio:.2} | {again:.2?} | {memory} MiB |"));
    store.close().await;
    assert!(folder.path().exists());
}

/// The stores to measure, empty.
async fn stores() -> Vec<(&'static str, store::Config, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("state.db").display());
    let config = store::Config { url: Some(url.into()), ..store::Config::default() };
    let mut stores = vec![("SQLite", config, folder)];
    if let Ok(url) = std::env::var("MEDIAGATE_BENCH_POSTGRES") {
        let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
        let empty = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";
        sqlx::raw_sql(empty).execute(&mut connection).await.unwrap();
        let key = Some("11".repeat(32).into());
        let config = store::Config { url: Some(url.into()), key, ..store::Config::default() };
        stores.push(("PostgreSQL", config, tempfile::tempdir().unwrap()));
    }
    stores
}

async fn storage(store: &Store, url: &str) -> StorageId {
    let settings = Settings {
        bucket: Some(Bucket::parse("media").unwrap()),
        endpoint: Some(EndpointUrl::parse(url).unwrap()),
        method: ImportMethod::Files,
        recursive: true,
        ..Settings::default()
    };
    let keys = Keys {
        access_key_id: Some(s3::ACCESS_KEY_ID.into()),
        secret_access_key: Some(s3::SECRET_ACCESS_KEY.into()),
        session_token: None,
    };
    let new = NewStorage { direction: Direction::Import, kind: Kind::S3, settings, keys };
    store.create_storage(&new).await.unwrap().id
}

/// Lists the bucket page after page, as any client would.
async fn list(url: &str) -> usize {
    let config = ConnectionConfig {
        name: StorageName::parse("media").unwrap(),
        bucket: Bucket::parse("media").unwrap(),
        region: "us-east-1".to_owned(),
        endpoint: Some(url.parse().unwrap()),
        public_endpoint: None,
        addressing: Addressing::Auto,
        credentials: CredentialsConfig::Static {
            access_key_id: s3::ACCESS_KEY_ID.to_owned(),
            secret_access_key: s3::SECRET_ACCESS_KEY.into(),
            session_token: None,
        },
        timeouts: Timeouts::default(),
    };
    let metrics = S3Metrics::register(&Registry::new()).unwrap();
    let egress = Arc::new(Egress::build(&egress::Config::default()).unwrap());
    let connection = Connection::connect(config, egress, metrics, clock).await.unwrap();
    let (mut count, mut next) = (0, None);
    loop {
        let request = ListRequest {
            prefix: "",
            recursive: true,
            page_size: 1000,
            continuation: next.as_deref(),
            start_after: None,
        };
        let page = connection.list(&request).await.unwrap();
        count += page.objects.len();
        next = page.next;
        if next.is_none() {
            return count;
        }
    }
}

async fn sync(store: &Store, storage: StorageId) -> (Run, Duration) {
    let began = Instant::now();
    let run = store.enqueue_run(storage, Job::Sync, Trigger::Terminal).await.unwrap().run.id;
    let run = runner(store).run_one(run, CancellationToken::new()).await.unwrap().unwrap();
    (run, began.elapsed())
}

fn runner(store: &Store) -> Runner {
    let allow = vec!["127.0.0.0/8".parse().unwrap()];
    let egress = Egress::build(&egress::Config { allow, ..egress::Config::default() }).unwrap();
    let registry = Registry::new();
    let metrics = S3Metrics::register(&registry).unwrap();
    let door = |egress| Connector::new(Arc::new(egress), metrics.clone(), clock);
    let doors = Doors { guarded: door(egress.guarded()), operator: door(egress) };
    let host = Bench(Sidecar::new(doors, Vec::new(), clock));
    Runner::new(Arc::new(host), store.clone(), Arc::default(), RunMetrics::register(&registry).unwrap())
}

struct Bench(Sidecar);

impl Host for Bench {
    fn sidecar(&self) -> Sidecar {
        self.0.clone()
    }

    fn file_keys(&self, _: &StorageName) -> Option<Keys> {
        None
    }

    fn config(&self) -> sidecar::Config {
        sidecar::Config::default()
    }

    fn sink(&self, store: &Store, _: &Storage) -> Result<Arc<dyn TaskSink>, SinkUnavailable> {
        Ok(Arc::new(StoreSink(store.clone())))
    }
}

/// The bucket's process; ended with it.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(count: usize) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .env(SERVE, count.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { process, url: url.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// The most that this process occupied so far, in MiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[expect(clippy::print_stdout, reason = "a bench prints its table")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::disallowed_methods, reason = "signatures are checked against the real time")]
fn clock() -> SystemTime {
    SystemTime::now()
}

const SERVE: &str = "MEDIAGATE_BENCH_SERVE";
