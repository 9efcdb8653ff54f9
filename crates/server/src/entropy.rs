//! The one place that draws random numbers.

use presence::{ConnId, Timestamp};

/// Random bytes of the operating system.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    bytes
}

/// A new connection's name: a UUID of version 7, so names sort by time.
pub fn conn_id(now: Timestamp) -> ConnId {
    let mut id = bytes::<16>();
    id[..6].copy_from_slice(&now.0.to_be_bytes()[2..]);
    id[6] = 0x70 | (id[6] & 0x0f);
    id[8] = 0x80 | (id[8] & 0x3f);
    ConnId(id)
}

/// For tracing an operation that nobody named.
pub fn operation_id() -> String {
    format!("herald-{:016x}", u64::from_be_bytes(bytes()))
}

/// The name of a new store.
pub fn epoch() -> String {
    format!("{:016x}", u64::from_be_bytes(bytes()))
}

/// A number between 0 and 1.
pub fn chance() -> f32 {
    f32::from(u16::from_be_bytes(bytes())) / f32::from(u16::MAX)
}

/// A secret that nobody can guess, as 64 hexadecimal digits.
pub fn secret() -> String {
    bytes::<32>().iter().map(|byte| format!("{byte:02x}")).collect()
}
