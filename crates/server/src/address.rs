//! Which IP addresses are public: the special ones of IANA's registries are not, nor what wraps one;
//! and on which ports no App listens.
//!
//! It never looks anything up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that is the host of a URL, as a parser of URLs writes it: it has then unfolded
/// `127.1`, `0x7f.1` and the like.
pub fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

/// Why a host with this address is not connected to, and what to do; none if it is public.
pub fn refusal(host: &str, address: IpAddr) -> Option<String> {
    let kind = special(address)?;
    let found = if literal(host) == Some(address) {
        format!("the callback URL's host {address} is {kind}")
    } else {
        format!("the callback URL's host {host} has the address {address}, {kind}")
    };
    Some(format!(
        "{found}, and deny_private is true; give the App a public address, or set \
         deny_private = false"
    ))
}

/// Ports of services that a request to them might talk to by mistake: those that browsers do not
/// connect to (the "bad ports" of WHATWG's Fetch), and of databases, queues and container engines.
#[rustfmt::skip]
const ODD_PORTS: &[u16] = &[
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
    103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
    512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
    995, 1719, 1720, 1723, 2049, 2375, 2376, 2379, 3306, 3659, 4045, 4190, 5060, 5061, 5432, 5672,
    6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 9042, 9200, 10080, 11211, 27017,
];

/// Whether no App listens on this port.
pub fn is_odd_port(port: u16) -> bool {
    ODD_PORTS.binary_search(&port).is_ok()
}

/// What an address is that is not public; none if it is.
pub fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

/// The first that fits counts.
#[rustfmt::skip]
const SPECIAL_V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0),       8,  "an address of this host"),
    (Ipv4Addr::new(10, 0, 0, 0),      8,  "a private address"),
    (Ipv4Addr::new(100, 64, 0, 0),    10, "a private address (of a carrier's NAT)"),
    (Ipv4Addr::new(127, 0, 0, 0),     8,  "a loopback address"),
    (Ipv4Addr::new(169, 254, 0, 0),   16, "a link-local address (where clouds keep secrets)"),
    (Ipv4Addr::new(172, 16, 0, 0),    12, "a private address"),
    (Ipv4Addr::new(192, 0, 0, 0),     24, "a reserved address"),
    (Ipv4Addr::new(192, 0, 2, 0),     24, "an address of documents"),
    (Ipv4Addr::new(192, 88, 99, 0),   24, "an address of 6to4 relays"),
    (Ipv4Addr::new(192, 168, 0, 0),   16, "a private address"),
    (Ipv4Addr::new(198, 18, 0, 0),    15, "an address of benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0),  24, "an address of documents"),
    (Ipv4Addr::new(203, 0, 113, 0),   24, "an address of documents"),
    (Ipv4Addr::new(224, 0, 0, 0),     4,  "a multicast address"),
    (Ipv4Addr::new(255, 255, 255, 255), 32, "the broadcast address"),
    (Ipv4Addr::new(240, 0, 0, 0),     4,  "a reserved address"),
];

/// The first that fits counts.
#[rustfmt::skip]
const SPECIAL_V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::UNSPECIFIED,                            128, "an address of this host"),
    (Ipv6Addr::LOCALHOST,                              128, "a loopback address"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0),            96,  "an IPv4 address in disguise"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0),    48,  "a private address (of NAT64)"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0),        64,  "an address that discards"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),       32,  "an IPv4 address in disguise (Teredo)"),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0),       48,  "an address of benchmarks"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),       23,  "a reserved address"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),   32,  "an address of documents"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0),       16,  "an IPv4 address in disguise (6to4)"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0),       20,  "an address of documents"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0),       7,   "a private address"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),       10,  "a link-local address"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0),       10,  "a private address"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0),       8,   "a multicast address"),
];

