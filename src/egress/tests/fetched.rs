//! Objects read from sockets that say what they are told to.

use std::{
    future::poll_fn,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::poll;
use http::Method;
use http_body_util::BodyExt as _;
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, sleep},
};

use super::*;

const KEPT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// A fetcher, an origin, and the listener behind it.
async fn origin() -> (Fetcher, Origin, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ignored", listener.local_addr().unwrap());
    let fetcher = Egress::build(&Config::default()).unwrap().fetcher().clone();
    (fetcher, Origin::of(&url.parse().unwrap()).unwrap(), listener)
}

fn head(method: &Method, target: &str) -> RequestHead {
    RequestHead::build(method, target, |headers| headers.put("host", &["s3.test"])).unwrap()
}

fn ask(head: &RequestHead) -> Ask<'_> {
    let (first_byte, idle) = (Duration::from_secs(10), Duration::from_secs(30));
    Ask { head, at: Instant::now(), first_byte, idle }
}

async fn begin(fetcher: &Fetcher, origin: &Origin) -> Result<Answer, FetchError> {
    fetcher.fetch(origin, &ask(&head(&Method::GET, "/media/a%20b?x=1"))).await
}

async fn fetch(fetcher: &Fetcher, origin: &Origin) -> Result<String, FetchError> {
    let answer = begin(fetcher, origin).await?;
    let body = answer.body.collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

/// Reads one request and says something, in pieces of so many bytes.
async fn say(socket: &mut TcpStream, text: &str, step: usize) -> String {
    let mut request = vec![0; 4096];
    let len = socket.read(&mut request).await.unwrap();
    for piece in text.as_bytes().chunks(step) {
        // Whoever has heard enough of nonsense has gone.
        if socket.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    String::from_utf8(request[..len].to_vec()).unwrap()
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let (fetcher, origin, listener) = origin().await;
    let served = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let first = say(&mut socket, KEPT, 1000).await;
        (first, say(&mut socket, KEPT, 1).await)
    };
    let asked = async { (fetch(&fetcher, &origin).await, fetch(&fetcher, &origin).await) };
    let ((first, second), answers) = tokio::join!(served, asked);
    assert_eq!(first, "GET /media/a%20b?x=1 HTTP/1.1\r\nhost: s3.test\r\n\r\n");
    assert_eq!(first, second);
    assert_eq!((answers.0.unwrap(), answers.1.unwrap()), ("hello".to_owned(), "hello".to_owned()));
}

/// What a connection must not have said, or done, if another request is to be sent over it.
#[tokio::test]
async fn a_connection_that_may_not_be_in_step_serves_nothing_more() {
    for spoilt in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let (fetcher, origin, listener) = origin().await;
        let served = async {
            let (mut first, _) = listener.accept().await.unwrap();
            say(&mut first, spoilt, 1000).await;
            let (mut second, _) = listener.accept().await.unwrap();
            say(&mut second, KEPT, 1000).await;
        };
        let asked = async { (fetch(&fetcher, &origin).await, fetch(&fetcher, &origin).await) };
        let ((), answers) = tokio::join!(served, asked);
        assert_eq!(
            (answers.0.unwrap(), answers.1.unwrap()),
            ("hello".to_owned(), "hello".to_owned()),
            "{spoilt}"
        );
    }
}

