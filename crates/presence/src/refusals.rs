//! Whether the App refuses so many users that it must be broken: it would log everybody out.

use crate::{Instant, window::Window};
use core::time::Duration;

/// Fewer are always carried out.
const REFUSALS_MIN: u64 = 20;

/// How much an App may refuse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RefusalLimit {
    /// Of its answers to online callbacks, 0 to 1. 1: it may refuse everybody.
    pub share_max: f64,
    /// Within the last while.
    pub window: Duration,
}

impl Default for RefusalLimit {
    fn default() -> RefusalLimit {
        RefusalLimit { share_max: 0.5, window: Duration::from_secs(60) }
    }
}

/// What the App answered lately. Kept in memory only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Refusals {
    answers: Window,
    refusals: Window,
}

impl Refusals {
    /// The App answered an online callback. `false`: it refuses, and that must not be carried out.
    pub fn answered(&mut self, refuses: bool, now: Instant, limit: RefusalLimit) -> bool {
        self.answers.add(now, limit.window);
        if refuses {
            self.refusals.add(now, limit.window);
        }
        !refuses || !self.are_too_many(now, limit)
    }

    /// Whether refusals are not carried out at the moment.
    pub fn are_too_many(&mut self, now: Instant, limit: RefusalLimit) -> bool {
        let refusals = self.refusals.sum(now, limit.window);
        let answers = self.answers.sum(now, limit.window);
        refusals > REFUSALS_MIN && refusals as f64 > answers as f64 * limit.share_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many refusals are carried out when of each ten answers so many refuse.
    fn run(refusals: &mut Refusals, from: u64, of_ten: u64, answers: u64) -> u64 {
        let carried_out = (0..answers).filter(|n| {
            let refuses = n * of_ten % 10 < of_ten;
            refusals.answered(refuses, Instant(from + n * 10), RefusalLimit::default()) && refuses
        });
        carried_out.count() as u64
    }

    #[test]
    fn an_app_may_refuse_nearly_half_of_those_who_come() {
        assert_eq!(run(&mut Refusals::default(), 0, 4, 1_000), 400);
    }

    #[test]
    fn an_app_that_refuses_everybody_is_not_obeyed_until_it_is_well_again() {
        let mut refusals = Refusals::default();
        assert_eq!(run(&mut refusals, 0, 10, 1_000), REFUSALS_MIN);
        assert!(refusals.are_too_many(Instant(10_000), RefusalLimit::default()));
        assert!(!refusals.are_too_many(Instant(80_000), RefusalLimit::default()));
        assert_eq!(run(&mut refusals, 80_000, 1, 1_000), 100);
    }

    #[test]
    fn one_that_may_refuse_everybody_does() {
        let all = RefusalLimit { share_max: 1.0, ..RefusalLimit::default() };
        let mut refusals = Refusals::default();
        assert!((0..1_000).all(|n| refusals.answered(true, Instant(n), all)));
    }
}
