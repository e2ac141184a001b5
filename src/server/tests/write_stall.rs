//! Clients that stop reading.

use super::*;

const CHUNK: Bytes = Bytes::from_static(&[b'x'; 64 * 1024]);

#[tokio::test]
async fn a_client_that_takes_no_byte_is_cut() {
    let mut server = Server::start(&Config { write_timeout: SOON, ..patient() });
    let mut client = server.connect().await;
    client.write_all(get("/feed").as_bytes()).await.unwrap();
    let feed = server.feeds.recv().await.unwrap();
    while feed.send(CHUNK).await.is_ok() {}
    assert_eq!(server.stop().await, once(Outcome::WriteTimedOut));
}

#[tokio::test]
async fn a_stalled_tls_client_is_cut() {
    let pair = tls::Pair::write();
    let config = Config { write_timeout: SOON, tls: Some(pair.config()), ..patient() };
    let mut server = Server::start(&config);
    let mut client = pair.connect(&server, &[b"http/1.1"]).await.unwrap();
    client.write_all(get("/feed").as_bytes()).await.unwrap();
    let feed = server.feeds.recv().await.unwrap();
    while feed.send(CHUNK).await.is_ok() {}
    assert_eq!(server.stop().await, once(Outcome::WriteTimedOut));
}

#[tokio::test]
async fn a_slow_client_is_not_cut() {
    let mut server = Server::start(&Config { write_timeout: SOON * 4, ..patient() });
    let mut client = server.connect().await;
    client.write_all(get("/feed").as_bytes()).await.unwrap();
    let feed = server.feeds.recv().await.unwrap();
    let feeding = tokio::spawn(async move { while feed.send(CHUNK).await.is_ok() {} });
    // The client reads all the time, but for many write timeouts, and less than the buffers hold.
    let mut ticks = interval(SOON / 5);
    let mut buffer = vec![0; 32 * 1024];
    for tick in 0..80 {
        ticks.tick().await;
        assert_ne!(client.read(&mut buffer).await.unwrap(), 0, "cut after {tick} reads");
    }
    drop(client);
    feeding.await.unwrap();
}

#[tokio::test]
async fn memory_of_a_stalled_client_is_bounded() {
    let mut server = Server::start(&patient());
    let mut client = server.connect().await;
    client.write_all(get("/feed").as_bytes()).await.unwrap();
    let feed = server.feeds.recv().await.unwrap();
    let mut taken = 0;
    // The kernel's buffers of both sides, ours, and the one in the channel.
    while tokio::time::timeout(SOON * 3, feed.send(CHUNK)).await.is_ok() {
        taken += CHUNK.len();
        assert!(taken < 16 * 1024 * 1024, "nobody stops the source");
    }
}
