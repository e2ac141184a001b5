//! HTTP/2: what clients do with the `h2` crate, and what attackers do with frames of their own.

use h2::{Reason, RecvStream, client};

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET http://a/never`, in HPACK without a dynamic table.
const GET_NEVER: &[u8] = b"\x82\x86\x04\x06/never\x01\x01a";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A client without manners.
async fn attack(server: &Server, frames: &[u8]) -> TcpStream {
    let mut client = server.connect().await;
    // The server may end the connection before it has read everything.
    let bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[]), frames].concat();
    if let Err(error) = client.write_all(&bytes).await {
        assert!(
            matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset),
            "{error}"
        );
    }
    client
}

/// Reads frames up to the first of this kind.
async fn frame_of(client: &mut TcpStream, kind: u8) -> Option<Vec<u8>> {
    loop {
        let mut head = [0; 9];
        client.read_exact(&mut head).await.ok()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(len).unwrap()];
        client.read_exact(&mut payload).await.ok()?;
        if head[3] == kind {
            return Some(payload);
        }
    }
}

/// The error code of the GOAWAY that ends the connection. The first one may be a warning.
async fn go_away(client: &mut TcpStream) -> Option<u32> {
    let mut code = None;
    while let Some(payload) = frame_of(client, GOAWAY).await {
        code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
    }
    code
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let server = Server::start(&patient());
    let mut frames = Vec::new();
    for stream in (1..400).step_by(2) {
        frames.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, GET_NEVER));
        frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let mut client = attack(&server, &frames).await;
    assert_eq!(go_away(&mut client).await, Some(Reason::ENHANCE_YOUR_CALM.into()));
}

#[tokio::test]
async fn resets_that_we_are_made_to_send_end_the_connection() {
    let server = Server::start(&Config { h2_max_streams: 10_000, ..patient() });
    let mut frames = Vec::new();
    for stream in (1..2000).step_by(2) {
        frames.extend(frame(HEADERS, END_HEADERS, stream, GET_NEVER));
        // Over the largest window: the fault of the client, but the reset is ours (CVE-2025-8671).
        frames.extend(frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes()));
    }
    let mut client = attack(&server, &frames).await;
    assert_eq!(go_away(&mut client).await, Some(Reason::ENHANCE_YOUR_CALM.into()));
}

#[tokio::test]
async fn a_flood_of_continuations_ends_the_connection() {
    let server = Server::start(&patient());
    let mut frames = frame(HEADERS, END_STREAM, 1, GET_NEVER);
    for _ in 0..10_000 {
        frames.extend(frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b"));
    }
    let mut client = attack(&server, &frames).await;
    assert_eq!(go_away(&mut client).await, Some(Reason::ENHANCE_YOUR_CALM.into()));
}

#[tokio::test]
async fn a_stream_too_many_is_refused() {
    let mut server = Server::start(&Config { h2_max_streams: 2, ..patient() });
    let mut frames = Vec::new();
    for stream in [1, 3, 5] {
        frames.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, GET_NEVER));
    }
    let mut client = attack(&server, &frames).await;
    let settings = frame_of(&mut client, SETTINGS).await.unwrap();
    let max_streams = settings.chunks(6).find(|setting| setting[..2] == [0, 3]).unwrap();
    assert_eq!(max_streams[2..], 2_u32.to_be_bytes());
    let refused = frame_of(&mut client, RST_STREAM).await.unwrap();
    assert_eq!(refused, u32::from(Reason::REFUSED_STREAM).to_be_bytes());
    server.feeds.recv().await.unwrap();
    server.feeds.recv().await.unwrap();
    assert!(server.feeds.try_recv().is_err(), "the third one reached the service");
}

#[tokio::test]
async fn lengths_that_do_not_match_the_body_are_a_stream_error() {
    let server = Server::start(&patient());
    // content-length: 5 (literal, name of the static table), and then three bytes.
    let head = [b"\x83\x86\x84\x01\x01a".as_slice(), b"\x0f\x0d\x015"].concat();
    let mut frames = frame(HEADERS, END_HEADERS, 1, &head);
    frames.extend(frame(DATA, END_STREAM, 1, b"abc"));
    let mut client = attack(&server, &frames).await;
    let reset = frame_of(&mut client, RST_STREAM).await.unwrap();
    assert_eq!(reset, u32::from(Reason::PROTOCOL_ERROR).to_be_bytes());
}

#[tokio::test]
async fn connection_headers_are_a_stream_error() {
    let server = Server::start(&patient());
    for name in ["transfer-encoding", "connection", "upgrade", "keep-alive", "proxy-connection"] {
        let mut head = b"\x82\x86\x84\x01\x01a\x00".to_vec();
        head.push(u8::try_from(name.len()).unwrap());
        head.extend(name.as_bytes());
        head.extend(b"\x07chunked");
        let frames = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head);
        let mut client = attack(&server, &frames).await;
        let reset = frame_of(&mut client, RST_STREAM).await.unwrap();
        assert_eq!(reset, u32::from(Reason::PROTOCOL_ERROR).to_be_bytes(), "{name}");
    }
}

#[tokio::test]
async fn a_preface_and_nothing_more_is_closed() {
    let server = Server::start(&Config { idle_timeout: SOON, ..patient() });
    let mut client = attack(&server, &[]).await;
    assert!(frame_of(&mut client, GOAWAY).await.is_some());
    drop(client);
}

