//! AWS Signature Version 4 for the two shapes that this product sends: `GET` and `HEAD` without a body, signed
//! in the query (presigned) or in headers.
//!
//! The crate `aws-sigv4` derives the signing key, once per credentials and day; the canonical request of
//! these two shapes is short enough to be written here, which spares parsing our own URL again and four HMACs
//! for each signature. Unit tests compare with that crate's own signer and with botocore, byte for byte.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwapOption;
use aws_credential_types::Credentials;
use aws_lc_rs::{digest, hmac};
use aws_sigv4::sign::v4::generate_signing_key;
use http::HeaderValue;

use super::{
    PresignRequest,
    endpoint::{Endpoint, encode},
    presign::PresignedUrl,
    window::Window,
};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// SHA-256 of nothing, in hex: the payload of every signed request here.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Signs for one region with one set of credentials.
pub(crate) struct Signer {
    /// Tells these credentials from any others in a cache; random, and nothing else depends on it.
    id: u64,
    credentials: Credentials,
    token_in_query: Option<Box<str>>,
    region: Box<str>,
    /// The key of the day that was last signed for. Two days alternate for a moment after midnight, when
    /// windows still begin on the day before; each change costs four HMACs.
    day: ArcSwapOption<DayKey>,
    /// The second that was last signed for.
    moment: ArcSwapOption<Moment>,
}

struct DayKey {
    date: Box<str>,
    key: hmac::Key,
}

/// What all signatures of one second share, so that it is written once and not for each.
struct Moment {
    /// Since the epoch.
    second: u64,
    /// The second as `20260102T030405Z`.
    stamp: String,
    /// `20260102/eu-west-1/s3/aws4_request`.
    scope: String,
    /// Of what is signed, everything before the hash of the request.
    prefix: String,
    day: Arc<DayKey>,
}

