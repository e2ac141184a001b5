//! How fast annotations are acknowledged while the writer is stalled, since S3 cannot be reached.
//!
//! A whole gateway in this process, and clients on the loopback that send one annotation a request, each its next when the
//! one before is acknowledged. What is told counts from the first byte of a request to the last of its answer, which means
//! that the annotation is on the disk. SQLite in a temporary folder (`TMPDIR` says where), and PostgreSQL where
//! `MEDIAGATE_BENCH_POSTGRES` is the URL of an empty database. Nothing is asserted about time.
#![expect(clippy::unwrap_used, reason = "a bench that cannot set itself up has failed")]
#![expect(clippy::print_stdout, reason = "the figures are what it is run for")]

use std::{fmt::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mediagate::{
    app::{App, wall_clock},
    config::Config,
    id::ProjectId,
    lifecycle::Lifecycle,
    object::Bucket,
    storage::{Direction, EndpointUrl, Keys, Kind, Settings},
    store::{NewStorage, Store},
};
use tokio::{net::TcpStream, task::JoinSet, time::Instant};

/// Unless `MEDIAGATE_BENCH_ANNOTATIONS` says otherwise.
const ANNOTATIONS: usize = 100_000;
const TOKEN: &str = "admin-of-the-bench";
/// Of the result of each annotation.
const RESULT_LEN: usize = 2000;

#[tokio::main]
async fn main() {
    for clients in [1, 16, 64] {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("state.db").display());
        Box::pin(measure("SQLite", &url, clients)).await;
    }
    if let Ok(url) = std::env::var("MEDIAGATE_BENCH_POSTGRES") {
        for clients in [1, 16, 64] {
            Box::pin(measure("PostgreSQL", &url, clients)).await;
        }
    }
}

async fn measure(database: &str, url: &str, clients: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mediagate.toml");
    std::fs::write(&path, config(url)).unwrap();
    let config = Config::load(&path).unwrap();
    let store = Store::open(&config.store, wall_clock).await.unwrap();
    store.create_storage(&target()).await.unwrap();
    store.close().await;
    drop(store);
    let life = Arc::new(Lifecycle::new());
    let app = Box::pin(App::build(&config, Arc::clone(&life), wall_clock)).await.unwrap();
    let admin = app.admin_addr();
    let running = tokio::spawn(async move { app.run().await.unwrap() });
    // With one client each waits for the disk alone.
    let all = std::env::var("MEDIAGATE_BENCH_ANNOTATIONS").map_or(ANNOTATIONS, |text| text.parse().unwrap());
    let count = if clients == 1 { all / 20 } else { all };
    let begun = Instant::now();
    let mut senders = JoinSet::new();
    for client in 0..clients {
        // No run sends what another has: what is known costs less.
        let ids = (client..count).step_by(clients).map(move |id| format!("{clients}-{id}"));
        senders.spawn(send(admin, ids));
    }
    let mut times: Vec<Duration> = senders.join_all().await.into_iter().flatten().collect();
    let took = begun.elapsed();
    life.shutdown().now();
    running.await.unwrap();
    times.sort_unstable();
    let mut figures =
        format!("{database:<10} {clients:>3} clients {:>7.0} a second", per_second(count, took));
    for (name, share) in [("p50", 50), ("p99", 99), ("p99.9", 999), ("max", 100)] {
        let at = if share == 999 { count * 999 / 1000 } else { count * share / 100 };
        write!(figures, "  {name} {:.1} ms", times[at.min(count - 1)].as_secs_f64() * 1000.0).unwrap();
    }
    println!("{figures}");
}

async fn send(admin: SocketAddr, ids: impl Iterator<Item = String>) -> Vec<Duration> {
    let socket = TcpStream::connect(admin).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let result = "x".repeat(RESULT_LEN);
    let mut times = Vec::new();
    for id in ids {
        let body = format!(
            "{{\"id\":\"{id}\",\"task\":{{\"id\":\"{id}\",\"data\":{{\"image\":\"s3://media/{id}.jpg\"}}}},\"project\":1,\
             \"updated_at\":\"2026-11-24T10:00:00.000001Z\",\"result\":[{{\"value\":\"{result}\"}}]}}"
        );
        let request = Request::post("/api/annotations")
            .header("host", "bench")
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let begun = Instant::now();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap();
        times.push(begun.elapsed());
    }
    times
}

fn target() -> NewStorage {
    let settings = Settings {
        project: Some(ProjectId::parse("1").unwrap()),
        bucket: Some(Bucket::parse("annotations").unwrap()),
        // Nobody listens there.
        endpoint: Some(EndpointUrl::parse("http://127.0.0.1:9").unwrap()),
        ..Settings::default()
    };
    let keys = Keys {
        access_key_id: Some("AKIAIOSFODNN7EXAMPLE".into()),
        secret_access_key: Some("secret".into()),
        session_token: None,
    };
    NewStorage { direction: Direction::Export, kind: Kind::S3, settings, keys }
}

fn config(url: &str) -> String {
    let key = "ab".repeat(32);
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n\
         [store]\nurl = \"{url}\"\nkey = \"{key}\"\n[egress]\nallow = [\"127.0.0.0/8\"]\n\
         [[access.keys]]\nid = \"k1\"\nalgorithm = \"HS256\"\nsecret = \"{key}\"\n"
    )
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
