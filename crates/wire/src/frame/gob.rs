//! Frames of the Go, wasm and Python SDKs: Go's gob, as far as these two structs need it.
//!
//! A frame is a whole gob stream: one message that defines the struct's type, one that holds its
//! value. [`definition`] reads the former, [`value`] the latter, [`reader`] their numbers and
//! lengths; [`writer`] writes our answers. Fields are matched by name, so their order, their number
//! and the type's id are the sender's business. Only plain kinds may occur beside them: a client
//! that sends maps or nested structs is none of ours.

mod definition;
mod reader;
mod value;
mod writer;

pub(super) use self::writer::encode;

use self::definition::Definition;
use self::reader::Reader;
use super::{FrameError, Request};

/// Reads until the first value; what follows it is ignored, as Go ignores it.
pub(super) fn decode(frame: &[u8]) -> Result<Request, FrameError> {
    let mut frame = Reader::new(frame);
    let mut defined: Option<(i64, Definition)> = None;
    loop {
        let mut message = Reader::new(frame.bytes()?);
        // A definition carries the negated id of the type that it defines.
        let type_id = message.int()?;
        match &defined {
            None if type_id < 0 => defined = Some((type_id, Definition::read(&mut message)?)),
            Some(_) if type_id < 0 => return Err(malformed("gob: more than one type definition")),
            Some((id, definition)) if *id == -type_id => return value::read(message, definition),
            _ => return Err(malformed("gob: unknown type id")),
        }
    }
}

fn malformed(what: &'static str) -> FrameError {
    FrameError::Malformed(what)
}
