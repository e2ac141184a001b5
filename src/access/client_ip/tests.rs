use http::HeaderValue;
use proptest::prelude::*;

use super::*;

/// Trusted: 10.0.0.0/8 and `2001:db8:ffff::/48`. The peer is 10.0.0.1 where a row does not say otherwise.
fn trusted(header: ForwardedHeader) -> TrustedProxies {
    let networks = ["10.0.0.0/8", "2001:db8:ffff::/48"].map(|text| text.parse().unwrap());
    TrustedProxies::new(&networks, header)
}

fn find(peer: &str, header: ForwardedHeader, lines: &[(&str, &str)]) -> Result<String, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: http::HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    client_ip(peer.parse().unwrap(), &headers, &trusted(header)).map(|client| client.ip().to_string())
}

const BAD: Result<&str, Error> = Err(Error::ForwardedMalformed);

#[test]
fn x_forwarded_for() {
    let long_chain = ["10.0.0.9"; 33].join(",");
    let as_long_as_may_be = format!("198.51.100.7,{}", ["10.0.0.9"; 31].join(","));
    let stops_early = format!("{long_chain},203.0.113.5");
    for (lines, want) in [
        (&[][..], Ok("10.0.0.1")),
        (&["203.0.113.5"], Ok("203.0.113.5")),
        (&["203.0.113.5, 10.0.0.2"], Ok("203.0.113.5")),
        (&["1.1.1.1, 203.0.113.5, 10.0.0.2"], Ok("203.0.113.5")),
        (&["1.1.1.1", "203.0.113.5"], Ok("203.0.113.5")),
        (&["203.0.113.5", "10.0.0.2"], Ok("203.0.113.5")),
        (&["203.0.113.5", "10.0.0.2, 10.0.0.3"], Ok("203.0.113.5")),
        (&["10.0.0.3, 10.0.0.2"], Ok("10.0.0.3")),
        (&["10.0.0.3"], Ok("10.0.0.3")),
        (&["\t203.0.113.5 \t,\t10.0.0.2 "], Ok("203.0.113.5")),
        (&["203.0.113.5:443"], Ok("203.0.113.5")),
        (&["203.0.113.5:65535, 10.0.0.2:1"], Ok("203.0.113.5")),
        (&["2001:db8::5"], Ok("2001:db8::5")),
        (&["2001:DB8:0:0::5"], Ok("2001:db8::5")),
        (&["[2001:db8::5]"], Ok("2001:db8::5")),
        (&["[2001:db8::5]:443"], Ok("2001:db8::5")),
        (&["203.0.113.5, 2001:db8:ffff::1"], Ok("203.0.113.5")),
        (&["203.0.113.5, [2001:db8:ffff::1]:80"], Ok("203.0.113.5")),
        (&["::ffff:203.0.113.5"], Ok("203.0.113.5")),
        (&["203.0.113.5, ::ffff:10.0.0.2"], Ok("203.0.113.5")),
        (&["[::ffff:203.0.113.5]:80"], Ok("203.0.113.5")),
        // What an attacker wrote to the left of the rightmost untrusted hop is not looked at.
        (&["garbage, 203.0.113.5"], Ok("203.0.113.5")),
        (&["10.0.0.7, 203.0.113.5"], Ok("203.0.113.5")),
        (&["unknown, ,, 203.0.113.5, 10.0.0.2"], Ok("203.0.113.5")),
        (&[stops_early.as_str()], Ok("203.0.113.5")),
        (&[as_long_as_may_be.as_str()], Ok("198.51.100.7")),
        (&[long_chain.as_str()], BAD),
        (&[""], BAD),
        (&["203.0.113.5,"], BAD),
        (&["203.0.113.5,,10.0.0.2"], BAD),
        (&["203.0.113.5", ""], BAD),
        (&["unknown"], BAD),
        (&["203.0.113.5, unknown, 10.0.0.2"], BAD),
        (&["_hidden"], BAD),
        (&["localhost"], BAD),
        (&["203.0.113.5 10.0.0.2"], BAD),
        (&["203.0.113.5;10.0.0.2"], BAD),
        (&["\"203.0.113.5\""], BAD),
        (&["203.0.113"], BAD),
        (&["203.0.113.256"], BAD),
        (&["0xcb.0.113.5"], BAD),
        (&["010.0.0.5"], BAD),
        (&["3405803781"], BAD),
        (&["203.0.113.5/32"], BAD),
        (&["203.0.113.5:"], BAD),
        (&["203.0.113.5:+80"], BAD),
        (&["203.0.113.5:123456"], BAD),
        (&["203.0.113.5:80:80"], BAD),
        (&["[2001:db8::5"], BAD),
        (&["2001:db8::5]"], BAD),
        (&["[2001:db8::5]443"], BAD),
        (&["[2001:db8::5]:"], BAD),
        (&["[[2001:db8::5]]"], BAD),
        (&["[203.0.113.5]"], BAD),
        (&["fe80::1%eth0"], BAD),
        (&["2001:db8::5:80:1:2:3:4:5:6"], BAD),
        (&["203.0.113.5\u{a0}"], BAD),
        (&["for=203.0.113.5"], BAD),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        let got = find("10.0.0.1", ForwardedHeader::XForwardedFor, &lines);
        assert_eq!(got, want.map(str::to_owned), "{lines:?}");
    }
}

