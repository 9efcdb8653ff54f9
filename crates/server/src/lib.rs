//! The running server: sockets, callbacks, API and console around the `presence` core.

pub mod callbacks;
pub mod clock;
pub mod driver;
pub mod entropy;
pub mod metrics;
