//! The URL of an S3 server: `https://host[:port]` and nothing else.

use std::fmt;

use http::Uri;
use serde::{Deserialize, Serialize};

/// Where an S3 server is: `http://` or `https://`, a host, perhaps a port. A path would change what is signed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct EndpointUrl(Uri);

/// Why a text is no endpoint. The text is not quoted: it may hold a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseEndpointError {
    /// Another scheme, or no host.
    #[error("not a URL; write it as https://host[:port]")]
    NotAUrl,
    /// `https://name:password@host`.
    #[error("it names a user; keys go into access_key_id and secret_access_key")]
    UserInfo,
    /// Something behind the host.
    #[error("it has a path; an endpoint is only https://host[:port]")]
    Path,
}

impl EndpointUrl {
    /// Parses and checks the URL.
    pub fn parse(text: &str) -> Result<Self, ParseEndpointError> {
        let uri: Uri = text.trim().parse().map_err(|_| ParseEndpointError::NotAUrl)?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(ParseEndpointError::NotAUrl);
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(ParseEndpointError::UserInfo);
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(ParseEndpointError::Path);
        }
        Ok(Self(uri))
    }

    /// The URL.
    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The `http` crate writes an empty path as "/".
        f.write_str(self.0.to_string().trim_end_matches('/'))
    }
}

impl TryFrom<String> for EndpointUrl {
    type Error = ParseEndpointError;

    fn try_from(text: String) -> Result<Self, ParseEndpointError> {
        Self::parse(&text)
    }
}

impl From<EndpointUrl> for String {
    fn from(url: EndpointUrl) -> Self {
        url.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_scheme_and_host() {
        for (text, want) in [
            ("https://s3.example.org", Ok("https://s3.example.org")),
            (" http://127.0.0.1:3900/ ", Ok("http://127.0.0.1:3900")),
            ("http://[::1]:9000", Ok("http://[::1]:9000")),
            ("s3.example.org", Err(ParseEndpointError::NotAUrl)),
            ("ftp://h", Err(ParseEndpointError::NotAUrl)),
            ("https://", Err(ParseEndpointError::NotAUrl)),
            ("", Err(ParseEndpointError::NotAUrl)),
            ("https://a:b@h", Err(ParseEndpointError::UserInfo)),
            ("https://h/bucket", Err(ParseEndpointError::Path)),
            ("https://h?x=1", Err(ParseEndpointError::Path)),
        ] {
            let got = EndpointUrl::parse(text).map(|url| url.to_string());
            assert_eq!(got.as_deref(), want.as_ref().copied(), "{text}");
        }
    }
}
