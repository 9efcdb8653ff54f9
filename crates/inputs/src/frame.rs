//! What holds of every binary frame, however it is encoded.

use crate::within;
use wire::{
    frame::{Codec, Encoding, Request},
    limit::FRAME_BYTES_MAX,
};

/// The decompressor's window and tables.
const INFLATE_BYTES_MAX: usize = 128 * 1024;
/// What is unpacked, in a buffer that doubles, and once more as a request.
const UNPACKED_BYTES_MAX: usize = 4 * FRAME_BYTES_MAX + INFLATE_BYTES_MAX;

/// A binary frame of the Go, wasm and Python SDKs.
pub fn check_gob(frame: &[u8]) {
    // Each byte is copied once at most: a length is only ever a claim.
    check(Codec { encoding: Encoding::Gob, gzip: false }, frame, frame.len());
}

/// The same, gzipped.
pub fn check_gzip(frame: &[u8]) {
    check(Codec { encoding: Encoding::Gob, gzip: true }, frame, UNPACKED_BYTES_MAX);
}

/// A binary frame of the JS SDK.
pub fn check_json(frame: &[u8]) {
    // Texts are unescaped in buffers that double, then copied.
    check(Codec { encoding: Encoding::Json, gzip: false }, frame, 8 * frame.len() + 4096);
}

/// Reads a frame within `bytes_max`, and what was read again from the answer to it.
fn check(codec: Codec, frame: &[u8], bytes_max: usize) {
    let Ok(request) = within(bytes_max, || codec.decode(frame, FRAME_BYTES_MAX)) else { return };
    assert!(frame.len() <= FRAME_BYTES_MAX);
    let answer = codec.encode(&request.answer(request.data.clone()));
    // An answer has no sender; in base64 and with its other fields it may be the longer one.
    let echoed = codec.decode(&answer, 4 * FRAME_BYTES_MAX);
    assert_eq!(echoed, Ok(Request { send_id: String::new(), ..request }));
}
