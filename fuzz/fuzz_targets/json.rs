//! A binary frame of the JS SDK.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| inputs::frame::check_json(data));
