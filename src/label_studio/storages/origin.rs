//! Keeps pages of other sites from changing storages with the cookie of whoever looks at them.
//!
//! Label Studio asks for no CSRF token on its API. A browser says with every change where the page comes from, in
//! `Sec-Fetch-Site` and in `Origin`, and no page can write either. Where both are missing it is no browser of today; then
//! a token of Label Studio's must be there, which no page can make a browser send by itself. (`Authorization: Basic` it
//! can.)

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};

use crate::{control::Refusal, gateway::forward::X_FORWARDED_HOST, label_studio::client::X_API_KEY};

/// Passes what only reads, what carries no cookie, and what a page of this host sends.
pub(super) fn check(parts: &Parts, is_proxied: bool) -> Result<(), Refusal> {
    let headers = &parts.headers;
    let is_read = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if is_read || !headers.contains_key(header::COOKIE) {
        return Ok(());
    }
    let is_own = match (only(headers, &SEC_FETCH_SITE), only(headers, &header::ORIGIN)) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => is_this_host(origin, parts, is_proxied),
        (None, None) => has_token(headers),
    };
    if is_own { Ok(()) } else { Err(Refusal::CrossOrigin) }
}

fn is_this_host(origin: &str, parts: &Parts, is_proxied: bool) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |host: &str| host.strip_suffix(default_port).unwrap_or(host).to_ascii_lowercase();
    let is_it = |host: &str| bare(host) == bare(authority);
    // HTTP/2 names the host in the target.
    let host =
        parts.uri.authority().map(http::uri::Authority::as_str).or(only(&parts.headers, &header::HOST));
    let of_proxy = only(&parts.headers, &X_FORWARDED_HOST).filter(|_| is_proxied);
    host.into_iter().chain(of_proxy).any(is_it)
}

/// Whether there is a credential that pages of other sites cannot make a browser send.
fn has_token(headers: &HeaderMap) -> bool {
    let is_token = |value: &HeaderValue| {
        let scheme = value.to_str().ok().and_then(|text| text.split_once(' ')).map(|(scheme, _)| scheme);
        scheme.is_some_and(|scheme| {
            scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer")
        })
    };
    headers.contains_key(X_API_KEY) || headers.get_all(header::AUTHORIZATION).iter().any(is_token)
}

/// The one value of a header. Of several none is believed, and the empty text is nobody's.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() { Some("") } else { Some(first.to_str().unwrap_or_default()) }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn verdict(method: &str, is_proxied: bool, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/api/storages/s3");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0, is_proxied).is_ok()
    }

    const COOKIE: (&str, &str) = ("cookie", "sessionid=x");
    const HOST: (&str, &str) = ("host", "ls.example");

    #[test]
    fn only_pages_of_this_host_change_with_a_cookie() {
        for (passes, headers) in [
            (true, vec![("origin", "http://ls.example")]),
            (true, vec![("origin", "https://ls.example")]),
            (true, vec![("origin", "https://LS.example")]),
            (true, vec![("origin", "https://ls.example:443")]),
            (true, vec![("sec-fetch-site", "same-origin"), ("origin", "https://other.example")]),
            (true, vec![("sec-fetch-site", "none")]),
            (true, vec![("authorization", "Bearer x")]),
            (true, vec![("authorization", "Token x")]),
            (true, vec![("x-api-key", "x")]),
            (false, vec![]),
            (false, vec![("origin", "null")]),
            (false, vec![("origin", "")]),
            (false, vec![("origin", "https://evil.example")]),
            (false, vec![("origin", "https://ls.example.evil.example")]),
            (false, vec![("origin", "https://evil-ls.example")]),
            (false, vec![("origin", "https://ls.example@evil.example")]),
            (false, vec![("origin", "https://ls.example:8443")]),
            (false, vec![("origin", "http://ls.example:443")]),
            (false, vec![("origin", "ftp://ls.example")]),
            (false, vec![("origin", "ls.example")]),
            (false, vec![("origin", "https://ls.example"), ("origin", "https://evil.example")]),
            (false, vec![("sec-fetch-site", "cross-site")]),
            (false, vec![("sec-fetch-site", "same-site"), ("origin", "https://ls.example")]),
            (false, vec![("sec-fetch-site", "cross-site"), ("authorization", "Bearer x")]),
            (false, vec![("origin", "https://evil.example"), ("authorization", "Bearer x")]),
            (false, vec![("origin", "https://evil.example"), ("x-forwarded-host", "evil.example")]),
            // A browser that is led to http://user:password@host/ sends it by itself.
            (false, vec![("authorization", "Basic eDp5")]),
            (false, vec![("authorization", "Digest x"), ("referer", "http://ls.example/")]),
        ] {
            for method in ["POST", "PUT", "PATCH", "DELETE", "BREW"] {
                let all: Vec<_> = [COOKIE, HOST].into_iter().chain(headers.iter().copied()).collect();
                assert_eq!(verdict(method, false, &all), passes, "{method} {headers:?}");
            }
        }
    }

    #[test]
    fn a_trusted_proxy_names_the_host() {
        let headers = [
            COOKIE,
            ("host", "inner:8080"),
            ("origin", "https://ls.example"),
            ("x-forwarded-host", "ls.example"),
        ];
        assert!(verdict("POST", true, &headers));
        assert!(!verdict("POST", false, &headers));
    }

    #[test]
    fn two_hosts_are_none() {
        let headers = [COOKIE, HOST, ("host", "evil.example"), ("origin", "https://evil.example")];
        assert!(!verdict("POST", false, &headers));
    }

    #[test]
    fn http_2_names_the_host_in_the_target() {
        let request = Request::post("https://ls.example/api/storages/s3").header("cookie", "a=b");
        let request = request.header("origin", "https://ls.example").body(()).unwrap();
        let mut parts = request.into_parts().0;
        assert!(check(&parts, false).is_ok());
        parts.uri = "https://inner.example/api/storages/s3".parse().unwrap();
        assert!(check(&parts, false).is_err());
    }

    #[test]
    fn reading_and_requests_without_a_cookie_pass() {
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(verdict(method, false, &[COOKIE, HOST, ("origin", "https://evil.example")]));
        }
        assert!(verdict("POST", false, &[HOST, ("origin", "https://evil.example")]));
    }
}