#[tokio::test]
async fn bodies_are_the_same_however_they_come_in() {
    for (answer, want) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Ok("hello")),
        ("HTTP/1.1 204 No Content\r\n\r\n", Ok("")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Ok("")),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", Ok("until the end")),
        (
            "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n, world!!!\r\n0\r\nX: y\r\n\r\n",
            Ok("hello, world!!!"),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
            Err("longer than it says"),
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n", Err("size of a chunk")),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Err("before the end")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", Err("before the end")),
        ("HTTP/1.1 200 OK\r\nContent-Len", Err("before the end")),
        ("SSH-2.0-OpenSSH\r\n", Err("cannot be read")),
    ] {
        for step in [1, 2, 7, 1000] {
            let (fetcher, origin, listener) = origin().await;
            let served = async {
                let (mut socket, _) = listener.accept().await.unwrap();
                say(&mut socket, answer, step).await;
            };
            let ((), answered) = tokio::join!(served, fetch(&fetcher, &origin));
            match (answered, want) {
                (Ok(body), Ok(want)) => assert_eq!(body, want, "{answer}"),
                (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{answer}: {error}"),
                (got, want) => panic!("{answer}: {got:?}, not {want:?}"),
            }
        }
    }
}

/// An origin whose name is looked up as often as the semaphore permits, and how often that was tried.
async fn slow_origin(config: &Config) -> (Fetcher, Origin, TcpListener, Arc<(Semaphore, AtomicUsize)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let lookups = Arc::new((Semaphore::new(1), AtomicUsize::new(0)));
    let resolver = Resolver::new({
        let lookups = Arc::clone(&lookups);
        move |_| {
            let lookups = Arc::clone(&lookups);
            Box::pin(async move {
                lookups.1.fetch_add(1, Ordering::Relaxed);
                lookups.0.acquire().await?.forget();
                Ok(vec![(Ipv4Addr::LOCALHOST, 0).into()])
            })
        }
    });
    let fetcher = Egress::build_with(config, &resolver).unwrap().fetcher().clone();
    let url = format!("http://s3.test:{}/", listener.local_addr().unwrap().port());
    (fetcher, Origin::of(&url.parse().unwrap()).unwrap(), listener, lookups)
}

/// A connection that serves, with another that was begun for a request that took the first one when it came free.
async fn with_one_begun(fetcher: &Fetcher, origin: &Origin, listener: &TcpListener) -> TcpStream {
    let (begun, rest) = KEPT.split_at(KEPT.len() - 2);
    let served = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        say(&mut socket, begun, 1000).await;
        socket
    };
    let (mut socket, under_way) = tokio::join!(served, begin(fetcher, origin));
    let mut waiting = pin!(fetch(fetcher, origin));
    let mut gone = Box::pin(fetch(fetcher, origin));
    assert!(poll!(gone.as_mut()).is_pending() && poll!(waiting.as_mut()).is_pending());
    drop(gone);
    let served = async {
        socket.write_all(rest.as_bytes()).await.unwrap();
        under_way.unwrap().body.collect().await.unwrap();
        say(&mut socket, KEPT, 1000).await
    };
    let (_, answer) = tokio::join!(served, waiting);
    assert_eq!(answer.unwrap(), "hello");
    socket
}

/// Without it a request waits for an origin that is slow to accept while others come and go.
#[tokio::test]
async fn who_waits_for_a_connection_takes_one_that_comes_free() {
    let (fetcher, origin, listener, lookups) = slow_origin(&Config::default()).await;
    let mut socket = with_one_begun(&fetcher, &origin, &listener).await;
    let (_, under_way) = tokio::join!(say(&mut socket, KEPT, 1000), begin(&fetcher, &origin));
    lookups.0.add_permits(1);
    let served = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        say(&mut socket, KEPT, 1000).await
    };
    let (_, answer) = tokio::join!(served, fetch(&fetcher, &origin));
    assert_eq!(answer.unwrap(), "hello");
    assert_eq!(lookups.1.load(Ordering::Relaxed), 3, "what was begun is not begun again");
    drop(under_way);
}

#[tokio::test]
async fn a_connection_that_was_left_and_fails_is_begun_again() {
    let (fetcher, origin, listener, lookups) = slow_origin(&Config::default()).await;
    let mut socket = with_one_begun(&fetcher, &origin, &listener).await;
    let (_, under_way) = tokio::join!(say(&mut socket, KEPT, 1000), begin(&fetcher, &origin));
    lookups.0.close();
    assert!(matches!(fetch(&fetcher, &origin).await, Err(FetchError::Connect(_))));
    assert_eq!(lookups.1.load(Ordering::Relaxed), 4);
    drop(under_way);
}

