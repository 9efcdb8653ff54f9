//! Binary frames: one request of a client, one answer or push to it.
//!
//! [`Codec`] is fixed at the handshake. Every error here ends the connection, as upstream ends it:
//! there is nothing to answer to. What `data` holds is [`crate::message`]'s matter.

mod gob;
mod gzip;
mod json;

use std::borrow::Cow;

use crate::code::WireError;

/// Upstream's `Req`, without the token that nobody fills in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub identifier: i32,
    pub send_id: String,
    pub operation_id: String,
    /// The client's only key to its waiting call: echo it as it is.
    pub msg_incr: String,
    pub data: Vec<u8>,
}

/// Upstream's `Resp`. An empty `msg_incr` makes it a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub identifier: i32,
    pub msg_incr: String,
    pub operation_id: String,
    pub err_code: i32,
    pub err_msg: String,
    pub data: Vec<u8>,
}

/// How both sides of one connection write their binary frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Codec {
    pub encoding: Encoding,
    pub gzip: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The Go, wasm and Python SDKs.
    Gob,
    /// The JS SDK.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// On the wire or after decompression. Close with 1009.
    #[error("frame is too large")]
    TooLarge,
    /// Not what the handshake promised. Close.
    #[error("{0}")]
    Malformed(&'static str),
}

impl Request {
    pub fn answer(&self, data: Vec<u8>) -> Response {
        Response { data, ..self.echo() }
    }

    /// The error's detail has no place in a frame.
    pub fn refusal(&self, error: &WireError) -> Response {
        Response {
            err_code: error.code.number(),
            err_msg: error.code.message().to_owned(),
            ..self.echo()
        }
    }

    fn echo(&self) -> Response {
        Response {
            identifier: self.identifier,
            msg_incr: self.msg_incr.clone(),
            operation_id: self.operation_id.clone(),
            ..Response::default()
        }
    }
}

impl Response {
    /// Something the client did not ask for. A kick is one without data.
    pub fn push(identifier: i32, data: Vec<u8>) -> Self {
        Self { identifier, data, ..Self::default() }
    }
}

impl Codec {
    /// `bytes_max` bounds the frame, and what it holds when it is unpacked.
    pub fn decode(&self, frame: &[u8], bytes_max: usize) -> Result<Request, FrameError> {
        if frame.len() > bytes_max {
            return Err(FrameError::TooLarge);
        }
        let plain = if self.gzip {
            Cow::Owned(gzip::unpack(frame, bytes_max)?)
        } else {
            Cow::Borrowed(frame)
        };
        match self.encoding {
            Encoding::Gob => gob::decode(&plain),
            Encoding::Json => json::decode(&plain),
        }
    }

    pub fn encode(&self, response: &Response) -> Vec<u8> {
        let plain = match self.encoding {
            Encoding::Gob => gob::encode(response),
            Encoding::Json => json::encode(response),
        };
        if self.gzip { gzip::pack(&plain) } else { plain }
    }
}
