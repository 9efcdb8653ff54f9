//! A gzipped binary frame of the Go, wasm and Python SDKs. Half of the mutations are of what is
//! packed, as a checksum keeps any other from getting far.
#![no_main]

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use herald_fuzz::frame;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use std::io::{Read as _, Write as _};
use wire::{
    frame::{Codec, Encoding},
    limit::FRAME_BYTES_MAX,
};

/// The decompressor's window and tables.
const INFLATE_BYTES_MAX: usize = 128 * 1024;
/// What is unpacked, in a buffer that doubles, and once more as a request.
const BYTES_MAX: usize = 4 * FRAME_BYTES_MAX + INFLATE_BYTES_MAX;

fuzz_target!(|data: &[u8]| {
    frame::read(Codec { encoding: Encoding::Gob, gzip: true }, data, BYTES_MAX);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    match unpacked(&data[..size]) {
        Some(mut plain) if seed.is_multiple_of(2) => {
            let plain_size = plain.len();
            plain.resize(plain_size + 4096, 0);
            let mutated = fuzzer_mutate(&mut plain, plain_size, plain_size + 4096);
            let packed = packed(&plain[..mutated]);
            let size = packed.len().min(max_size);
            data[..size].copy_from_slice(&packed[..size]);
            size
        }
        _ => fuzzer_mutate(data, size, max_size),
    }
});

fn unpacked(data: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(data).take(2 * FRAME_BYTES_MAX as u64);
    decoder.read_to_end(&mut plain).ok().map(|_| plain)
}

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}
