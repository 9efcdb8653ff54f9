//! Whose address a request comes from, also behind proxies that are trusted to say so.

use http::{Extensions, HeaderMap};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The address of a client, in the extensions of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Noted by the listener in the extensions of every request.
pub fn of(request: &Extensions) -> Peer {
    request.get().copied().unwrap_or(Peer(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Peer {
    /// What counts as one address: of IPv6 a network of 64 bits, for whoever has one address there has all.
    pub fn site(self) -> Site {
        Site(match self.0.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        })
    }
}

/// Addresses that are limited together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Site(IpAddr);

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        if self.0.is_ipv6() { f.write_str("/64") } else { Ok(()) }
    }
}

/// A network, as `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Network, ()> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits: u8 = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| ()))?;
        if bits > most {
            return Err(());
        }
        // What IPv6 writes of IPv4 is IPv4, as the addresses of clients are.
        match (address.to_canonical(), address) {
            (IpAddr::V4(mapped), IpAddr::V6(_)) => {
                let bits = bits.checked_sub(96).ok_or(())?;
                Ok(Network { address: mapped.into(), bits })
            }
            _ => Ok(Network { address, bits }),
        }
    }
}

impl Network {
    /// Whether that is more of the Internet than anybody's proxies have.
    pub fn is_too_wide(self) -> bool {
        self.bits < if self.address.is_ipv4() { 8 } else { 16 }
    }

    fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// Who is trusted to say whose connection it hands on.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Where they are.
    pub trusted: Vec<Network>,
    /// Whether they say so before anything else, by the PROXY protocol.
    pub speak_proxy_protocol: bool,
}

impl Proxies {
    /// Whether that is one of them.
    pub fn trust(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.holds(address))
    }

    /// Whose request it is: of `X-Forwarded-For`, which each proxy adds to, the last address that is none of
    /// theirs.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Peer {
        let mut client = peer.to_canonical();
        if !self.trust(client) {
            return Peer(client);
        }
        let said: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        for text in said.into_iter().rev() {
            // What is no address was not added by one of ours.
            let Some(address) = address_of(text.trim()) else { break };
            client = address.to_canonical();
            if !self.trust(client) {
                break;
            }
        }
        Peer(client)
    }
}

/// Some proxies write the port too.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port)
}

/// The longest line of version 1, with its end.
const LINE_BYTES_MAX: usize = 107;
/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// What follows may hold more than addresses.
const HEADER_BYTES_MAX: usize = 2 * 1024;

/// Reads the header of the PROXY protocol, version 1 or 2, and nothing beyond it. `Ok(None)`: it names no
/// client, as where the proxy checks whether Herald is well.
pub async fn proxied(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, ProxyError> {
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).await.map_err(|_| ProxyError)?;
    if begin == SIGNATURE {
        return version_2(stream).await;
    }
    let mut line = begin.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE_BYTES_MAX {
            return Err(ProxyError);
        }
        line.push(stream.read_u8().await.map_err(|_| ProxyError)?);
    }
    version_1(&line)
}

/// What came is no header of the PROXY protocol.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no header of the PROXY protocol came")]
pub struct ProxyError;

fn version_1(line: &[u8]) -> Result<Option<IpAddr>, ProxyError> {
    let line = std::str::from_utf8(line).map_err(|_| ProxyError)?;
    let words: Vec<&str> = line.trim_end_matches("\r\n").split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", "TCP4", client, _, _, _] => {
            client.parse::<Ipv4Addr>().map(|client| Some(client.into())).map_err(|_| ProxyError)
        }
        ["PROXY", "TCP6", client, _, _, _] => {
            client.parse::<Ipv6Addr>().map(|client| Some(client.into())).map_err(|_| ProxyError)
        }
        _ => Err(ProxyError),
    }
}

