//! The running server: sockets, callbacks, API and console around the `presence` core.

pub mod api;
pub mod callbacks;
pub mod clock;
pub mod driver;
pub mod entropy;
pub mod gateway;
pub mod listener;
pub mod metrics;
