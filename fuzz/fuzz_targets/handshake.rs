//! The query of an upgrade request; what follows a line break is its `compression` header.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| inputs::handshake::check_query(data));
