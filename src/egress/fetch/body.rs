//! The body of an answer, read from the socket by whoever polls it.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::{
    FetchError,
    answer::{self, Framing, Head},
    connection::Connection,
    pool::Pool,
};

/// Ends as its framing says, or with an error; after its end the connection serves others.
#[derive(Debug)]
pub struct AnswerBody {
    /// Absent after the end.
    connection: Option<Box<Connection>>,
    rest: Rest,
    /// Where the connection goes when the body has ended well.
    keeper: Option<Arc<Pool>>,
    piece: usize,
    /// Whether all of it so far came together with the head.
    is_small: bool,
    idle: Duration,
    silent_since: Option<Instant>,
}

/// What is still to come.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// So many bytes.
    Bytes(u64),
    /// The line with the size of the next chunk.
    ChunkSize,
    /// So many bytes of a chunk, and its line end.
    Chunk(u64),
    /// Whatever comes.
    Everything,
}

impl AnswerBody {
    pub(super) fn new(
        connection: Box<Connection>,
        head: &Head,
        (pool, piece): (Arc<Pool>, usize),
        idle: Duration,
    ) -> Self {
        let rest = match head.framing {
            Framing::Length(len) => Rest::Bytes(len),
            Framing::Chunked => Rest::ChunkSize,
            Framing::Close => Rest::Everything,
        };
        let keeper = head.is_kept.then_some(pool);
        let mut body = Self {
            connection: Some(connection),
            rest,
            keeper,
            piece,
            is_small: true,
            idle,
            silent_since: None,
        };
        if matches!(rest, Rest::Bytes(0)) {
            body.end();
        }
        body
    }

    /// The next piece; `None` after the last.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        let piece = ready!(self.poll_next(cx)).transpose();
        if matches!(piece, Some(Err(_))) {
            self.connection = None;
        }
        Poll::Ready(piece)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, FetchError>> {
        loop {
            let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(None)) };
            let want = match self.rest {
                Rest::Chunk(0) | Rest::ChunkSize => LINE,
                Rest::Bytes(len) | Rest::Chunk(len) => bounded(len, self.piece),
                Rest::Everything => self.piece,
            };
            if let Some(bytes) = self.rest.take(connection, self.piece)? {
                if matches!(self.rest, Rest::Bytes(0)) {
                    self.end();
                }
                return Poll::Ready(Ok(Some(bytes).filter(|bytes| !bytes.is_empty())));
            }
            match connection.poll_fill(cx, want) {
                Poll::Ready(Ok(())) => {
                    self.silent_since = None;
                    self.is_small = false;
                }
                Poll::Ready(Err(FetchError::Closed)) if matches!(self.rest, Rest::Everything) => {
                    self.connection = None;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let due = *self.silent_since.get_or_insert_with(Instant::now) + self.idle;
                    return connection.poll_due(cx, due);
                }
            }
        }
    }

    /// Gives the connection back, if it has said nothing beyond the body.
    fn end(&mut self) {
        if let (Some(mut connection), Some(pool)) = (self.connection.take(), self.keeper.take())
            && connection.buffer().is_empty()
        {
            if !self.is_small {
                // It may be large, and whoever has the last piece holds it anyway.
                drop(mem::take(connection.buffer()));
            }
            pool.put(connection);
        }
    }
}

impl Rest {
    /// Takes what the buffer has of it; `None` while it has nothing, empty at the end.
    fn take(&mut self, connection: &mut Connection, piece: usize) -> Result<Option<Bytes>, FetchError> {
        let buffer = connection.buffer();
        loop {
            if buffer.is_empty() {
                return Ok(None);
            }
            match self {
                Self::Bytes(len) | Self::Chunk(len @ 1..) => {
                    let bytes = buffer.split_to(bounded(*len, buffer.len())).freeze();
                    *len -= bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Self::Everything => return Ok(Some(buffer.split_to(buffer.len().min(piece)).freeze())),
                Self::Chunk(_) => match &buffer[..] {
                    [b'\r', b'\n', ..] => {
                        buffer.advance(2);
                        *self = Self::ChunkSize;
                    }
                    [b'\r'] => return Ok(None),
                    _ => return Err(FetchError::Malformed("a chunk is longer than it says")),
                },
                Self::ChunkSize => match answer::chunk_size(buffer)? {
                    // Trailers are not read: the connection ends here.
                    Some(0) => {
                        *self = Self::Bytes(0);
                        return Ok(Some(Bytes::new()));
                    }
                    Some(len) => *self = Self::Chunk(len),
                    None => return Ok(None),
                },
            }
        }
    }
}

fn bounded(len: u64, most: usize) -> usize {
    usize::try_from(len).map_or(most, |len| len.min(most))
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = FetchError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, FetchError>>> {
        self.get_mut().poll_piece(cx).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.connection.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.rest {
            Rest::Bytes(len) => SizeHint::with_exact(len),
            _ => SizeHint::default(),
        }
    }
}

/// The line of a chunk's size.
const LINE: usize = 64;
