//! Reading from an origin without a task in between.
//!
//! A client that gives each connection a task of its own hands every piece of a body from that task to the one that
//! serves whoever asked: a channel, two wake-ups and often another core for each 16 KiB. Here the socket is read by
//! whoever polls the body, in pieces as large as the body still is, and a connection without a request is a socket in a
//! list. That is the reason why this is not hyper's client; everything but the reading of objects uses that one.
//!
//! HTTP/1.1 as RFC 9112 has it, and less: requests have no body, answers that could be read in two ways are refused, and a
//! connection serves another request only after a body whose length was known has been read to its end.

mod answer;
mod body;
mod connection;
mod pool;
mod request;

use std::{fmt, future::poll_fn, io, pin::Pin, sync::Arc, task::Poll, time::Duration};

use http::{StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use tokio::time::{Instant, timeout_at};
use tower_service::Service as _;

use super::{Connector, connect::BoxError};
pub use answer::Fields;
pub use body::AnswerBody;
use connection::Connection;
use pool::{Connecting, Pool};
pub use request::{Headers, RequestHead};

/// Asks origins for objects. Cheap to clone: clones share their connections.
#[derive(Clone)]
pub struct Fetcher {
    connector: HttpsConnector<Connector>,
    pool: Arc<Pool>,
    /// The largest piece that is read at once, in bytes.
    piece: usize,
}

/// Scheme, host and port.
#[derive(Clone, Debug)]
pub struct Origin {
    uri: Uri,
    name: Arc<str>,
}

/// One request, and how long its answer may take.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What is sent.
    pub head: &'a RequestHead,
    /// When it was asked for.
    pub at: Instant,
    /// From then until the head of the answer, the time to connect included.
    pub first_byte: Duration,
    /// Between two pieces of its body.
    pub idle: Duration,
}

/// The head of an answer, and its body to be read.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers, as they came.
    pub headers: Fields,
    /// The body.
    pub body: AnswerBody,
}

/// Why an answer did not come, or did not end.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection could be made.
    #[error("no connection could be made")]
    Connect(#[source] BoxError),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// The origin closed the connection before the head, or in the body.
    #[error("the connection was closed before the end of the answer")]
    Closed,
    /// What came is not HTTP/1.1.
    #[error("the answer is not valid HTTP/1.1: {0}")]
    Malformed(&'static str),
    /// Two readers of the head could disagree about where the body ends, which is how an answer is smuggled into another.
    #[error("the length of the answer's body is ambiguous: {0}")]
    Ambiguous(&'static str),
    /// The head did not come in time, or the body fell silent.
    #[error("the origin was silent for too long")]
    Silent,
}

impl Origin {
    /// Of a URI with a scheme and a host; what follows them is dropped.
    pub fn of(uri: &Uri) -> Option<Self> {
        let (scheme, authority) = (uri.scheme()?, uri.authority()?);
        let name = format!("{scheme}://{authority}");
        let uri = Uri::builder().scheme(scheme.clone()).authority(authority.clone()).path_and_query("/");
        Some(Self { uri: uri.build().ok()?, name: name.into() })
    }

    /// `https://s3.example.org:9000`.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl Fetcher {
    pub(super) fn new(connector: HttpsConnector<Connector>, config: &super::Config) -> Self {
        let pool = Arc::new(Pool::new(config.pool_idle_timeout, config.max_idle_per_host));
        Self { connector, pool, piece: super::read_buffer(config) }
    }

    /// Asks over a kept connection where there is one, and where there is none over a new one or the first that another
    /// request is done with meanwhile.
    pub async fn fetch(&self, origin: &Origin, ask: &Ask<'_>) -> Result<Answer, FetchError> {
        let connection = match self.kept(origin, ask.at).await {
            Some(connection) => connection,
            None => within(ask, self.connect_or_wait(origin, ask.at)).await?,
        };
        self.fetch_over(connection, ask).await
    }

    /// Asks over a connection that is certainly new.
    pub async fn fetch_freshly(&self, origin: &Origin, ask: &Ask<'_>) -> Result<Answer, FetchError> {
        let connection = within(ask, self.connect(origin)).await?;
        self.fetch_over(connection, ask).await
    }

    async fn fetch_over(&self, mut connection: Box<Connection>, ask: &Ask<'_>) -> Result<Answer, FetchError> {
        let due = ask.due();
        let mut unsent = Some(ask.head.as_bytes());
        let is_head = ask.head.is_head;
        let first = self.piece.min(FIRST_PIECE);
        let head = poll_fn(|cx| connection.poll_exchange(cx, &mut unsent, (first, is_head), due)).await?;
        let body = AnswerBody::new(connection, &head, (Arc::clone(&self.pool), self.piece), ask.idle);
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    async fn kept(&self, origin: &Origin, now: Instant) -> Option<Box<Connection>> {
        poll_fn(|cx| Poll::Ready(self.pool.take(&origin.name, now, cx))).await
    }

    /// A new connection takes round trips, and more time than an answer where an origin is slow to accept: the first is taken
    /// that there is. What was begun is left for the next request.
    async fn connect_or_wait(&self, origin: &Origin, now: Instant) -> Result<Box<Connection>, FetchError> {
        if !self.pool.keeps_any() {
            return self.connect(origin).await;
        }
        let (freed, begun) = self.pool.wait(&origin.name, now);
        let mut is_own = begun.is_none();
        let mut connecting = begun.unwrap_or_else(|| self.connect(origin));
        loop {
            tokio::select! {
                // Who is woken sees to what it was woken for.
                biased;
                () = freed.notified() => if let Some(connection) = self.kept(origin, Instant::now()).await {
                    self.pool.leave(&origin.name, connecting);
                    return Ok(connection);
                },
                connected = &mut connecting => match connected {
                    // It may have been left for too long.
                    Err(_) if !is_own => (is_own, connecting) = (true, self.connect(origin)),
                    connected => return connected,
                },
            }
        }
    }

    fn connect(&self, origin: &Origin) -> Connecting {
        // Always ready: the connector has no state that a call could wait for.
        let connecting = self.connector.clone().call(origin.uri.clone());
        let name = Arc::clone(&origin.name);
        Box::pin(async move {
            let socket = connecting.await.map_err(FetchError::Connect)?;
            Ok(Box::new(Connection::new(socket, name)))
        })
    }
}

impl Ask<'_> {
    /// When the head of the answer has to be there.
    fn due(&self) -> Instant {
        self.at + self.first_byte
    }
}

/// A connection that is there before the answer has to be. Boxed: few requests make one, and all would hold the room for it.
fn within<'a>(
    ask: &Ask<'_>,
    connecting: impl Future<Output = Result<Box<Connection>, FetchError>> + 'a,
) -> Pin<Box<impl Future<Output = Result<Box<Connection>, FetchError>> + 'a>> {
    let due = ask.due();
    Box::pin(async move { timeout_at(due, connecting).await.unwrap_or(Err(FetchError::Silent)) })
}

impl FetchError {
    /// Whether the connection ended without an answer, as a kept one does that the origin had closed meanwhile. A request
    /// without effects may then be sent again.
    pub fn is_dead_connection(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Broken(error) => super::is_connection_loss(error.kind()),
            Self::Connect(_) | Self::Malformed(_) | Self::Ambiguous(_) | Self::Silent => false,
        }
    }
}

/// The head, and all of a small object; with the head's part taken off still so much that the listener asks for no more
/// before it has sent this.
const FIRST_PIECE: usize = 20 * 1024;

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("pool", &self.pool)
            .field("piece", &self.piece)
            .finish_non_exhaustive()
    }
}
