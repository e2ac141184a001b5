//! Everything that is not ours goes to the application behind the gateway.
//!
//! A reverse proxy as RFC 9110 section 7.6 wants it: hop-by-hop headers end here, forwarding headers are written
//! anew unless a trusted proxy wrote them, bodies pass through both ways, WebSockets are joined byte by byte. The
//! gateway's own token never goes along.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body as _;
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use serde::Deserialize;

use super::{
    Error, body::Body, observe::REQUEST_ID, response::HOP_BY_HOP, route::PathPrefix, upload::Upload,
};
use crate::{
    access::{self, ClientIp, ForwardedHeader, Verifier},
    egress::{Egress, HttpClient},
};

/// `[upstream]`: the application behind the gateway.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `http://host[:port]` or `https://...`; a path would have to be taken out of every answer, so there is none.
    pub url: String,
    /// What stands behind.
    #[serde(default)]
    pub kind: Kind,
    /// Where its paths begin, such as Label Studio's script name `/ls`: media paths are guarded there too. Paths go on
    /// as they came.
    #[serde(default)]
    pub prefix: PathPrefix,
    /// Which `Host` the application sees.
    #[serde(default)]
    pub host: HostPolicy,
    /// How long the application may take to begin its answer, counted from the last byte of the request.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    pub timeout: Duration,
}

/// What stands behind the gateway.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Any web application.
    #[default]
    Http,
    /// Label Studio, which is asked who may see what.
    LabelStudio,
}

/// Which `Host` the application sees.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum HostPolicy {
    /// The client's: links that the application builds point to the gateway.
    #[default]
    Preserve,
    /// That of `url`.
    Upstream,
}

/// Why `[upstream]` is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not an address of a server. It is not shown, since it may have a password in it.
    #[error("upstream.url is not http://host[:port] or https://host[:port], without a user and a path")]
    UrlInvalid,
}

/// The application behind the gateway.
#[derive(Debug)]
pub struct Upstream {
    scheme: Scheme,
    authority: Authority,
    host: HostPolicy,
    prefix: PathPrefix,
    timeout: Duration,
    client: HttpClient<Upload>,
}

/// What the gateway knows of who sent the request.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The socket's other end.
    pub peer: IpAddr,
    /// Who is judged to have sent it.
    pub client: ClientIp,
    /// Where `peer` is a trusted proxy, the header that it writes; its forwarding headers stand.
    pub trusted: Option<ForwardedHeader>,
    /// Whether it came by TLS.
    pub tls: bool,
    /// The id of the request.
    pub request_id: &'a HeaderValue,
}

impl Upstream {
    /// Checks the URL and makes the connection pool.
    pub fn build(config: &Config, egress: &Egress) -> Result<Self, ConfigError> {
        let (scheme, authority) = server_of(config)?;
        Ok(Self {
            scheme,
            authority,
            host: config.host,
            prefix: config.prefix.clone(),
            timeout: config.timeout,
            client: egress.forwarding_client(),
        })
    }

    /// Where its paths begin.
    pub fn prefix(&self) -> &PathPrefix {
        &self.prefix
    }

    /// Sends the request on and gives back the answer as it comes.
    pub async fn forward(
        &self,
        parts: Parts,
        body: Incoming,
        sender: Sender<'_>,
        verifier: &Verifier,
    ) -> Result<Response<Body>, Error> {
        let mut request = self.rewrite(parts, body, sender, verifier)?;
        let client_upgrade = upgrade_of(&mut request);
        let pulse = request.body().pulse();
        let answer = tokio::select! {
            answer = self.client.request(request) => answer,
            () = pulse.stopped_for(self.timeout) => return Err(Error::UpstreamTimeout),
        };
        let answer = answer.map_err(|error| Error::UpstreamUnreachable(Box::new(error)))?;
        match client_upgrade {
            Some(client) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => Ok(switch(client, answer)),
            _ if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Err(Error::UpstreamUnreachable("the upstream switched protocols unasked".into()))
            }
            _ => Ok(pass_back(answer)),
        }
    }

    fn rewrite(
        &self,
        mut parts: Parts,
        body: Incoming,
        sender: Sender<'_>,
        verifier: &Verifier,
    ) -> Result<Request<Upload>, Error> {
        if parts.method == Method::CONNECT {
            return Err(Error::ForwardRefused);
        }
        let path = without_our_token(parts.uri.path_and_query(), verifier).ok_or(Error::ForwardRefused)?;
        let host = self.host_header(&parts)?;
        let websocket = asks_for_websocket(&parts);
        let headers = &mut parts.headers;
        strip_hop_by_hop(headers);
        strip_ambiguous_names(headers);
        strip_our_token(headers, verifier);
        join_cookies(headers);
        write_forwarding_headers(headers, sender, &host);
        headers.insert(header::HOST, host);
        if !headers.contains_key(header::CONTENT_LENGTH) && body.size_hint().exact().is_none() {
            // hyper would send a GET of unknown length without its body.
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if websocket {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        parts.version = Version::HTTP_11;
        parts.uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|_| Error::ForwardRefused)?;
        if !websocket {
            parts.extensions.remove::<OnUpgrade>();
        }
        Ok(Request::from_parts(parts, Upload::new(body)))
    }

    fn host_header(&self, parts: &Parts) -> Result<HeaderValue, Error> {
        // Two are an error (RFC 9112 section 3.2): who stands in front may have gone by the other.
        if parts.headers.get_all(header::HOST).iter().count() > 1 {
            return Err(Error::ForwardRefused);
        }
        // HTTP/2 and absolute-form requests name the host in the target, which wins (RFC 9112 section 3.2.2).
        let client = parts.uri.authority().map(|authority| {
            let text = authority.as_str();
            text.rsplit_once('@').map_or(text, |(_, host)| host)
        });
        let client = client.map(HeaderValue::from_str).or(parts.headers.get(header::HOST).cloned().map(Ok));
        match (self.host, client) {
            (HostPolicy::Preserve, Some(host)) => host.map_err(|_| Error::ForwardRefused),
            (HostPolicy::Preserve, None) | (HostPolicy::Upstream, _) => {
                HeaderValue::from_str(self.authority.as_str()).map_err(|_| Error::ForwardRefused)
            }
        }
    }
}

