//! One connection to an origin: its socket, what was read of it too early, and its timer.

use std::{
    fmt,
    io::ErrorKind,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::io::poll_read_buf;

use super::{
    FetchError,
    answer::{self, Head},
};

/// Plain text or TLS, as the connector makes it.
type Socket = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A connection that serves one request at a time.
pub(super) struct Connection {
    socket: TokioIo<Socket>,
    origin: Arc<str>,
    /// Between two small answers its memory stays: so much is asked of the allocator the long way, and the first answer is
    /// mostly with the client when the second comes.
    buffer: BytesMut,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    pub(super) fn new(socket: Socket, origin: Arc<str>) -> Self {
        Self { socket: TokioIo::new(socket), origin, buffer: BytesMut::new(), timer: None }
    }

    pub(super) fn origin(&self) -> &Arc<str> {
        &self.origin
    }

    /// What was read and not taken.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether nothing came that nobody asked for, the end of the connection included.
    pub(super) fn is_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0];
        let read = Pin::new(&mut self.socket).poll_read(cx, &mut ReadBuf::new(&mut byte));
        self.buffer.is_empty() && read.is_pending()
    }

    /// Sends what is unsent, absent once all of it is on its way, and reads the head of the answer.
    pub(super) fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        unsent: &mut Option<&[u8]>,
        (piece, is_head): (usize, bool),
        due: Instant,
    ) -> Poll<Result<Head, FetchError>> {
        if let Some(bytes) = unsent {
            if self.poll_send(cx, bytes)?.is_pending() {
                return self.poll_due(cx, due);
            }
            *unsent = None;
        }
        loop {
            if !self.buffer.is_empty()
                && let Some(head) = answer::parse(&mut self.buffer, is_head)?
            {
                return Poll::Ready(Ok(head));
            }
            if self.poll_fill(cx, piece)?.is_pending() {
                return self.poll_due(cx, due);
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, unsent: &mut &[u8]) -> Poll<Result<(), FetchError>> {
        while !unsent.is_empty() {
            let sent =
                ready!(Pin::new(&mut self.socket).poll_write(cx, unsent)).map_err(FetchError::Broken)?;
            if sent == 0 {
                return Poll::Ready(Err(FetchError::Broken(ErrorKind::WriteZero.into())));
            }
            *unsent = unsent.get(sent..).unwrap_or_default();
        }
        // TLS holds back what it has not been told to send.
        Pin::new(&mut self.socket).poll_flush(cx).map_err(FetchError::Broken)
    }

    /// Reads at most about so many bytes more; at least one.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Result<(), FetchError>> {
        // One more than can come: a read that fills its buffer makes the runtime believe that there is more, and the next
        // look at the connection a system call.
        self.buffer.reserve(most + 1);
        match ready!(poll_read_buf(Pin::new(&mut self.socket), cx, &mut self.buffer)) {
            Ok(0) => Poll::Ready(Err(FetchError::Closed)),
            Ok(_) => Poll::Ready(Ok(())),
            // A TLS peer that goes without a word: the end of a body is never taken from that, so it is an end like any.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Poll::Ready(Err(FetchError::Closed)),
            Err(error) => Poll::Ready(Err(FetchError::Broken(error))),
        }
    }

    /// Pending until `due`, and then an error.
    ///
    /// The timer is not moved when what it waits for comes, only looked at when it fires: a busy connection arms one in
    /// ten seconds and not one for each request.
    pub(super) fn poll_due<T>(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<Result<T, FetchError>> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if due <= Instant::now() {
                return Poll::Ready(Err(FetchError::Silent));
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("origin", &self.origin).finish_non_exhaustive()
    }
}
