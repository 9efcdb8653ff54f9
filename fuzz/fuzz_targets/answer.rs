//! The App's answer to a callback, read in each dialect.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| inputs::answer::check(data));
