//! The hops of `X-Forwarded-For` and of `Forwarded` (RFC 7239), from the right to the left.
//!
//! All lines of a header are one list, in their order. A hop that is not an address is `None`: whether that matters
//! is decided by the walk, which may never come to it. `Forwarded` has quoted strings, so it has to be read from
//! the left; a list that breaks the grammar anywhere has no reliable right end and is refused as a whole.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv6Addr},
};

use http::{HeaderMap, HeaderName, header};

use super::error::Error;

/// Hops from the right to the left.
pub(super) type Hops<'a> = Box<dyn Iterator<Item = Option<IpAddr>> + 'a>;

/// The hops of all `X-Forwarded-For` lines; none when there is no line.
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> Result<Hops<'_>, Error> {
    let lines = lines(headers, &X_FORWARDED_FOR)?;
    let hops = lines.into_iter().rev().flat_map(|line| line.rsplit(','));
    Ok(Box::new(hops.map(|hop| parse_hop(hop.trim_matches(OWS)))))
}

/// The hops of all `Forwarded` lines; none when there is no line.
pub(super) fn forwarded(headers: &HeaderMap) -> Result<Hops<'_>, Error> {
    let mut hops = Vec::new();
    for line in lines(headers, &header::FORWARDED)? {
        let mut rest = line;
        loop {
            let (hop, after) = element(rest).ok_or(Error::ForwardedMalformed)?;
            hops.push(hop);
            match after {
                Some(after) => rest = after,
                None => break,
            }
        }
    }
    Ok(Box::new(hops.into_iter().rev()))
}

fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Vec<&'a str>, Error> {
    let text = |value: &'a http::HeaderValue| value.to_str().map_err(|_| Error::ForwardedMalformed);
    headers.get_all(name).iter().map(text).collect()
}

/// Reads one `for=..;proto=..` up to the comma or the end. Returns its hop and what follows the comma; `None` where
/// the grammar is broken. The hop is `None` where `for` is absent, given twice or no address.
fn element(text: &str) -> Option<(Option<IpAddr>, Option<&str>)> {
    let mut rest = text.trim_start_matches(OWS);
    let (mut hop, mut seen) = (None, 0);
    loop {
        if let Some((name, after)) = rest.split_once('=').filter(|(name, _)| is_token(name)) {
            let (value, after) = value(after)?;
            if name.eq_ignore_ascii_case("for") {
                seen += 1;
                hop = parse_node(&value);
            }
            rest = after.trim_start_matches(OWS);
        }
        let hop = || hop.filter(|_| seen == 1);
        if rest.is_empty() {
            return Some((hop(), None));
        }
        if let Some(after) = rest.strip_prefix(',') {
            return Some((hop(), Some(after)));
        }
        rest = rest.strip_prefix(';')?.trim_start_matches(OWS);
    }
}

/// Reads a token or a quoted string; returns it and what follows.
fn value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !is_token_char(c)).unwrap_or(text.len());
        return text.split_at_checked(end).filter(|_| end > 0).map(|(token, rest)| (token.into(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value.into(), chars.as_str())),
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
    }
}

/// `192.0.2.1`, `192.0.2.1:port`, `[2001:db8::1]`, `[2001:db8::1]:port` (RFC 7239 section 6).
fn parse_node(text: &str) -> Option<IpAddr> {
    if text.starts_with('[') { bracketed(text) } else { v4_with_port(text) }
}

/// As [`parse_node`], and a bare IPv6 address, as most proxies write it to `X-Forwarded-For`.
fn parse_hop(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| parse_node(text))
}

fn bracketed(text: &str) -> Option<IpAddr> {
    let (address, after) = text.strip_prefix('[')?.split_once(']')?;
    if !after.is_empty() && !is_port(after.strip_prefix(':')?) {
        return None;
    }
    address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

fn v4_with_port(text: &str) -> Option<IpAddr> {
    let address = match text.split_once(':') {
        Some((address, port)) => Some(address).filter(|_| is_port(port))?,
        None => text,
    };
    address.parse().ok().map(IpAddr::V4)
}

/// One to five digits, or an obfuscated port such as `_b3`; the address beside it is plain, so it does not matter.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        }
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

/// RFC 9110 section 5.6.2.
fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

const OWS: [char; 2] = [' ', '\t'];
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
