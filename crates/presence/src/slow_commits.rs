//! Whether so many users wait long for the store that it must be overloaded: who waits must not be
//! told offline meanwhile. One user whose commits are slow says nothing about the others.

use crate::Instant;
use alloc::collections::{BTreeSet, VecDeque};
use core::time::Duration;

/// A commit that takes longer is slow.
pub const SLOW: Duration = Duration::from_secs(1);
/// So many different users with a slow commit make an overloaded store.
const USERS_MIN: usize = 20;
/// Within this time.
const WINDOW: Duration = Duration::from_secs(10);

/// Users with a slow commit lately, known by a hash of their names. Kept in memory only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlowCommits {
    /// Each once, oldest first. Never more than make an overloaded store.
    users: VecDeque<(Instant, u64)>,
    known: BTreeSet<u64>,
}

impl SlowCommits {
    /// A commit of a user took so long, the wait for the user's own turn left out. True: the store
    /// is overloaded.
    pub fn took(&mut self, user: u64, took: Duration, now: Instant) -> bool {
        if took <= SLOW {
            return false;
        }
        while let Some((at, user)) = self.users.front().copied()
            && (at + WINDOW <= now || self.users.len() > USERS_MIN)
        {
            self.users.pop_front();
            self.known.remove(&user);
        }
        if self.known.insert(user) {
            self.users.push_back((now, user));
        }
        self.users.len() >= USERS_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_user_however_slow_is_no_overload() {
        let mut slow = SlowCommits::default();
        assert!((0..10_000).all(|n| !slow.took(n % 19, SECOND * 30, Instant(n))));
    }

    #[test]
    fn twenty_users_within_ten_seconds_are_one() {
        let mut slow = SlowCommits::default();
        let mut at = |user: u64, ms: u64| slow.took(user, SECOND * 2, Instant(ms));
        assert!((0..19).all(|user| !at(user, user * 100)));
        assert!(at(19, 9_999));
        assert!(at(3, 9_999), "while it goes on");
        assert!(!at(20, 11_500), "most are long ago");
        assert!(!slow.took(30, SECOND, Instant(11_500)), "a second is not slow");
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut slow = SlowCommits::default();
        (0..100_000).for_each(|user| _ = slow.took(user, SECOND * 2, Instant(1)));
        assert!(slow.users.len() <= USERS_MIN + 1 && slow.known.len() == slow.users.len());
    }
}
