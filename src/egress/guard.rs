//! Which addresses may be connected to for somebody who is not the operator.
//!
//! An endpoint that came through the API is a way to make this process ask its own network: a database's
//! port, the metadata service that hands out its credentials. Only what is on the public internet is open, and
//! what the operator allows. What must stay true: the addresses that are checked are the very ones that are
//! connected to, and one that is refused among several refuses them all.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An address that may not be connected to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the endpoint is at {address}, {}, where endpoints given through the API may not be; to open it, set \
     egress.allow = [\"{network}\"] or a network in it",
    reason.sentence()
)]
pub struct Refused {
    address: IpAddr,
    network: IpNet,
    reason: Reason,
}

/// What kind of address was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// This machine.
    Loopback,
    /// A service that hands out credentials of machines.
    Metadata,
    /// Another machine on the same link.
    LinkLocal,
    /// RFC 1918, and unique local addresses.
    Private,
    /// RFC 6598: between a provider and its customers.
    Shared,
    /// No single machine.
    Multicast,
    /// `0.0.0.0` and `::`, which many systems take for themselves.
    Unspecified,
    /// For documentation, benchmarks, protocols or the future.
    Reserved,
}

impl Refused {
    /// The address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// What would have to be in `egress.allow`, at most.
    pub fn network(&self) -> IpNet {
        self.network
    }

    /// What kind of address it is.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The refusal that an error of a connection is about, if it is about one.
    pub fn among(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        std::iter::successors(Some(error), below).find_map(|error| error.downcast_ref::<Self>().copied())
    }
}

/// What an error is about, one step down. An I/O error passes over what it carries: its source is the source of that.
fn below<'a>(error: &&'a (dyn std::error::Error + 'static)) -> Option<&'a (dyn std::error::Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(carried) => Some(carried),
        None => error.source(),
    }
}

impl Reason {
    /// All of them: a closed set of label values.
    pub const ALL: [Self; 8] = [
        Self::Loopback,
        Self::Metadata,
        Self::LinkLocal,
        Self::Private,
        Self::Shared,
        Self::Multicast,
        Self::Unspecified,
        Self::Reserved,
    ];

    /// The word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Metadata => "metadata",
            Self::LinkLocal => "link_local",
            Self::Private => "private",
            Self::Shared => "shared",
            Self::Multicast => "multicast",
            Self::Unspecified => "unspecified",
            Self::Reserved => "reserved",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Loopback => "the gateway's own machine",
            Self::Metadata => "a metadata service",
            Self::LinkLocal => "a link-local address",
            Self::Private => "a private address",
            Self::Shared => "an address shared by a provider's customers",
            Self::Multicast => "a multicast address",
            Self::Unspecified => "an unspecified address",
            Self::Reserved => "a reserved address",
        }
    }
}

/// Admits public addresses and those of the operator's networks.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    allow: Box<[IpNet]>,
}

impl Guard {
    pub(super) fn new(allow: &[IpNet]) -> Self {
        Self { allow: allow.into() }
    }

    pub(super) fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let canonical = address.to_canonical();
        if self.allow.iter().any(|network| network.contains(&canonical)) {
            return Ok(());
        }
        match refused(canonical) {
            Some((network, reason)) => Err(Refused { address, network, reason }),
            None => Ok(()),
        }
    }
}

/// The network that an address is refused for.
fn refused(address: IpAddr) -> Option<(IpNet, Reason)> {
    let listed =
        |(network, reason): &(IpNet, Reason)| network.contains(&address).then_some((*network, *reason));
    NETWORKS.iter().find_map(listed).or_else(|| match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => refused_v6(address),
    })
}

/// An IPv6 address is open when it is a global one, and so is the IPv4 address that it may stand for.
fn refused_v6(address: Ipv6Addr) -> Option<(IpNet, Reason)> {
    let itself = IpNet::from(IpAddr::V6(address));
    if let Some(embedded) = embedded(address) {
        return refused(embedded.into()).map(|(_, reason)| (itself, reason));
    }
    let is_global = address.segments()[0] & 0xe000 == 0x2000;
    (!is_global).then_some((itself, Reason::Reserved))
}

/// The IPv4 address that a translator or a tunnel makes of an IPv6 address.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let at = |start: usize| {
        let [a, b, c, d] = octets.get(start..start + 4)?.try_into().ok()?;
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // 6to4, RFC 3056.
        [0x2002, ..] => at(2),
        // NAT64, RFC 6052: what DNS64 answers in a network without IPv4.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => at(12),
        _ => None,
    }
}

