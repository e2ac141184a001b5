//! The server over real sockets. A test waits for what the server does, never for time to pass.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderValue, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Either, Full};
use prometheus::Registry;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
    time::interval,
};

use super::*;

mod drain;
mod http2;
mod limits;
mod proxy_protocol;
mod smuggling;
mod tls;
mod write_stall;

/// Too long to be reached.
const NEVER: Duration = Duration::from_hours(1);

/// Short enough to wait for.
const SOON: Duration = Duration::from_millis(100);

/// A running listener.
struct Server {
    addr: SocketAddr,
    shutdown: Shutdown,
    registry: Registry,
    certificate: Option<Arc<Certificate>>,
    /// The bodies of `/feed`, in the order of the requests.
    feeds: mpsc::Receiver<mpsc::Sender<Bytes>>,
    task: JoinHandle<()>,
}

/// A body that the test fills. Its sender learns when it is dropped.
struct Feed(mpsc::Receiver<Bytes>);

impl Body for Feed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A configuration in which nothing ends by itself.
fn patient() -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        header_timeout: NEVER,
        handshake_timeout: NEVER,
        idle_timeout: NEVER,
        write_timeout: NEVER,
        ..Config::default()
    }
}

impl Server {
    fn start(config: &Config) -> Self {
        Self::start_trusting(config, |_| false)
    }

