//! Requests that two servers could understand in two ways (RFC 9112 section 11.2).

use super::*;

/// What must never be understood as a request of its own.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn an_ambiguous_request_is_refused_and_the_connection_closed() {
    let server = Server::start(&patient());
    for head in [
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\ncontent-LENGTH: 4\r\n\r\n0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 35\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: -0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nX: a\r\n Content-Length: 35\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 35\r\n\r\n",
        "PUT / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PUT / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PUT  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PUT / b HTTP/1.1\r\nHost: a\r\n\r\n",
        "PUT / HTTP/1.1\r\nHo st: a\r\n\r\n",
    ] {
        let answer = server.exchange([head, HIDDEN].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{head:?}: {answer}");
    }
}

#[tokio::test]
async fn a_broken_body_ends_the_connection() {
    let server = Server::start(&patient());
    for body in [
        "0x1\r\na\r\n0\r\n\r\n",
        "-1\r\n",
        "1 \ra\r\n",
        "1;a\nb\r\n",
        "fffffffffffffffff\r\na",
        "1\r\nab\r\n0\r\n\r\n",
    ] {
        let head = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = server.exchange([head, body, HIDDEN].concat()).await;
        assert!(!answer.contains("hidden"), "{body:?}: {answer}");
    }
}

#[tokio::test]
async fn a_pipelined_request_with_a_body_is_refused() {
    let server = Server::start(&patient());
    let first = get("/first");
    for second in [
        "PUT /second HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        "PUT /second HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let answer = server.exchange([&first, second, HIDDEN].concat()).await;
        assert!(answer.contains("GET /first 0"), "{second:?}: {answer}");
        assert!(answer.contains("HTTP/1.1 400"), "{second:?}: {answer}");
        assert!(!answer.contains("hidden"), "{second:?}: {answer}");
    }
}

/// The first half of a head comes with or behind the request before, so that only the second half looks like one.
#[tokio::test]
async fn a_head_in_two_halves_around_an_answer_is_refused() {
    let half = "PUT /second HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\nX: ";
    for (first, behind) in [
        (get("/feed"), half),
        (get("/feed") + half, ""),
        (get("/feed") + &get("/b") + half, ""),
        (get("/feed") + &get("/b"), half),
    ] {
        let mut server = Server::start(&patient());
        let mut client = server.connect().await;
        client.write_all(first.as_bytes()).await.unwrap();
        let feed = server.feeds.recv().await.unwrap();
        client.write_all(behind.as_bytes()).await.unwrap();
        // Each answered chunk shows that the connection went on, and it reads whenever it does.
        for chunk in ["one", "two"] {
            feed.send(Bytes::from_static(chunk.as_bytes())).await.unwrap();
            read_until(&mut client, &format!("{chunk}\r\n")).await;
        }
        drop(feed);
        read_until(&mut client, "0\r\n\r\n").await;
        if first.contains("/b") {
            read_until(&mut client, "plain.").await;
        }
        let rest = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        client.write_all([rest, HIDDEN].concat().as_bytes()).await.unwrap();
        let answer = read_to_end(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 400") && !answer.contains("hidden"), "{first:?}: {answer}");
    }
}

#[tokio::test]
async fn plain_requests_are_understood() {
    let server = Server::start(&patient());
    for (bytes, want) in [
        (format!("{}{}", get("/a"), get_and_close("/b")), vec!["GET /a 0", "GET /b 0"]),
        ("PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc".into(), vec!["PUT / 3"]),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                .into(),
            vec!["PUT / 3"],
        ),
        (format!("\r\n{}", get_and_close("/a")), vec!["GET /a 0"]),
    ] {
        let answer = server.exchange(&bytes).await;
        for want in want {
            assert!(answer.contains(want), "{bytes:?}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_second_request_with_a_body_is_understood() {
    let server = Server::start(&patient());
    let mut client = server.connect().await;
    for _ in 0..3 {
        let request = b"PUT /again HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        client.write_all(request).await.unwrap();
        let answer = read_until(&mut client, "plain.").await;
        assert!(answer.contains("PUT /again 3"), "{answer}");
        // A line break too many is no request.
        client.write_all([get("/between").as_str(), "\r\n"].concat().as_bytes()).await.unwrap();
        read_until(&mut client, "plain.").await;
    }
}
