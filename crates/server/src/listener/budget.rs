//! What one address may cost that proves nothing: connections that come to nothing, and requests of nobody's.
//!
//! A request beyond the budget waits; so a client that sends without end is answered at a pace. A connection far
//! beyond it is closed before anything is done for it. What proves that an administrator or a login made it is
//! given back, so that a backend and an office full of users are never slowed down.
#![allow(
    clippy::disallowed_methods,
    reason = "it waits by the timers of the runtime, so it counts by their clock"
)]

use super::PeerRules;
use crate::{
    peer::Site,
    rate::{Rate, Spent},
};
use http::Extensions;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Connections that come to nothing.
const CONNECTIONS: Rate = Rate { at_once: 1_000, every: Duration::from_millis(4) };
const REQUESTS: Rate = Rate { at_once: 2_000, every: Duration::from_micros(500) };
/// So many bytes of a body cost as much as a request.
const BODY_BYTES: u64 = 16 * 1024;
/// A body of unknown length costs as much as one of this length.
const UNKNOWN_BODY_BYTES: u64 = 256 * 1024;
/// Beyond that many, addresses that have their whole budget are forgotten.
const SITES_MAX: usize = 10_000;
/// An address that loses connections is logged so often.
const LOGGED_EVERY: Duration = Duration::from_secs(10);

/// In the extensions of a response: an administrator asked for it, and nobody's budget pays for it.
#[derive(Debug, Clone, Copy)]
pub struct Proven;

/// The budgets of all addresses at one port.
pub(super) struct Budgets {
    began: Instant,
    sites: Mutex<HashMap<Site, Account>>,
}

/// In time since the port was opened.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    connections: Spent,
    requests: Spent,
    logged: Option<Duration>,
    /// How many requests are under way that a proxy has handed on.
    under_way: usize,
}

impl Account {
    fn of(&mut self, rate: Rate) -> &mut Spent {
        if rate == CONNECTIONS { &mut self.connections } else { &mut self.requests }
    }

    fn is_nothing(self, now: Duration) -> bool {
        self.connections.is_nothing(now) && self.requests.is_nothing(now) && self.under_way == 0
    }
}

impl Budgets {
    pub(super) fn new() -> Arc<Budgets> {
        Arc::new(Budgets { began: Instant::now(), sites: Mutex::default() })
    }

    /// Whether a connection of that address, which has come, is taken.
    pub(super) fn takes(&self, site: Site) -> bool {
        let now = self.began.elapsed();
        let mut sites = self.lock(now);
        let Some(account) = sites.get_mut(&site) else { return true };
        if account.connections.ready_at(CONNECTIONS) <= now {
            return true;
        }
        if account.logged.is_none_or(|at| now - at > LOGGED_EVERY) {
            account.logged = Some(now);
            tracing::warn!(address = %site, "connections are closed: that address makes too many that come to nothing");
        }
        false
    }

    /// Charges a request of that address, and waits until its budget allows it.
    pub(super) async fn requests(self: &Arc<Self>, site: Site, body_bytes: Option<u64>) -> Costs {
        let weight = 1 + body_bytes.unwrap_or(UNKNOWN_BODY_BYTES) / BODY_BYTES;
        let costs = self.charge(site, REQUESTS, weight);
        let now = self.began.elapsed();
        let spent = self.lock(now).get(&site).map_or_else(Spent::default, |a| a.requests);
        if spent.is_over(REQUESTS, now) {
            tokio::time::sleep(spent.ready_at(REQUESTS).saturating_sub(now)).await;
        }
        costs
    }

    /// Counts a request that a proxy hands on; none: its client has as many under way as it may.
    pub(super) fn hands_on(self: &Arc<Self>, site: Site, rules: &PeerRules) -> Option<UnderWay> {
        let now = self.began.elapsed();
        let mut sites = self.lock(now);
        let under_way = &mut sites.entry(site).or_default().under_way;
        if *under_way >= rules.pending_max {
            return None;
        }
        *under_way += 1;
        drop(sites);
        Some(UnderWay { budgets: Arc::clone(self), site })
    }

    /// Charges a connection of that address.
    pub(super) fn connects(self: &Arc<Self>, site: Site) -> Costs {
        self.charge(site, CONNECTIONS, 1)
    }

