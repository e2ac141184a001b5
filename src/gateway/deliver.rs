//! From a located object to its delivery: a presigned URL, or the object itself.
//!
//! A plain GET, with one range or none, costs one request to S3. Conditions, several ranges, `If-Range` and HEAD ask
//! for the metadata first, judge by RFC 9110 section 13.2.2, and then read under `If-Match`: S3-compatible servers
//! differ in what they make of conditions, and a precondition is judged before a range.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, Method};
use moka::sync::Cache;

use super::{
    Error,
    locate::Storage,
    multipart::{MultipartBody, Source},
    response::content_type,
    rules::{Decision, ObjectFacts},
};
use crate::{
    access::{ClientIp, ForcedDelivery, Grant},
    object::{
        ByteRange, Conditions, ContentRange, ETag, IfRange, ObjectKey, ObjectUri, RangeRequest, Verdict,
        coalesce, guess_media_type,
    },
    s3,
    storage::{DeliveryKind, Disposition, Mode},
};

/// An object that the client may have, and the storage that has it: made by the gateway's `locate` only.
#[derive(Debug)]
pub struct Located<'a> {
    /// The storage.
    pub storage: &'a Arc<Storage>,
    /// The object.
    pub object: &'a ObjectUri,
    /// The proof.
    pub grant: &'a Arc<Grant>,
    /// Who asks.
    pub client: ClientIp,
}

/// How the object is delivered.
#[derive(Debug)]
pub enum Delivery {
    /// 303 to this URL.
    Redirect(Arc<s3::PresignedUrl>),
    /// 304: what the client has is still right.
    NotModified(Box<s3::ObjectMeta>),
    /// 200 to a HEAD.
    Head(Box<s3::ObjectMeta>),
    /// 200 or 206 with one range.
    Object(Box<s3::Object>),
    /// 206 with several ranges.
    Ranges(Box<s3::ObjectMeta>, Box<MultipartBody>),
}

/// Chooses deliveries, and remembers what the choice needed.
#[derive(Debug)]
pub struct Deliverer {
    presigner: s3::Presigner,
    /// Size and type of objects, for rules that ask.
    facts: Cache<(Arc<str>, ObjectUri), Arc<ObjectFacts>>,
}

impl Deliverer {
    /// Makes the caches.
    pub fn new(presigner: s3::Presigner) -> Self {
        let facts = Cache::builder().max_capacity(FACTS_ENTRIES).time_to_live(FACTS_TTL).build();
        Self { presigner, facts }
    }

    /// Redirect or stream: as the token says, else as the storage says.
    pub async fn choose(&self, located: &Located<'_>) -> Result<Mode, Error> {
        match (located.grant.delivery(), located.storage.delivery) {
            (Some(ForcedDelivery::Redirect), _) | (None, DeliveryKind::Redirect) => Ok(Mode::Redirect),
            (Some(ForcedDelivery::Stream), _) | (None, DeliveryKind::Stream) => Ok(Mode::Stream),
            (None, DeliveryKind::Rules) => match located.storage.rules.decide(located.client, None) {
                Decision::Decided(mode) => Ok(mode),
                Decision::NeedsFacts => {
                    let facts = Box::pin(self.facts(located)).await?;
                    match located.storage.rules.decide(located.client, Some(&facts)) {
                        Decision::Decided(mode) => Ok(mode),
                        Decision::NeedsFacts => Ok(Mode::Stream),
                    }
                }
            },
        }
    }

    /// A presigned URL for the method of the request. A HEAD never rides on a GET signature.
    pub fn redirect(
        &self,
        located: &Located<'_>,
        method: &Method,
        now: SystemTime,
    ) -> Result<Delivery, Error> {
        let key = &located.object.key;
        let disposition = content_disposition(located.storage.disposition, key);
        let grant = located.grant;
        let request = s3::PresignRequest {
            method: if method == Method::HEAD { s3::PresignMethod::Head } else { s3::PresignMethod::Get },
            key,
            ttl: located.storage.presign_ttl,
            // What an application permits is asked again within a minute. A URL that ended with it would break players
            // that seek and Label Studio's service worker, which keep URLs; so it lives as the storage says.
            not_after: if grant.is_permission() {
                now + located.storage.presign_ttl
            } else {
                grant.expires_at()
            },
            content_type: guess_media_type(key),
            content_disposition: disposition.as_deref(),
        };
        Ok(Delivery::Redirect(self.presigner.presign(&located.storage.connection, &request, now)?))
    }

