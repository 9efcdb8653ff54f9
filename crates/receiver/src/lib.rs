//! The App's side of Herald's callbacks: verify, answer, keep a right view of who is online.
//!
//! Start at [`Receiver`]. It never does IO, keeps no state but a [`View`] that you own, and needs
//! no runtime; the feature `axum` (on by default) adds the route. What follows is the README.
#![cfg_attr(feature = "axum", doc = "")]
#![cfg_attr(feature = "axum", doc = include_str!("../README.md"))]

#[cfg(feature = "axum")]
pub mod axum;
mod receiver;
mod reject;
mod reply;
pub mod sql;
pub mod sync;
mod verify;
mod view;

pub use contract::{Answer, Kind, Scope, Status, signature::SecretError};
pub use receiver::{BODY_BYTES_MAX, Event, Receiver, Subject};
pub use reject::Reject;
pub use reply::Reply;
pub use view::{Applied, Present, View};
