//! A digest of who is online, small enough to be sent whole: two sides that hold it see where their
//! views differ, and need to exchange only that.
//!
//! Users are spread over 65,536 buckets by the first two bytes of the SHA-256 of their name. A
//! bucket is the exclusive or, over its users, of the first eight bytes of the SHA-256 of the name, a
//! NUL, and a detail: what both sides keep of an online user. It finds differences of good faith; it
//! is no proof against somebody who chooses names to hide one.

use sha2::{Digest, Sha256};

/// How many buckets there are.
pub const BUCKETS: usize = 1 << 16;

/// A digest of who is online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets(Vec<u64>);

impl Default for Buckets {
    fn default() -> Buckets {
        Buckets(vec![0; BUCKETS])
    }
}

impl Buckets {
    /// Nobody is online.
    pub fn new() -> Buckets {
        Buckets::default()
    }

    /// Adds an online user, or takes them out again.
    ///
    /// `detail` is `""` where a side keeps one flag for each user; the numbers of the platforms,
    /// rising, or the connIDs, in order of their bytes, each joined by commas, where it keeps those.
    pub fn toggle(&mut self, user: &str, detail: &str) {
        let mut hash = Sha256::new();
        hash.update(user);
        hash.update([0]);
        hash.update(detail);
        let hash: [u8; 32] = hash.finalize().into();
        let first = hash[..8].try_into().expect("a digest has 32 bytes");
        self.0[usize::from(bucket_of(user))] ^= u64::from_be_bytes(first);
    }

    /// The numbers of the buckets that differ, rising.
    pub fn differing(&self, other: &Buckets) -> Vec<u16> {
        let both = self.0.iter().zip(&other.0).zip(0..=u16::MAX);
        both.filter(|((one, other), _)| one != other).map(|(_, bucket)| bucket).collect()
    }

    /// In order of their numbers, 8 bytes each, big-endian: 512 KiB.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|bucket| bucket.to_be_bytes()).collect()
    }

    /// Reads what [`Buckets::to_bytes`] writes; none if it has another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Buckets> {
        let (buckets, rest) = bytes.as_chunks::<8>();
        let whole = buckets.len() == BUCKETS && rest.is_empty();
        whole.then(|| Buckets(buckets.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect()))
    }
}

/// Where a user belongs.
pub fn bucket_of(user: &str) -> u16 {
    let hash: [u8; 32] = Sha256::digest(user).into();
    u16::from_be_bytes([hash[0], hash[1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_spoiled_rows_of_a_million_are_found_in_less_than_a_megabyte() {
        let mut truth = Buckets::new();
        let mut users_in = vec![0; BUCKETS];
        for n in 0..1_000_000 {
            let user = format!("user{n}");
            truth.toggle(&user, "");
            users_in[usize::from(bucket_of(&user))] += 1;
        }
        let mut spoiled = truth.clone();
        let wrong: Vec<String> = (0..100).map(|n| format!("user{}", n * 999)).collect();
        wrong.iter().for_each(|user| spoiled.toggle(user, ""));
        let mut expected: Vec<u16> = wrong.iter().map(|user| bucket_of(user)).collect();
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(truth.differing(&spoiled), expected);
        // What is sent, and those who come back; 200 bytes are enough for one of them.
        let told: usize = expected.iter().map(|bucket| users_in[usize::from(*bucket)]).sum();
        assert!(truth.to_bytes().len() + told * 200 < 1_000_000, "{told} users come back");
        wrong.iter().for_each(|user| spoiled.toggle(user, ""));
        assert!(truth.differing(&spoiled).is_empty());
    }

    #[test]
    fn a_detail_that_differs_is_a_difference() {
        let (mut one, mut other) = (Buckets::new(), Buckets::new());
        one.toggle("u", "1,5");
        other.toggle("u", "1");
        assert_eq!(one.differing(&other), [bucket_of("u")]);
    }

    /// So that other languages can check theirs.
    #[test]
    fn the_bytes_are_those_of_the_description() {
        let mut buckets = Buckets::new();
        buckets.toggle("user123", "");
        // printf 'user123' | sha256sum; printf 'user123\0' | sha256sum
        assert_eq!(bucket_of("user123"), 0xe606);
        let at = usize::from(bucket_of("user123")) * 8;
        let bytes = buckets.to_bytes();
        assert_eq!(bytes[at..at + 8], 0x6ae1_89ab_99af_55db_u64.to_be_bytes());
        assert_eq!(Buckets::from_bytes(&bytes), Some(buckets));
        assert_eq!(Buckets::from_bytes(&bytes[1..]), None);
    }
}