    async fn facts(&self, located: &Located<'_>) -> Result<Arc<ObjectFacts>, Error> {
        let name: Arc<str> = located.storage.name().as_str().into();
        let id = (name, located.object.clone());
        if let Some(facts) = self.facts.get(&id) {
            return Ok(facts);
        }
        let meta = located.storage.connection.head(&located.object.key).await?;
        let content_type =
            content_type(meta.content_type.clone(), &located.object.key).to_str().unwrap_or_default().into();
        let facts = Arc::new(ObjectFacts { size: meta.size, content_type });
        self.facts.insert(id, Arc::clone(&facts));
        Ok(facts)
    }
}

/// Reads the object from S3 as the request's method, range and conditions ask.
pub async fn stream(located: &Located<'_>, method: &Method, headers: &HeaderMap) -> Result<Delivery, Error> {
    let range = match Asked::parse(method, headers) {
        Asked::Plain(range) => range,
        Asked::More(more) => return Box::pin(more.read_unchanged(located)).await,
    };
    let connection = &located.storage.connection;
    let key = &located.object.key;
    // Apart from what is done about the error, so that no object is held over that wait.
    let error = match connection.get(key, s3::GetOptions { range, if_match: None }).await {
        Ok(found) => return Ok(object(found)),
        Err(error) => error,
    };
    match error {
        s3::Error::RangeNotSatisfiable { size: Some(size) } => Err(Error::RangeNotSatisfiable { size }),
        s3::Error::RangeNotSatisfiable { size: None } => {
            let size = Box::pin(connection.head(key)).await?.size;
            Err(Error::RangeNotSatisfiable { size })
        }
        error => Err(error.into()),
    }
}

/// What the client asks for.
enum Asked<'a> {
    /// The object or one range of it, whatever they are now.
    Plain(Option<ByteRange>),
    /// Boxed, so that the future of a plain GET has no room for it.
    More(Box<More<'a>>),
}

/// What the client asks beyond a plain GET.
struct More<'a> {
    method: &'a Method,
    range: RangeRequest,
    conditions: Conditions,
    if_range: Option<IfRange>,
}

impl<'a> Asked<'a> {
    fn parse(method: &'a Method, headers: &HeaderMap) -> Self {
        // Range is defined for GET alone (RFC 9110 section 14.2).
        let range = if method == Method::GET { RangeRequest::parse(headers) } else { RangeRequest::Whole };
        let conditions = Conditions::parse(headers);
        let if_range = IfRange::parse(headers).filter(|_| !matches!(range, RangeRequest::Whole));
        let plain = method == Method::GET && conditions.is_empty() && if_range.is_none();
        match range {
            RangeRequest::Whole if plain => Self::Plain(None),
            RangeRequest::One(range) if plain => Self::Plain(Some(range)),
            range => Self::More(Box::new(More { method, range, conditions, if_range })),
        }
    }
}

impl More<'_> {
    /// Reads anew while the object changes in between.
    async fn read_unchanged(&self, located: &Located<'_>) -> Result<Delivery, Error> {
        for _ in 0..READS_OF_A_CHANGING_OBJECT {
            match self.read(located).await {
                Err(Error::S3(s3::Error::PreconditionFailed)) => {}
                answer => return answer,
            }
        }
        Err(Error::ObjectUnstable)
    }

    /// Metadata, judgement, read. Fails with S3's 412 when the object changed in between.
    async fn read(&self, located: &Located<'_>) -> Result<Delivery, Error> {
        let connection = &located.storage.connection;
        let key = &located.object.key;
        let meta = Box::new(connection.head(key).await?);
        match self.conditions.evaluate(meta.etag.as_ref(), meta.modified_at()) {
            Verdict::Proceed => {}
            Verdict::NotModified => return Ok(Delivery::NotModified(meta)),
            Verdict::PreconditionFailed => return Err(Error::PreconditionFailed),
        }
        if self.method == Method::HEAD {
            return Ok(Delivery::Head(meta));
        }
        let if_match = meta.etag.clone().filter(|etag| !etag.is_weak());
        let range = match (self.ranges(&meta)?, &if_match) {
            (Some(ranges), Some(etag)) if ranges.len() > 1 => {
                return Ok(several(located, meta, etag.clone(), ranges));
            }
            // Nothing but a strong entity tag holds several parts together: without one, the whole object.
            (Some(ranges), _) => match ranges.as_slice() {
                [one] => Some(ByteRange::FromTo { first: one.start, last: one.end - 1 }),
                _ => None,
            },
            (None, _) => None,
        };
        Ok(object(connection.get(key, s3::GetOptions { range, if_match }).await?))
    }

    /// The satisfiable ranges; `None` for the whole object.
    fn ranges(&self, meta: &s3::ObjectMeta) -> Result<Option<Vec<Range<u64>>>, Error> {
        let asked = match &self.range {
            RangeRequest::Whole => return Ok(None),
            RangeRequest::One(range) => std::slice::from_ref(range),
            RangeRequest::Many(ranges) => ranges,
        };
        let changed = self
            .if_range
            .as_ref()
            .is_some_and(|if_range| !if_range.holds(meta.etag.as_ref(), meta.modified_at()));
        if changed {
            return Ok(None);
        }
        let within: Vec<_> = asked.iter().filter_map(|range| range.within(meta.size).ok()).collect();
        if within.is_empty() {
            return Err(Error::RangeNotSatisfiable { size: meta.size });
        }
        Ok(Some(coalesce(within)))
    }
}