/// IANA's registries of special-purpose addresses (RFC 6890 and its successors), and the metadata services of the large
/// clouds; the first that fits is named. Mapped addresses (`::ffff:a.b.c.d`) are looked up as what they map.
static NETWORKS: [(IpNet, Reason); 34] = [
    (v4(0, 0, 0, 0, 32), Reason::Unspecified),
    (v4(0, 0, 0, 0, 8), Reason::Reserved),
    (v4(127, 0, 0, 0, 8), Reason::Loopback),
    // AWS, Google Cloud, Azure and others; ECS and EKS hand out credentials at the next two.
    (v4(169, 254, 169, 254, 32), Reason::Metadata),
    (v4(169, 254, 170, 2, 32), Reason::Metadata),
    (v4(169, 254, 170, 23, 32), Reason::Metadata),
    // Azure's, which looks public, and Alibaba Cloud's.
    (v4(168, 63, 129, 16, 32), Reason::Metadata),
    (v4(100, 100, 100, 200, 32), Reason::Metadata),
    (v4(169, 254, 0, 0, 16), Reason::LinkLocal),
    (v4(10, 0, 0, 0, 8), Reason::Private),
    (v4(172, 16, 0, 0, 12), Reason::Private),
    (v4(192, 168, 0, 0, 16), Reason::Private),
    (v4(100, 64, 0, 0, 10), Reason::Shared),
    (v4(192, 0, 0, 0, 24), Reason::Reserved),
    (v4(192, 0, 2, 0, 24), Reason::Reserved),
    (v4(192, 88, 99, 0, 24), Reason::Reserved),
    (v4(198, 18, 0, 0, 15), Reason::Reserved),
    (v4(198, 51, 100, 0, 24), Reason::Reserved),
    (v4(203, 0, 113, 0, 24), Reason::Reserved),
    (v4(224, 0, 0, 0, 4), Reason::Multicast),
    (v4(240, 0, 0, 0, 4), Reason::Reserved),
    (v6([0; 8], 128), Reason::Unspecified),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Reason::Loopback),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), Reason::Metadata),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128), Reason::Metadata),
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), Reason::Metadata),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), Reason::LinkLocal),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), Reason::Private),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Reason::Private),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), Reason::Multicast),
    // Teredo and other protocols; documentation, twice.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Reason::Reserved),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Reason::Reserved),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Reason::Reserved),
    // A translator's own prefix (RFC 8215), which may lead anywhere.
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), Reason::Private),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

#[expect(clippy::many_single_char_names, reason = "eight segments, which `Ipv6Addr::new` wants one by one")]
const fn v6(segments: [u16; 8], length: u8) -> IpNet {
    let [a, b, c, d, e, f, g, h] = segments;
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(address: &str) -> Option<&'static str> {
        let checked = Guard::new(&[]).check(address.parse().unwrap());
        checked.err().map(|refused| refused.reason().as_str())
    }

    #[test]
    fn only_public_addresses_are_open() {
        for (address, want) in [
            ("0.0.0.0", Some("unspecified")),
            ("0.1.2.3", Some("reserved")),
            ("127.0.0.1", Some("loopback")),
            ("127.255.255.255", Some("loopback")),
            ("10.0.0.1", Some("private")),
            ("172.16.0.1", Some("private")),
            ("172.31.255.255", Some("private")),
            ("172.32.0.1", None),
            ("192.168.1.1", Some("private")),
            ("169.254.169.254", Some("metadata")),
            ("169.254.170.2", Some("metadata")),
            ("168.63.129.16", Some("metadata")),
            ("100.100.100.200", Some("metadata")),
            ("169.254.1.1", Some("link_local")),
            ("100.64.0.1", Some("shared")),
            ("100.127.255.255", Some("shared")),
            ("100.128.0.1", None),
            ("192.0.0.8", Some("reserved")),
            ("192.0.2.1", Some("reserved")),
            ("192.88.99.1", Some("reserved")),
            ("198.19.255.255", Some("reserved")),
            ("198.51.100.1", Some("reserved")),
            ("203.0.113.1", Some("reserved")),
            ("224.0.0.1", Some("multicast")),
            ("240.0.0.1", Some("reserved")),
            ("255.255.255.255", Some("reserved")),
            ("1.1.1.1", None),
            ("52.218.0.1", None),
            ("::", Some("unspecified")),
            ("::1", Some("loopback")),
            ("::7f00:1", Some("reserved")),
            ("::ffff:127.0.0.1", Some("loopback")),
            ("::ffff:10.0.0.1", Some("private")),
            ("::ffff:169.254.169.254", Some("metadata")),
            ("::ffff:52.218.0.1", None),
            ("::ffff:0:127.0.0.1", Some("reserved")),
            ("64:ff9b::127.0.0.1", Some("loopback")),
            ("64:ff9b::10.1.2.3", Some("private")),
            ("64:ff9b::169.254.169.254", Some("metadata")),
            ("64:ff9b::52.218.0.1", None),
            ("64:ff9b:1::52.218.0.1", Some("private")),
            ("2002:7f00:1::1", Some("loopback")),
            ("2002:a9fe:a9fe::", Some("metadata")),
            ("2002:34da:1::", None),
            ("fd00:ec2::254", Some("metadata")),
            ("fd20:ce::254", Some("metadata")),
            ("fd12:3456::1", Some("private")),
            ("fc00::1", Some("private")),
            ("fe80::1", Some("link_local")),
            ("fec0::1", Some("private")),
            ("ff02::1", Some("multicast")),
            ("2001::1", Some("reserved")),
            ("2001:db8::1", Some("reserved")),
            ("3fff::1", Some("reserved")),
            ("100::1", Some("reserved")),
            ("5f00::1", Some("reserved")),
            ("4000::1", Some("reserved")),
            ("2600:1f00::1", None),
            ("2a05:d000::1", None),
        ] {
            assert_eq!(reason(address), want, "{address}");
        }
    }

    #[test]
    fn the_operator_opens_networks() {
        let guard = Guard::new(&["10.1.0.0/16".parse().unwrap(), "fd00:1::/32".parse().unwrap()]);
        for (address, ok) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("fd00:1::5", true),
            ("fd00:2::5", false),
            ("64:ff9b::10.1.2.3", false),
            ("2002:a01:203::", false),
        ] {
            assert_eq!(guard.check(address.parse().unwrap()).is_ok(), ok, "{address}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_set() {
        let refused = Guard::new(&[]).check([10, 2, 3, 4].into()).unwrap_err();
        let sentence = refused.to_string();
        for part in ["10.2.3.4", "a private address", "egress.allow = [\"10.0.0.0/8\"]"] {
            assert!(sentence.contains(part), "{part} in {sentence}");
        }
        let wrapped = io::Error::other(refused);
        assert_eq!(Refused::among(&wrapped), Some(refused));
        assert_eq!(Refused::among(&refused), Some(refused));
    }
}
