//! The configuration: a file's text, and after a line `---` the environment, `NAME=value` a line.
//! What settings name is opened from memory.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| inputs::config::check(data));
