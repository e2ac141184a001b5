//! The bytes of a connection: the socket, what was read from it too early, and the clients that stop reading.
//!
//! A write that makes no progress for the write timeout fails. The timer is armed only while a write waits,
//! and is not moved by progress: when it fires it looks how long the present write has waited. Progress is
//! what the kernel tells: with `TCP_NOTSENT_LOWAT` a socket becomes writable again after a few ten KiB, also
//! where its buffer has grown to megabytes, so that a slow client is not taken for a dead one.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::server::TlsStream;

use super::{
    activity::{Activity, Received},
    head::HeadScan,
    limits::Place,
    metrics::Open,
};

/// Enough for most request heads, so that they are read in one go.
const EARLY_LEN: usize = 1024;

/// The socket with the bytes that were read from it before their reader was known.
#[derive(Debug)]
pub(super) struct Wire {
    early: BytesMut,
    socket: TcpStream,
    write_timeout: Duration,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    activity: Arc<Activity>,
}

/// Plain text or TLS.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
}

/// What HTTP reads and writes, and whoever HTTP hands its connection on to. The place of the connection is
/// held until the last of them lets go.
#[derive(Debug)]
pub(super) struct Conduit {
    transport: Transport,
    head: HeadScan,
    activity: Arc<Activity>,
    _held: (Place, Open),
}

impl Wire {
    pub(super) fn new(socket: TcpStream, write_timeout: Duration, activity: &Arc<Activity>) -> Self {
        Self {
            early: BytesMut::new(),
            socket,
            write_timeout,
            waiting_since: None,
            timer: None,
            activity: Arc::clone(activity),
        }
    }

    /// When the connection was accepted.
    pub(super) fn begun(&self) -> Instant {
        self.activity.begun()
    }

    /// What was read and not consumed.
    pub(super) fn early(&self) -> &[u8] {
        &self.early
    }

    /// Drops the first bytes of [`Wire::early`].
    pub(super) fn consume(&mut self, len: usize) {
        self.early.advance(len);
    }

    /// Reads some bytes more into [`Wire::early`]; 0 at the end.
    pub(super) async fn read_early(&mut self) -> io::Result<usize> {
        self.early.reserve(EARLY_LEN);
        self.socket.read_buf(&mut self.early).await
    }

    fn with_timeout<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            if self.waiting_since.take().is_some() {
                self.activity.unsent(false);
            }
            return wrote;
        }
        let activity = &self.activity;
        let since = self.waiting_since.get_or_insert_with(|| {
            activity.unsent(true);
            Instant::now()
        });
        let due = *since + self.write_timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        while timer.as_mut().poll(cx).is_ready() {
            if due <= Instant::now() {
                self.activity.stall();
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early.is_empty() {
            return Pin::new(&mut this.socket).poll_read(cx, buf);
        }
        let len = this.early.len().min(buf.remaining());
        buf.put_slice(&this.early[..len]);
        this.early.advance(len);
        if this.early.is_empty() {
            this.early = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.socket).poll_write(cx, buf);
        this.with_timeout(cx, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // An answer without a body is one piece, and send(2) asks less of the kernel than writev(2).
        if let [piece] = bufs {
            return self.poll_write(cx, piece);
        }
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        this.with_timeout(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

/// The one line that both kinds of transport differ in.
macro_rules! on_transport {
    ($conduit:expr, $transport:ident => $call:expr) => {
        match &mut $conduit.as_mut().get_mut().transport {
            Transport::Plain(wire) => {
                let $transport = Pin::new(wire);
                $call
            }
            Transport::Tls(stream) => {
                let $transport = Pin::new(&mut **stream);
                $call
            }
        }
    };
}

impl Conduit {
    pub(super) fn new(transport: Transport, activity: Arc<Activity>, held: (Place, Open)) -> Self {
        Self { transport, head: HeadScan::default(), activity, _held: held }
    }

    fn cut() -> io::Error {
        ErrorKind::ConnectionAborted.into()
    }
}

impl AsyncRead for Conduit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.activity.poll_read_cut(cx) {
            return Poll::Ready(Err(Self::cut()));
        }
        let before = buf.filled().len();
        let read = on_transport!(self, transport => transport.poll_read(cx, buf));
        if buf.filled().len() > before {
            let bytes = &buf.filled()[before..];
            let Self { head, activity, .. } = &mut *self;
            let received = activity.received(is_blank(bytes));
            if received == Received::NewHead {
                *head = HeadScan::default();
            }
            if received != Received::Other {
                match head.feed(bytes) {
                    Some((framing, rest)) => activity.framed(framing, !is_blank(rest)),
                    None => activity.awaits_head(),
                }
            }
        }
        read
    }
}

/// Line breaks between requests mean nothing, and some clients send one too many.
fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

impl AsyncWrite for Conduit {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.activity.poll_write_cut(cx) {
            return Poll::Ready(Err(Self::cut()));
        }
        on_transport!(self, transport => transport.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.activity.poll_write_cut(cx) {
            return Poll::Ready(Err(Self::cut()));
        }
        on_transport!(self, transport => transport.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(wire) => wire.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.activity.poll_write_cut(cx) {
            return Poll::Ready(Err(Self::cut()));
        }
        on_transport!(self, transport => transport.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_transport!(self, transport => transport.poll_shutdown(cx))
    }
}

impl Drop for Conduit {
    fn drop(&mut self) {
        self.activity.end();
    }
}
