//! Which sockets are open in this process.

use super::{
    ending::Ending,
    outbound::Outbound,
    watchers::{Watcher, Watchers},
};
use crate::{admin::Addresses, api::Watching, driver::Sockets, metrics::Metrics, peer::Peer};
use presence::{ConnId, Sight, UserId};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The open sockets, by connection.
pub struct Registry {
    open: Mutex<HashMap<ConnId, Arc<Outbound>>>,
    /// Who watches whom.
    pub(super) watchers: Watchers,
    /// Who comes now is sent away again.
    stopping: AtomicBool,
    metrics: Arc<Metrics>,
}

impl Registry {
    /// Nobody is here.
    pub fn new(metrics: Arc<Metrics>) -> Registry {
        let (open, watchers) = Default::default();
        Registry { open, watchers, stopping: AtomicBool::new(false), metrics }
    }

    pub(super) fn insert(&self, conn: ConnId, outbound: Arc<Outbound>) {
        if self.stopping.load(Ordering::Acquire) {
            outbound.close(Ending::ServerStops);
        }
        self.lock().insert(conn, outbound);
        self.metrics.connections.inc();
    }

    pub(super) fn remove(&self, conn: ConnId) {
        self.watchers.forget(conn);
        if self.lock().remove(&conn).is_some() {
            self.metrics.connections.dec();
        }
    }

    /// How many sockets are open.
    pub fn open(&self) -> usize {
        self.lock().len()
    }

    /// Closes everybody with 1012, spread over a while so that they do not all redial at once.
    /// Returns when the last one was told.
    pub async fn close_all(&self, over: Duration) {
        const STEPS: u32 = 20;
        self.stopping.store(true, Ordering::Release);
        let everybody: Vec<_> = self.lock().values().cloned().collect();
        let step = everybody.len().div_ceil(STEPS as usize).max(1);
        for (at, some) in everybody.chunks(step).enumerate() {
            if at > 0 {
                tokio::time::sleep(over / STEPS).await;
            }
            some.iter().for_each(|outbound| outbound.close(Ending::ServerStops));
        }
        // Those who came in while the others were told.
        self.lock().values().for_each(|outbound| outbound.close(Ending::ServerStops));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnId, Arc<Outbound>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sockets for Registry {
    fn kick(&self, conn: ConnId) {
        if let Some(outbound) = self.lock().get(&conn) {
            outbound.close(Ending::Kicked);
        }
    }

    fn tell_watchers(&self, user: &UserId, before: Sight, now: Sight) {
        self.watchers.tell(user, before, now);
    }
}

impl Addresses for Registry {
    fn address(&self, conn: ConnId) -> Option<Peer> {
        self.lock().get(&conn).map(|outbound| outbound.peer)
    }
}

impl Watching for Registry {
    fn watch(&self, conn: ConnId, user: &UserId, whom: &UserId) -> bool {
        let Some(outbound) = self.lock().get(&conn).cloned() else { return true };
        self.watchers.watch(&Watcher { conn, user: user.clone(), outbound }, whom)
    }

    fn unwatch(&self, conn: ConnId, whom: &UserId) {
        self.watchers.unwatch(conn, whom);
    }

    fn watched(&self, conn: ConnId) -> Vec<UserId> {
        self.watchers.watched(conn)
    }
}
