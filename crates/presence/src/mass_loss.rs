//! Many users who vanish at once are a broken network or proxy, not so many people who left: nobody is
//! told offline for a while.

use crate::Instant;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::time::Duration;

/// When losses are too many to be believed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MassLossPolicy {
    /// More than this share of all users with a connection, 0 to 1. 1: never.
    pub share: f64,
    /// Fewer users with a connection than this say nothing.
    pub min_connections: usize,
    /// A user who was connected for less than this says nothing: they come and go.
    pub min_age: Duration,
    /// Within this time.
    pub window: Duration,
    /// For how long nobody's grace runs out then.
    pub hold: Duration,
}

impl Default for MassLossPolicy {
    fn default() -> MassLossPolicy {
        MassLossPolicy {
            share: 0.3,
            min_connections: 1_000,
            min_age: Duration::from_secs(30),
            window: Duration::from_secs(10),
            hold: Duration::from_secs(60),
        }
    }
}

/// The users who are connected to one server, and which of them were lost lately. Users are known by
/// a hash of their names. Kept in memory only: after a restart there is a grace of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MassLoss {
    /// Since when each is connected.
    connected: BTreeMap<u64, Instant>,
    /// Each once, oldest first.
    lost: VecDeque<(Instant, u64)>,
    lost_users: BTreeSet<u64>,
    /// A hold that began here, until its end.
    held_until: Instant,
}

/// So many users of so many were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Lost {
    pub users: u64,
    pub of: u64,
}

impl MassLoss {
    /// A user has a first connection.
    pub fn arrived(&mut self, user: u64, now: Instant) {
        self.connected.insert(user, now);
    }

    /// A user's last connection ended as somebody wished: a logout, a kick.
    pub fn left(&mut self, user: u64) {
        self.connected.remove(&user);
    }

    /// A user's last connection ended, and nobody knows whether they are gone. Says so if a hold
    /// begins with it.
    pub fn lost(&mut self, user: u64, now: Instant, policy: &MassLossPolicy) -> Option<Lost> {
        let since = self.connected.remove(&user)?;
        self.forget(now, policy.window);
        if since + policy.min_age > now || !self.lost_users.insert(user) {
            return None;
        }
        self.lost.push_back((now, user));
        let users = self.lost.len() as u64;
        let of = self.connected.len() as u64 + users;
        let too_many =
            of >= policy.min_connections as u64 && users as f64 > of as f64 * policy.share;
        if !too_many || now < self.held_until {
            return None;
        }
        self.held_until = now + policy.hold;
        Some(Lost { users, of })
    }

    fn forget(&mut self, now: Instant, window: Duration) {
        while let Some((at, user)) = self.lost.front().copied()
            && at + window <= now
        {
            self.lost.pop_front();
            self.lost_users.remove(&user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of them are connected since 0.
    fn crowd(users: u64) -> MassLoss {
        let mut masses = MassLoss::default();
        (0..users).for_each(|user| masses.arrived(user, Instant(0)));
        masses
    }

    /// Of so many users one is lost every `step` ms, from a minute on; what began a hold, and when.
    fn lose(users: u64, lost: u64, step: u64) -> Vec<(u64, Lost)> {
        let mut masses = crowd(users);
        let policy = MassLossPolicy::default();
        let began = (0..lost)
            .filter_map(|n| Some((n, masses.lost(n, Instant(60_000 + n * step), &policy)?)));
        began.collect()
    }

    #[test]
    fn three_in_ten_at_once_begin_one_hold() {
        assert_eq!(lose(1_000, 900, 1), [(300, Lost { users: 301, of: 1_000 })]);
    }

    #[test]
    fn a_steady_loss_and_a_small_house_begin_none() {
        assert_eq!(lose(1_000, 300, 1), []);
        assert_eq!(lose(10_000, 6_000, 10), [], "a thousand in any ten seconds");
        assert_eq!(lose(999, 999, 1), []);
    }

    #[test]
    fn a_hold_ends_by_itself_and_another_may_follow() {
        let (mut masses, policy) = (crowd(2_000), MassLossPolicy::default());
        let mut lose = |users: core::ops::Range<u64>, at| {
            users.filter_map(|n| masses.lost(n, Instant(at), &policy)).collect::<Vec<_>>()
        };
        assert_eq!(lose(0..700, 60_000), [Lost { users: 601, of: 2_000 }]);
        assert_eq!(lose(700..800, 119_999), []);
        assert_eq!(lose(800..1_100, 120_000), [Lost { users: 391, of: 1_300 }]);
    }

    #[test]
    fn who_leaves_on_purpose_is_not_lost() {
        let mut masses = crowd(1_000);
        (0..900).for_each(|user| masses.left(user));
        assert_eq!(masses.lost(950, Instant(60_000), &MassLossPolicy::default()), None);
    }

    /// Accounts that come and go, however often, say nothing about a thousand who stay.
    #[test]
    fn users_who_come_and_go_begin_no_hold() {
        let (mut masses, policy) = (crowd(1_000), MassLossPolicy::default());
        for round in 0..1_000 {
            for user in 1_000..1_120 {
                let at = Instant(60_000 + round * 100);
                masses.arrived(user, at);
                assert_eq!(masses.lost(user, at, &policy), None);
            }
        }
        // Also if they stay for long enough in between, each counts once.
        let policy = MassLossPolicy { min_age: Duration::ZERO, ..policy };
        for round in 0..100 {
            for user in 1_000..1_120 {
                let at = Instant(200_000 + round * 100);
                masses.arrived(user, at);
                assert_eq!(masses.lost(user, at, &policy), None);
            }
        }
        assert!(masses.lost.len() <= 120);
    }
}
