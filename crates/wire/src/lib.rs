//! OpenIM's client protocol: what a gateway reads from an SDK and writes back to it.
//!
//! A connection starts with [`handshake::read`] and [`token::Keys::read`], goes on with
//! [`frame::Codec`] and [`message`] for binary frames and [`heartbeat`] for text frames, and every
//! refusal is a [`code::WireError`] inside an [`envelope`].
//!
//! Everything here is a function of its arguments: no IO, no clock, no randomness, and no state
//! between two calls. No input panics, hangs or allocates beyond the caps in [`limit`].
//!
//! `fixtures/` holds frames recorded from the real SDKs; `tests/golden.rs` proves that they are
//! understood and that our answers are the bytes those SDKs accepted.

pub mod code;
pub mod envelope;
pub mod frame;
mod go_json;
pub mod handshake;
pub mod heartbeat;
pub mod identifier;
pub mod limit;
pub mod message;
pub mod platform;
pub mod token;
