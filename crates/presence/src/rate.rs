//! How often one user may be news: a client that reconnects every second must not keep everybody
//! busy. Each kind of event has a limit of its own, so that one cannot use up another.

use crate::{Author, Instant};
use core::time::Duration;
use serde::{Deserialize, Serialize};

const MINUTE: Duration = Duration::from_secs(60);
/// How many times as many statuses an administrator may set for a user as the user may.
const ADMIN_FACTOR: u32 = 10;
/// Returns to a session that lingers: so many at once, as when all connections of a user come back
/// after a restart, then one in each interval.
const RETURNS_AT_ONCE: u32 = 64;
const RETURN_EVERY: Duration = Duration::from_secs(1);

/// The rate limits of one user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rates {
    #[serde(default, skip_serializing_if = "Rate::is_untouched")]
    logins: Rate,
    #[serde(default, skip_serializing_if = "Rate::is_untouched")]
    own_statuses: Rate,
    #[serde(default, skip_serializing_if = "Rate::is_untouched")]
    admin_statuses: Rate,
    #[serde(default, skip_serializing_if = "Rate::is_untouched")]
    returns: Rate,
}

impl Rates {
    /// Counts a login. False: it is one too many, and not counted.
    pub(crate) fn log_in(&mut self, now: Instant, per_minute: u32) -> bool {
        self.logins.spend_of_a_minute(now, per_minute)
    }

    /// Counts a status. False: it is one too many, and not counted.
    pub(crate) fn set_status(&mut self, by: Author, now: Instant, per_minute: u32) -> bool {
        match by {
            Author::User => self.own_statuses.spend_of_a_minute(now, per_minute),
            Author::Admin => {
                let most = per_minute.saturating_mul(ADMIN_FACTOR);
                self.admin_statuses.spend_of_a_minute(now, most)
            }
        }
    }

    /// Counts a return to a session that lingers. An error says when to try again.
    pub(crate) fn come_back(&mut self, now: Instant) -> Result<(), Instant> {
        self.returns.spend(now, RETURNS_AT_ONCE, RETURN_EVERY)
    }

    pub(crate) fn are_untouched(&self) -> bool {
        *self == Rates::default()
    }
}

/// Until when a user has spent what comes back with time: one number instead of a count for each
/// interval (the generic cell rate algorithm).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Rate(Instant);

impl Rate {
    /// Spends one of so many a minute, all of which may come at once (0: no limit).
    fn spend_of_a_minute(&mut self, now: Instant, per_minute: u32) -> bool {
        per_minute == 0 || self.spend(now, per_minute, MINUTE / per_minute).is_ok()
    }

    /// Spends one of `at_once`, of which one comes back in each interval. Where that is too much,
    /// nothing is spent, and the error says when one will be back.
    fn spend(&mut self, now: Instant, at_once: u32, every: Duration) -> Result<(), Instant> {
        let full = now + every.saturating_mul(at_once);
        // A clock that was set back must lock nobody out.
        let spent = if self.0 > full { now } else { self.0.max(now) };
        let spent = spent + every;
        if spent > full {
            return Err(now + spent.after(full));
        }
        self.0 = spent;
        Ok(())
    }

    fn is_untouched(&self) -> bool {
        *self == Rate::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of one try every `step` ms, for `secs` seconds, are within 30 a minute.
    fn run(rate: &mut Rate, from: u64, secs: u64, step: u64) -> usize {
        let tries = (0..secs * 1000 / step).map(|n| Instant(from + n * step));
        tries.filter(|now| rate.spend_of_a_minute(*now, 30)).count()
    }

    #[test]
    fn as_many_as_there_are_may_come_at_once_and_come_back_with_time() {
        let rate = &mut Rate::default();
        assert_eq!(run(rate, 5_000, 1, 10), 30);
        assert_eq!(run(rate, 6_000, 60, 100), 30, "one every two seconds");
        assert_eq!(run(rate, 1_000_000, 1, 10), 30, "all of it is back");
    }

    #[test]
    fn one_a_second_is_too_often_and_one_every_two_seconds_is_not() {
        assert_eq!(run(&mut Rate::default(), 0, 600, 1_000), 30 + 299);
        assert_eq!(run(&mut Rate::default(), 0, 600, 2_000), 300);
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let rate = &mut Rate(Instant(u64::MAX));
        assert_eq!(run(rate, 1_000, 1, 10), 30);
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let rate = &mut Rate::default();
        assert!((0..1_000).all(|_| rate.spend_of_a_minute(Instant(1), 0)));
        assert!(rate.is_untouched());
    }

    #[test]
    fn one_kind_uses_up_no_other() {
        let rates = &mut Rates::default();
        let now = Instant(5_000);
        let count = |spend: &mut dyn FnMut() -> bool| (0..1_000).filter(|_| spend()).count();
        assert_eq!(count(&mut || rates.set_status(Author::Admin, now, 30)), 300);
        assert_eq!(count(&mut || rates.set_status(Author::User, now, 30)), 30);
        assert_eq!(count(&mut || rates.log_in(now, 30)), 30);
        assert_eq!(count(&mut || rates.come_back(now).is_ok()), 64);
    }

    #[test]
    fn who_returns_too_often_is_told_when_to_try_again() {
        let rates = &mut Rates::default();
        (0..64).for_each(|_| rates.come_back(Instant(5_000)).unwrap());
        assert_eq!(rates.come_back(Instant(5_400)), Err(Instant(6_000)));
        assert_eq!(rates.come_back(Instant(5_999)), Err(Instant(6_000)), "nothing was spent");
        assert_eq!(rates.come_back(Instant(6_000)), Ok(()));
        assert_eq!(rates.come_back(Instant(6_000)), Err(Instant(7_000)));
    }
}
