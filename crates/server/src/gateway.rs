//! Clients' WebSockets: who is let in, what a connection does, how it ends.
//!
//! Start at [`upgrade`]: checks, commit, and only then the 101. Nobody imports this room: the
//! driver reaches it through [`crate::driver::Sockets`].

mod admission;
mod budget;
#[cfg(test)]
mod conformance;
mod connection;
mod ending;
mod outbound;
mod paced;
mod registry;
mod request;
mod sites;
mod watchers;

pub use admission::upgrade;
pub use registry::Registry;

use crate::{clock::Clock, driver::Driver, login::Logins, metrics::Metrics, tokens::Tokens};
use sites::Sites;
use std::{sync::Arc, time::Duration};
use store::Store;
use tokio::sync::Semaphore;

/// What every connection shares.
pub struct Gateway {
    driver: Arc<Driver>,
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
    tokens: Arc<Tokens>,
    logins: Logins,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    settings: GatewaySettings,
    /// One permit for each connection.
    places: Arc<Semaphore>,
    sites: Arc<Sites>,
    text_refusals: Arc<Semaphore>,
}

/// What the operator configured for clients' connections.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct GatewaySettings {
    pub connections_max: usize,
    /// Refusals by text frame under way at once; beyond that a refusal is plain HTTP.
    pub text_refusals_max: usize,
    pub frame_bytes_max: usize,
    pub outbound_frames_max: usize,
    /// 0: as many as there are places.
    pub clients_per_address_max: usize,
    /// Whether any App is told where clients are.
    pub keeps_addresses: bool,
    /// Whether a connection ends with its token.
    pub end_expired: bool,
    pub read_timeout: Duration,
    pub ping_interval: Duration,
    pub handshake_timeout: Duration,
}

impl Gateway {
    /// An empty house.
    pub fn new(
        driver: Arc<Driver>,
        store: Arc<dyn Store>,
        registry: Arc<Registry>,
        tokens: Arc<Tokens>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        settings: GatewaySettings,
    ) -> Gateway {
        let logins = Logins::new(
            Arc::clone(&driver),
            Arc::clone(&clock),
            Arc::clone(&metrics),
            settings.handshake_timeout,
        );
        Gateway {
            logins,
            driver,
            store,
            registry,
            tokens,
            clock,
            metrics,
            places: Arc::new(Semaphore::new(settings.connections_max)),
            sites: Arc::new(Sites::new(settings.clients_per_address_max)),
            text_refusals: Arc::new(Semaphore::new(settings.text_refusals_max)),
            settings,
        }
    }
}
