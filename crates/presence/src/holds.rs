//! When nobody's grace runs out: while it is likely that users are kept away by a broken machine.

use crate::{Instant, Lost, MassLoss, MassLossPolicy, SlowCommits};
use core::time::Duration;

/// After a longer freeze clients may have dialled again, and may be waiting to be heard.
const FROZEN_MAX: Duration = Duration::from_secs(5);

/// What is known of the whole server that bears on every user's grace. Kept in memory only: after a
/// restart there is a grace of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Holds {
    masses: MassLoss,
    slow: SlowCommits,
    until: Instant,
    why: Option<HoldReason>,
}

/// Why graces do not run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// Many users vanished at once.
    MassLoss,
    /// Nothing can be stored.
    StoreUnavailable,
    /// Commits of many users are slow.
    StoreSlow,
    /// The process did not run for a while.
    Frozen,
}

impl HoldReason {
    /// In words, for logs and readiness.
    pub fn name(self) -> &'static str {
        match self {
            HoldReason::MassLoss => "many users vanished at once",
            HoldReason::StoreUnavailable => "nothing can be stored",
            HoldReason::StoreSlow => "the store is slow for many users",
            HoldReason::Frozen => "the process was frozen",
        }
    }
}

impl Holds {
    /// A user has a first connection.
    pub fn arrived(&mut self, user: u64, now: Instant) {
        self.masses.arrived(user, now);
    }

    /// A user's last connection ended as somebody wished.
    pub fn left(&mut self, user: u64) {
        self.masses.left(user);
    }

    /// A user's last connection was lost. Says so if a hold begins with it.
    pub fn lost(&mut self, user: u64, now: Instant, policy: &MassLossPolicy) -> Option<Lost> {
        let lost = self.masses.lost(user, now, policy)?;
        self.hold(now, policy.hold, HoldReason::MassLoss);
        Some(lost)
    }

    /// A commit of a user took so long, or has taken so long and goes on; the wait for the user's
    /// own turn is left out. True: with it a hold begins, of this length.
    pub fn commit_took(
        &mut self,
        user: u64,
        took: Duration,
        now: Instant,
        length: Duration,
    ) -> bool {
        self.slow.took(user, took, now) && self.hold(now, length, HoldReason::StoreSlow)
    }

    /// Nothing can be stored right now. True: with it a hold begins, of this length.
    pub fn store_failed(&mut self, now: Instant, length: Duration) -> bool {
        self.hold(now, length, HoldReason::StoreUnavailable)
    }

    /// The process did not run for so long. True: with it a hold begins, of this length.
    pub fn was_frozen(&mut self, frozen: Duration, now: Instant, length: Duration) -> bool {
        frozen > FROZEN_MAX && self.hold(now, length, HoldReason::Frozen)
    }

    /// No grace runs out before.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Why no grace runs out now.
    pub fn why(&self, now: Instant) -> Option<HoldReason> {
        self.why.filter(|_| now < self.until)
    }

    /// True: there was none.
    fn hold(&mut self, now: Instant, length: Duration, why: HoldReason) -> bool {
        let began = now >= self.until;
        if began {
            self.why = Some(why);
        }
        self.until = self.until.max(now + length);
        began
    }
}
