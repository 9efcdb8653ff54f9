//! Which `seq` a step may give, and below which one nothing is decided any more.

use presence::Timestamp;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Mutex, PoisonError},
};

/// What `seq` may be given next: no lower than the wall clock, nor than any that was given.
#[derive(Default)]
pub(super) struct Decisions {
    /// The highest that was given.
    highest: u64,
    /// From which `seq` on the steps were decided that are not stored yet, and how many each time.
    under_way: BTreeMap<u64, usize>,
}

impl Decisions {
    fn clock(&self, now: Timestamp) -> u64 {
        self.highest.max(now.0)
    }

    /// A step is decided; what it may give begins here.
    pub(super) fn begin(&mut self, now: Timestamp) -> u64 {
        let from = self.clock(now);
        *self.under_way.entry(from).or_default() += 1;
        from
    }

    pub(super) fn gave(&mut self, seq: u64) {
        self.highest = self.highest.max(seq);
    }

    pub(super) fn fence(&self, now: Timestamp) -> u64 {
        let clock = self.clock(now);
        let oldest = self.under_way.keys().next().map_or(clock, |from| clock.min(*from));
        oldest.saturating_sub(1)
    }
}

/// One step that is not stored yet.
pub(super) struct Deciding<'a> {
    pub(super) of: &'a Mutex<Decisions>,
    /// The first `seq` that it may give.
    pub(super) from: u64,
}

impl Deciding<'_> {
    /// The step was decided, and this is the last `seq` that it gave.
    pub(super) fn gave(&self, seq: u64) {
        self.of.lock().unwrap_or_else(PoisonError::into_inner).gave(seq);
    }
}

impl Drop for Deciding<'_> {
    fn drop(&mut self) {
        let mut decisions = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut steps) = decisions.under_way.entry(self.from) {
            *steps.get_mut() -= 1;
            if *steps.get() == 0 {
                steps.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_takes_no_fence_with_it() {
        let decisions = Mutex::new(Decisions::default());
        let fence = |now| decisions.lock().unwrap().fence(Timestamp(now));
        let from = decisions.lock().unwrap().begin(Timestamp(1_000));
        let ahead = Deciding { of: &decisions, from };
        ahead.gave(1_000);
        assert_eq!(fence(5_000), 999, "it is not stored yet");
        drop(ahead);
        assert_eq!((fence(5_000), fence(200)), (4_999, 999));
        let from = decisions.lock().unwrap().begin(Timestamp(200));
        assert_eq!(from, 1_000, "what comes is not below what was told");
    }
}
