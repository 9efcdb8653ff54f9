//! A binary frame of the Go, wasm and Python SDKs.
#![no_main]

use herald_fuzz::frame;
use libfuzzer_sys::fuzz_target;
use wire::frame::{Codec, Encoding};

fuzz_target!(|data: &[u8]| {
    // Each byte is copied once at most: a length is only ever a claim.
    frame::read(Codec { encoding: Encoding::Gob, gzip: false }, data, data.len());
});
