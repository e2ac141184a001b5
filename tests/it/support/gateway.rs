//! A whole gateway in this process, as `serve` would start it, and small clients to talk to it.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mediagate::{app::App, config::Config, lifecycle::Lifecycle};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};

use super::{
    clock,
    s3::{ACCESS_KEY_ID, S3Server, SECRET_ACCESS_KEY},
};

/// The secret of the key `k1` in every configuration made here.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The admin's bearer in every configuration made here.
pub const ADMIN: &str = "admin-bearer-of-the-tests";

/// A running gateway; dropping it cuts everything.
pub struct Gateway {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub life: Arc<Lifecycle>,
    folder: TempDir,
    running: JoinHandle<()>,
}

/// Claims of a token that covers everything in the bucket `media` for an hour.
pub fn claims() -> serde_json::Value {
    let now = now();
    json!({ "aud": "mediagate", "sub": "ann", "iat": now, "exp": now + 3600, "objects": ["s3://media/*"] })
}

/// Seconds since 1970.
pub fn now() -> u64 {
    clock().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Signs claims with the key `k1`.
pub fn sign(claims: &serde_json::Value) -> String {
    sign_with(&Header { kid: Some("k1".into()), ..Header::new(Algorithm::HS256) }, claims, SECRET.as_bytes())
}

/// Signs claims with any HMAC secret under any header.
pub fn sign_with(header: &Header, claims: &serde_json::Value, secret: &[u8]) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

/// A token that covers everything in the bucket `media`.
pub fn token() -> String {
    sign(&claims())
}

/// One storage named `media` over the bucket `media`, with more keys of `[[storages]]` behind.
pub fn storage(endpoint: &str, more: &str) -> String {
    format!(
        "[[storages]]\nname = \"media\"\nbucket = \"media\"\nregion = \"us-east-1\"\nendpoint = \"{endpoint}\"\n\
         addressing = \"path\"\naccess_key_id = \"{ACCESS_KEY_ID}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n{more}\n"
    )
}

impl Gateway {
    /// Starts with a streaming storage over the server's bucket `media`.
    pub async fn streaming(s3: &S3Server) -> Self {
        s3.bucket("media");
        Self::start(&storage(&s3.url(), "delivery = \"stream\"")).await
    }

    /// Starts with a redirecting storage over the server's bucket `media`.
    pub async fn redirecting(s3: &S3Server) -> Self {
        s3.bucket("media");
        Self::start(&storage(&s3.url(), "delivery = \"redirect\"")).await
    }

    /// Starts with this configuration, to which listeners on free ports, the admin's bearer and the key `k1` are added
    /// where it does not say otherwise.
    pub async fn start(config: &str) -> Self {
        Self::start_at(config, clock).await
    }

    /// The same with another clock, which S3 servers that check signatures have to bear.
    pub async fn start_at(config: &str, clock: fn() -> SystemTime) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mediagate.toml");
        std::fs::write(&path, complete(config, folder.path())).unwrap();
        let config = Config::load(&path).unwrap();
        let life = Arc::new(Lifecycle::new());
        let app = Box::pin(App::build(&config, Arc::clone(&life), clock)).await.unwrap();
        let (address, admin) = (app.public_addr(), app.admin_addr());
        app.watch(path);
        let running = tokio::spawn(async move { app.run().await.unwrap() });
        Self { address, admin, life, folder, running }
    }

    /// The configuration file, to be changed.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("mediagate.toml")
    }

    /// Writes another configuration and asks for a reload, as SIGHUP does.
    pub fn reload(&self, config: &str) {
        std::fs::write(self.file(), complete(config, self.folder.path())).unwrap();
        self.life.ask_for_reload();
    }

    /// A GET with a token that covers the bucket.
    pub async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// A GET with a token that covers the bucket, and more headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {}", token());
        let headers: Vec<_> = headers.iter().copied().chain([("authorization", bearer.as_str())]).collect();
        send(self.address, "GET", path, &headers).await
    }

    /// A request as it is given, without a token of its own.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.address, method, path, headers).await
    }

    /// A GET on the admin port.
    pub async fn admin(&self, path: &str) -> Answer {
        send(self.admin, "GET", path, &[]).await
    }

    /// The sum of a metric's samples whose line has all these words.
    pub async fn metric(&self, name: &str, words: &[&str]) -> f64 {
        let text = self.admin("/metrics").await.text();
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let fits = |line: &&str| words.iter().all(|word| line.contains(word));
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        text.lines().filter(of_name).filter(fits).map(value).sum()
    }

    /// Waits until the metric is what is wanted; the test's own time limit is five seconds.
    pub async fn metric_becomes(&self, name: &str, words: &[&str], want: f64) {
        let asked = async {
            loop {
                if (self.metric(name, words).await - want).abs() < f64::EPSILON {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(5), asked).await;
        assert!(reached.is_ok(), "{name} {words:?} is {}, not {want}", self.metric(name, words).await);
    }

    /// Ends it as SIGTERM would, and waits.
    pub async fn stop(mut self) {
        self.life.shutdown().soft().cancel();
        (&mut self.running).await.unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.life.shutdown().now();
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// A header, empty where it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The `code` of a problem.
    pub fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// Sends a request without a body on a connection of its own, and reads the answer.
pub async fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let (parts, body) = open(address, method, path, headers).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// Sends a request with a body on a connection of its own, and reads the answer.
pub async fn send_body(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: String,
) -> Answer {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// Sends a request and leaves the answer's body to be read.
pub async fn open(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Response<Incoming> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", address.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap()
}

/// Sends bytes as they are and reads all until the other side closes; for what no HTTP library would send.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = socket.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("the connection stays open").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn complete(config: &str, folder: &Path) -> String {
    let mut text = String::new();
    for (section, lines) in [
        ("[server]", "listen = \"127.0.0.1:0\""),
        ("[admin]", &format!("listen = \"127.0.0.1:0\"\ntoken = \"{ADMIN}\"")),
        ("[store]", &format!("url = \"sqlite://{}\"", folder.join("state.db").display())),
        ("[[access.keys]]", &format!("id = \"k1\"\nalgorithm = \"HS256\"\nsecret = \"{SECRET}\"")),
    ] {
        let without_keys = section.contains("keys") && config.contains("\nkeys = ");
        if !config.contains(section) && !without_keys {
            writeln!(text, "{section}\n{lines}\n").unwrap();
        }
    }
    text + &config.replace("[server]\n", "[server]\nlisten = \"127.0.0.1:0\"\n")
}
