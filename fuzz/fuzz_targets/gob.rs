//! A binary frame of the Go, wasm and Python SDKs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| inputs::frame::check_gob(data));
