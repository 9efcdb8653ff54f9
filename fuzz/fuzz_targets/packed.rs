//! The JSON of a handshake that is packed into the parameter `v`.
#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use herald_fuzz::handshake;
use libfuzzer_sys::fuzz_target;
use wire::limit::PACKED_BYTES_MAX;

fuzz_target!(|json: &[u8]| {
    let packed = URL_SAFE_NO_PAD.encode(json);
    if let Some(said) = handshake::read(&format!("v={packed}"), None) {
        assert!(packed.len() <= PACKED_BYTES_MAX);
        let again = URL_SAFE_NO_PAD.encode(handshake::packed(&said));
        // Names that were absent are written now.
        if again.len() <= PACKED_BYTES_MAX {
            assert_eq!(handshake::read(&format!("v={again}"), None), Some(said));
        }
    }
});
