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
