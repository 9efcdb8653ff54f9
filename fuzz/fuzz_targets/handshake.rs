//! The query of an upgrade request; what follows a line break is its `compression` header.
#![no_main]

use herald_fuzz::handshake;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = str::from_utf8(data) else { return Corpus::Reject };
    match text.split_once('\n') {
        Some((query, header)) => handshake::read(query, Some(header)),
        None => handshake::read(text, None),
    };
    Corpus::Keep
});
