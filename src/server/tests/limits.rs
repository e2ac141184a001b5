//! Connections at once.

use super::*;

fn narrow() -> Config {
    Config { max_connections: 1, ..patient() }
}

/// A connection whose answer is not finished.
async fn occupy(server: &mut Server) -> (TcpStream, mpsc::Sender<Bytes>) {
    let mut client = server.connect().await;
    client.write_all(get("/feed").as_bytes()).await.unwrap();
    let feed = server.feeds.recv().await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    (client, feed)
}

async fn served_again(server: &Server) {
    while !server.exchange(get_and_close("/")).await.starts_with("HTTP/1.1 200") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let mut server = Server::start(&narrow());
    let (client, feed) = occupy(&mut server).await;
    let answer = server.exchange(get("/")).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    drop(client);
    feed.closed().await;
    served_again(&server).await;
}

#[tokio::test]
async fn a_connection_counts_until_its_last_byte() {
    let mut server = Server::start(&narrow());
    let (mut client, feed) = occupy(&mut server).await;
    feed.send(Bytes::from_static(b"first")).await.unwrap();
    read_until(&mut client, "first\r\n").await;
    let answer = server.exchange(get("/")).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    drop(feed);
    read_until(&mut client, "0\r\n\r\n").await;
    drop(client);
    served_again(&server).await;
}

#[tokio::test]
async fn an_upgraded_connection_counts_until_it_is_dropped() {
    let server = Server::start(&narrow());
    let mut client = server.connect().await;
    let upgrade = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    client.write_all(upgrade.as_bytes()).await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    client.write_all(b"hello").await.unwrap();
    read_until(&mut client, "hello").await;
    let answer = server.exchange(get("/")).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    drop(client);
    served_again(&server).await;
}

#[tokio::test]
async fn one_client_has_only_its_number() {
    let mut server = Server::start(&Config { max_connections_per_client: 1, ..patient() });
    let (client, feed) = occupy(&mut server).await;
    let answer = server.exchange(get("/")).await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    drop(client);
    feed.closed().await;
    served_again(&server).await;
}

#[tokio::test]
async fn clients_behind_a_proxy_are_told_apart() {
    let config =
        Config { max_connections_per_client: 1, proxy_protocol: ProxyProtocol::Required, ..patient() };
    let mut server = Server::start_trusting(&config, |_| true);
    let mut client = server.connect().await;
    let from = |ip: &str, path: &str| format!("PROXY TCP4 {ip} 10.0.0.1 1 2\r\n{}", get_and_close(path));
    client.write_all(from("192.0.2.1", "/feed").as_bytes()).await.unwrap();
    let _feed = server.feeds.recv().await.unwrap();
    let answer = server.exchange(from("192.0.2.1", "/")).await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    let answer = server.exchange(from("192.0.2.2", "/")).await;
    assert!(answer.ends_with("GET / 0 192.0.2.2 proxy plain."), "{answer}");
}

#[tokio::test]
async fn a_refused_client_that_does_not_ask_is_closed() {
    let mut server = Server::start(&Config { header_timeout: SOON, ..narrow() });
    let (_client, _feed) = occupy(&mut server).await;
    assert_eq!(server.exchange("GET").await, "");
}

#[tokio::test]
async fn refusals_are_counted_as_such() {
    let mut server = Server::start(&narrow());
    let (client, feed) = occupy(&mut server).await;
    server.exchange(get("/")).await;
    drop(feed);
    drop(client);
    let outcomes = server.stop().await;
    assert!(outcomes.contains(&("over_limit".to_owned(), 1)), "{outcomes:?}");
}
