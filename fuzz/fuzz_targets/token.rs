//! A token as it is, and one whose two parts, a line each, are signed with the right secret.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| inputs::token::check(data));
