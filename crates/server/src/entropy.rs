//! The one place that draws random numbers.

use presence::{ConnId, Timestamp};

/// Draws random bytes. The real ones are the [`OperatingSystem`]'s; a simulation brings a seed.
pub trait Entropy: Send + Sync + 'static {
    /// Fills all of it.
    fn fill(&self, bytes: &mut [u8]);
}

/// What the operating system draws.
pub struct OperatingSystem;

impl Entropy for OperatingSystem {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has randomness");
    }
}

/// Random bytes.
pub fn bytes<const N: usize>(from: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    from.fill(&mut bytes);
    bytes
}

/// A new connection's name: a UUID of version 7, so names sort by time.
pub fn conn_id(now: Timestamp) -> ConnId {
    let mut id = bytes::<16>(&OperatingSystem);
    id[..6].copy_from_slice(&now.0.to_be_bytes()[2..]);
    id[6] = 0x70 | (id[6] & 0x0f);
    id[8] = 0x80 | (id[8] & 0x3f);
    ConnId(id)
}

/// For tracing an operation that nobody named.
pub fn operation_id(from: &dyn Entropy) -> String {
    format!("herald-{:016x}", u64::from_be_bytes(bytes(from)))
}

/// The name of a new store.
pub fn epoch() -> String {
    format!("{:016x}", u64::from_be_bytes(bytes(&OperatingSystem)))
}

/// A number between 0 and 1.
pub fn chance(from: &dyn Entropy) -> f32 {
    f32::from(u16::from_be_bytes(bytes(from))) / f32::from(u16::MAX)
}

/// A secret that nobody can guess, as 64 hexadecimal digits.
pub fn secret() -> String {
    bytes::<32>(&OperatingSystem).iter().map(|byte| format!("{byte:02x}")).collect()
}
