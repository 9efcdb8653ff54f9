//! A text frame.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| inputs::heartbeat::check(data));
