//! The running server: sockets, callbacks, API and console around the `presence` core.
//!
//! Start at [`running::Running::start`], which builds everything; then follow one event: `gateway`
//! lets a client in, `driver` decides and commits, `callbacks` tells the App.

#![deny(clippy::print_stdout, clippy::print_stderr, reason = "they panic when nobody reads")]

pub mod address;
pub mod admin;
pub mod ages;
pub mod api;
pub mod app;
pub mod bodies;
pub mod callbacks;
pub mod client;
pub mod clock;
pub mod config;
pub mod conformance;
pub mod driver;
mod endpoints;
pub mod entropy;
pub mod files;
pub mod gateway;
pub mod guesses;
pub mod listener;
pub mod logging;
pub mod login;
pub mod metrics;
pub mod peer;
mod rate;
pub mod readiness;
pub mod running;
pub mod said;
pub mod supervision;
pub mod tokens;
pub mod trust;
