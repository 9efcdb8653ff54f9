//! A gzipped binary frame of the Go, wasm and Python SDKs. Half of the mutations are of what is
//! packed, as a checksum keeps any other from getting far.
#![no_main]

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use std::io::{Read as _, Write as _};
use wire::limit::FRAME_BYTES_MAX;

fuzz_target!(|data: &[u8]| inputs::frame::check_gzip(data));

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
