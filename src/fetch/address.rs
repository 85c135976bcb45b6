//! Which addresses may be connected to (T13): public ones only, so that no URL or redirect reaches inside a network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether `address` is a public unicast address: not private, loopback, link-local, shared, multicast, reserved, nor
/// an IPv6 form that carries such an IPv4 address (mapped, compatible, 6to4, Teredo, NAT64).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// The special-purpose registry of IPv4 (RFC 6890 and its successors).
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_unspecified()
        || a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !special
}

/// Global unicast is 2000::/3 (RFC 4291 §2.4); of that, what is special or carries an IPv4 address is not public.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let [first, second, ..] = segments;
    let global = first & 0xe000 == 0x2000;
    let special = match (first, second) {
        // Teredo, ORCHID, benchmarking (RFC 2928's 2001::/23); documentation; 6to4.
        (0x2001, 0..0x0200 | 0x0db8) | (0x3fff, 0..0x1000) | (0x2002, _) => true,
        _ => false,
    };
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t13_inner_addresses_are_not_public_in_any_form() {
        for text in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "::10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:0:a00:1::",
            "2001:db8::1",
            "fec0::1",
        ] {
            assert!(!is_public(text.parse().expect("an address")), "{text}");
        }
        for text in ["8.8.8.8", "13.107.246.1", "2606:4700::1", "2a00:1450::1", "2001:4860::1"] {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
    }
}