/// Where public addresses are given out from.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// Networks without IPv4 reach all of it through these: what counts is the address inside.
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within = |(net, bits, _): &&(Ipv4Addr, u32, _)| {
        (address.to_bits() ^ net.to_bits()).leading_zeros() >= *bits
    };
    SPECIAL_V4.iter().find(within).map(|(_, _, kind)| *kind)
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some(inside) = address.to_ipv4_mapped() {
        return special_v4(inside);
    }
    let within = |net: Ipv6Addr, bits| (address.to_bits() ^ net.to_bits()).leading_zeros() >= bits;
    if within(NAT64.0, NAT64.1) {
        return special_v4(Ipv4Addr::from_bits(address.to_bits() as u32));
    }
    match SPECIAL_V6.iter().find(|(net, bits, _)| within(*net, *bits)) {
        Some((_, _, kind)) => Some(kind),
        None if !within(GLOBAL_V6.0, GLOBAL_V6.1) => Some("a reserved address"),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn ports_of_other_services_are_odd() {
        assert!(ODD_PORTS.is_sorted());
        assert!([22, 25, 6379, 5432, 11211].into_iter().all(is_odd_port));
        assert!(![80, 443, 8080, 8443, 3000, 10006].into_iter().any(is_odd_port));
    }

    /// The first and the last of each range, and their neighbours.
    fn check(addresses: &str, expected: Expect) {
        let line = |address: &str| {
            let kind = special(address.parse().unwrap()).unwrap_or("-");
            format!("{address:<40} {kind}\n")
        };
        expected.assert_eq(&addresses.split_whitespace().map(line).collect::<String>());
    }

    #[test]
    fn of_ipv4_what_is_special_is_named() {
        check(
            "0.0.0.0 0.255.255.255 1.0.0.0 8.8.8.8 9.255.255.255 10.0.0.0 10.255.255.255 11.0.0.0
             100.63.255.255 100.64.0.0 100.127.255.255 100.128.0.0 126.255.255.255 127.0.0.1
             127.255.255.255 128.0.0.0 169.253.255.255 169.254.169.254 169.255.0.0 172.15.255.255
             172.16.0.0 172.31.255.255 172.32.0.0 192.0.0.1 192.0.1.0 192.0.2.1 192.88.99.1
             192.167.255.255 192.168.0.0 192.168.255.255 192.169.0.0 198.17.255.255 198.18.0.0
             198.19.255.255 198.20.0.0 198.51.100.7 203.0.113.7 223.255.255.255 224.0.0.1
             239.255.255.255 240.0.0.1 255.255.255.255",
            expect![[r#"
                0.0.0.0                                  an address of this host
                0.255.255.255                            an address of this host
                1.0.0.0                                  -
                8.8.8.8                                  -
                9.255.255.255                            -
                10.0.0.0                                 a private address
                10.255.255.255                           a private address
                11.0.0.0                                 -
                100.63.255.255                           -
                100.64.0.0                               a private address (of a carrier's NAT)
                100.127.255.255                          a private address (of a carrier's NAT)
                100.128.0.0                              -
                126.255.255.255                          -
                127.0.0.1                                a loopback address
                127.255.255.255                          a loopback address
                128.0.0.0                                -
                169.253.255.255                          -
                169.254.169.254                          a link-local address (where clouds keep secrets)
                169.255.0.0                              -
                172.15.255.255                           -
                172.16.0.0                               a private address
                172.31.255.255                           a private address
                172.32.0.0                               -
                192.0.0.1                                a reserved address
                192.0.1.0                                -
                192.0.2.1                                an address of documents
                192.88.99.1                              an address of 6to4 relays
                192.167.255.255                          -
                192.168.0.0                              a private address
                192.168.255.255                          a private address
                192.169.0.0                              -
                198.17.255.255                           -
                198.18.0.0                               an address of benchmarks
                198.19.255.255                           an address of benchmarks
                198.20.0.0                               -
                198.51.100.7                             an address of documents
                203.0.113.7                              an address of documents
                223.255.255.255                          -
                224.0.0.1                                a multicast address
                239.255.255.255                          a multicast address
                240.0.0.1                                a reserved address
                255.255.255.255                          the broadcast address
            "#]],
        );
    }

    #[test]
    fn of_ipv6_what_is_special_is_named_and_what_wraps_it_too() {
        check(
            ":: ::1 ::2 ::7f00:1 ::808:808 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:8.8.8.8
             ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::808:808 64:ff9b:1::1
             64:ff9b:0:1::1 100::1 1fff:ffff::1 2000::1 2001::1 2001:0:7f00:1::1 2001:2::1 2001:1ff::1
             2001:200::1 2001:db8::1 2002:7f00:1::1 2002:808:808::1 2606:4700::1111 3ffe::1 3fff::1
             3fff:1000::1 4000::1 fbff::1 fc00::1 fdff::1 fe00::1 fe80::1 febf::1 fec0::1 feff::1
             ff02::1",
            expect![[r#"
                ::                                       an address of this host
                ::1                                      a loopback address
                ::2                                      an IPv4 address in disguise
                ::7f00:1                                 an IPv4 address in disguise
                ::808:808                                an IPv4 address in disguise
                ::ffff:127.0.0.1                         a loopback address
                ::ffff:10.0.0.1                          a private address
                ::ffff:8.8.8.8                           -
                ::ffff:0:127.0.0.1                       a reserved address
                64:ff9b::7f00:1                          a loopback address
                64:ff9b::a9fe:a9fe                       a link-local address (where clouds keep secrets)
                64:ff9b::808:808                         -
                64:ff9b:1::1                             a private address (of NAT64)
                64:ff9b:0:1::1                           a reserved address
                100::1                                   an address that discards
                1fff:ffff::1                             a reserved address
                2000::1                                  -
                2001::1                                  an IPv4 address in disguise (Teredo)
                2001:0:7f00:1::1                         an IPv4 address in disguise (Teredo)
                2001:2::1                                an address of benchmarks
                2001:1ff::1                              a reserved address
                2001:200::1                              -
                2001:db8::1                              an address of documents
                2002:7f00:1::1                           an IPv4 address in disguise (6to4)
                2002:808:808::1                          an IPv4 address in disguise (6to4)
                2606:4700::1111                          -
                3ffe::1                                  -
                3fff::1                                  an address of documents
                3fff:1000::1                             -
                4000::1                                  a reserved address
                fbff::1                                  a reserved address
                fc00::1                                  a private address
                fdff::1                                  a private address
                fe00::1                                  a reserved address
                fe80::1                                  a link-local address
                febf::1                                  a link-local address
                fec0::1                                  a private address
                feff::1                                  a private address
                ff02::1                                  a multicast address
            "#]],
        );
    }
}
