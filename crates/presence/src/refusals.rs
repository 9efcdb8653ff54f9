//! Whether the App refuses so many users that it must be broken: it would log everybody out.

use crate::Instant;
use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

/// Fewer refused users are always carried out.
const REFUSED_MIN: usize = 20;
/// So many answers are remembered; beyond that the oldest is forgotten.
const ANSWERS_MAX: usize = 10_000;

/// How much an App may refuse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RefusalLimit {
    /// Of the users about whom it was told that they come online, 0 to 1. 1: it may refuse everybody.
    pub share_max: f64,
    /// Within the last while.
    pub window: Duration,
}

impl Default for RefusalLimit {
    fn default() -> RefusalLimit {
        RefusalLimit { share_max: 0.5, window: Duration::from_secs(60) }
    }
}

/// What the App answered lately about each user, known by a hash of the name: one who is refused again
/// and again counts once. Kept in memory only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Refusals {
    users: BTreeMap<u64, LastAnswer>,
    /// Oldest first.
    answers: VecDeque<(Instant, u64)>,
    refused: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct LastAnswer {
    /// How many of its user are remembered.
    answers: usize,
    refused: bool,
}

impl Refusals {
    /// The App answered an online callback about a user. `false`: it refuses, and that must not be
    /// carried out.
    pub fn answered(
        &mut self,
        user: u64,
        refuses: bool,
        now: Instant,
        limit: RefusalLimit,
    ) -> bool {
        self.forget(now, limit.window);
        self.answers.push_back((now, user));
        let last = self.users.entry(user).or_insert(LastAnswer { answers: 0, refused: false });
        last.answers += 1;
        self.refused = self.refused + usize::from(refuses) - usize::from(last.refused);
        last.refused = refuses;
        !refuses || !self.are_too_many(now, limit)
    }

    /// Whether refusals are not carried out at the moment.
    pub fn are_too_many(&mut self, now: Instant, limit: RefusalLimit) -> bool {
        self.forget(now, limit.window);
        self.refused > REFUSED_MIN
            && self.refused as f64 > self.users.len() as f64 * limit.share_max
    }

    fn forget(&mut self, now: Instant, window: Duration) {
        while let Some((at, user)) = self.answers.front().copied()
            && (at + window <= now || self.answers.len() >= ANSWERS_MAX)
        {
            self.answers.pop_front();
            let Some(last) = self.users.get_mut(&user) else { continue };
            last.answers -= 1;
            if last.answers == 0 {
                self.refused -= usize::from(last.refused);
                self.users.remove(&user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many refusals are carried out when of each ten users so many are refused.
    fn run(refusals: &mut Refusals, from: u64, of_ten: u64, users: u64) -> usize {
        let carried_out = (0..users).filter(|n| {
            let (refuses, at) = (n * of_ten % 10 < of_ten, Instant(from + n * 10));
            refusals.answered(from + n, refuses, at, RefusalLimit::default()) && refuses
        });
        carried_out.count()
    }

    #[test]
    fn an_app_may_refuse_nearly_half_of_those_who_come() {
        assert_eq!(run(&mut Refusals::default(), 0, 4, 1_000), 400);
    }

    #[test]
    fn an_app_that_refuses_everybody_is_not_obeyed_until_it_is_well_again() {
        let mut refusals = Refusals::default();
        assert_eq!(run(&mut refusals, 0, 10, 1_000), REFUSED_MIN);
        assert!(refusals.are_too_many(Instant(10_000), RefusalLimit::default()));
        assert!(!refusals.are_too_many(Instant(80_000), RefusalLimit::default()));
        assert_eq!(run(&mut refusals, 80_000, 1, 1_000), 100);
    }

    #[test]
    fn one_that_may_refuse_everybody_does() {
        let all = RefusalLimit { share_max: 1.0, ..RefusalLimit::default() };
        let mut refusals = Refusals::default();
        assert!((0..1_000).all(|n| refusals.answered(n, true, Instant(n), all)));
    }

    /// Or one banned user would open the way for all others.
    #[test]
    fn one_user_who_is_refused_again_and_again_counts_once() {
        let (mut refusals, limit) = (Refusals::default(), RefusalLimit::default());
        assert!((0..5_000).all(|n| refusals.answered(7, true, Instant(n), limit)));
        assert_eq!((refusals.users.len(), refusals.refused), (1, 1));
        (0..50_000).for_each(|n| _ = refusals.answered(n, n % 2 == 0, Instant(9_000), limit));
        assert!(refusals.answers.len() <= ANSWERS_MAX && refusals.users.len() <= ANSWERS_MAX);
    }
}