#[test]
fn forwarded() {
    for (lines, want) in [
        (&[][..], Ok("10.0.0.1")),
        (&["for=203.0.113.5"], Ok("203.0.113.5")),
        (&["For=203.0.113.5;Proto=https;By=10.0.0.1"], Ok("203.0.113.5")),
        (&["proto=https;for=203.0.113.5"], Ok("203.0.113.5")),
        (&["proto=https; for=203.0.113.5 ; host=a.example"], Ok("203.0.113.5")),
        (&["for=1.1.1.1, for=203.0.113.5, for=10.0.0.2"], Ok("203.0.113.5")),
        (&["for=203.0.113.5", "for=10.0.0.2"], Ok("203.0.113.5")),
        (&["for=10.0.0.3,for=10.0.0.2"], Ok("10.0.0.3")),
        (&["for=\"203.0.113.5:4711\""], Ok("203.0.113.5")),
        (&["for=\"203.0.113.5:_port\""], Ok("203.0.113.5")),
        (&["for=\"[2001:db8::5]\""], Ok("2001:db8::5")),
        (&["for=\"[2001:db8::5]:4711\""], Ok("2001:db8::5")),
        (&["for=\"[::ffff:203.0.113.5]\""], Ok("203.0.113.5")),
        (&["for=\"203.0.\\113.5\""], Ok("203.0.113.5")),
        (&["for=203.0.113.5;;proto=http;"], Ok("203.0.113.5")),
        (&["for=203.0.113.5;host=\"a,b;for=1.1.1.1\""], Ok("203.0.113.5")),
        (&["for=203.0.113.5;host=\"a\\\",for=1.1.1.1\""], Ok("203.0.113.5")),
        (&["for=unknown, for=203.0.113.5"], Ok("203.0.113.5")),
        (&["proto=http, for=203.0.113.5"], Ok("203.0.113.5")),
        (&["for=unknown"], BAD),
        (&["for=203.0.113.5, for=unknown, for=10.0.0.2"], BAD),
        (&["for=_hidden"], BAD),
        (&["for=\"_hidden:80\""], BAD),
        (&["proto=https"], BAD),
        (&["for=203.0.113.5, proto=https"], BAD),
        (&["for=203.0.113.5,"], BAD),
        (&["for=203.0.113.5,,for=10.0.0.2"], BAD),
        (&[""], BAD),
        (&["for=203.0.113.5;for=198.51.100.7"], BAD),
        (&["for=203.0.113.5;FOR=203.0.113.5"], BAD),
        (&["for=203.0.113.5:80"], BAD),
        (&["for=[2001:db8::5]"], BAD),
        (&["for=2001:db8::5"], BAD),
        (&["for=\"2001:db8::5\""], BAD),
        (&["for="], BAD),
        (&["for=\"\""], BAD),
        (&["for =203.0.113.5"], BAD),
        (&["for= 203.0.113.5"], BAD),
        (&["for"], BAD),
        (&["203.0.113.5"], BAD),
        (&["for=203.0.113.5 for=10.0.0.2"], BAD),
        (&["for=\"203.0.113.5"], BAD),
        (&["for=\"203.0.113.5\\"], BAD),
        (&["for=\"203.0.113.5\"x"], BAD),
        // An unfinished string swallows what the proxy appends, so nothing of it can be trusted.
        (&["for=198.51.100.7;x=\", for=203.0.113.5"], BAD),
        (&["for=198.51.100.7;x=\"", "for=203.0.113.5"], BAD),
        (&["for=198.51.100.7;x=\", for=\"[2001:db8::5]\""], BAD),
        (&["for=203.0.113.5;host=ü"], BAD),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
        let got = find("10.0.0.1", ForwardedHeader::Forwarded, &lines);
        assert_eq!(got, want.map(str::to_owned), "{lines:?}");
    }
}