fn several(
    located: &Located<'_>,
    meta: Box<s3::ObjectMeta>,
    etag: ETag,
    ranges: Vec<Range<u64>>,
) -> Delivery {
    let key = located.object.key.clone();
    let content_type = content_type(meta.content_type.clone(), &key);
    let source = Source { connection: located.storage.connection.clone(), key, etag, size: meta.size };
    let body = MultipartBody::new(source, ranges, content_type.to_str().unwrap_or(OCTET_STREAM));
    Delivery::Ranges(meta, Box::new(body))
}

/// `Content-Disposition` with the file name of the key (RFC 6266, RFC 8187).
pub fn content_disposition(disposition: Disposition, key: &ObjectKey) -> Option<String> {
    let kind = match disposition {
        Disposition::None => return None,
        Disposition::Inline => "inline",
        Disposition::Attachment => "attachment",
    };
    let name = key.file_name();
    if name.is_empty() {
        return Some(kind.to_owned());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || " !#$&+-.^_`|~()[]{},=@".contains(c);
    let fallback: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if fallback == name {
        return Some(format!("{kind}; filename=\"{fallback}\""));
    }
    let encoded = percent_encoding::utf8_percent_encode(name, NOT_ATTR_CHAR);
    Some(format!("{kind}; filename=\"{fallback}\"; filename*=UTF-8''{encoded}"))
}

fn object(found: s3::Object) -> Delivery {
    Delivery::Object(Box::new(found))
}

impl Delivery {
    /// The range that is sent, for the log.
    pub fn content_range(&self) -> Option<ContentRange> {
        match self {
            Self::Object(object) => object.meta.content_range.clone(),
            Self::Redirect(_) | Self::NotModified(_) | Self::Head(_) | Self::Ranges(..) => None,
        }
    }
}

pub(super) const OCTET_STREAM: &str = "application/octet-stream";
/// Everything but RFC 8187's attr-char.
const NOT_ATTR_CHAR: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');
const READS_OF_A_CHANGING_OBJECT: usize = 2;
const FACTS_ENTRIES: u64 = 100_000;
/// A rule may go by a size or type that is this old.
const FACTS_TTL: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_cannot_break_the_header() {
        for (key, want) in [
            ("a/b/cat.png", "attachment; filename=\"cat.png\""),
            ("a/", "attachment"),
            ("a\"b;c.png", "attachment; filename=\"a_b_c.png\"; filename*=UTF-8''a%22b%3Bc.png"),
            (
                "x\r\nSet-Cookie: a=b",
                "attachment; filename=\"x__Set-Cookie_ a=b\"; filename*=UTF-8''x%0D%0ASet-Cookie%3A%20a%3Db",
            ),
            ("grüße.jpg", "attachment; filename=\"gr__e.jpg\"; filename*=UTF-8''gr%C3%BC%C3%9Fe.jpg"),
            ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ] {
            let key = ObjectKey::parse(key).unwrap();
            let header = content_disposition(Disposition::Attachment, &key).unwrap();
            assert_eq!(header, want, "{key}");
            assert!(http::HeaderValue::from_str(&header).is_ok(), "{key}");
        }
    }
}
