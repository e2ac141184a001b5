//! Presigned URLs, and the cache in front of making them.
//!
//! A presigned URL is a credential: it is shown by [`PresignedUrl::expose`] and by the header made of it, and
//! by nothing else.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytesize::ByteSize;
use http::HeaderValue;
use moka::{Equivalent, Expiry, sync::Cache};

use super::{Connection, Error, window::Window};
use crate::object::ObjectKey;

/// The method that a URL is signed for. A HEAD never rides on a GET's signature.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PresignMethod {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
}

impl PresignMethod {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
        }
    }
}

/// What shall be presigned.
#[derive(Clone, Copy, Debug)]
pub struct PresignRequest<'a> {
    /// The one method that the URL is good for.
    pub method: PresignMethod,
    /// The one object.
    pub key: &'a ObjectKey,
    /// How long the URL lives from its window's begin; taken as 2 s to 7 days.
    pub ttl: Duration,
    /// The URL ends at this time at the latest: the end of the token.
    pub not_after: SystemTime,
    /// The `Content-Type` that S3 shall answer with.
    pub content_type: Option<&'a str>,
    /// The `Content-Disposition` that S3 shall answer with.
    pub content_disposition: Option<&'a str>,
}

/// A URL that whoever has it may use until it ends.
#[derive(Clone)]
pub struct PresignedUrl {
    /// Visible ASCII, since it is made of encoded parts; marked as sensitive.
    header: HeaderValue,
    expires_at: SystemTime,
}

impl PresignedUrl {
    pub(crate) fn new(url: String, expires_at: SystemTime) -> Self {
        let mut header = HeaderValue::try_from(url).expect("a URL made of encoded parts is visible ASCII");
        header.set_sensitive(true);
        Self { header, expires_at }
    }

    /// The value for `Location`; shares its bytes.
    pub fn to_header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// The URL itself.
    pub fn expose(&self) -> &str {
        self.header.to_str().unwrap_or_default()
    }

    /// When S3 begins to refuse it.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

impl fmt::Debug for PresignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresignedUrl").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl fmt::Display for PresignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[presigned url]")
    }
}

/// Presigned URLs by what they are made of, bounded in bytes. Cheap to clone: clones share the entries.
#[derive(Clone)]
pub struct Presigner {
    urls: Cache<Signed, Cached>,
}

impl Presigner {
    /// A cache of about `capacity` bytes of URLs.
    pub fn new(capacity: ByteSize) -> Self {
        // An entry's own weight, measured roughly: two words of key, map and queues of the cache.
        const ENTRY: usize = 256;
        let weight = |signed: &Signed, cached: &Cached| {
            let bytes = ENTRY + signed.key.as_str().len() + cached.url.header.len();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let urls =
            Cache::builder().max_capacity(capacity.as_u64()).weigher(weight).expire_after(UntilEnd).build();
        Self { urls }
    }

    /// The URL of this window: from the cache, or signed now.
    pub fn presign(
        &self,
        connection: &Connection,
        request: &PresignRequest<'_>,
        now: SystemTime,
    ) -> Result<Arc<PresignedUrl>, Error> {
        let (signer, window) = connection.presign_window(request, now)?;
        let asked = Asked {
            signer: signer.id(),
            window,
            method: request.method,
            key: request.key,
            content_type: request.content_type,
            content_disposition: request.content_disposition,
        };
        if let Some(cached) = self.urls.get(&asked) {
            connection.metrics().presign_hits.inc();
            return Ok(cached.url);
        }
        connection.metrics().presign_misses.inc();
        let url = Arc::new(signer.presign(connection.public_endpoint(), request, window));
        let left = url.expires_at.duration_since(now).unwrap_or_default();
        self.urls.insert(asked.to_signed(), Cached { url: Arc::clone(&url), left });
        Ok(url)
    }
}

impl fmt::Debug for Presigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presigner").field("entries", &self.urls.entry_count()).finish_non_exhaustive()
    }
}

/// Everything that a URL depends on. The signer stands for the connection and its credentials.
#[derive(Eq, Hash, PartialEq)]
struct Signed {
    signer: u64,
    window: Window,
    method: PresignMethod,
    key: ObjectKey,
    content_type: Option<Box<str>>,
    content_disposition: Option<Box<str>>,
}

/// [`Signed`] by reference, so that a hit allocates nothing. Its fields stand in the same order, and so
/// hash alike.
#[derive(Hash)]
struct Asked<'a> {
    signer: u64,
    window: Window,
    method: PresignMethod,
    key: &'a ObjectKey,
    content_type: Option<&'a str>,
    content_disposition: Option<&'a str>,
}

impl Asked<'_> {
    fn to_signed(&self) -> Signed {
        Signed {
            signer: self.signer,
            window: self.window,
            method: self.method,
            key: self.key.clone(),
            content_type: self.content_type.map(Into::into),
            content_disposition: self.content_disposition.map(Into::into),
        }
    }
}

impl Equivalent<Signed> for Asked<'_> {
    fn equivalent(&self, other: &Signed) -> bool {
        self.signer == other.signer
            && self.window == other.window
            && self.method == other.method
            && *self.key == other.key
            && self.content_type == other.content_type.as_deref()
            && self.content_disposition == other.content_disposition.as_deref()
    }
}

#[derive(Clone)]
struct Cached {
    url: Arc<PresignedUrl>,
    left: Duration,
}

/// Lets go of URLs that have ended. Which URL is answered is decided by the window in its key alone.
struct UntilEnd;

impl Expiry<Signed, Cached> for UntilEnd {
    fn expire_after_create(&self, _: &Signed, cached: &Cached, _: Instant) -> Option<Duration> {
        Some(cached.left)
    }
}
