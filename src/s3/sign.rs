//! AWS Signature Version 4 for the two shapes that this product sends: `GET` and `HEAD` without a body, signed
//! in the query (presigned) or in headers.
//!
//! The crate `aws-sigv4` derives the signing key, once per credentials and day; the canonical request of
//! these two shapes is short enough to be written here, which spares parsing our own URL again and four HMACs
//! for each signature. Unit tests compare with that crate's own signer and with botocore, byte for byte.

use std::{fmt, sync::Arc, time::SystemTime};

use arc_swap::ArcSwapOption;
use aws_credential_types::Credentials;
use aws_lc_rs::{digest, hmac};
use aws_sigv4::sign::v4::generate_signing_key;
use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, HOST},
};

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
    token: Option<HeaderValue>,
    token_in_query: Option<Box<str>>,
    region: Box<str>,
    /// The key of the day that was last signed for. Two days alternate for a moment after midnight, when
    /// windows still begin on the day before; each change costs four HMACs.
    day: ArcSwapOption<DayKey>,
}

struct DayKey {
    date: String,
    key: hmac::Key,
}

impl Signer {
    /// Takes the credentials over. `None` when they have characters that fit no header.
    pub(crate) fn build(credentials: Credentials, region: &str) -> Option<Self> {
        let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let token = credentials.session_token();
        if !is_plain(credentials.access_key_id()) || !token.is_none_or(is_plain) {
            return None;
        }
        let mut token = token.map(HeaderValue::from_str).transpose().ok()?;
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        Some(Self {
            id: fastrand::u64(..),
            token,
            token_in_query: credentials.session_token().map(|token| encode(token).into()),
            credentials,
            region: region.into(),
            day: ArcSwapOption::empty(),
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
        let stamp = Stamp::of(window.signed_at());
        let path = endpoint.object_path(request.key);
        let overrides = Overrides::of(request);
        let credential = format!("{}/{}", self.credentials.access_key_id(), self.scope(&stamp));
        let credential = encode(&credential);
        let query = PresignQuery {
            credential: &credential,
            date: &stamp.0,
            expires: window.expires,
            token: self.token_in_query.as_deref(),
        };
        let canonical = format!(
            "{method}\n{path}\n{query}{overrides}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD",
            method = request.method.as_str(),
            query = query.canonical(),
            overrides = overrides.canonical(),
            host = text(endpoint.host()),
        );
        let signature = self.signature(&stamp, &canonical);
        let mut url = String::with_capacity(canonical.len() + 256);
        url.extend([
            endpoint.origin(),
            &path,
            "?",
            &overrides.wire(),
            &query.wire(),
            "&X-Amz-Signature=",
            &signature,
        ]);
        PresignedUrl::new(url, window.ends())
    }

    /// Signs in headers: the host, the (empty) payload, the time and the session token.
    pub(crate) fn sign(&self, parts: &Unsigned<'_>, at: SystemTime) -> HeaderMap {
        let stamp = Stamp::of(at);
        let (token_line, token_name) = match self.credentials.session_token() {
            Some(token) => (format!("x-amz-security-token:{token}\n"), ";x-amz-security-token"),
            None => (String::new(), ""),
        };
        let signed = format!("host;x-amz-content-sha256;x-amz-date{token_name}");
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{EMPTY_SHA256}\n\
             x-amz-date:{date}\n{token_line}\n{signed}\n{EMPTY_SHA256}",
            method = parts.method,
            path = parts.path,
            query = parts.query,
            host = text(parts.host),
            date = stamp.0,
        );
        let signature = self.signature(&stamp, &canonical);
        let authorization = format!(
            "{ALGORITHM} Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}",
            id = self.credentials.access_key_id(),
            scope = self.scope(&stamp),
        );
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(HOST, parts.host.clone());
        headers.insert("x-amz-content-sha256", HeaderValue::from_static(EMPTY_SHA256));
        headers.insert("x-amz-date", visible(stamp.0));
        headers.insert(AUTHORIZATION, sensitive(visible(authorization)));
        if let Some(token) = &self.token {
            headers.insert("x-amz-security-token", token.clone());
        }
        headers
    }

    fn scope(&self, stamp: &Stamp) -> String {
        format!("{}/{}/s3/aws4_request", stamp.date(), self.region)
    }

    fn signature(&self, stamp: &Stamp, canonical: &str) -> String {
        let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let to_sign = format!("{ALGORITHM}\n{}\n{}\n{hash}", stamp.0, self.scope(stamp));
        hex(hmac::sign(&self.day_key(stamp).key, to_sign.as_bytes()).as_ref())
    }

    fn day_key(&self, stamp: &Stamp) -> Arc<DayKey> {
        if let Some(day) = self.day.load_full().filter(|day| day.date == stamp.date()) {
            return day;
        }
        let secret = self.credentials.secret_access_key();
        let key = generate_signing_key(secret, stamp.1, &self.region, "s3");
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
        let day = Arc::new(DayKey { date: stamp.date().to_owned(), key });
        self.day.store(Some(Arc::clone(&day)));
        day
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

/// A signing time as `20260102T030405Z`.
struct Stamp(String, SystemTime);

impl Stamp {
    fn of(at: SystemTime) -> Self {
        let mut stamp = humantime::format_rfc3339_seconds(at).to_string();
        stamp.retain(|c| c.is_ascii_alphanumeric());
        Self(stamp, at)
    }

    fn date(&self) -> &str {
        self.0.split('T').next().unwrap_or_default()
    }
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
    fn canonical(&self) -> String {
        let mut query = String::new();
        for pair in self.content_disposition.iter().chain(&self.content_type) {
            query.extend(["&", pair]);
        }
        query
    }

    /// In the order in which they stand in the URL, before the parameters of the signature.
    fn wire(&self) -> String {
        let mut query = String::new();
        for pair in self.content_type.iter().chain(&self.content_disposition) {
            query.extend([pair, "&"]);
        }
        query
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
    fn canonical(&self) -> String {
        let Self { credential, date, expires, token } = self;
        let mut query = format!(
            "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={credential}&X-Amz-Date={date}&X-Amz-Expires={expires}"
        );
        if let Some(token) = token {
            query.extend(["&X-Amz-Security-Token=", token]);
        }
        query.push_str("&X-Amz-SignedHeaders=host");
        query
    }

    /// In botocore's order.
    fn wire(&self) -> String {
        let Self { credential, date, expires, token } = self;
        let mut query = format!(
            "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={credential}&X-Amz-Date={date}&X-Amz-Expires={expires}\
             &X-Amz-SignedHeaders=host"
        );
        if let Some(token) = token {
            query.extend(["&X-Amz-Security-Token=", token]);
        }
        query
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    text
}

fn text(host: &HeaderValue) -> &str {
    host.to_str().expect("an endpoint's host is visible ASCII")
}

fn visible(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("made of checked credentials, a checked region and a date")
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests;
