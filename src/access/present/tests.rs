use http::HeaderName;

use super::*;

/// The token that is presented, with where it was found.
fn find(lines: &[(&str, &[u8])], query: Option<&str>) -> Result<(String, TokenSource), Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap());
    }
    present(&headers, query).map(|presented| (presented.text().to_owned(), presented.source()))
}

#[test]
fn the_first_place_counts() {
    use TokenSource::{Cookie, Header, Query};
    let bearer = ("authorization", b"Bearer h".as_slice());
    let cookie = ("cookie", b"mediagate_token=c".as_slice());
    for (lines, query, want) in [
        (&[][..], None, Err(Error::TokenMissing)),
        (&[], Some(""), Err(Error::TokenMissing)),
        (&[bearer], None, Ok(("h", Header))),
        (&[], Some("token=q"), Ok(("q", Query))),
        (&[cookie], None, Ok(("c", Cookie))),
        (&[bearer, cookie], Some("token=q"), Ok(("h", Header))),
        (&[cookie], Some("token=q"), Ok(("q", Query))),
        // A bad one is an error later, never a reason to look further.
        (&[("authorization", b"Bearer"), cookie], Some("token=q"), Ok(("", Header))),
        (&[("authorization", b"Bearer "), cookie], Some("token=q"), Ok(("", Header))),
        (&[cookie], Some("token="), Ok(("", Query))),
        (&[cookie], Some("token"), Ok(("", Query))),
        (&[("authorization", b"Bearer \xff"), cookie], None, Err(Error::TokenMalformed)),
        (&[cookie], Some("token=%ff"), Err(Error::TokenMalformed)),
        (&[("cookie", b"mediagate_token=\xff")], None, Err(Error::TokenMalformed)),
        // Spellings of the header.
        (&[("authorization", b"bearer h")], None, Ok(("h", Header))),
        (&[("authorization", b"BEARER   h ")], None, Ok(("h", Header))),
        (&[("authorization", b"Bearer\th")], None, Ok(("h", Header))),
        (&[("authorization", b"Bearer a b")], None, Ok(("a b", Header))),
        (&[("authorization", b"Bearer a, Bearer b")], None, Ok(("a, Bearer b", Header))),
        // Another scheme is the application's own.
        (&[("authorization", b"Token x")], None, Err(Error::TokenMissing)),
        (&[("authorization", b"Token x"), cookie], None, Ok(("c", Cookie))),
        (&[("authorization", b"Bearerx h"), cookie], None, Ok(("c", Cookie))),
        (&[("authorization", b"Bear")], None, Err(Error::TokenMissing)),
        (&[("authorization", b"")], None, Err(Error::TokenMissing)),
        // Two in one place.
        (&[bearer, bearer], None, Err(Error::TokenAmbiguous)),
        (&[bearer, ("authorization", b"Basic eDp5")], None, Err(Error::TokenAmbiguous)),
        (&[], Some("token=a&token=a"), Err(Error::TokenAmbiguous)),
        (&[], Some("token=a&token"), Err(Error::TokenAmbiguous)),
        (&[cookie, cookie], None, Err(Error::TokenAmbiguous)),
        (&[("cookie", b"mediagate_token=a; mediagate_token=b")], None, Err(Error::TokenAmbiguous)),
        // Neighbours.
        (&[], Some("fileuri=x&token=q&y=z"), Ok(("q", Query))),
        (&[], Some("token=a%2Eb"), Ok(("a.b", Query))),
        (&[], Some("token=a=b"), Ok(("a=b", Query))),
        (&[], Some("xtoken=a&tokens=b&Token=c&to%6Ben=d"), Err(Error::TokenMissing)),
        (&[("cookie", b"a=b; mediagate_token=c;d=\xff\xfe")], None, Ok(("c", Cookie))),
        (&[("cookie", b"a=b"), cookie], None, Ok(("c", Cookie))),
        (
            &[("cookie", b"xmediagate_token=c; Mediagate_Token=c; mediagate_token")],
            None,
            Err(Error::TokenMissing),
        ),
        (&[("cookie", b"a=mediagate_token=c")], None, Err(Error::TokenMissing)),
        (&[("cookie", b"mediagate_token = c ")], None, Ok(("c", Cookie))),
        (&[("cookie", b"mediagate_token=\"c\"")], None, Ok(("\"c\"", Cookie))),
    ] {
        let want = want.map(|(text, source): (&str, _)| (text.to_owned(), source));
        assert_eq!(find(lines, query), want, "{lines:?} {query:?}");
    }
}

#[test]
fn a_presented_token_is_not_printable() {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer hush"));
    let text = format!("{:?}", present(&headers, None).unwrap());
    assert!(text.contains("Header") && !text.contains("hush"), "{text}");
}

/// Before an application with bearers of its own, a bearer of its own is no token, and ours goes on counting.
#[test]
fn a_bearer_of_the_application_does_not_count() {
    use super::super::forge::{CLAIMS, NOW, at, claiming, config, hs256};
    let verifier = Verifier::build(&config(), at(NOW)).unwrap();
    let ours = claiming(CLAIMS);
    let theirs = hs256(r#"{"alg":"HS256","typ":"JWT"}"#, CLAIMS, b"the secret of the application, 32 bytes");
    let find = |lines: &[String], query: Option<&str>| {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let presented = present_ours(&headers, query, &verifier);
        presented.map(|presented| presented.map(|presented| presented.source()))
    };
    let bearer = |token: &str| format!("authorization: Bearer {token}");
    let cookie = "cookie: sessionid=x; mediagate_token=c; mediagate_task=t".to_owned();
    for (lines, query, want) in [
        (vec![bearer(&ours)], Some("token=q"), Ok(Some(TokenSource::Header))),
        (vec![bearer(&theirs)], Some("token=q"), Ok(Some(TokenSource::Query))),
        (vec![bearer(&theirs), cookie], None, Ok(Some(TokenSource::Cookie))),
        (vec![bearer(&theirs)], None, Ok(None)),
        (vec!["authorization: Token 0123".to_owned()], None, Ok(None)),
        (vec!["cookie: mediagate_task=t".to_owned()], None, Ok(None)),
        (vec![bearer(&theirs), bearer(&ours)], None, Err(Error::TokenAmbiguous)),
        (vec![], Some("token=a&token=b"), Err(Error::TokenAmbiguous)),
    ] {
        assert_eq!(find(&lines, query), want, "{lines:?} {query:?}");
    }
}

#[test]
fn two_permission_cookies_are_none() {
    for (value, want) in [
        ("mediagate_task=t", Some("t")),
        ("a=b; mediagate_task=t; mediagate_token=c", Some("t")),
        ("mediagate_task=t; mediagate_task=u", None),
        ("xmediagate_task=t", None),
        ("mediagate_token=c", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, value.parse().unwrap());
        assert_eq!(permission_cookie(&headers).as_ref().map(Presented::text), want, "{value}");
    }
}
