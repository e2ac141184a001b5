//! Presigned URLs, and the cache in front of making them.
//!
//! A presigned URL is a credential: it is shown by [`PresignedUrl::expose`] and by the header made of it, and
//! by nothing else.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use bytesize::ByteSize;
use http::HeaderValue;
use moka::{Expiry, sync::Cache};

use super::{Connection, Error, window::Window};
use crate::{
    fingerprint::{AsItIs, Fingerprint, Fingerprints},
    object::ObjectKey,
};

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
///
/// A URL is remembered when it is asked for the second time within its window. Most objects are looked at once, and to
/// remember a URL takes twice as long as to make it; whoever makes it gets the same one anyway.
#[derive(Clone)]
pub struct Presigner {
    fingerprints: Fingerprints,
    seen: Arc<Seen>,
    urls: Cache<Fingerprint, Cached, AsItIs>,
}

impl Presigner {
    /// A cache of about `capacity` bytes of URLs.
    pub fn new(capacity: ByteSize) -> Self {
        // An entry's own weight, measured roughly: key, map and queues of the cache.
        const ENTRY: usize = 256;
        let weight = |_: &Fingerprint, cached: &Cached| {
            u32::try_from(ENTRY + cached.url.header.len()).unwrap_or(u32::MAX)
        };
        let urls = Cache::builder()
            .max_capacity(capacity.as_u64())
            .weigher(weight)
            .expire_after(UntilEnd)
            .build_with_hasher(AsItIs);
        Self { fingerprints: Fingerprints::new(), seen: Arc::default(), urls }
    }

    /// The URL of this window: from the cache, or signed now.
    pub fn presign(
        &self,
        connection: &Connection,
        request: &PresignRequest<'_>,
        now: SystemTime,
    ) -> Result<Arc<PresignedUrl>, Error> {
        let (signer, window) = connection.presign_window(request, now)?;
        let asked = self.fingerprints.of(&Asked {
            signer: signer.id(),
            window,
            method: request.method,
            key: request.key,
            content_type: request.content_type,
            content_disposition: request.content_disposition,
        });
        if let Some(cached) = self.urls.get(&asked) {
            connection.metrics().presign_hits.inc();
            return Ok(cached.url);
        }
        connection.metrics().presign_misses.inc();
        let url = Arc::new(signer.presign(connection.public_endpoint(), request, window));
        if self.seen.again(asked) {
            let left = url.expires_at.duration_since(now).unwrap_or_default();
            self.urls.insert(asked, Cached { url: Arc::clone(&url), left });
        }
        Ok(url)
    }
}

impl fmt::Debug for Presigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presigner").field("entries", &self.urls.entry_count()).finish_non_exhaustive()
    }
}

/// Everything that a URL depends on. The signer stands for the connection and its credentials.
#[derive(Hash)]
struct Asked<'a> {
    signer: u64,
    window: Window,
    method: PresignMethod,
    key: &'a ObjectKey,
    content_type: Option<&'a str>,
    content_disposition: Option<&'a str>,
}

/// What was asked for lately, one in a slot: the newest takes the place of whatever was there. It may forget, and then a
/// URL is signed once more.
struct Seen(Box<[AtomicU64]>);

impl Seen {
    /// Whether it was asked for before; it is from now on.
    fn again(&self, asked: Fingerprint) -> bool {
        let (slot, mark) = asked.halves();
        let slot = usize::try_from(slot % SLOTS).unwrap_or_default();
        self.0.get(slot).is_some_and(|slot| slot.swap(mark, Relaxed) == mark)
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }
}

#[derive(Clone)]
struct Cached {
    url: Arc<PresignedUrl>,
    left: Duration,
}

/// Lets go of URLs that have ended. Which URL is answered is decided by the window in its fingerprint alone.
struct UntilEnd;

impl Expiry<Fingerprint, Cached> for UntilEnd {
    fn expire_after_create(&self, _: &Fingerprint, cached: &Cached, _: Instant) -> Option<Duration> {
        Some(cached.left)
    }
}

/// Half a megabyte, and what some hundred annotators look at in a window.
const SLOTS: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_seen_again_until_its_slot_is_taken() {
        let (seen, fingerprints) = (Seen::default(), Fingerprints::new());
        let asked: Vec<_> = (0..4 * SLOTS).map(|number| fingerprints.of(&number)).collect();
        let (first, rest) = asked.split_first().unwrap();
        assert!(!seen.again(*first), "the first time");
        assert!(seen.again(*first), "the second time");
        assert!(seen.again(*first), "and from then on");
        assert_eq!(rest.iter().filter(|asked| seen.again(**asked)).count(), 0, "each is another");
        let kept = asked.iter().rev().take(1000).filter(|asked| seen.again(**asked)).count();
        assert!(kept > 950, "the newest are there: {kept}");
        assert!(
            asked.iter().take(1000).filter(|asked| seen.again(**asked)).count() < 100,
            "the oldest are not"
        );
    }
}
