//! Sets of networks, and the allowlist made of two of them.
//!
//! A lookup walks a trie, so that its cost does not grow with a list of 50,000 networks. An IPv4 address is one
//! value however it is written: `::ffff:10.0.0.1` is `10.0.0.1`, in lists and in lookups alike, since a listener
//! bound to `[::]` sees IPv4 clients in the longer form.

use std::{fmt, net::IpAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixSet;
use serde::{Deserialize as _, Deserializer, de};

use super::{client_ip::ClientIp, error::Error};

/// A set of networks.
#[derive(Clone)]
pub struct Networks {
    v4: PrefixSet<Ipv4Net>,
    v6: PrefixSet<Ipv6Net>,
}

/// Which clients are admitted: those in an allowed network and in no denied one.
#[derive(Clone, Debug)]
pub struct Allowlist {
    allow: Networks,
    deny: Networks,
}

impl Networks {
    /// Makes the set; host bits are ignored.
    pub fn new(networks: &[IpNet]) -> Self {
        let (mut v4, mut v6) = (PrefixSet::new(), PrefixSet::new());
        for network in networks {
            match canonical(*network) {
                IpNet::V4(network) => v4.insert(network),
                IpNet::V6(network) => v6.insert(network),
            };
        }
        Self { v4, v6 }
    }

    /// Whether the address lies in one of the networks.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.get_lpm(&ip.into()).is_some(),
            IpAddr::V6(ip) => self.v6.get_lpm(&ip.into()).is_some(),
        }
    }

    /// Whether there is no network at all.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl fmt::Debug for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Networks({} IPv4, {} IPv6)", self.v4.len(), self.v6.len())
    }
}

impl Allowlist {
    /// Makes the list. Without an allowed network nobody is admitted.
    pub fn new(allow: &[IpNet], deny: &[IpNet]) -> Self {
        Self { allow: Networks::new(allow), deny: Networks::new(deny) }
    }

    /// Lets the client in, or fails with [`Error::AddressDenied`]; a denied network wins over an allowed one.
    pub fn admit(&self, client: ClientIp) -> Result<(), Error> {
        if self.allow.contains(client.ip()) && !self.deny.contains(client.ip()) {
            Ok(())
        } else {
            Err(Error::AddressDenied)
        }
    }
}

/// Parses `10.0.0.0/8`, `2001:db8::/32` or a single address.
pub(super) fn parse_network(text: &str) -> Option<IpNet> {
    // The address by the standard library, which refuses `010.0.0.1`: that is octal to some and decimal to others.
    let Some((address, len)) = text.split_once('/') else {
        return text.parse::<IpAddr>().ok().map(IpNet::from).map(canonical);
    };
    let digits = (1..=3).contains(&len.len()) && len.bytes().all(|byte| byte.is_ascii_digit());
    let len = len.parse().ok().filter(|_| digits)?;
    IpNet::new(address.parse().ok()?, len).ok().map(canonical)
}

/// Reads a list of networks of the configuration.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let parse = |text: String| {
        parse_network(&text).ok_or_else(|| {
            de::Error::invalid_value(
                de::Unexpected::Str(&text),
                &"a network such as 10.0.0.0/8, or an address",
            )
        })
    };
    Vec::<String>::deserialize(deserializer)?.into_iter().map(parse).collect()
}

