//! The body of a callback as the App's side reads it, in each dialect.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| inputs::callback::check(data));
