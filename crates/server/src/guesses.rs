//! Wrong secrets: counted, logged, and after some from one address refused unread for a while.

use crate::{
    clock::Clock,
    peer::{Peer, Site},
};
use presence::Instant;
use prometheus_client::metrics::counter::Counter;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How many wrong ones one address has at once.
const BURST: u32 = 10;
/// After so long it has one more.
const ANOTHER_AFTER: Duration = Duration::from_secs(6);
/// How many addresses are remembered; beyond that those who were silent longest are forgotten.
const SITES_MAX: usize = 10_000;

/// Who guessed wrong.
pub struct Guesses {
    clock: Arc<dyn Clock>,
    wrong: Mutex<HashMap<Site, Wrong>>,
    /// Wrong secrets, and those that were not looked at.
    counted: Counter,
}

#[derive(Clone, Copy)]
struct Wrong {
    times: u32,
    last: Instant,
}

impl Wrong {
    fn now(self, now: Instant) -> Wrong {
        let passed = self.last.until(now).as_millis() / ANOTHER_AFTER.as_millis();
        let times = self.times.saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX));
        Wrong { times, last: if passed > 0 { now } else { self.last } }
    }
}

/// Too many wrong ones came from there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many wrong secrets from {0}; try again in a minute")]
pub struct TooMany(pub String);

impl Guesses {
    /// Nobody has guessed yet.
    pub fn new(clock: Arc<dyn Clock>, counted: Counter) -> Guesses {
        Guesses { clock, wrong: Mutex::default(), counted }
    }

    /// Whether a secret from there is looked at.
    pub fn may_try(&self, peer: Peer) -> Result<(), TooMany> {
        let now = self.clock.now().mono;
        let times = self.wrong().get(&peer.site()).map_or(0, |wrong| wrong.now(now).times);
        if times < BURST {
            return Ok(());
        }
        self.counted.inc();
        Err(TooMany(peer.to_string()))
    }

    /// It was wrong. `door`: what it was to open.
    pub fn failed(&self, peer: Peer, door: &'static str) {
        self.counted.inc();
        let now = self.clock.now().mono;
        let mut all = self.wrong();
        if all.len() >= SITES_MAX && !all.contains_key(&peer.site()) {
            // Amortized: a tenth goes at a time.
            let mut last: Vec<_> = all.values().map(|wrong| wrong.last).collect();
            last.sort_unstable();
            let old = last[SITES_MAX / 10];
            all.retain(|_, wrong| wrong.last > old);
        }
        let wrong = all.entry(peer.site()).or_insert(Wrong { times: 0, last: now });
        *wrong = wrong.now(now);
        wrong.times += 1;
        let times = wrong.times;
        drop(all);
        tracing::warn!(address = %peer, door, times, "a wrong secret");
        if times == BURST {
            tracing::warn!(address = %peer, door, "no more secrets from there are looked at for a while");
        }
    }

    fn wrong(&self) -> MutexGuard<'_, HashMap<Site, Wrong>> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::tests::Hand;
    use std::sync::atomic::Ordering::Relaxed;

    fn peer(n: u32) -> Peer {
        Peer(std::net::Ipv4Addr::from_bits(n).into())
    }

    #[test]
    fn after_some_wrong_ones_an_address_has_one_more_every_few_seconds() {
        let clock = Arc::new(Hand::default());
        let guesses = Guesses::new(clock.clone(), Counter::default());
        for _ in 0..BURST {
            assert_eq!(guesses.may_try(peer(1)), Ok(()));
            guesses.failed(peer(1), "test");
        }
        assert!(guesses.may_try(peer(1)).is_err() && guesses.may_try(peer(2)).is_ok());
        clock.0.store(6_000, Relaxed);
        assert!(guesses.may_try(peer(1)).is_ok());
        guesses.failed(peer(1), "test");
        assert!(guesses.may_try(peer(1)).is_err());
        assert_eq!(guesses.counted.get(), 13);
    }

    #[test]
    fn so_many_addresses_are_remembered_and_no_more() {
        let clock = Arc::new(Hand::default());
        let guesses = Guesses::new(clock.clone(), Counter::default());
        for n in 0..SITES_MAX as u32 * 2 {
            clock.0.store(n.into(), Relaxed);
            guesses.failed(peer(n), "test");
        }
        assert!(guesses.wrong().len() <= SITES_MAX);
    }
}