/// Without host bits, and an IPv4-mapped network as the IPv4 network that it is.
fn canonical(network: IpNet) -> IpNet {
    if let IpNet::V6(v6) = network
        && let (Some(address), Some(len)) = (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96))
        && let Ok(v4) = Ipv4Net::new(address, len)
    {
        return IpNet::V4(v4.trunc());
    }
    network.trunc()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;
    use crate::access::{ForwardedHeader, TrustedProxies, client_ip};

    fn networks(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|text| parse_network(text).unwrap()).collect()
    }

    fn client(text: &str) -> ClientIp {
        let nobody = TrustedProxies::new(&[], ForwardedHeader::default());
        client_ip(text.parse().unwrap(), &HeaderMap::new(), &nobody).unwrap()
    }

    #[test]
    fn who_is_admitted() {
        for (allow, deny, ip, want) in [
            (&["0.0.0.0/0", "::/0"][..], &[][..], "192.0.2.1", true),
            (&["0.0.0.0/0", "::/0"], &[], "2001:db8::1", true),
            (&[], &[], "127.0.0.1", false),
            (&["10.0.0.0/8"], &[], "10.255.255.255", true),
            (&["10.0.0.0/8"], &[], "11.0.0.0", false),
            (&["10.1.2.3/8"], &[], "10.9.9.9", true),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.1.2.3", false),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.2.2.3", true),
            (&["10.1.0.0/16"], &["10.0.0.0/8"], "10.1.2.3", false),
            (&["10.1.2.3"], &["10.1.2.3"], "10.1.2.3", false),
            (&["192.0.2.7"], &[], "192.0.2.7", true),
            (&["192.0.2.7"], &[], "192.0.2.8", false),
            (&["10.0.0.0/8"], &[], "::ffff:10.0.0.1", true),
            (&["::/0"], &[], "::ffff:10.0.0.1", false),
            (&["::ffff:10.0.0.0/104"], &[], "10.0.0.1", true),
            (&["::ffff:10.0.0.1"], &[], "10.0.0.1", true),
            (&["0.0.0.0/0"], &["::ffff:10.0.0.0/104"], "10.0.0.1", false),
            (&["0.0.0.0/0"], &["::ffff:0:0/96"], "10.0.0.1", false),
            (&["0.0.0.0/0"], &[], "2001:db8::1", false),
            (&["2001:db8::/32"], &[], "2001:db8:ffff::", true),
            (&["2001:db8::/32"], &[], "2001:db9::", false),
            (&["2001:db8::1"], &["2001:db8::/127"], "2001:db8::1", false),
        ] {
            let list = Allowlist::new(&networks(allow), &networks(deny));
            assert_eq!(list.admit(client(ip)).is_ok(), want, "allow {allow:?} deny {deny:?} {ip}");
        }
    }

    #[test]
    fn a_lookup_takes_either_spelling_of_an_address() {
        let set = Networks::new(&networks(&["10.0.0.0/8", "2001:db8::/32"]));
        for (ip, want) in [
            ("10.0.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("::ffff:11.0.0.1", false),
            ("::10.0.0.1", false),
            ("2001:db8::1", true),
        ] {
            assert_eq!(set.contains(ip.parse().unwrap()), want, "{ip}");
        }
    }

    #[test]
    fn what_is_a_network() {
        for (text, want) in [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("10.1.2.3", Some("10.1.2.3/32")),
            ("2001:db8::1", Some("2001:db8::1/128")),
            ("::ffff:10.0.0.0/104", Some("10.0.0.0/8")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("10.0.0.0/33", None),
            ("10.0.0.0/", None),
            ("10.0.0.0/+8", None),
            ("10.0.0.0/0008", None),
            ("010.0.0.0/8", None),
            ("10.0.0/8", None),
            ("10.0.0.0/8/8", None),
            ("10.0.0.0/255.0.0.0", None),
            (" 10.0.0.0/8", None),
            ("[::1]", None),
            ("localhost", None),
            ("", None),
        ] {
            assert_eq!(parse_network(text).map(|network| network.to_string()).as_deref(), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_trie_is_a_faster_scan(
            v4 in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..60),
            v6 in prop::collection::vec((any::<u128>(), 0_u8..=128), 0..60),
            probes in prop::collection::vec((any::<bool>(), any::<u128>(), any::<prop::sample::Index>(), 0_u32..128), 1..60),
        ) {
            let v4 = v4.into_iter().map(|(ip, len)| IpNet::new(IpAddr::V4(ip.into()), len).unwrap());
            let v6 = v6.into_iter().map(|(ip, len)| IpNet::new(IpAddr::V6(ip.into()), len).unwrap());
            let list: Vec<IpNet> = v4.chain(v6).collect();
            let set = Networks::new(&list);
            prop_assert_eq!(set.is_empty(), list.is_empty());
            for (near, bits, index, flip) in probes {
                // Half of the probes lie in or beside a network of the list.
                let ip = match list.get(index.index(list.len().max(1))).filter(|_| near) {
                    Some(IpNet::V4(network)) => IpAddr::V4((network.addr().to_bits() ^ (1_u32 << (flip % 32))).into()),
                    Some(IpNet::V6(network)) => IpAddr::V6((network.addr().to_bits() ^ (1_u128 << flip)).into()),
                    None => IpAddr::V6(bits.into()),
                };
                let ip = ip.to_canonical();
                prop_assert_eq!(set.contains(ip), list.iter().any(|network| network.contains(&ip)), "{}", ip);
            }
        }
    }
}
