//! The messages inside `data`, each read from the same bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| inputs::protobuf::check(data));
