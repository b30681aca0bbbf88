//! Which addresses are somebody else's server on the public internet, and which lead into a network that a stranger must
//! not make us talk to (IANA's special-purpose registries, RFC 6890).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is on the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127, ..)                    // this network, private, loopback
            | (100, 64..=127, _)              // shared by carriers (RFC 6598)
            | (169, 254, _)                   // link-local, where clouds keep their metadata
            | (172, 16..=31, _)               // private
            | (192, 0, 0 | 2)                 // protocol assignments, documentation
            | (192, 31, 196)                  // AS112
            | (192, 52, 193)                  // AMT
            | (192, 88, 99)                   // 6to4 relays
            | (192, 168, _)                   // private
            | (192, 175, 48)                  // AS112
            | (198, 18 | 19, _)               // benchmarks
            | (198, 51, 100)                  // documentation
            | (203, 0, 113)                   // documentation
            | (224..=255, ..) // multicast, reserved, broadcast
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Only 2000::/3 is given out. Loopback, unique local, link-local, multicast, and every form that carries an IPv4
    // address inside (mapped, compatible, NAT64) lie outside of it.
    (first & 0xe000) == 0x2000
        && !matches!(
            (first, second),
            (0x2001, 0..=0x01ff)              // protocol assignments: Teredo, benchmarks, ORCHID
                | (0x2001, 0x0db8)            // documentation
                | (0x2002, _)                 // 6to4: an IPv4 address inside
                | (0x3fff, 0..=0x0fff) // documentation
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(address: &str) -> bool {
        is_public(address.parse().unwrap())
    }

    #[test]
    fn n05_servers_on_the_internet_are_public() {
        for address in ["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "192.0.1.1"] {
            assert!(public(address), "{address}");
        }
        for address in ["2606:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888", "3fff:1000::1"] {
            assert!(public(address), "{address}");
        }
    }

    #[test]
    fn n05_addresses_that_lead_inside_are_not() {
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
        ] {
            assert!(!public(address), "{address}");
        }
    }
}
