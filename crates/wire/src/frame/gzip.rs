//! Compression of single frames: plain gzip, no shared dictionary.
//!
//! Upstream unpacks without a bound; here a bomb costs no more than the largest frame.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::FrameError;

/// Several members in a row are one text, and nothing may follow them: Go's reader does the same.
pub(super) fn unpack(frame: &[u8], bytes_max: usize) -> Result<Vec<u8>, FrameError> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(frame)
        .take(bytes_max as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|_| FrameError::Malformed("frame is not gzip"))?;
    if plain.len() > bytes_max { Err(FrameError::TooLarge) } else { Ok(plain) }
}

pub(super) fn pack(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("a Vec takes every byte");
    encoder.finish().expect("a Vec takes every byte")
}
