//! A whole 303 in one process and one thread, once as a call and once through hyper's HTTP/1.1.

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use mediagate::{
    access::{Algorithm, Allowlist, ForwardedHeader, TrustedProxies},
    gateway::{
        Gateway, Peer, State, cors,
        deliver::Deliverer,
        limits::{self, Limits},
        links::Links,
        locate::Storages,
        metrics::Metrics,
    },
    s3::Presigner,
    telemetry,
};
use prometheus::Registry;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    runtime::Runtime,
};
use tracing_subscriber::{EnvFilter, Layer as _, Registry as Subscribers, layer::SubscriberExt as _};

use crate::setup::{self, BUCKET, PATH, clock, runtime};

const PEER: Peer = Peer { ip: std::net::IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7)), tls: false };

/// A gateway with one storage that redirects, and the text of a request that it answers with 303.
pub(crate) fn gateway() -> (Arc<Gateway>, String) {
    let (verifier, token) = setup::verifier(Algorithm::HS256, 1000);
    let everybody: [IpNet; 2] = [Ipv4Net::default().into(), Ipv6Net::default().into()];
    let state = State {
        allowlist: Arc::new(Allowlist::new(&everybody, &[])),
        trusted: Arc::new(TrustedProxies::new(&[], ForwardedHeader::XForwardedFor)),
        verifier: Arc::new(verifier),
        storages: Arc::new(Storages::new(vec![setup::Storages::new().storage("media", BUCKET, "")])),
        upstream: None,
        rewriting: None,
        permission: None,
        takeover: None,
        cors: Arc::new(cors::Cors::build(&cors::Config::default()).unwrap()),
    };
    let gateway = Gateway::new(
        state,
        Limits::new(&limits::Config::default(), 128 * 1024),
        Deliverer::new(Presigner::new(bytesize::ByteSize::mib(32))),
        Links::new(runtime().block_on(setup::store())),
        Metrics::register(&Registry::new()).unwrap(),
        clock,
    );
    // What a browser sends for an image.
    let request = format!(
        "GET {PATH} HTTP/1.1\r\nHost: media.example.org\r\nAuthorization: Bearer {token}\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
         Accept: image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5\r\n\
         Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
         Referer: https://app.example.org/\r\nSec-Fetch-Dest: image\r\nSec-Fetch-Mode: cors\r\n\
         Sec-Fetch-Site: same-site\r\nConnection: keep-alive\r\n\r\n"
    );
    (Arc::new(gateway), request)
}

/// Answers one request and lets go of the answer, as a server does that has sent it.
///
/// A redirect whose token and URL are remembered waits for nothing, so that no runtime is needed.
pub(crate) fn handle(gateway: &Gateway, request: Request<Incoming>) {
    let response = gateway.handle(request, PEER).now_or_never().unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
}

/// Requests as hyper hands them on: only a connection can make the type of their bodies.
pub(crate) struct Requests {
    runtime: Runtime,
    text: String,
    ready: Vec<Request<Incoming>>,
}

impl Requests {
    pub(crate) fn new(text: &str) -> Self {
        Self { runtime: runtime(), text: text.to_owned(), ready: Vec::new() }
    }

    pub(crate) fn next(&mut self) -> Request<Incoming> {
        if self.ready.is_empty() {
            self.ready = self.runtime.block_on(parsed(&self.text));
        }
        self.ready.pop().unwrap()
    }
}

async fn parsed(text: &str) -> Vec<Request<Incoming>> {
    const AT_ONCE: usize = 1024;
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let (sender, receiver) = std::sync::mpsc::channel();
    let service = service_fn(move |request| {
        sender.send(request).unwrap();
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
    let talk = async move {
        let mut answer = vec![0; 4096];
        for _ in 0..AT_ONCE {
            client.write_all(text.as_bytes()).await.unwrap();
            let _read = client.read(&mut answer).await.unwrap();
        }
    };
    let (ended, ()) = tokio::join!(connection, talk);
    ended.unwrap();
    receiver.try_iter().collect()
}

/// A keep-alive connection in memory, with a server at its other end.
pub(crate) struct Connection {
    runtime: Runtime,
    client: DuplexStream,
    request: String,
    answer: Vec<u8>,
}

impl Connection {
    /// To a gateway.
    pub(crate) fn to_gateway() -> Self {
        let (gateway, request) = gateway();
        Self::new(request, move |request| {
            let gateway = Arc::clone(&gateway);
            async move { gateway.handle(request, PEER).await }
        })
    }

    /// To a service that does nothing but answer in the same words: what is left is hyper's part.
    pub(crate) fn to_fixed_answer() -> Self {
        let (gateway, request) = gateway();
        let mut requests = Requests::new(&request);
        let answer = gateway.handle(requests.next(), PEER).now_or_never().unwrap();
        let headers = answer.headers().clone();
        Self::new(request, move |request| {
            let mut response = Response::new(Empty::<Bytes>::new());
            *response.status_mut() = StatusCode::SEE_OTHER;
            response.headers_mut().clone_from(&headers);
            // Held for as long as by any service that looks at it: hyper reads on in another buffer meanwhile.
            async move {
                drop(request);
                response
            }
        })
    }

    fn new<F, B>(request: String, service: impl Fn(Request<Incoming>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let runtime = runtime();
        let (client, server) = tokio::io::duplex(64 * 1024);
        let service = service_fn(move |request| {
            let answer = service(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
        runtime.spawn(builder.serve_connection(TokioIo::new(server), service));
        Self { runtime, client, request, answer: vec![0; 4096] }
    }

    /// One request, and its answer to the last byte.
    pub(crate) fn exchange(&mut self) {
        let Self { runtime, client, request, answer } = self;
        let answer = runtime.block_on(async {
            client.write_all(request.as_bytes()).await?;
            let mut len = 0;
            while !answer[..len].ends_with(b"\r\n\r\n") {
                len += client.read(&mut answer[len..]).await?;
            }
            Ok::<_, io::Error>(&answer[..len])
        });
        assert!(answer.unwrap().starts_with(b"HTTP/1.1 303 "));
    }
}

/// Runs something while lines are written as in production, but to nowhere.
pub(crate) fn logged<T>(run: impl FnOnce() -> T) -> T {
    let (lines, logs) = telemetry::json_lines(Box::new(io::sink()), clock).unwrap();
    let subscriber = Subscribers::default().with(lines.with_filter(EnvFilter::new("info")));
    let done = tracing::subscriber::with_default(subscriber, run);
    drop(logs);
    done
}
