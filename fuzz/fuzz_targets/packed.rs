//! The JSON of a handshake that is packed into the parameter `v`.
#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use herald_fuzz::handshake;
use libfuzzer_sys::fuzz_target;
use wire::limit::PACKED_BYTES_MAX;

fuzz_target!(|json: &[u8]| {
    let query = |json: &[u8]| format!("v={}", URL_SAFE_NO_PAD.encode(json));
    if let Some(said) = handshake::read(&query(json), None) {
        assert!(json.len() < PACKED_BYTES_MAX);
        let again = query(handshake::packed(&said).as_bytes());
        // Names that were absent are written now.
        if again.len() <= PACKED_BYTES_MAX {
            assert_eq!(handshake::read(&again, None), Some(said));
        }
    }
});
