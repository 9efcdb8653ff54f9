//! The JSON of a handshake that is packed into the parameter `v`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| inputs::handshake::check_packed(data));