#[test]
fn only_a_trusted_peer_and_the_configured_header_are_heard() {
    let (xff, fwd) = (("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=203.0.113.5"));
    let others = [("x-real-ip", "6.6.6.6"), ("true-client-ip", "6.6.6.6"), ("x-client-ip", "6.6.6.6")];
    for (peer, header, lines, want) in [
        ("192.0.2.1", ForwardedHeader::XForwardedFor, &[xff][..], "192.0.2.1"),
        ("192.0.2.1", ForwardedHeader::XForwardedFor, &[("x-forwarded-for", "garbage")], "192.0.2.1"),
        ("192.0.2.1", ForwardedHeader::Forwarded, &[fwd], "192.0.2.1"),
        ("::ffff:192.0.2.1", ForwardedHeader::Forwarded, &[fwd], "192.0.2.1"),
        ("::ffff:10.0.0.1", ForwardedHeader::XForwardedFor, &[xff], "198.51.100.7"),
        ("2001:db8:ffff::9", ForwardedHeader::XForwardedFor, &[xff], "198.51.100.7"),
        ("2001:db8:fffe::9", ForwardedHeader::XForwardedFor, &[xff], "2001:db8:fffe::9"),
        ("10.0.0.1", ForwardedHeader::XForwardedFor, &[xff, fwd], "198.51.100.7"),
        ("10.0.0.1", ForwardedHeader::Forwarded, &[xff, fwd], "203.0.113.5"),
        ("10.0.0.1", ForwardedHeader::Forwarded, &[xff], "10.0.0.1"),
        ("10.0.0.1", ForwardedHeader::XForwardedFor, &[fwd], "10.0.0.1"),
        ("10.0.0.1", ForwardedHeader::XForwardedFor, &others, "10.0.0.1"),
        ("::10.0.0.1", ForwardedHeader::XForwardedFor, &[xff], "::a00:1"),
    ] {
        assert_eq!(find(peer, header, lines).as_deref(), Ok(want), "{peer} {header:?} {lines:?}");
    }
    let nobody = TrustedProxies::new(&[], ForwardedHeader::default());
    let headers = HeaderMap::from_iter([(
        http::HeaderName::from_static("x-forwarded-for"),
        "6.6.6.6".parse().unwrap(),
    )]);
    let peer: IpAddr = "127.0.0.1".parse().unwrap();
    assert_eq!(client_ip(peer, &headers, &nobody).unwrap().ip(), peer);
}

fn own_element(quoted: bool) -> &'static str {
    if quoted { "for=\"203.0.113.5:80\";proto=\"https\"" } else { "for=203.0.113.5;proto=https" }
}

proptest! {
    /// Whatever a client writes, its proxy's own entry at the right end decides, or the request is refused.
    #[test]
    fn a_client_cannot_choose_its_address(forged in "[ -~]{0,60}", joined in any::<bool>(), quoted in any::<bool>()) {
        let rows = [
            (ForwardedHeader::XForwardedFor, "x-forwarded-for", "203.0.113.5".to_owned()),
            (ForwardedHeader::Forwarded, "forwarded", own_element(quoted).to_owned()),
        ];
        for (header, name, own) in rows {
            let joint = || vec![(name, format!("{forged}, {own}"))];
            let lines = if joined { joint() } else { vec![(name, forged.clone()), (name, own)] };
            let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let got = find("10.0.0.1", header, &lines);
            prop_assert!(got.as_deref().is_ok_and(|ip| ip == "203.0.113.5") || got == Err(Error::ForwardedMalformed));
        }
    }
}
