//! The two steps of the shutdown.

use super::*;

#[tokio::test]
async fn an_answer_in_flight_is_finished() {
    let mut server = Server::start(&patient());
    let mut client = server.connect().await;
    client.write_all(get("/feed").as_bytes()).await.unwrap();
    let feed = server.feeds.recv().await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    server.shutdown.soft().cancel();
    refused(&server).await;
    feed.send(Bytes::from_static(b"late")).await.unwrap();
    drop(feed);
    let rest = read_to_end(&mut client).await;
    assert!(rest.ends_with("late\r\n0\r\n\r\n"), "{rest}");
    assert_eq!(server.stop().await, once(Outcome::Closed));
}

#[tokio::test]
async fn the_hard_step_drops_an_answer() {
    for path in ["/feed", "/never"] {
        let mut server = Server::start(&patient());
        let mut client = server.connect().await;
        client.write_all(get(path).as_bytes()).await.unwrap();
        let _feed = server.feeds.recv().await.unwrap();
        server.shutdown.soft().cancel();
        refused(&server).await;
        server.shutdown.hard().cancel();
        let rest = read_to_end(&mut client).await;
        assert!(!rest.ends_with("0\r\n\r\n"), "a cut answer must not look complete: {rest}");
        assert_eq!(server.stop().await, once(Outcome::Aborted), "{path}");
    }
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_the_end_up() {
    let server = Server::start(&patient());
    let mut client = server.connect().await;
    client.write_all(get("/").as_bytes()).await.unwrap();
    read_until(&mut client, "plain.").await;
    assert_eq!(server.stop().await, once(Outcome::Closed));
    assert_eq!(read_to_end(&mut client).await, "");
}

#[tokio::test]
async fn a_connection_that_said_nothing_does_not_hold_the_end_up() {
    let server = Server::start(&patient());
    let mut client = server.connect().await;
    // Accepted after the first one, which is therefore accepted too.
    server.exchange(get_and_close("/")).await;
    assert_eq!(server.stop().await, vec![(Outcome::Closed.label().to_owned(), 2)]);
    assert_eq!(read_to_end(&mut client).await, "");
}

#[tokio::test]
async fn an_upgraded_connection_goes_on_until_the_hard_step() {
    let server = Server::start(&patient());
    let mut client = server.connect().await;
    let upgrade = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    client.write_all(upgrade.as_bytes()).await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    server.shutdown.soft().cancel();
    refused(&server).await;
    client.write_all(b"hello").await.unwrap();
    read_until(&mut client, "hello").await;
    server.shutdown.hard().cancel();
    assert_eq!(read_to_end(&mut client).await, "");
    assert_eq!(server.stop().await, once(Outcome::Aborted));
}

#[tokio::test]
async fn the_listener_is_free_for_the_next_process() {
    let server = Server::start(&patient());
    let addr = server.addr;
    server.exchange(get_and_close("/")).await;
    server.stop().await;
    let again = Server::start(&Config { listen: addr, ..patient() });
    let answer = again.exchange(get_and_close("/")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Waits until nobody is accepted any more.
async fn refused(server: &Server) {
    while TcpStream::connect(server.addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
