//! Where a bucket is found: scheme, host and the path in front of its keys.
//!
//! The rules are botocore's, so that a presigned URL is the one its users know, with one exception: without
//! an endpoint the host always names the region, since the global host answers 307 for a young bucket of
//! another region, and a redirect breaks the signature.

use std::{borrow::Cow, fmt::Write as _};

use http::{HeaderValue, Uri, uri::Scheme};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Error;
use crate::{
    egress::Origin,
    object::{Bucket, ObjectKey},
    storage::Addressing,
};

/// RFC 3986 "unreserved" stays: what AWS calls URI encoding, and what botocore does.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const UNRESERVED_AND_SLASH: &AsciiSet = &UNRESERVED.remove(b'/');

/// Percent-encodes a query's name or value.
pub(crate) fn encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, UNRESERVED).into()
}

/// One bucket at one host.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Scheme and authority as configured: `https://media.s3.eu-west-1.amazonaws.com`.
    origin: Origin,
    /// What is signed: the host in lowercase, its port unless it is the scheme's own.
    host: HeaderValue,
    /// What stands before `/key`: empty, or `/bucket`.
    base_path: Box<str>,
}

impl Endpoint {
    /// Settles scheme, host and path. `endpoint` absent means AWS.
    pub(crate) fn build(
        endpoint: Option<&Uri>,
        region: &str,
        bucket: &Bucket,
        addressing: Addressing,
    ) -> Result<Self, Error> {
        check_region(region)?;
        let in_host_by_default = endpoint.is_none();
        let endpoint = match endpoint {
            Some(endpoint) => endpoint,
            None => &aws_endpoint(region)?,
        };
        let (scheme, authority) = checked(endpoint)?;
        let is_tls = *scheme == Scheme::HTTPS;
        let in_host = match addressing {
            Addressing::Auto => in_host_by_default,
            Addressing::Path => false,
            Addressing::Virtual => true,
        } && fits_host(bucket, authority.host(), is_tls);
        let base = endpoint.path().trim_end_matches('/');
        let (prefix, base_path) = if in_host {
            (format!("{bucket}."), base.into())
        } else {
            (String::new(), format!("{base}/{bucket}"))
        };
        let mut host = format!("{prefix}{}", authority.host()).to_ascii_lowercase();
        if let Some(port) = authority.port_u16().filter(|port| *port != if is_tls { 443 } else { 80 }) {
            write!(host, ":{port}").map_err(|_| Error::EndpointInvalid)?;
        }
        let origin = format!("{scheme}://{prefix}{authority}").parse().map_err(|_| Error::EndpointInvalid)?;
        Ok(Self {
            origin: Origin::of(&origin).ok_or(Error::EndpointInvalid)?,
            host: HeaderValue::try_from(host).map_err(|_| Error::EndpointInvalid)?,
            base_path: base_path.into(),
        })
    }

    /// Scheme and authority, as URLs have them.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The value of the `Host` header, as it is signed.
    pub(crate) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// What stands before `/key` as a URL, for a client that joins the two by itself. The host is the one
    /// that is signed.
    pub(crate) fn base_url(&self) -> String {
        let scheme = self.origin.as_str().split("://").next().unwrap_or_default();
        format!("{scheme}://{}{}", self.host.to_str().unwrap_or_default(), self.base_path)
    }

    /// The path of an object: encoded once, never normalised.
    pub(crate) fn object_path(&self, key: &ObjectKey) -> String {
        let mut path = String::with_capacity(self.base_path.len() + 1 + key.as_str().len() + 32);
        path.push_str(&self.base_path);
        path.push('/');
        path.extend(utf8_percent_encode(key.as_str(), UNRESERVED_AND_SLASH));
        path
    }
}

