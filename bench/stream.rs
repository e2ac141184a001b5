//! What it costs to carry bytes: a 64 MiB object read from a plain origin, directly and through the gateway.
//!
//! Client, gateway and origin share one process and the loopback, and the two ways alternate, so that each
//! round compares under the same load of the machine. The difference of CPU time is the gateway's own and
//! that of the kernel's second hop. Nothing is asserted about time.
#![expect(clippy::unwrap_used, reason = "a bench that cannot set itself up has failed")]
#![expect(clippy::print_stdout, reason = "the figures are what it is run for")]

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::{client, server, service::service_fn};
use hyper_util::rt::TokioIo;
use mediagate::{
    access::mint::{Minter, TokenRequest},
    app::{App, wall_clock},
    config::Config,
    lifecycle::Lifecycle,
};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::{TimeVal, TimeValLike as _},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};

const OBJECT_LEN: usize = 64 << 20;
const FRAME_LEN: usize = 64 << 10;

/// Rounds of each kind; the median is what is told.
const ROUNDS: usize = 15;
/// Objects that one round reads, shared among its clients.
const OBJECTS: usize = 8;
/// What they hold together.
const ROUND_MIB: u32 = 512;

#[tokio::main]
async fn main() {
    let origin = origin().await;
    let (gateway, token) = Box::pin(gateway(origin)).await;
    let request = |address: SocketAddr| {
        let uri = format!("/media/{OBJECT}");
        let request = Request::get(uri).header(header::HOST, address.to_string());
        request.header(header::AUTHORIZATION, format!("Bearer {token}"))
    };
    println!("{:8} {:8} {:>8} {:>12} {:>9} {:>9}", "clients", "from", "MiB/s", "CPU s/GiB", "user", "system");
    for clients in [1, 8] {
        let (mut direct, mut through) = (Vec::new(), Vec::new());
        // The first round warms both ways up and is not told.
        for round in 0..=ROUNDS {
            let at_origin = measure(clients, || (origin, request(origin))).await;
            let at_gateway = measure(clients, || (gateway, request(gateway))).await;
            if round > 0 {
                direct.push(at_origin);
                through.push(at_gateway);
            }
        }
        report(clients, &direct, &through);
    }
}

/// Bucket and key.
const OBJECT: &str = "media/clip.mp4";

/// One round.
#[derive(Clone, Copy)]
struct Cost {
    mib_per_second: f64,
    user_seconds_per_gib: f64,
    system_seconds_per_gib: f64,
}

impl Cost {
    fn seconds_per_gib(&self) -> f64 {
        self.user_seconds_per_gib + self.system_seconds_per_gib
    }
}

fn report(clients: usize, direct: &[Cost], through: &[Cost]) {
    for (name, costs) in [("origin", direct), ("gateway", through)] {
        let of = |figure: fn(&Cost) -> f64| median(costs.iter().map(figure));
        println!(
            "{clients:<8} {name:8} {:8.0} {:12.3} {:9.3} {:9.3}",
            of(|cost| cost.mib_per_second),
            of(Cost::seconds_per_gib),
            of(|cost| cost.user_seconds_per_gib),
            of(|cost| cost.system_seconds_per_gib),
        );
    }
    let pairs = || direct.iter().zip(through);
    println!(
        "{clients:<8} {:8} {:8.2} {:12.2}",
        "ratio",
        median(pairs().map(|(direct, through)| through.mib_per_second / direct.mib_per_second)),
        median(pairs().map(|(direct, through)| through.seconds_per_gib() / direct.seconds_per_gib())),
    );
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

async fn measure(clients: usize, target: impl Fn() -> (SocketAddr, http::request::Builder)) -> Cost {
    let (used, begun) = (CpuSeconds::of_process(), Instant::now());
    let mut reading = JoinSet::new();
    for _ in 0..clients {
        let (address, request) = target();
        reading.spawn(read_objects(address, request.body(Empty::new()).unwrap(), OBJECTS / clients));
    }
    while let Some(read) = reading.join_next().await {
        read.unwrap();
    }
    let (took, now) = (begun.elapsed().as_secs_f64(), CpuSeconds::of_process());
    let mib = f64::from(ROUND_MIB);
    Cost {
        mib_per_second: mib / took,
        user_seconds_per_gib: (now.user - used.user) * 1024.0 / mib,
        system_seconds_per_gib: (now.system - used.system) * 1024.0 / mib,
    }
}

struct CpuSeconds {
    user: f64,
    system: f64,
}

impl CpuSeconds {
    fn of_process() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
        let seconds =
            |time: TimeVal| Duration::from_micros(time.num_microseconds().try_into().unwrap()).as_secs_f64();
        Self { user: seconds(usage.user_time()), system: seconds(usage.system_time()) }
    }
}

/// Reads the object so many times over one connection, and checks its length.
async fn read_objects(address: SocketAddr, request: Request<Empty<Bytes>>, times: usize) {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..times {
        sender.ready().await.unwrap();
        let mut body = sender.send_request(request.clone()).await.unwrap().into_body();
        let mut len = 0;
        while let Some(frame) = body.frame().await {
            len += frame.unwrap().data_ref().map_or(0, Bytes::len);
        }
        assert_eq!(len, OBJECT_LEN);
    }
    drop(sender);
    connection.await.unwrap().unwrap();
}

/// A server that answers everything with the object, out of one piece of memory.
async fn origin() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let piece = Bytes::from(vec![7; FRAME_LEN]);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            let piece = piece.clone();
            let service = service_fn(move |_| {
                let frames = vec![piece.clone(); OBJECT_LEN / FRAME_LEN].into_iter();
                let frames = stream::iter(frames.map(|piece| Ok::<_, Infallible>(Frame::data(piece))));
                let answer = Response::builder()
                    .header(header::CONTENT_LENGTH, OBJECT_LEN)
                    .header(header::CONTENT_TYPE, "video/mp4")
                    .header(header::ETAG, "\"4ac1f6a2\"")
                    .body(StreamBody::new(frames))
                    .unwrap();
                async { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    address
}

/// A gateway as `serve` starts it, and a token for the object.
async fn gateway(origin: SocketAddr) -> (SocketAddr, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mediagate.toml");
    let config = format!(
        "server.listen = \"127.0.0.1:0\"\n\
         admin = {{ listen = \"127.0.0.1:0\", token = \"admin-bearer-of-the-bench\" }}\n\
         access.keys = [{{ id = \"k1\", algorithm = \"HS256\", secret = \"0123456789abcdef0123456789abcdef\" }}]\n\
         [[storages]]\nname = \"media\"\nbucket = \"media\"\nendpoint = \"http://{origin}\"\n\
         access_key_id = \"AKIAIOSFODNN7EXAMPLE\"\nsecret_access_key = \"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"\n\
         delivery = \"stream\"\n"
    );
    std::fs::write(&path, config).unwrap();
    let config = Config::load(&path).unwrap();
    let request = TokenRequest {
        objects: vec!["s3://media/*".to_owned()],
        ttl: Duration::from_hours(1),
        ..TokenRequest::default()
    };
    let token = Minter::build(&config.access).unwrap().mint(&request, wall_clock()).unwrap();
    let app = App::build(&config, Arc::new(Lifecycle::new()), wall_clock).await.unwrap();
    let address = app.public_addr();
    tokio::spawn(app.run());
    (address, token.expose().to_owned())
}
