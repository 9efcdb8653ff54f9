//! Addresses for programs that a test starts, and starts again on the same ones.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
};

/// Addresses that nothing else on this machine takes, also while nobody listens on them.
///
/// A free port of 127.0.0.1 that has been looked up and let go may be the next one that another test
/// listens on, or that a connection begins at. Linux answers at all of 127.0.0.0/8 and begins
/// connections at 127.0.0.1, so an address drawn from the rest is the caller's alone.
pub fn of_our_own<const COUNT: usize>() -> [SocketAddr; COUNT] {
    let host = if cfg!(target_os = "linux") { drawn() } else { Ipv4Addr::LOCALHOST };
    // All are held until all are known, so that they differ.
    let held = [(); COUNT].map(|()| TcpListener::bind((IpAddr::V4(host), 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap())
}

/// An address of 127.0.0.1, for a program that can listen on no other: with a port that no connection
/// begins at, and none that is drawn as above.
pub fn of_localhost() -> SocketAddr {
    loop {
        let drawn = RandomState::new().hash_one(0) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 11_000 + drawn % 20_000));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// One of 16 million, never 127.0.0.x.
fn drawn() -> Ipv4Addr {
    let [first, second, third, ..] = RandomState::new().hash_one(0).to_ne_bytes();
    Ipv4Addr::new(127, first.max(1), second, third.clamp(1, 254))
}
