//! Cross-origin requests from the frontends that are configured.
//!
//! The headers go on every answer of the media routes, refusals too: a 404 without them looks like a CORS fault
//! to whoever debugs the page. Source: the Fetch standard, "CORS protocol".

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;

/// `[cors]`: which pages of other origins may read media with scripts.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Origins such as `https://app.example.org`; `*` for any. Empty: none.
    pub origins: Vec<String>,
    /// Whether these pages may send the token cookie. Not with `*`.
    pub credentials: bool,
    /// How long a browser may keep the answer to a preflight.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
}

/// The parsed rules.
#[derive(Debug)]
pub struct Cors {
    any: bool,
    origins: Box<[HeaderValue]>,
    credentials: bool,
    max_age: HeaderValue,
}

/// What the rules say to a request.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// No origins are configured.
    Off,
    /// The request comes from no listed origin.
    Refused,
    /// It does.
    Allowed {
        /// What to name in the answer.
        origin: HeaderValue,
        /// Whether the browser asks before it sends the request proper.
        preflight: bool,
    },
}

/// Why `[cors]` is refused.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// Not scheme, host and port alone.
    #[error(
        "cors.origins has {0:?}, which is not an origin; write it as https://app.example.org, without a path"
    )]
    OriginInvalid(String),
    /// Browsers refuse the combination, and it would hand every site the user's media.
    #[error(
        "cors.credentials = true needs named origins; \"*\" would let every site read media with the cookie"
    )]
    CredentialsForAnyOrigin,
}

impl Default for Config {
    fn default() -> Self {
        Self { origins: Vec::new(), credentials: false, max_age: Duration::from_mins(10) }
    }
}

impl Cors {
    /// Checks the origins.
    pub fn build(config: &Config) -> Result<Self, ConfigError> {
        let any = config.origins.iter().any(|origin| origin == "*");
        if any && config.credentials {
            return Err(ConfigError::CredentialsForAnyOrigin);
        }
        let named = config.origins.iter().filter(|origin| *origin != "*");
        Ok(Self {
            any,
            origins: named.map(|text| parse_origin(text)).collect::<Result<_, _>>()?,
            credentials: config.credentials,
            max_age: HeaderValue::from(config.max_age.as_secs()),
        })
    }

    /// Judges a request. The origin's own value is never reflected unless it is listed.
    pub fn judge(&self, request: &HeaderMap) -> Verdict {
        if !self.any && self.origins.is_empty() {
            return Verdict::Off;
        }
        let Some(origin) = request.get(header::ORIGIN) else { return Verdict::Refused };
        let origin = match self.origins.iter().find(|own| *own == origin) {
            Some(own) => own.clone(),
            None if self.any => HeaderValue::from_static("*"),
            None => return Verdict::Refused,
        };
        Verdict::Allowed { origin, preflight: request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) }
    }

    /// Adds to an answer what the verdict on its request asks for.
    pub fn decorate(&self, verdict: Verdict, response: &mut HeaderMap) {
        if !matches!(verdict, Verdict::Off) {
            response.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Verdict::Allowed { origin, preflight } = verdict else { return };
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        if self.credentials {
            response.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if preflight {
            response.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            response.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
    }
}

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, range, if-match, if-none-match, if-modified-since, if-unmodified-since, if-range, x-request-id",
);
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "accept-ranges, content-disposition, content-encoding, content-length, content-range, etag, last-modified, \
     retry-after, www-authenticate, x-request-id",
);

/// An origin as browsers send it: `scheme://host[:port]`, lower case, nothing behind.
fn parse_origin(text: &str) -> Result<HeaderValue, ConfigError> {
    let refused = || ConfigError::OriginInvalid(text.to_owned());
    let uri: http::Uri = text.parse().map_err(|_| refused())?;
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    let bare = !text.ends_with('/') && matches!(uri.path(), "" | "/") && uri.query().is_none();
    let lower = !text.chars().any(char::is_uppercase);
    if web && bare && lower { HeaderValue::from_str(text).map_err(|_| refused()) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(config: &Config, origin: &str, preflight: bool) -> HeaderMap {
        let mut request = HeaderMap::new();
        request.insert(header::ORIGIN, origin.parse().unwrap());
        if preflight {
            request.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("GET"));
        }
        let mut response = HeaderMap::new();
        let cors = Cors::build(config).unwrap();
        cors.decorate(cors.judge(&request), &mut response);
        response
    }

    #[test]
    fn only_listed_origins_are_named() {
        let config = Config {
            origins: vec!["https://app.example.org".into()],
            credentials: true,
            ..Config::default()
        };
        let own = answer(&config, "https://app.example.org", true);
        assert_eq!(own[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example.org");
        assert_eq!(own[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(own[header::ACCESS_CONTROL_MAX_AGE], "600");
        for origin in
            ["https://evil.example", "null", "https://app.example.org.evil.example", "http://app.example.org"]
        {
            let other = answer(&config, origin, true);
            assert!(!other.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), "{origin}");
            assert_eq!(other[header::VARY], "Origin", "{origin}");
        }
        assert!(answer(&Config::default(), "https://app.example.org", true).is_empty());
        let any = Config { origins: vec!["*".into()], ..Config::default() };
        assert_eq!(answer(&any, "https://x.example", false)[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }

    #[test]
    fn origins_are_checked() {
        for origin in [
            "app.example.org",
            "https://app.example.org/",
            "https://app.example.org/x",
            "ftp://x",
            "HTTPS://X",
        ] {
            let config = Config { origins: vec![origin.into()], ..Config::default() };
            assert_eq!(
                Cors::build(&config).err(),
                Some(ConfigError::OriginInvalid(origin.into())),
                "{origin}"
            );
        }
        let config = Config { origins: vec!["*".into()], credentials: true, ..Config::default() };
        assert_eq!(Cors::build(&config).err(), Some(ConfigError::CredentialsForAnyOrigin));
    }
}
