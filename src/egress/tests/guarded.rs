//! Attacks on the guarded door: ways to make the gateway ask its own network.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::poll;
use http::{Uri, header::LOCATION};

use super::*;

/// Refuses everything here but `127.0.0.1`.
fn only_one() -> Config {
    Config { allow: vec!["127.0.0.1/32".parse().unwrap()], ..Config::default() }
}

/// Answers with one list of addresses after the other, the last again and again, and counts.
fn scripted(answers: &'static [&'static [&'static str]]) -> (Resolver, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let resolver = Resolver::new(move |_| {
        let round = count.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        let addresses = answers[round].iter();
        let addresses = addresses.map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect();
        Box::pin(async move { Ok(addresses) })
    });
    (resolver, asked)
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Serves one connection, one request.
async fn serve_one(listener: &TcpListener) {
    let (mut socket, _) = listener.accept().await.unwrap();
    answer(&mut socket).await;
}

async fn nobody_came(listener: &TcpListener) -> bool {
    // A connection that was made stands in the queue of the kernel by the time its client knows of it.
    poll!(std::pin::pin!(listener.accept())).is_pending()
}

/// Why the guarded door was not opened. A door that is open leads to a server that never answers.
async fn refusal(egress: &Egress, url: Uri) -> Option<Refused> {
    let asked = tokio::time::timeout(Duration::from_secs(5), egress.guarded().fresh().get(url));
    let error = asked.await.expect("the door is open").unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    Refused::among(&error)
}

fn url(host: &str, port: u16) -> Uri {
    format!("http://{host}:{port}/").parse().unwrap()
}

#[tokio::test]
async fn this_machine_is_refused_in_every_spelling() {
    let (listener, port) = listener().await;
    let egress = Egress::build(&Config::default()).unwrap();
    for host in [
        "127.0.0.1",
        "127.8.9.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "localhost",
        "LOCALHOST",
    ] {
        assert!(refusal(&egress, url(host, port)).await.is_some(), "{host}");
    }
    // Resolvers differ on these; none may lead here.
    for host in ["127.0.0.1.", "localhost.", "127.0.0.1%00", "1.0.0.127.in-addr.arpa"] {
        let Ok(url) = format!("http://{host}:{port}/").parse() else { continue };
        refusal(&egress, url).await;
    }
    assert!(nobody_came(&listener).await);
    let asked = egress.client().get(url("127.0.0.1", port));
    let (answer, ()) = tokio::join!(asked, serve_one(&listener));
    assert_eq!(answer.unwrap().status(), StatusCode::NO_CONTENT, "the operator's door is open");
}

#[tokio::test]
async fn private_and_metadata_addresses_are_refused_without_a_packet() {
    let egress = Egress::build(&only_one()).unwrap();
    for (host, reason) in [
        ("10.0.0.1", Reason::Private),
        ("192.168.0.1", Reason::Private),
        ("172.20.0.1", Reason::Private),
        ("100.64.0.1", Reason::Shared),
        ("169.254.169.254", Reason::Metadata),
        ("2852039166", Reason::Metadata),
        ("0xa9fea9fe", Reason::Metadata),
        ("[fd00:ec2::254]", Reason::Metadata),
        ("[::ffff:a9fe:a9fe]", Reason::Metadata),
        ("[fe80::1]", Reason::LinkLocal),
        ("224.0.0.1", Reason::Multicast),
        ("127.0.0.2", Reason::Loopback),
    ] {
        let refused = refusal(&egress, url(host, 1)).await;
        assert_eq!(refused.map(|refused| refused.reason()), Some(reason), "{host}");
    }
}

#[tokio::test]
async fn a_name_is_resolved_once_and_what_was_checked_is_connected_to() {
    let (listener, port) = listener().await;
    let (resolver, asked) = scripted(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let egress = Egress::build_with(&only_one(), &resolver).unwrap().guarded();
    let accepted = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let reached = socket.local_addr().unwrap().ip();
        answer(&mut socket).await;
        reached
    };
    let (first, reached) = tokio::join!(egress.fresh().get(url("rebinding.test", port)), accepted);
    assert_eq!((first.unwrap().status(), reached), (StatusCode::NO_CONTENT, [127, 0, 0, 1].into()));
    assert_eq!(asked.load(Ordering::Relaxed), 1, "one connection, one look-up");
    let error = egress.fresh().get(url("rebinding.test", port)).await.unwrap_err();
    assert_eq!(Refused::among(&error).map(|refused| refused.address()), Some([127, 0, 0, 2].into()));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert!(nobody_came(&listener).await);
}

const MIXED: [&[&[&str]]; 2] = [&[&["127.0.0.1", "127.0.0.2"]], &[&["10.0.0.1", "127.0.0.1"]]];

#[tokio::test]
async fn one_refused_address_refuses_the_name() {
    let (listener, port) = listener().await;
    for answers in MIXED {
        let (resolver, _) = scripted(answers);
        let egress = Egress::build_with(&only_one(), &resolver).unwrap();
        assert!(refusal(&egress, url("mixed.test", port)).await.is_some(), "{answers:?}");
    }
    assert!(nobody_came(&listener).await);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_a_way() {
    let (inside, port) = listener().await;
    for status in ["301 Moved Permanently", "302 Found", "303 See Other", "307 T", "308 P"] {
        for is_guarded in [true, false] {
            let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let answering = async {
                let (mut socket, _) = server.accept().await.unwrap();
                let mut request = [0; 1024];
                assert!(socket.read(&mut request).await.unwrap() > 0);
                let location = format!("http://127.0.0.2:{port}/");
                let head = format!("HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
                socket.write_all(head.as_bytes()).await.unwrap();
                location
            };
            let egress = Egress::build(&only_one()).unwrap();
            let egress = if is_guarded { egress.guarded() } else { egress };
            let asked = egress.client().get(url("127.0.0.1", server.local_addr().unwrap().port()));
            let (answer, location) = tokio::join!(asked, answering);
            let answer = answer.unwrap();
            assert!(answer.status().is_redirection(), "{status}");
            assert_eq!(answer.headers()[LOCATION], location.as_str(), "{status}");
        }
    }
    assert!(nobody_came(&inside).await);
}

#[tokio::test]
async fn a_connection_of_the_operator_does_not_serve_the_guarded_door() {
    let (listener, port) = listener().await;
    let egress = Egress::build(&Config::default()).unwrap();
    let served = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        assert!(socket.read(&mut request).await.unwrap() > 0);
        socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        socket
    };
    let asked = egress.client().get(url("127.0.0.1", port));
    let (answer, mut socket) = tokio::join!(asked, served);
    assert_eq!(answer.unwrap().status(), StatusCode::NO_CONTENT);
    let error = egress.guarded().client().get(url("127.0.0.1", port)).await.unwrap_err();
    assert!(Refused::among(&error).is_some(), "{error:?}");
    // The kept connection is there, and the operator's next request goes over it.
    let again = egress.guarded().operator();
    let served = async {
        let mut request = [0; 1024];
        assert!(socket.read(&mut request).await.unwrap() > 0);
        socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    };
    let (answer, ()) = tokio::join!(again.client().get(url("127.0.0.1", port)), served);
    assert_eq!(answer.unwrap().status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn bodies_are_sent_through_the_door_too() {
    let egress = Egress::build(&Config::default()).unwrap();
    let request = Request::post(url("127.0.0.1", 1)).body(Full::<Bytes>::from("body")).unwrap();
    let error = egress.guarded().sending_client().request(request).await.unwrap_err();
    assert!(Refused::among(&error).is_some(), "{error:?}");
}