/// The request without tokens of ours, for whoever shows its credentials to the application.
pub fn without_our_tokens(mut parts: Parts, verifier: &Verifier) -> Result<Parts, Error> {
    let target = without_our_token(parts.uri.path_and_query(), verifier).ok_or(Error::ForwardRefused)?;
    let mut uri = parts.uri.into_parts();
    uri.path_and_query = Some(target);
    parts.uri = Uri::from_parts(uri).map_err(|_| Error::ForwardRefused)?;
    strip_our_token(&mut parts.headers, verifier);
    Ok(parts)
}

/// The server that `url` names.
pub fn server_of(config: &Config) -> Result<(Scheme, Authority), ConfigError> {
    let refused = || ConfigError::UrlInvalid;
    let uri: Uri = config.url.parse().map_err(|_| refused())?;
    let parts = uri.into_parts();
    let bare = parts.path_and_query.as_ref().is_none_or(|path| path == "/");
    match (parts.scheme, parts.authority.filter(|authority| !authority.as_str().contains('@'))) {
        (Some(scheme), Some(authority)) if bare && matches!(scheme.as_str(), "http" | "https") => {
            Ok((scheme, authority))
        }
        _ => Err(refused()),
    }
}

/// Whether a person looks at the answer, so that an error should be a page.
pub fn wants_page(headers: &HeaderMap) -> bool {
    let html = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("text/html"));
    headers.get(header::ACCEPT).is_some_and(html)
}

/// The page a person sees when the application is not there.
pub fn error_page(error: &Error) -> Option<Response<Body>> {
    if !matches!(error, Error::UpstreamUnreachable(_) | Error::UpstreamTimeout) {
        return None;
    }
    let status = error.status();
    let text = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{status}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem}}</style>\
         <h1>{}</h1><p>{} Reload the page in a moment.</p></html>",
        status.as_u16(),
        error.public_message()
    );
    let mut response = Response::new(Body::Text(Some(Bytes::from(text))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

/// Removes the hop-by-hop headers, and those that `Connection` names; a client must not name away what a proxy in
/// front of us says of it.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| !speaks_for_proxy(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove("proxy-connection");
}

/// Removes names with `_`: CGI-like applications read them as if they had `-`, so that a client could write
/// `X_Forwarded_For` beside ours.
fn strip_ambiguous_names(headers: &mut HeaderMap) {
    let ambiguous: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().contains('_')).cloned().collect();
    for name in &ambiguous {
        headers.remove(name);
    }
}

/// Removes what is a token of ours from the credentials, and from the address of the page that the request comes
/// from; other credentials are the application's own.
fn strip_our_token(headers: &mut HeaderMap, verifier: &Verifier) {
    let ours = |value: &HeaderValue| {
        let text = value.to_str().ok().and_then(|text| text.split_once([' ', '\t']));
        text.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer") && access::looks_like_ours(token.trim(), verifier)
        })
    };
    if headers.get_all(header::AUTHORIZATION).iter().any(ours) {
        let lines = headers.get_all(header::AUTHORIZATION).iter();
        let kept: Vec<HeaderValue> = lines.filter(|value| !ours(value)).cloned().collect();
        headers.remove(header::AUTHORIZATION);
        for value in kept {
            headers.append(header::AUTHORIZATION, value);
        }
    }
    let referer = headers.get(header::REFERER).and_then(|value| value.to_str().ok());
    let clean = referer.and_then(|text| cut_our_token(text, verifier));
    if let Some(clean) = clean.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(header::REFERER, clean);
    }
}