    fn charge(self: &Arc<Self>, site: Site, rate: Rate, weight: u64) -> Costs {
        let now = self.began.elapsed();
        let mut sites = self.lock(now);
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        sites.entry(site).or_default().of(rate).spend(rate, weight, now);
        drop(sites);
        let (budgets, is_given_back) = (Arc::clone(self), AtomicBool::new(false));
        Costs { budgets, site, rate, weight, is_given_back }
    }

    fn lock(&self, now: Duration) -> MutexGuard<'_, HashMap<Site, Account>> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        if sites.len() >= SITES_MAX {
            sites.retain(|_, account| !account.is_nothing(now));
        }
        sites
    }
}

/// What an address paid.
pub(super) struct Costs {
    budgets: Arc<Budgets>,
    site: Site,
    rate: Rate,
    weight: u32,
    is_given_back: AtomicBool,
}

impl Costs {
    /// It has come to something.
    pub(super) fn give_back(&self) {
        if self.is_given_back.swap(true, Relaxed) {
            return;
        }
        let now = self.budgets.began.elapsed();
        if let Some(account) = self.budgets.lock(now).get_mut(&self.site) {
            account.of(self.rate).give_back(self.rate, self.weight);
        }
    }
}

/// A request under way that a proxy has handed on.
pub(super) struct UnderWay {
    budgets: Arc<Budgets>,
    site: Site,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let now = self.budgets.began.elapsed();
        if let Some(account) = self.budgets.lock(now).get_mut(&self.site) {
            account.under_way -= 1;
        }
    }
}

/// Whether a response says that an administrator asked for it.
pub(super) fn is_proven(response: &Extensions) -> bool {
    response.get::<Proven>().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Peer;

    fn site(n: u8) -> Site {
        Peer([192, 0, 2, n].into()).site()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_answered_at_a_pace_and_others_at_once() {
        let budgets = Budgets::new();
        let began = Instant::now();
        for _ in 0..2 * REQUESTS.at_once {
            budgets.requests(site(1), Some(0)).await;
        }
        let took = began.elapsed();
        assert!(took >= REQUESTS.every * (REQUESTS.at_once - 1), "{took:?}");
        let now = Instant::now();
        budgets.requests(site(2), Some(0)).await;
        assert_eq!(now, Instant::now());
        budgets.requests(site(1), Some(BODY_BYTES * 99)).await;
        assert!(now.elapsed() >= REQUESTS.every * 99, "a long body costs more");
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_to_something_costs_nothing() {
        let budgets = Budgets::new();
        let now = Instant::now();
        for _ in 0..3 * REQUESTS.at_once {
            assert!(budgets.takes(site(1)));
            let connection = budgets.connects(site(1));
            let request = budgets.requests(site(1), None).await;
            request.give_back();
            connection.give_back();
            connection.give_back();
        }
        assert_eq!(now, Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_whose_connections_come_to_nothing_loses_the_next_until_the_budget_is_back()
    {
        let budgets = Budgets::new();
        let comes = || budgets.takes(site(1)).then(|| budgets.connects(site(1))).is_some();
        let come = (0..9 * CONNECTIONS.at_once).filter(|_| comes()).count() as u32;
        assert_eq!(come, CONNECTIONS.at_once);
        assert!(budgets.takes(site(2)));
        tokio::time::sleep(CONNECTIONS.every * 99).await;
        assert!(comes());
    }

    #[tokio::test(start_paused = true)]
    async fn the_clients_of_a_proxy_have_their_requests_counted_and_are_forgotten() {
        let budgets = Budgets::new();
        let rules = PeerRules { pending_max: 2, ..PeerRules::default() };
        let first = budgets.hands_on(site(1), &rules);
        let second = budgets.hands_on(site(1), &rules);
        assert!(first.is_some() && budgets.hands_on(site(1), &rules).is_none());
        assert!(budgets.hands_on(site(2), &rules).is_some());
        drop((first, second));
        assert!(budgets.hands_on(site(1), &rules).is_some());
        for n in 0..SITES_MAX as u32 * 2 {
            let address = std::net::Ipv4Addr::from_bits(n);
            budgets.connects(Peer(address.into()).site());
            if n.is_multiple_of(1_000) {
                tokio::time::sleep(CONNECTIONS.every).await;
            }
        }
        assert!(budgets.sites.lock().unwrap().len() <= SITES_MAX);
    }
}
