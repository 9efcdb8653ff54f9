//! How often one user may be news: the one who reconnects every second must not keep everybody busy.

use crate::Instant;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// What is spent comes back within this time.
const MINUTE: Duration = Duration::from_secs(60);

/// Until when the user has spent what comes back with time: one number instead of a count for each
/// minute (the generic cell rate algorithm).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Budget(Instant);

impl Budget {
    /// Spends one of so many a minute (0: no limit). Where that is too much, nothing is spent.
    pub(crate) fn spend(&mut self, now: Instant, per_minute: u32) -> bool {
        if per_minute == 0 {
            return true;
        }
        let full = now + MINUTE;
        // A clock that was set back must lock nobody out.
        let spent = if self.0 > full { now } else { self.0.max(now) };
        let spent = spent + MINUTE / per_minute;
        let affordable = spent <= full;
        if affordable {
            self.0 = spent;
        }
        affordable
    }

    pub(crate) fn is_untouched(&self) -> bool {
        *self == Budget::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of one try every `step` ms, for `secs` seconds, are within 30 a minute.
    fn run(budget: &mut Budget, from: u64, secs: u64, step: u64) -> usize {
        (0..secs * 1000 / step).filter(|n| budget.spend(Instant(from + n * step), 30)).count()
    }

    #[test]
    fn as_many_as_there_are_may_come_at_once_and_come_back_with_time() {
        let budget = &mut Budget::default();
        assert_eq!(run(budget, 5_000, 1, 10), 30);
        assert_eq!(run(budget, 6_000, 60, 100), 30, "one every two seconds");
        assert_eq!(run(budget, 1_000_000, 1, 10), 30, "all of it is back");
    }

    #[test]
    fn one_a_second_is_too_often_and_one_every_two_seconds_is_not() {
        assert_eq!(run(&mut Budget::default(), 0, 600, 1_000), 30 + 299);
        assert_eq!(run(&mut Budget::default(), 0, 600, 2_000), 300);
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let budget = &mut Budget(Instant(u64::MAX));
        assert_eq!(run(budget, 1_000, 1, 10), 30);
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let budget = &mut Budget::default();
        assert!((0..1_000).all(|_| budget.spend(Instant(1), 0)));
        assert!(budget.is_untouched());
    }
}