/// Removes the gateway's cookies, and makes one line of all others: HTTP/2 splits them, HTTP/1.1 may not
/// (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let others = access::cookies_without_ours(headers);
    headers.remove(header::COOKIE);
    if let Some(value) = others {
        headers.insert(header::COOKIE, value);
    }
}

/// The path and query without a `token` of ours; an application may have a `token` parameter of its own.
fn without_our_token(target: Option<&PathAndQuery>, verifier: &Verifier) -> Option<PathAndQuery> {
    let target = target?;
    match cut_our_token(target.as_str(), verifier) {
        Some(text) => text.parse().ok(),
        None => Some(target.clone()),
    }
}

/// A target or URL without the `token` of ours in its query; `None` where there is none.
fn cut_our_token(url: &str, verifier: &Verifier) -> Option<String> {
    let (before, query) = url.split_once('?')?;
    let ours = |pair: &&str| {
        pair.strip_prefix("token=").is_some_and(|value| {
            let text = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            access::looks_like_ours(&text, verifier)
        })
    };
    let all: Vec<&str> = query.split('&').collect();
    let kept: Vec<&str> = all.iter().copied().filter(|pair| !ours(pair)).collect();
    match kept.as_slice() {
        kept if kept.len() == all.len() => None,
        [] => Some(before.to_owned()),
        kept => Some(format!("{before}?{}", kept.join("&"))),
    }
}

/// A trusted proxy's headers stand and get its own address added; anybody else's are replaced.
fn write_forwarding_headers(headers: &mut HeaderMap, sender: Sender<'_>, host: &HeaderValue) {
    let (peer, client) = (sender.peer.to_canonical().to_string(), sender.client.ip().to_string());
    let chain: Vec<&str> = match sender.trusted {
        Some(ForwardedHeader::XForwardedFor) => {
            headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect()
        }
        Some(ForwardedHeader::Forwarded) if client != peer => vec![client.as_str()],
        Some(ForwardedHeader::Forwarded) | None => Vec::new(),
    };
    let chain = chain.into_iter().chain([peer.as_str()]).collect::<Vec<_>>().join(", ");
    if sender.trusted.is_none() {
        let forged: Vec<HeaderName> = headers.keys().filter(|name| speaks_for_proxy(name)).cloned().collect();
        for name in &forged {
            headers.remove(name);
        }
    }
    // What the proxy does not write came from the client.
    if sender.trusted != Some(ForwardedHeader::Forwarded) {
        headers.remove(header::FORWARDED);
    }
    if let Ok(client) = HeaderValue::try_from(client) {
        headers.insert(X_REAL_IP, client);
    }
    if sender.trusted.is_none() || !headers.contains_key(X_FORWARDED_PROTO) {
        headers
            .insert(X_FORWARDED_PROTO, HeaderValue::from_static(if sender.tls { "https" } else { "http" }));
    }
    if sender.trusted.is_none() || !headers.contains_key(X_FORWARDED_HOST) {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
    if let Ok(chain) = HeaderValue::try_from(chain) {
        headers.insert(X_FORWARDED_FOR, chain);
    }
    headers.insert(REQUEST_ID, sender.request_id.clone());
}

/// Headers by which proxies tell applications who asks and for what.
fn speaks_for_proxy(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded") || OF_PROXIES.contains(&name)
}

/// Only a GET by HTTP/1.1 may switch, and only to WebSocket (RFC 6455 section 4.1).
fn asks_for_websocket(parts: &Parts) -> bool {
    let names = |name: HeaderName, want: &str| {
        parts
            .headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(','))
            .any(|word| word.trim().eq_ignore_ascii_case(want))
    };
    parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && names(header::CONNECTION, "upgrade")
        && names(header::UPGRADE, "websocket")
}

fn upgrade_of(request: &mut Request<Upload>) -> Option<OnUpgrade> {
    request.extensions_mut().remove::<OnUpgrade>()
}

/// Joins the two connections once both sides have switched.
fn switch(client: OnUpgrade, mut answer: Response<Incoming>) -> Response<Body> {
    let upstream = hyper::upgrade::on(&mut answer);
    // A WebSocket outlives its request, so it needs a task of its own; media never comes this way.
    tokio::spawn(async move {
        match tokio::try_join!(client, upstream) {
            Ok((client, upstream)) => {
                let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
                if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut upstream).await {
                    tracing::debug!(%error, "a WebSocket broke off");
                }
            }
            Err(error) => tracing::debug!(%error, "a WebSocket was not joined"),
        }
    });
    let (mut parts, _) = answer.into_parts();
    strip_hop_by_hop(&mut parts.headers);
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    Response::from_parts(parts, Body::Empty)
}

fn pass_back(answer: Response<Incoming>) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    strip_hop_by_hop(&mut parts.headers);
    parts.version = Version::HTTP_11;
    Response::from_parts(parts, Body::Forwarded(body))
}

fn default_timeout() -> Duration {
    Duration::from_mins(2)
}

const OF_PROXIES: [&str; 7] = [
    "cf-connecting-ip",
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Which host the client asked for, as a proxy in front says.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
