//! Any forwarding header, one line of the input each: a client never chooses its own address.
#![no_main]

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use mediagate::access::{Error, ForwardedHeader, TrustedProxies, client_ip};

/// The configured header, its name, and what the proxy itself adds to it for 203.0.113.5.
const ROWS: [(ForwardedHeader, &str, &str); 3] = [
    (ForwardedHeader::XForwardedFor, "x-forwarded-for", "203.0.113.5"),
    (ForwardedHeader::Forwarded, "forwarded", "for=203.0.113.5;proto=https"),
    (ForwardedHeader::Forwarded, "forwarded", "for=\"203.0.113.5:80\";proto=\"https\""),
];

fuzz_target!(|input: &[u8]| {
    let [proxy, stranger, client] =
        ["10.0.0.1", "192.0.2.1", "203.0.113.5"].map(|ip| ip.parse::<IpAddr>().expect("an address"));
    for (header, name, own) in ROWS {
        let trusted = TrustedProxies::new(&["10.0.0.0/8".parse().expect("a network")], header);
        let find = |peer, headers: &HeaderMap| client_ip(peer, headers, &trusted).map(|client| client.ip());
        let name = HeaderName::from_static(name);
        let mut headers = HeaderMap::new();
        for line in input.split(|byte| *byte == b'\n') {
            headers.extend(HeaderValue::from_bytes(line).ok().map(|value| (name.clone(), value)));
        }
        assert_eq!(find(stranger, &headers), Ok(stranger), "a stranger's header was read");
        match find(proxy, &headers) {
            Ok(ip) => assert_eq!(ip.to_canonical(), ip),
            Err(error) => assert_eq!(error, Error::ForwardedMalformed),
        }
        let decides = |headers: &HeaderMap| match find(proxy, headers) {
            Ok(ip) => assert_eq!(ip, client, "what the proxy appended did not decide"),
            Err(error) => assert_eq!(error, Error::ForwardedMalformed),
        };
        if let Some(last) = headers.get_all(&name).iter().next_back() {
            let joined = [last.as_bytes(), b", ", own.as_bytes()].concat();
            let mut headers = headers.clone();
            headers.insert(name.clone(), HeaderValue::from_bytes(&joined).expect("two values"));
            decides(&headers);
        }
        let plain = headers.get_all(&name).iter().all(|line| line.to_str().is_ok());
        headers.append(name, HeaderValue::from_static(own));
        decides(&headers);
        // Without quotes nothing to the left can reach what the proxy appended.
        if plain && header == ForwardedHeader::XForwardedFor {
            assert_eq!(find(proxy, &headers), Ok(client));
        }
    }
});