impl Signer {
    /// Takes the credentials over. `None` when they have characters that fit no header.
    pub(crate) fn build(credentials: Credentials, region: &str) -> Option<Self> {
        let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let token = credentials.session_token();
        if !is_plain(credentials.access_key_id()) || !token.is_none_or(is_plain) {
            return None;
        }
        Some(Self {
            id: fastrand::u64(..),
            token_in_query: credentials.session_token().map(|token| encode(token).into()),
            credentials,
            region: region.into(),
            day: ArcSwapOption::empty(),
            moment: ArcSwapOption::empty(),
        })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Signs in the query: only the host header is signed, and the payload is not.
    pub(crate) fn presign(
        &self,
        endpoint: &Endpoint,
        request: &PresignRequest<'_>,
        window: Window,
    ) -> PresignedUrl {
        let moment = self.moment(window.signed_at());
        let path = endpoint.object_path(request.key);
        let overrides = Overrides::of(request);
        let credential = [self.credentials.access_key_id(), "/", &moment.scope].concat();
        let credential = encode(&credential);
        let query = PresignQuery {
            credential: &credential,
            date: &moment.stamp,
            expires: window.expires,
            token: self.token_in_query.as_deref(),
        };
        let host = text(endpoint.host());
        let mut canonical = String::with_capacity(512 + path.len() + self.token_len());
        canonical.extend([request.method.as_str(), "\n", &path, "\n"]);
        query.write_canonical(&mut canonical);
        overrides.write_canonical(&mut canonical);
        canonical.extend(["\nhost:", host, "\n\nhost\nUNSIGNED-PAYLOAD"]);
        let signature = moment.signature(&canonical);
        let mut url = String::with_capacity(canonical.len() + 256);
        url.extend([endpoint.origin().as_str(), &path, "?"]);
        overrides.write_wire(&mut url);
        query.write_wire(&mut url);
        url.extend(["&X-Amz-Signature=", signature.as_str()]);
        PresignedUrl::new(url, window.ends())
    }

    /// Signs in headers: the host, the (empty) payload, the time and the session token.
    /// `put` takes each of them, its value in parts.
    pub(crate) fn sign(
        &self,
        parts: &Unsigned<'_>,
        at: SystemTime,
        mut put: impl FnMut(&'static str, &[&str]),
    ) {
        let moment = self.moment(at);
        let Moment { stamp, scope, .. } = &*moment;
        let (id, token) = (self.credentials.access_key_id(), self.credentials.session_token());
        let signed = match token {
            Some(_) => "host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
            None => "host;x-amz-content-sha256;x-amz-date",
        };
        let Unsigned { method, host, path, query } = *parts;
        let host = text(host);
        let mut canonical = String::with_capacity(512 + path.len() + query.len() + self.token_len());
        canonical.extend([method, "\n", path, "\n", query, "\nhost:", host]);
        canonical.extend(["\nx-amz-content-sha256:", EMPTY_SHA256, "\nx-amz-date:", stamp, "\n"]);
        if let Some(token) = token {
            canonical.extend(["x-amz-security-token:", token, "\n"]);
        }
        canonical.extend(["\n", signed, "\n", EMPTY_SHA256]);
        let signature = moment.signature(&canonical);
        let signature = signature.as_str();
        put("host", &[host]);
        put("x-amz-content-sha256", &[EMPTY_SHA256]);
        put("x-amz-date", &[stamp]);
        let value = [
            ALGORITHM,
            " Credential=",
            id,
            "/",
            scope,
            ", SignedHeaders=",
            signed,
            ", Signature=",
            signature,
        ];
        put("authorization", &value);
        if let Some(token) = token {
            put("x-amz-security-token", &[token]);
        }
    }

    fn token_len(&self) -> usize {
        self.token_in_query.as_deref().map_or(0, str::len)
    }

    fn moment(&self, at: SystemTime) -> Arc<Moment> {
        let second = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if let Some(moment) = &*self.moment.load()
            && moment.second == second
        {
            return Arc::clone(moment);
        }
        let mut stamp = humantime::format_rfc3339_seconds(at).to_string();
        stamp.retain(|c| c.is_ascii_alphanumeric());
        let date = stamp.split('T').next().unwrap_or_default();
        let scope = format!("{date}/{}/s3/aws4_request", self.region);
        let prefix = format!("{ALGORITHM}\n{stamp}\n{scope}\n");
        let day = self.day_key(date, at);
        let moment = Arc::new(Moment { second, stamp, scope, prefix, day });
        self.moment.store(Some(Arc::clone(&moment)));
        moment
    }

    fn day_key(&self, date: &str, at: SystemTime) -> Arc<DayKey> {
        if let Some(day) = self.day.load_full().filter(|day| *day.date == *date) {
            return day;
        }
        let secret = self.credentials.secret_access_key();
        let key = generate_signing_key(secret, at, &self.region, "s3");
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
        let day = Arc::new(DayKey { date: date.into(), key });
        self.day.store(Some(Arc::clone(&day)));
        day
    }
}

impl Moment {
    fn signature(&self, canonical: &str) -> Hex {
        let hash = Hex::of(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let mut signing = hmac::Context::with_key(&self.day.key);
        signing.update(self.prefix.as_bytes());
        signing.update(hash.as_str().as_bytes());
        Hex::of(signing.sign().as_ref())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("region", &self.region).finish_non_exhaustive()
    }
}

/// What is signed of a request that carries its signature in headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsigned<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a HeaderValue,
    /// Encoded.
    pub(crate) path: &'a str,
    /// Encoded, its names in order.
    pub(crate) query: &'a str,
}

/// The headers that S3 shall answer with in place of the stored ones, encoded.
struct Overrides {
    content_type: Option<String>,
    content_disposition: Option<String>,
}

impl Overrides {
    fn of(request: &PresignRequest<'_>) -> Self {
        let pair = |name, value: Option<&str>| value.map(|value| format!("{name}={}", encode(value)));
        Self {
            content_type: pair("response-content-type", request.content_type),
            content_disposition: pair("response-content-disposition", request.content_disposition),
        }
    }

    /// In the order of their names, behind the parameters of the signature.
    fn write_canonical(&self, query: &mut String) {
        for pair in self.content_disposition.iter().chain(&self.content_type) {
            query.extend(["&", pair]);
        }
    }

    /// In the order in which they stand in the URL, before the parameters of the signature.
    fn write_wire(&self, query: &mut String) {
        for pair in self.content_type.iter().chain(&self.content_disposition) {
            query.extend([pair, "&"]);
        }
    }
}

/// The parameters of a signature in a query, encoded.
struct PresignQuery<'a> {
    credential: &'a str,
    date: &'a str,
    expires: u32,
    token: Option<&'a str>,
}

impl PresignQuery<'_> {
    /// In the order of their names.
    fn write_canonical(&self, query: &mut String) {
        self.write_beginning(query);
        self.write_token(query);
        query.push_str(SIGNED_HOST);
    }

    /// In botocore's order.
    fn write_wire(&self, query: &mut String) {
        self.write_beginning(query);
        query.push_str(SIGNED_HOST);
        self.write_token(query);
    }

    fn write_beginning(&self, query: &mut String) {
        let Self { credential, date, expires, .. } = self;
        query.extend(["X-Amz-Algorithm=", ALGORITHM, "&X-Amz-Credential=", credential, "&X-Amz-Date=", date]);
        query.extend(["&X-Amz-Expires=", &expires.to_string()]);
    }

    fn write_token(&self, query: &mut String) {
        if let Some(token) = self.token {
            query.extend(["&X-Amz-Security-Token=", token]);
        }
    }
}

const SIGNED_HOST: &str = "&X-Amz-SignedHeaders=host";

/// A SHA-256 or an HMAC of it, in hex.
struct Hex([u8; 64]);

impl Hex {
    fn of(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [b'0'; 64];
        for (pair, byte) in hex.as_chunks_mut().0.iter_mut().zip(bytes) {
            *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        }
        Self(hex)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn text(host: &HeaderValue) -> &str {
    host.to_str().expect("an endpoint's host is visible ASCII")
}

#[cfg(test)]
mod tests;
