//! What holds of every binary frame, however it is encoded.

use crate::within;
use wire::{
    frame::{Codec, Request},
    limit::FRAME_BYTES_MAX,
};

/// Reads a frame within `bytes_max`, and what was read again from the answer to it.
pub fn read(codec: Codec, frame: &[u8], bytes_max: usize) {
    let Ok(request) = within(bytes_max, || codec.decode(frame, FRAME_BYTES_MAX)) else { return };
    assert!(frame.len() <= FRAME_BYTES_MAX);
    let answer = codec.encode(&request.answer(request.data.clone()));
    // An answer has no sender; in base64 and with its other fields it may be the longer one.
    let echoed = codec.decode(&answer, 4 * FRAME_BYTES_MAX);
    assert_eq!(echoed, Ok(Request { send_id: String::new(), ..request }));
}