fn checked(endpoint: &Uri) -> Result<(&Scheme, &http::uri::Authority), Error> {
    let scheme = endpoint.scheme().ok_or(Error::EndpointInvalid)?;
    let authority = endpoint.authority().ok_or(Error::EndpointInvalid)?;
    let is_http = *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
    // A name and password in a URL would reach browsers.
    let is_plain = !authority.as_str().contains('@')
        && endpoint.query().is_none()
        && endpoint.path().bytes().all(|byte| byte.is_ascii_graphic());
    if is_http && is_plain && !authority.host().is_empty() {
        Ok((scheme, authority))
    } else {
        Err(Error::EndpointInvalid)
    }
}

/// A region stands in hosts, in URLs and in headers.
fn check_region(region: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !region.is_empty() && region.bytes().all(allowed) { Ok(()) } else { Err(Error::RegionInvalid) }
}

/// The partition that a region belongs to, as ARNs have it (botocore, `partitions.json`).
pub(crate) fn partition(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ if region.starts_with("eusc-") => "aws-eusc",
        _ if region.starts_with("us-iso-") => "aws-iso",
        _ if region.starts_with("us-isob-") => "aws-iso-b",
        _ if region.starts_with("us-isof-") => "aws-iso-f",
        _ if region.starts_with("eu-isoe-") => "aws-iso-e",
        _ => "aws",
    }
}

/// The regional endpoint (botocore, `partitions.json`).
fn aws_endpoint(region: &str) -> Result<Uri, Error> {
    let suffix = match region {
        _ if region.starts_with("cn-") => "amazonaws.com.cn",
        _ if region.starts_with("eusc-") => "amazonaws.eu",
        _ if region.starts_with("us-iso-") => "c2s.ic.gov",
        _ if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        _ if region.starts_with("us-isof-") => "csp.hci.ic.gov",
        _ if region.starts_with("eu-isoe-") => "cloud.adc-e.uk",
        _ => "amazonaws.com",
    };
    format!("https://s3.{region}.{suffix}").parse().map_err(|_| Error::RegionInvalid)
}

/// Whether a bucket's name can be the first label of a host; with dots only without TLS, where no
/// certificate has to match.
fn fits_host(bucket: &Bucket, host: &str, is_tls: bool) -> bool {
    let name = bucket.as_str();
    let is_label = |label: &str| {
        let hyphen = label.starts_with('-') || label.ends_with('-');
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && !hyphen && label.bytes().all(allowed)
    };
    name.split('.').all(is_label)
        && !(is_tls && name.contains('.'))
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !host.starts_with('[')
        && host.parse::<std::net::Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(endpoint: Option<&str>, region: &str) -> Result<Endpoint, Error> {
        let endpoint = endpoint.map(|text| text.parse::<Uri>().unwrap());
        Endpoint::build(endpoint.as_ref(), region, &Bucket::parse("media").unwrap(), Addressing::Auto)
    }

    // The good ones are compared with botocore's in sign/tests.rs.
    #[test]
    fn what_is_no_endpoint() {
        for endpoint in [
            "/path",
            "s3.example.com",
            "ftp://s3.example.com",
            "http://name:word@s3.example.com",
            "http://h/?a=b",
            "http://h/ä",
        ] {
            assert!(matches!(build(Some(endpoint), "garage"), Err(Error::EndpointInvalid)), "{endpoint}");
        }
        for region in ["", "eu west", "eu/west", "eu\nwest", "évora", "eu-west-1#"] {
            assert!(matches!(build(None, region), Err(Error::RegionInvalid)), "{region:?}");
            assert!(matches!(build(Some("http://h"), region), Err(Error::RegionInvalid)), "{region:?}");
        }
    }

    #[test]
    fn the_path_is_encoded_once_and_never_normalised() {
        for (endpoint, key, want) in [
            ("http://h", "a//b", "/media/a//b"),
            ("http://h/", "/a", "/media//a"),
            ("http://h/base/", "%2e%2e/x", "/base/media/%252e%252e/x"),
            ("http://h", "//evil.example/", "/media///evil.example/"),
            ("http://h", "\\\\evil.example", "/media/%5C%5Cevil.example"),
        ] {
            let endpoint = build(Some(endpoint), "garage").unwrap();
            assert_eq!(endpoint.object_path(&ObjectKey::parse(key).unwrap()), want, "{key}");
        }
    }
}
