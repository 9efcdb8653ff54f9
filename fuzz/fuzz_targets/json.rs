//! A binary frame of the JS SDK.
#![no_main]

use herald_fuzz::frame;
use libfuzzer_sys::fuzz_target;
use wire::frame::{Codec, Encoding};

fuzz_target!(|data: &[u8]| {
    // Texts are unescaped in buffers that double, then copied.
    frame::read(Codec { encoding: Encoding::Json, gzip: false }, data, 8 * data.len() + 4096);
});
