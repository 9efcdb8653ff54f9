//! How often something may happen: so many at once, and then one more in each interval.

use std::time::Duration;

/// How much may be spent at once, and how often one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// At least 1.
    pub(crate) at_once: u32,
    /// Once spent, one is back after so long.
    pub(crate) every: Duration,
}

/// What was spent at a rate. Times are since any begin, the same for all calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// When all of it is back.
    until: Duration,
}

impl Spent {
    /// Spends so much, also if that is more than there is.
    pub(crate) fn spend(&mut self, rate: Rate, weight: u32, now: Duration) {
        self.until = self.until.max(now).saturating_add(rate.every.saturating_mul(weight));
    }

    /// Has so much of it back before its time.
    pub(crate) fn give_back(&mut self, rate: Rate, weight: u32) {
        self.until = self.until.saturating_sub(rate.every.saturating_mul(weight));
    }

    /// From when on there is one to spend.
    pub(crate) fn ready_at(self, rate: Rate) -> Duration {
        self.until.saturating_sub(rate.every.saturating_mul(rate.at_once - 1))
    }

    /// Whether more was spent than there is at once.
    pub(crate) fn is_over(self, rate: Rate, now: Duration) -> bool {
        self.until > now.saturating_add(rate.every.saturating_mul(rate.at_once))
    }

    /// Whether all of it is back.
    pub(crate) fn is_nothing(self, now: Duration) -> bool {
        self.until <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { at_once: 3, every: Duration::from_secs(1) };

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn so_many_are_spent_at_once_and_then_one_in_each_interval() {
        let (mut spent, now) = (Spent::default(), second(100));
        for left in [2, 1, 0] {
            assert!(spent.ready_at(RATE) <= now, "{left}");
            spent.spend(RATE, 1, now);
            assert!(!spent.is_over(RATE, now));
        }
        assert_eq!(spent.ready_at(RATE), second(101));
        spent.spend(RATE, 1, second(101));
        assert_eq!(spent.ready_at(RATE), second(102));
        spent.spend(RATE, 1, second(101));
        assert!(spent.is_over(RATE, second(101)) && !spent.is_over(RATE, second(102)));
        assert!(!spent.is_nothing(second(104)) && spent.is_nothing(second(105)));
    }

    #[test]
    fn what_is_given_back_was_not_spent() {
        let mut spent = Spent::default();
        spent.spend(RATE, 3, second(100));
        spent.give_back(RATE, 2);
        assert_eq!(spent.ready_at(RATE), second(99));
        spent.spend(RATE, u32::MAX, second(100));
        spent.give_back(RATE, u32::MAX);
        spent.give_back(RATE, 9);
        assert!(spent.is_nothing(second(100)));
    }
}
