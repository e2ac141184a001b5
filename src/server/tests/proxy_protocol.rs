//! Who may say in a PROXY protocol header for whom a connection is.

use super::*;

const V1: &str = "PROXY TCP4 192.0.2.9 10.0.0.1 4711 80\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x09\x0a\0\0\x01\x12\x67\0\x50";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

#[tokio::test]
async fn a_header_counts_from_trusted_peers_only() {
    const VIA: Option<&str> = Some("192.0.2.9 proxy");
    const DIRECT: Option<&str> = Some("127.0.0.1 socket");
    use ProxyProtocol::{Off, Optional, Required};
    for (mode, trusted, header, want) in [
        (Off, true, b"".as_slice(), DIRECT),
        (Optional, true, b"", DIRECT),
        (Optional, false, b"", DIRECT),
        (Required, true, b"", None),
        (Required, false, b"", None),
        (Optional, true, V1.as_bytes(), VIA),
        (Required, true, V1.as_bytes(), VIA),
        (Optional, false, V1.as_bytes(), None),
        (Required, false, V1.as_bytes(), None),
        (Optional, true, V2, VIA),
        (Required, true, V2, VIA),
        (Optional, false, V2, None),
        (Required, true, V2_LOCAL, DIRECT),
        (Optional, false, V2_LOCAL, None),
        (Required, true, b"PROXY UNKNOWN\r\n", DIRECT),
        (Required, true, b"PROXY TCP4 nonsense\r\n", None),
        (Optional, true, b"PROXY TCP4 nonsense\r\n", None),
    ] {
        let server = Server::start_trusting(&Config { proxy_protocol: mode, ..patient() }, move |_| trusted);
        let bytes = [header, get_and_close("/").as_bytes()].concat();
        let answer = server.exchange(bytes).await;
        let row = format!("{mode:?}, trusted {trusted}, {}", header.escape_ascii());
        if let Some(want) = want {
            assert!(answer.contains(want), "{row}: {answer}");
        } else {
            assert_eq!(answer, "", "{row}");
            assert_eq!(server.stop().await, once(Outcome::ProxyHeaderRefused), "{row}");
        }
    }
}

#[tokio::test]
async fn a_header_where_none_is_expected_is_a_bad_request() {
    let server = Server::start_trusting(&patient(), |_| true);
    let answer = server.exchange([V1, &get("/")].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn a_header_may_come_in_any_pieces() {
    for header in [V1.as_bytes(), V2] {
        let server =
            Server::start_trusting(&Config { proxy_protocol: ProxyProtocol::Optional, ..patient() }, |_| {
                true
            });
        let mut client = server.connect().await;
        client.set_nodelay(true).unwrap();
        for byte in [header, get_and_close("/").as_bytes()].concat() {
            client.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let answer = read_to_end(&mut client).await;
        assert!(answer.contains("192.0.2.9 proxy"), "{answer}");
    }
}

#[tokio::test]
async fn half_a_header_is_closed() {
    let config = Config { proxy_protocol: ProxyProtocol::Optional, header_timeout: SOON, ..patient() };
    let server = Server::start_trusting(&config, |_| true);
    assert_eq!(server.exchange("PROXY TCP4").await, "");
    assert_eq!(server.stop().await, once(Outcome::HeaderTimedOut));
}

#[tokio::test]
async fn the_trust_is_in_the_address_of_the_socket() {
    let config = Config { proxy_protocol: ProxyProtocol::Optional, ..patient() };
    let server = Server::start_trusting(&config, |ip| ip == IpAddr::from([192, 0, 2, 9]));
    assert_eq!(server.exchange([V1, &get("/")].concat()).await, "");
}