    fn start_trusting(config: &Config, trusted: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        let listener = Listener::bind(config).unwrap();
        let (addr, certificate) = (listener.local_addr(), listener.certificate());
        let (shutdown, registry) = (Shutdown::default(), Registry::new());
        let metrics = ServerMetrics::register(&registry, "test").unwrap();
        let (tell, feeds) = mpsc::channel(256);
        let service = move |request, peer| answer(request, peer, tell.clone());
        let stop = shutdown.clone();
        let serve = async move { serve(listener, trusted, service, stop, metrics, &Workers::none()).await };
        let task = tokio::spawn(serve);
        Self { addr, shutdown, registry, certificate, feeds, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Connects, says this, and reads to the end.
    async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.write_all(bytes.as_ref()).await.unwrap();
        read_to_end(&mut client).await
    }

    /// The soft end, and how the connections ended: the outcomes that were counted.
    async fn stop(self) -> Vec<(String, u64)> {
        self.shutdown.soft().cancel();
        self.task.await.unwrap();
        outcomes(&self.registry)
    }
}

/// The outcomes that were counted at least once.
fn outcomes(registry: &Registry) -> Vec<(String, u64)> {
    let mut counted = Vec::new();
    for family in registry.gather() {
        for metric in family.get_metric() {
            if family.name() == "mediagate_connections" {
                assert_eq!(metric.get_gauge().get_value().to_bits(), 0, "connections left open");
            }
            let count = metric.get_counter().get_value();
            if family.name() == "mediagate_connections_total" && count > 0.0 {
                let outcome = metric.get_label().iter().find(|label| label.name() == "outcome");
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
                counted.push((outcome.unwrap().value().to_owned(), count as u64));
            }
        }
    }
    counted
}

/// What a counter without labels of its own says.
fn counted(registry: &Registry, name: &str) -> f64 {
    let family = registry.gather().into_iter().find(|family| family.name() == name).unwrap();
    family.get_metric()[0].get_counter().get_value()
}

fn once(outcome: Outcome) -> Vec<(String, u64)> {
    vec![(outcome.label().to_owned(), 1)]
}

/// What came until the end; a reset is an end.
async fn read_to_end(client: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = client.read(&mut buffer).await {
        answer.extend_from_slice(&buffer[..len]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until this was read.
async fn read_until(client: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        let byte = client.read_u8().await;
        answer.push(byte.unwrap_or_else(|error| panic!("{error} after {}", answer.escape_ascii())));
    }
    String::from_utf8(answer).unwrap()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn get_and_close(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
}

/// The service under all tests: `/feed` is filled by the test, `/upgrade` echoes another protocol, `/never`
/// has no answer; anything else tells what was understood.
async fn answer(
    request: Request<Incoming>,
    peer: Peer,
    feeds: mpsc::Sender<mpsc::Sender<Bytes>>,
) -> Response<Either<Full<Bytes>, Feed>> {
    match request.uri().path() {
        "/feed" => {
            let (feed, body) = mpsc::channel(1);
            feeds.send(feed).await.unwrap();
            Response::new(Either::Right(Feed(body)))
        }
        "/never" => {
            let (feed, _body) = mpsc::channel(1);
            feeds.send(feed).await.unwrap();
            std::future::pending().await
        }
        "/upgrade" => {
            tokio::spawn(echo(hyper::upgrade::on(request)));
            let mut response = Response::new(Either::Left(Full::default()));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("echo"));
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            response
        }
        _ => {
            let (parts, body) = request.into_parts();
            let len = body.collect().await.map_or(0, |body| body.to_bytes().len());
            let tls = if peer.tls { "tls" } else { "plain" };
            let by = if peer.via_proxy_protocol { "proxy" } else { "socket" };
            let ip = peer.addr.ip();
            let text = format!("{} {} {len} {ip} {by} {tls}.", parts.method, parts.uri.path());
            Response::new(Either::Left(Full::from(text)))
        }
    }
}

async fn echo(upgrade: hyper::upgrade::OnUpgrade) -> io::Result<()> {
    let upgraded = upgrade.await.map_err(io::Error::other)?;
    let (mut read, mut write) = tokio::io::split(hyper_util::rt::TokioIo::new(upgraded));
    tokio::io::copy(&mut read, &mut write).await?;
    Ok(())
}

#[tokio::test]
async fn a_request_is_answered() {
    let server = Server::start(&patient());
    let answer = server.exchange(get_and_close("/a")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("GET /a 0 127.0.0.1 socket plain."), "{answer}");
    assert_eq!(server.stop().await, once(Outcome::Closed));
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed() {
    let server = Server::start(&Config { header_timeout: SOON, ..patient() });
    assert_eq!(server.exchange("").await, "");
    assert_eq!(server.stop().await, once(Outcome::HeaderTimedOut));
}

#[tokio::test]
async fn half_a_head_is_closed() {
    let server = Server::start(&Config { header_timeout: SOON, ..patient() });
    assert_eq!(server.exchange("GET / HTTP/1.1\r\nHos").await, "");
    assert_eq!(server.stop().await, once(Outcome::HeaderTimedOut));
}

#[tokio::test]
async fn a_head_that_trickles_in_is_closed() {
    let server = Server::start(&Config { header_timeout: SOON, ..patient() });
    let mut client = server.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut ticks = interval(SOON / 20);
    while client.write_all(b"a: b\r\n").await.is_ok() {
        ticks.tick().await;
    }
    assert_eq!(server.stop().await, once(Outcome::HeaderTimedOut));
}

#[tokio::test]
async fn half_a_second_head_is_closed() {
    let server = Server::start(&Config { header_timeout: SOON, ..patient() });
    let mut client = server.connect().await;
    client.write_all(get("/a").as_bytes()).await.unwrap();
    read_until(&mut client, "plain.").await;
    client.write_all(b"GET / HTT").await.unwrap();
    assert_eq!(read_to_end(&mut client).await, "");
    assert_eq!(server.stop().await, once(Outcome::HeaderTimedOut));
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = Server::start(&Config { idle_timeout: SOON, ..patient() });
    let mut client = server.connect().await;
    client.write_all(get("/a").as_bytes()).await.unwrap();
    read_until(&mut client, "plain.").await;
    assert_eq!(read_to_end(&mut client).await, "");
    assert_eq!(server.stop().await, once(Outcome::Idled));
}

#[tokio::test]
async fn an_answer_may_take_longer_than_any_timeout_of_the_client() {
    let config = Config { header_timeout: SOON, idle_timeout: SOON, write_timeout: SOON, ..patient() };
    let mut server = Server::start(&config);
    let mut client = server.connect().await;
    client.write_all(get("/feed").as_bytes()).await.unwrap();
    let feed = server.feeds.recv().await.unwrap();
    // Another connection shows that the timeouts have passed.
    assert_eq!(server.exchange("").await, "");
    assert_eq!(server.exchange("").await, "");
    feed.send(Bytes::from_static(b"late")).await.unwrap();
    read_until(&mut client, "late").await;
}

#[tokio::test]
async fn a_head_over_its_size_is_refused() {
    let server = Server::start(&Config { max_header_bytes: bytesize::ByteSize::kib(4), ..patient() });
    let head =
        |len| format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\na: {}\r\n\r\n", "b".repeat(len));
    let answer = server.exchange(head(3000)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = server.exchange(head(5000)).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_client_that_leaves_drops_its_answer() {
    let mut server = Server::start(&patient());
    let mut client = server.connect().await;
    client.write_all(get("/feed").as_bytes()).await.unwrap();
    let feed = server.feeds.recv().await.unwrap();
    drop(client);
    feed.closed().await;
}

#[test]
fn the_configuration_knows_its_keys() {
    let config: Config = serde_json::from_str(
        r#"{"listen": "[::1]:0", "idle_timeout": "2m", "write_buffer": "1 MiB", "proxy_protocol": "required"}"#,
    )
    .unwrap();
    assert_eq!(config.idle_timeout, Duration::from_mins(2));
    assert_eq!(config.proxy_protocol, ProxyProtocol::Required);
    assert_eq!(config.write_buffer_len(), 1024 * 1024);
    assert_eq!(config.max_connections, 10_000);
    assert!(serde_json::from_str::<Config>(r#"{"idle_timeuot": "2m"}"#).is_err());
}
