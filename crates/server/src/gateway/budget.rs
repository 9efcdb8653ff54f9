//! What one connection may ask for: a client that asks for more is read later, not refused.

use presence::Instant;
use std::time::Duration;

/// Frames, pings among them, that may come at once, and how often one more.
const FRAMES_AT_ONCE: u32 = 500;
const FRAME_EVERY: Duration = Duration::from_millis(20);
/// The same for requests that write.
const WRITES_AT_ONCE: u32 = 40;
const WRITE_EVERY: Duration = Duration::from_millis(500);
/// The same for users who are watched: each is a read.
const NAMES_AT_ONCE: u32 = 10_000;
const NAME_EVERY: Duration = Duration::from_millis(2);

/// When the next frame is read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Budget {
    frames: Spent,
    writes: Spent,
    names: Spent,
}

impl Budget {
    pub(super) fn frame(&mut self, now: Instant) {
        self.frames.spend(1, FRAMES_AT_ONCE, FRAME_EVERY, now);
    }

    pub(super) fn write(&mut self, now: Instant) {
        self.writes.spend(1, WRITES_AT_ONCE, WRITE_EVERY, now);
    }

    pub(super) fn names(&mut self, names: usize, now: Instant) {
        let names = u32::try_from(names).unwrap_or(NAMES_AT_ONCE);
        self.names.spend(names, NAMES_AT_ONCE, NAME_EVERY, now);
    }

    /// Nothing is read before.
    pub(super) fn reads_from(&self) -> Instant {
        self.frames.over.max(self.writes.over).max(self.names.over)
    }
}

/// Until when what was spent is not back.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    until: Instant,
    /// When there is something to spend again.
    over: Instant,
}

impl Spent {
    fn spend(&mut self, weight: u32, at_once: u32, every: Duration, now: Instant) {
        self.until = self.until.max(now) + every * weight;
        let full = every * (at_once - 1);
        self.over = Instant(self.until.0.saturating_sub(full.as_millis() as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_frames_may_come_at_once_and_then_one_in_each_interval() {
        let mut budget = Budget::default();
        let mut now = Instant(1_000_000);
        for _ in 0..FRAMES_AT_ONCE - 1 {
            budget.frame(now);
            assert!(budget.reads_from() <= now);
        }
        budget.frame(now);
        assert_eq!(budget.reads_from(), now + FRAME_EVERY);
        now = budget.reads_from();
        budget.frame(now);
        assert_eq!(budget.reads_from(), now + FRAME_EVERY);
        now = now + FRAME_EVERY * (FRAMES_AT_ONCE + 1);
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
        assert!(!waits(Budget::write, WRITES_AT_ONCE - 1) && waits(Budget::write, WRITES_AT_ONCE));
        assert!(!waits(|budget, now| budget.names(3_000, now), 3));
        assert!(waits(|budget, now| budget.names(3_000, now), 4));
        assert!(!waits(|budget, now| budget.names(0, now), 1_000));
    }
}
