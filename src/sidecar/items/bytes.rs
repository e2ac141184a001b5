//! The bytes of an object as they come, unpacked where they are gzip, and counted.

use std::{collections::VecDeque, fmt};

use bytes::Bytes;
use http_body_util::BodyExt as _;

use super::{
    ObjectFault, ReadError,
    gzip::{Gunzip, MAGIC},
};
use crate::s3::ObjectBody;

/// Chunks of an object, at most a few hundred KiB at once.
pub(in crate::sidecar) struct Chunks {
    body: ObjectBody,
    /// What was read ahead to see what it is.
    ahead: VecDeque<Bytes>,
    /// Present where the object is gzip.
    gunzip: Option<Gunzip>,
    /// Of the chunk that is being unpacked.
    packed: Bytes,
    /// How many unpacked bytes may still come.
    allowance: u64,
    limit: u64,
}

impl Chunks {
    /// Looks at the first bytes, for what the object is. `limit` is for the bytes that come out.
    pub(in crate::sidecar) async fn open(body: ObjectBody, limit: u64) -> Result<Self, ReadError> {
        let empty = VecDeque::new();
        let mut chunks =
            Self { body, ahead: empty, gunzip: None, packed: Bytes::new(), allowance: limit, limit };
        if chunks.peek(MAGIC.len()).await? == MAGIC {
            chunks.gunzip = Some(Gunzip::new());
            // They were read as they are stored.
            let stored: Vec<u8> = chunks.ahead.drain(..).flatten().collect();
            chunks.packed = stored.into();
            chunks.allowance = limit;
        }
        Ok(chunks)
    }

    /// The first bytes, fewer only where there are no more. They come again.
    pub(super) async fn peek(&mut self, count: usize) -> Result<Vec<u8>, ReadError> {
        let mut ahead = VecDeque::new();
        let mut seen = 0;
        while seen < count {
            let Some(chunk) = self.next().await? else { break };
            seen += chunk.len();
            ahead.push_back(chunk);
        }
        let first = ahead.iter().flatten().take(count).copied().collect();
        self.ahead = ahead;
        Ok(first)
    }

    pub(super) fn is_packed(&self) -> bool {
        self.gunzip.is_some()
    }

    /// The next bytes; none are empty.
    pub(in crate::sidecar) async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        if let Some(chunk) = self.ahead.pop_front() {
            return Ok(Some(chunk));
        }
        let Some(chunk) = self.unpacked().await? else { return Ok(None) };
        let len = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        let Some(allowance) = self.allowance.checked_sub(len) else {
            return Err(ObjectFault::UnpackedTooLarge { limit: self.limit }.into());
        };
        self.allowance = allowance;
        Ok(Some(chunk))
    }

    async fn unpacked(&mut self) -> Result<Option<Bytes>, ReadError> {
        loop {
            let Some(gunzip) = &mut self.gunzip else { return stored(&mut self.body).await };
            if let Some(chunk) = gunzip.step(&mut self.packed)? {
                return Ok(Some(chunk));
            }
            match stored(&mut self.body).await? {
                Some(chunk) => self.packed = chunk,
                None if gunzip.is_complete() => return Ok(None),
                None => return Err(ObjectFault::GzipCut.into()),
            }
        }
    }
}

async fn stored(body: &mut ObjectBody) -> Result<Option<Bytes>, ReadError> {
    while let Some(frame) = body.frame().await {
        // Trailers are no frames of an object's body.
        if let Ok(chunk) = frame?.into_data()
            && !chunk.is_empty()
        {
            return Ok(Some(chunk));
        }
    }
    Ok(None)
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks").field("body", &self.body).finish_non_exhaustive()
    }
}
