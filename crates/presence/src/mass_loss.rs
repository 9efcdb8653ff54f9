//! Many connections that vanish at once are a broken network or proxy, not so many people who left:
//! nobody is told offline for a while.

use crate::{Instant, window::Window};
use core::time::Duration;

/// When losses are too many to be believed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MassLossPolicy {
    /// More than this share of all connections, 0 to 1. 1: never.
    pub share: f64,
    /// Fewer connections than this say nothing.
    pub min_connections: usize,
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
            window: Duration::from_secs(10),
            hold: Duration::from_secs(60),
        }
    }
}

/// The connections of one server, and for how long graces do not run out. Kept in memory only: after
/// a restart there is a grace of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MassLoss {
    open: u64,
    lost: Window,
    held_until: Instant,
}

/// So many of so many were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Lost {
    pub connections: u64,
    pub of: u64,
}

impl MassLoss {
    /// A connection was let in.
    pub fn arrived(&mut self) {
        self.open += 1;
    }

    /// A connection ended as somebody wished: a logout, a kick.
    pub fn left(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// A connection ended, and nobody knows whether its user is gone. Says so if a hold begins with
    /// it.
    pub fn lost(&mut self, now: Instant, policy: &MassLossPolicy) -> Option<Lost> {
        self.left();
        self.lost.add(now, policy.window);
        let connections = self.lost.sum(now, policy.window);
        let of = self.open + connections;
        let too_many =
            of >= policy.min_connections as u64 && connections as f64 > of as f64 * policy.share;
        if !too_many || self.holds(now) {
            return None;
        }
        self.hold(now, policy.hold);
        Some(Lost { connections, of })
    }

    /// For so long from now nobody's grace runs out.
    pub fn hold(&mut self, now: Instant, time: Duration) {
        self.held_until = self.held_until.max(now + time);
    }

    /// Whether graces do not run out.
    pub fn holds(&self, now: Instant) -> bool {
        now < self.held_until
    }

    /// No grace runs out before.
    pub fn held_until(&self) -> Instant {
        self.held_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many connections, of which one is lost every `step` ms; what began a hold, and when.
    fn lose(open: u64, lost: u64, step: u64) -> Vec<(u64, Lost)> {
        let mut masses = MassLoss::default();
        (0..open).for_each(|_| masses.arrived());
        let began = (0..lost)
            .filter_map(|n| Some((n, masses.lost(Instant(n * step), &MassLossPolicy::default())?)));
        began.collect()
    }

    #[test]
    fn three_in_ten_at_once_begin_one_hold() {
        assert_eq!(lose(1_000, 900, 1), [(300, Lost { connections: 301, of: 1_000 })]);
    }

    #[test]
    fn a_steady_loss_and_a_small_house_begin_none() {
        assert_eq!(lose(1_000, 300, 1), []);
        assert_eq!(lose(10_000, 6_000, 10), [], "a thousand in any ten seconds");
        assert_eq!(lose(999, 999, 1), []);
    }

    #[test]
    fn a_hold_ends_by_itself_and_another_may_follow() {
        let mut masses = MassLoss::default();
        (0..2_000).for_each(|_| masses.arrived());
        let mut lose = |n, at| {
            (0..n)
                .filter_map(|_| masses.lost(Instant(at), &MassLossPolicy::default()))
                .collect::<Vec<_>>()
        };
        assert_eq!(lose(700, 1_000), [Lost { connections: 601, of: 2_000 }]);
        assert_eq!(lose(100, 60_999), []);
        assert_eq!(lose(300, 61_000), [Lost { connections: 391, of: 1_300 }]);
    }

    #[test]
    fn who_leaves_on_purpose_is_not_lost() {
        let mut masses = MassLoss::default();
        (0..1_000).for_each(|_| masses.arrived());
        (0..900).for_each(|_| masses.left());
        assert_eq!(masses.lost(Instant(1), &MassLossPolicy::default()), None);
        assert!(!masses.holds(Instant(1)));
    }
}