/// Who turned reuse off has an origin that breaks on it.
#[tokio::test]
async fn nothing_is_shared_where_nothing_is_kept() {
    for config in [
        Config { max_idle_per_host: 0, ..Config::default() },
        Config { pool_idle_timeout: Duration::ZERO, ..Config::default() },
    ] {
        let (fetcher, origin, listener, lookups) = slow_origin(&config).await;
        let served = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            say(&mut socket, KEPT, 1000).await;
            socket
        };
        let (_socket, answer) = tokio::join!(served, fetch(&fetcher, &origin));
        assert_eq!(answer.unwrap(), "hello");
        let mut another = pin!(fetch(&fetcher, &origin));
        assert!(poll!(another.as_mut()).is_pending());
        assert_eq!(lookups.1.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn a_head_has_no_body_whatever_it_says() {
    let (fetcher, origin, listener) = origin().await;
    let served = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        say(&mut socket, "HTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\n", 1000).await;
        say(&mut socket, KEPT, 1000).await;
    };
    let asked = async {
        let answer = fetcher.fetch(&origin, &ask(&head(&Method::HEAD, "/"))).await.unwrap();
        assert_eq!(answer.headers.value(&header::CONTENT_LENGTH).unwrap(), "70");
        assert!(answer.body.collect().await.unwrap().to_bytes().is_empty());
        fetch(&fetcher, &origin).await
    };
    let ((), answer) = tokio::join!(served, asked);
    assert_eq!(answer.unwrap(), "hello");
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_dead() {
    let (fetcher, origin, listener) = origin().await;
    let served = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        say(&mut socket, KEPT, 1000).await;
        // Reads the second request, and goes instead of answering.
        assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
    };
    let asked = async { (fetch(&fetcher, &origin).await, fetch(&fetcher, &origin).await) };
    let ((), (first, second)) = tokio::join!(served, asked);
    assert_eq!(first.unwrap(), "hello");
    assert!(second.unwrap_err().is_dead_connection());
}

#[tokio::test]
async fn a_body_that_is_dropped_ends_its_connection() {
    let (fetcher, origin, listener) = origin().await;
    let served = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        say(&mut socket, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello", 1000).await;
        socket.read(&mut [0; 1]).await
    };
    let asked = async {
        let mut answer = fetcher.fetch(&origin, &ask(&head(&Method::GET, "/"))).await.unwrap();
        let piece = poll_fn(|cx| answer.body.poll_piece(cx)).await.unwrap().unwrap();
        assert_eq!(piece, "hello");
    };
    let (read, ()) = tokio::join!(served, asked);
    assert!(matches!(read, Ok(0) | Err(_)));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_an_exchange_and_a_body() {
    for (said, patience) in [("", 10), ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", 30)] {
        let (fetcher, origin, listener) = origin().await;
        let served = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            say(&mut socket, said, 1000).await;
            socket
        };
        let begun = Instant::now();
        let (_socket, answer) = tokio::join!(served, fetch(&fetcher, &origin));
        assert!(matches!(answer, Err(FetchError::Silent)), "{said:?}: {answer:?}");
        let took = begun.elapsed().as_secs();
        // Time stands still while the sockets are at work, and may jump once before they are.
        assert!((patience..=patience + 30).contains(&took), "{said:?}: {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unused_connection_is_let_go() {
    let (fetcher, origin, listener) = origin().await;
    let served = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        say(&mut socket, KEPT, 1000).await;
        socket
    };
    let (mut socket, answer) = tokio::join!(served, fetch(&fetcher, &origin));
    assert_eq!(answer.unwrap(), "hello");
    sleep(Duration::from_secs(6)).await;
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap(), 0);
}