async fn version_2(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, ProxyError> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.map_err(|_| ProxyError)?;
    let [version_command, family, high, low] = head;
    let mut rest = vec![0; usize::from(u16::from_be_bytes([high, low]))];
    if rest.len() > HEADER_BYTES_MAX {
        return Err(ProxyError);
    }
    stream.read_exact(&mut rest).await.map_err(|_| ProxyError)?;
    match (version_command, family >> 4) {
        // LOCAL: the proxy speaks for itself.
        (0x20, _) | (0x21, 0) => Ok(None),
        (0x21, 1) => {
            let client: [u8; 4] =
                rest.get(..4).and_then(|c| c.try_into().ok()).ok_or(ProxyError)?;
            Ok(Some(client.into()))
        }
        (0x21, 2) => {
            let client: [u8; 16] =
                rest.get(..16).and_then(|c| c.try_into().ok()).ok_or(ProxyError)?;
            Ok(Some(client.into()))
        }
        _ => Err(ProxyError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_clients() {
        let proxies = Proxies {
            trusted: ["10.0.0.0/8", "127.0.0.1", "fd00::/8"].map(|n| n.parse().unwrap()).to_vec(),
            speak_proxy_protocol: false,
        };
        let client = |peer: &str, said: &[&str]| {
            let mut headers = HeaderMap::new();
            said.iter()
                .for_each(|value| _ = headers.append("x-forwarded-for", value.parse().unwrap()));
            format!("{peer} {said:?}: {}\n", proxies.client(peer.parse().unwrap(), &headers))
        };
        let told = [
            client("192.0.2.7", &["1.2.3.4"]),
            client("127.0.0.1", &[]),
            client("127.0.0.1", &["1.2.3.4"]),
            client("::ffff:127.0.0.1", &["1.2.3.4:567"]),
            client("127.0.0.1", &["9.9.9.9, 1.2.3.4, 10.7.7.7"]),
            client("127.0.0.1", &["9.9.9.9", "1.2.3.4,10.7.7.7"]),
            client("127.0.0.1", &["10.1.1.1, 10.7.7.7"]),
            client("127.0.0.1", &["1.2.3.4, unknown, 10.7.7.7"]),
            client("fd00::1", &["[2001:db8::1]"]),
            client("11.0.0.1", &["1.2.3.4"]),
        ];
        expect![[r#"
            192.0.2.7 ["1.2.3.4"]: 192.0.2.7
            127.0.0.1 []: 127.0.0.1
            127.0.0.1 ["1.2.3.4"]: 1.2.3.4
            ::ffff:127.0.0.1 ["1.2.3.4:567"]: 1.2.3.4
            127.0.0.1 ["9.9.9.9, 1.2.3.4, 10.7.7.7"]: 1.2.3.4
            127.0.0.1 ["9.9.9.9", "1.2.3.4,10.7.7.7"]: 1.2.3.4
            127.0.0.1 ["10.1.1.1, 10.7.7.7"]: 10.1.1.1
            127.0.0.1 ["1.2.3.4, unknown, 10.7.7.7"]: 10.7.7.7
            fd00::1 ["[2001:db8::1]"]: 2001:db8::1
            11.0.0.1 ["1.2.3.4"]: 11.0.0.1
        "#]]
        .assert_eq(&told.concat());
    }

    #[test]
    fn networks_are_read_and_all_of_a_home_is_one_site() {
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "a", "1.2.3.4/"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        let everybody: Network = "0.0.0.0/0".parse().unwrap();
        assert!(
            everybody.holds([8, 8, 8, 8].into()) && !everybody.holds(Ipv6Addr::LOCALHOST.into())
        );
        for mapped in ["::ffff:10.1.2.3", "::ffff:10.0.0.0/104"] {
            let network: Network = mapped.parse().unwrap();
            assert!(network.holds([10, 1, 2, 3].into()) && !network.holds([11, 1, 2, 3].into()));
        }
        assert!("::ffff:0.0.0.0/95".parse::<Network>().is_err(), "neither all of IPv4 nor of IPv6");
        let site = |text: &str| Peer(text.parse().unwrap()).site();
        assert_eq!(site("2001:db8:1:2::1"), site("2001:db8:1:2:ffff::"));
        assert_ne!(site("2001:db8:1:2::1"), site("2001:db8:1:3::1"));
        assert_eq!(site("::ffff:1.2.3.4"), site("1.2.3.4"));
        assert_ne!(site("1.2.3.4"), site("1.2.3.5"));
    }

    #[tokio::test]
    async fn headers_of_the_proxy_protocol_are_read_and_nothing_beyond() {
        let v2 = |command: u8, family: u8, rest: &[u8]| {
            [&SIGNATURE[..], &[command, family, 0, rest.len() as u8], rest].concat()
        };
        let six = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[9], &[0; 20]].concat();
        let rows = [
            (b"PROXY TCP4 1.2.3.4 10.0.0.1 5 80\r\n".to_vec(), Ok(Some("1.2.3.4"))),
            (b"PROXY TCP6 2001:db8::9 ::1 5 80\r\n".to_vec(), Ok(Some("2001:db8::9"))),
            (b"PROXY UNKNOWN\r\n".to_vec(), Ok(None)),
            (b"PROXY TCP4 2001:db8::9 ::1 5 80\r\n".to_vec(), Err(ProxyError)),
            (b"GET / HTTP/1.1\r\nHost: x\r\n".to_vec(), Err(ProxyError)),
            ([b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(), Err(ProxyError)),
            (v2(0x21, 0x11, &[1, 2, 3, 4, 10, 0, 0, 1, 0, 5, 0, 80]), Ok(Some("1.2.3.4"))),
            (v2(0x21, 0x21, &six), Ok(Some("2001:db8::9"))),
            (v2(0x20, 0, &[]), Ok(None)),
            (v2(0x21, 0x11, &[1, 2]), Err(ProxyError)),
            (v2(0x31, 0x11, &[1; 12]), Err(ProxyError)),
        ];
        for (header, expected) in rows {
            let sent = [&header[..], b"GET"].concat();
            let mut stream = &sent[..];
            let read = proxied(&mut stream).await;
            let expected = expected.map(|client| client.map(|c| c.parse::<IpAddr>().unwrap()));
            assert_eq!(read, expected, "{header:?}");
            if read.is_ok() {
                assert_eq!(stream, b"GET");
            }
        }
    }
}
