//! What one connection may ask for: a client that asks for more is read later, not refused.

use crate::rate::{Rate, Spent};
use presence::Instant;
use std::time::Duration;

/// Frames, pings among them.
const FRAMES: Rate = Rate { at_once: 500, every: Duration::from_millis(20) };
/// Requests that write.
const WRITES: Rate = Rate { at_once: 40, every: Duration::from_millis(500) };
/// Users who are watched: each is a read.
const NAMES: Rate = Rate { at_once: 10_000, every: Duration::from_millis(2) };

/// When the next frame is read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Budget {
    frames: Spent,
    writes: Spent,
    names: Spent,
}

impl Budget {
    pub(super) fn frame(&mut self, now: Instant) {
        self.frames.spend(FRAMES, 1, Duration::from_millis(now.0));
    }

    pub(super) fn write(&mut self, now: Instant) {
        self.writes.spend(WRITES, 1, Duration::from_millis(now.0));
    }

    pub(super) fn names(&mut self, names: usize, now: Instant) {
        let names = u32::try_from(names).unwrap_or(u32::MAX);
        self.names.spend(NAMES, names, Duration::from_millis(now.0));
    }

    /// Nothing is read before.
    pub(super) fn reads_from(&self) -> Instant {
        let ready = [(self.frames, FRAMES), (self.writes, WRITES), (self.names, NAMES)]
            .map(|(spent, rate)| spent.ready_at(rate).as_millis() as u64);
        Instant(ready.into_iter().fold(0, u64::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_frames_may_come_at_once_and_then_one_in_each_interval() {
        let mut budget = Budget::default();
        let mut now = Instant(1_000_000);
        for _ in 0..FRAMES.at_once - 1 {
            budget.frame(now);
            assert!(budget.reads_from() <= now);
        }
        budget.frame(now);
        assert_eq!(budget.reads_from(), now + FRAMES.every);
        now = budget.reads_from();
        budget.frame(now);
        assert_eq!(budget.reads_from(), now + FRAMES.every);
        now = now + FRAMES.every * (FRAMES.at_once + 1);
        budget.frame(now);
        assert!(budget.reads_from() <= now, "all of it is back");
    }

    #[test]
    fn writes_and_names_have_budgets_of_their_own() {
        let now = Instant(1_000_000);
        let waits = |spend: fn(&mut Budget, Instant), times: u32| {
            let mut budget = Budget::default();
            (0..times).for_each(|_| spend(&mut budget, now));
            budget.reads_from() > now
        };
        assert!(!waits(Budget::write, WRITES.at_once - 1) && waits(Budget::write, WRITES.at_once));
        assert!(!waits(|budget, now| budget.names(3_000, now), 3));
        assert!(waits(|budget, now| budget.names(3_000, now), 4));
        assert!(!waits(|budget, now| budget.names(0, now), 1_000));
    }
}