type Sender = client::SendRequest<Bytes>;
type Connection = JoinHandle<Result<(), h2::Error>>;

async fn connect(server: &Server) -> (Sender, Connection) {
    let (sender, connection) = client::Builder::new()
        .initial_connection_window_size(1024 * 1024)
        .handshake(server.connect().await)
        .await
        .unwrap();
    (sender, tokio::spawn(connection))
}

fn request(path: &str) -> Request<()> {
    Request::get(format!("http://a{path}")).body(()).unwrap()
}

async fn read_body(mut body: RecvStream) -> Result<String, h2::Error> {
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        text.extend(data);
    }
    Ok(String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn requests_are_answered_on_one_connection() {
    let server = Server::start(&patient());
    let (mut sender, connection) = connect(&server).await;
    for path in ["/a", "/b"] {
        let (response, _) = sender.send_request(request(path), true).unwrap();
        let body = read_body(response.await.unwrap().into_body()).await.unwrap();
        assert_eq!(body, format!("GET {path} 0 127.0.0.1 socket plain."));
    }
    drop(sender);
    connection.await.unwrap().unwrap();
    assert_eq!(server.stop().await, once(Outcome::Closed));
}

#[tokio::test]
async fn a_head_over_its_size_is_refused() {
    let server = Server::start(&Config { max_header_bytes: bytesize::ByteSize::kib(4), ..patient() });
    let (mut sender, _connection) = connect(&server).await;
    let mut request = request("/");
    request.headers_mut().insert("a", HeaderValue::try_from("b".repeat(5000)).unwrap());
    let (response, _) = sender.send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_cut_and_only_it() {
    let mut server = Server::start(&Config { write_timeout: SOON, ..patient() });
    let (mut sender, _connection) = connect(&server).await;
    let (stalled, _) = sender.send_request(request("/feed"), true).unwrap();
    let stalled_feed = server.feeds.recv().await.unwrap();
    let (taken, _) = sender.send_request(request("/feed"), true).unwrap();
    let taken_feed = server.feeds.recv().await.unwrap();
    let mut stalled = stalled.await.unwrap().into_body();
    let taken = taken.await.unwrap().into_body();
    while stalled_feed.send(Bytes::from_static(&[b'x'; 16 * 1024])).await.is_ok() {}
    taken_feed.send(Bytes::from_static(b"still here")).await.unwrap();
    drop(taken_feed);
    assert_eq!(read_body(taken).await.unwrap(), "still here");
    let end = loop {
        match stalled.data().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("a cut answer must not look complete"),
        }
    };
    assert!(end.is_reset(), "{end}");
    assert_eq!(counted(&server.registry, "mediagate_streams_stalled_total").to_bits(), 1_f64.to_bits());
}

#[tokio::test]
async fn a_client_that_resets_drops_its_answer() {
    let mut server = Server::start(&patient());
    let (mut sender, _connection) = connect(&server).await;
    for path in ["/feed", "/never"] {
        let (_response, mut stream) = sender.send_request(request(path), true).unwrap();
        let feed = server.feeds.recv().await.unwrap();
        stream.send_reset(Reason::CANCEL);
        feed.closed().await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go() {
    let server = Server::start(&Config { idle_timeout: SOON, ..patient() });
    let (sender, connection) = connect(&server).await;
    connection.await.unwrap().unwrap();
    drop(sender);
    assert_eq!(server.stop().await, once(Outcome::Idled));
}

#[tokio::test]
async fn the_soft_step_finishes_what_is_in_flight() {
    let mut server = Server::start(&patient());
    let (mut sender, connection) = connect(&server).await;
    let (response, _) = sender.send_request(request("/feed"), true).unwrap();
    let feed = server.feeds.recv().await.unwrap();
    let body = response.await.unwrap().into_body();
    server.shutdown.soft().cancel();
    // The GOAWAY has come once the client refuses to send.
    while sender.clone().ready().await.is_ok() {
        tokio::task::yield_now().await;
    }
    feed.send(Bytes::from_static(b"late")).await.unwrap();
    drop(feed);
    assert_eq!(read_body(body).await.unwrap(), "late");
    connection.await.unwrap().unwrap();
    assert_eq!(server.stop().await, once(Outcome::Closed));
}

#[tokio::test]
async fn the_hard_step_drops_answers() {
    let mut server = Server::start(&patient());
    let (mut sender, connection) = connect(&server).await;
    let (begun, _) = sender.send_request(request("/feed"), true).unwrap();
    let feed = server.feeds.recv().await.unwrap();
    let (never, _) = sender.send_request(request("/never"), true).unwrap();
    let never_feed = server.feeds.recv().await.unwrap();
    let body = begun.await.unwrap().into_body();
    server.shutdown.hard().cancel();
    assert!(read_body(body).await.is_err());
    assert!(never.await.is_err());
    feed.closed().await;
    never_feed.closed().await;
    drop(connection);
    assert_eq!(server.stop().await, once(Outcome::Aborted));
}

#[tokio::test]
async fn a_full_server_says_so() {
    let server = Server::start(&Config { max_connections: 0, ..patient() });
    let (mut sender, connection) = connect(&server).await;
    let (response, _) = sender.send_request(request("/"), true).unwrap();
    assert_eq!(response.await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    connection.await.unwrap().unwrap();
}
