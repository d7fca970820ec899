//! IP networks and the ranges of the public internet.

use std::fmt;
use std::net::IpAddr;
#[cfg(any(test, feature = "http"))]
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A range of IP addresses, written `10.0.0.0/8`, `fd00::/8`, or as a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// The network of all addresses that share the first `prefix` bits of `address`; none if the prefix is longer than
    /// the address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        (prefix <= bits(address)).then_some(Self { address, prefix })
    }

    #[cfg(any(test, feature = "http"))]
    const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
    }

    #[cfg(any(test, feature = "http"))]
    const fn v6(a: u16, b: u16, prefix: u8) -> Self {
        Self { address: IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)), prefix }
    }

    /// Whether an address is in the network. An IPv4-mapped IPv6 address is treated as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for IpNetwork {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let network = match text.split_once('/') {
            Some((address, prefix)) => address.parse().ok().zip(prefix.parse().ok()),
            None => text.parse().ok().map(|address| (address, bits(address))),
        };
        let network = network.and_then(|(address, prefix)| Self::new(address, prefix));
        network.ok_or_else(|| Error::PolicyValue {
            value: text.to_owned(),
            legal: "an address or a network, such as 10.0.0.0/8",
        })
    }
}

impl TryFrom<String> for IpNetwork {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<IpNetwork> for String {
    fn from(network: IpNetwork) -> Self {
        network.to_string()
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// IPv4 ranges that are not part of the public internet (IANA, IPv4 Special-Purpose Address Registry), multicast, and
/// the address of Azure's host agent, which serves instance metadata.
#[cfg(any(test, feature = "http"))]
const SPECIAL_V4: [IpNetwork; 16] = [
    IpNetwork::v4(0, 0, 0, 0, 8),
    IpNetwork::v4(10, 0, 0, 0, 8),
    IpNetwork::v4(100, 64, 0, 0, 10),
    IpNetwork::v4(127, 0, 0, 0, 8),
    IpNetwork::v4(168, 63, 129, 16, 32),
    IpNetwork::v4(169, 254, 0, 0, 16),
    IpNetwork::v4(172, 16, 0, 0, 12),
    IpNetwork::v4(192, 0, 0, 0, 24),
    IpNetwork::v4(192, 0, 2, 0, 24),
    IpNetwork::v4(192, 88, 99, 0, 24),
    IpNetwork::v4(192, 168, 0, 0, 16),
    IpNetwork::v4(198, 18, 0, 0, 15),
    IpNetwork::v4(198, 51, 100, 0, 24),
    IpNetwork::v4(203, 0, 113, 0, 24),
    IpNetwork::v4(224, 0, 0, 0, 4),
    IpNetwork::v4(240, 0, 0, 0, 4),
];

/// The only IPv6 range assigned for public use. Loopback, unique local, link-local, multicast, IPv4-compatible and
/// NAT64 (`64:ff9b::/96`) addresses are outside of it.
#[cfg(any(test, feature = "http"))]
const GLOBAL_V6: IpNetwork = IpNetwork::v6(0x2000, 0, 3);

/// Subranges of [`GLOBAL_V6`] that are not public or map to IPv4 addresses: protocol assignments including Teredo,
/// documentation, 6to4, documentation, and the former 6bone (IANA, IPv6 Special-Purpose Address Registry).
#[cfg(any(test, feature = "http"))]
const SPECIAL_V6: [IpNetwork; 5] = [
    IpNetwork::v6(0x2001, 0, 23),
    IpNetwork::v6(0x2001, 0x0db8, 32),
    IpNetwork::v6(0x2002, 0, 16),
    IpNetwork::v6(0x3fff, 0, 20),
    IpNetwork::v6(0x3ffe, 0, 16),
];

/// Whether an address belongs to the public internet.
#[cfg(any(test, feature = "http"))]
pub(crate) fn is_public(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let in_any = |networks: &[IpNetwork]| networks.iter().any(|network| network.contains(address));
    match address {
        IpAddr::V4(_) => !in_any(&SPECIAL_V4),
        IpAddr::V6(_) => GLOBAL_V6.contains(address) && !in_any(&SPECIAL_V6),
    }
}

#[cfg(test)]
mod tests {
    use super::{IpNetwork, is_public};
    use std::net::IpAddr;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn internet_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
        ] {
            assert!(is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn special_purpose_addresses_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "::1.1.1.1",
            "64:ff9b::7f00:1",
            "64:ff9b::101:101",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn networks_round_trip_through_text() {
        for text in ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8", "::/0"] {
            assert_eq!(text.parse::<IpNetwork>().unwrap().to_string(), text);
        }
        assert_eq!("127.0.0.1".parse::<IpNetwork>().unwrap().to_string(), "127.0.0.1/32");
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "1.2.3.4/", "a/8", "1.2.3.4/-1"] {
            assert!(wrong.parse::<IpNetwork>().is_err(), "{wrong}");
        }
        let network: IpNetwork = "127.0.0.0/8".parse().unwrap();
        assert!(network.contains(address("127.9.9.9")) && network.contains(address("::ffff:127.0.0.1")));
        assert!(!network.contains(address("128.0.0.0")) && !network.contains(address("::1")));
    }
}
