//! Users whose deadline could not be worked on: each waits alone, so that no other user's does.

use presence::{Instant, UserId};
use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};
use store::StoreError;

/// The wait after the first failure.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait of what fails for a reason that time hardly mends.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// How many users may wait; beyond that it is the store that is broken.
const USERS_MAX: usize = 4_096;

/// How long to wait before the same is tried again: longer each time if the fault is of this user
/// alone; if it is of the store, everybody waits the same short time for its return.
pub(super) fn next_wait(error: &StoreError, last: Duration, first: Duration) -> Duration {
    match error {
        StoreError::Panicked { .. } | StoreError::Corrupt { .. } => (last * 2).min(RETRY_MAX),
        _ => first,
    }
}

/// Who waits, and until when.
#[derive(Default)]
pub(super) struct SetAside(HashMap<UserId, Waiting>);

struct Waiting {
    until: Instant,
    wait: Duration,
}

impl SetAside {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a user is to be left alone for now.
    pub(super) fn waits(&self, user: &UserId, now: Instant) -> bool {
        self.0.get(user).is_some_and(|waiting| now < waiting.until)
    }

    /// A user's step failed; false if too many wait already.
    pub(super) fn failed(&mut self, user: UserId, error: &StoreError, now: Instant) -> bool {
        let is_full = self.0.len() >= USERS_MAX;
        match self.0.entry(user) {
            Entry::Occupied(mut entry) => {
                let wait = next_wait(error, entry.get().wait, RETRY_FIRST);
                entry.insert(Waiting { until: now + wait, wait });
            }
            Entry::Vacant(_) if is_full => return false,
            Entry::Vacant(entry) => {
                entry.insert(Waiting { until: now + RETRY_FIRST, wait: RETRY_FIRST });
            }
        }
        true
    }

    /// Forgets a user whose step worked.
    pub(super) fn worked(&mut self, user: &UserId) {
        self.0.remove(user);
    }

    /// Forgets those who were not due again when their wait was over.
    pub(super) fn forget_old(&mut self, now: Instant) {
        self.0.retain(|_, waiting| now < waiting.until + waiting.wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name)
    }

    fn panicked() -> StoreError {
        StoreError::Panicked { of: "u".to_owned() }
    }

    #[test]
    fn a_fault_of_one_user_waits_longer_each_time_and_a_fault_of_the_store_does_not() {
        let waits = |error: &StoreError| {
            let (mut set_aside, mut now, mut waits) = (SetAside::default(), Instant(0), vec![]);
            for _ in 0..11 {
                assert!(set_aside.failed(user("u"), error, now));
                let began = now;
                while set_aside.waits(&user("u"), now) {
                    now = now + Duration::from_secs(1);
                }
                waits.push((now.0 - began.0) / 1000);
            }
            waits
        };
        assert_eq!(waits(&panicked()), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(waits(&StoreError::Unavailable("full".to_owned())), [1; 11]);
    }

    #[test]
    fn who_works_again_or_is_not_due_again_is_forgotten() {
        let mut set_aside = SetAside::default();
        set_aside.failed(user("works"), &panicked(), Instant(0));
        set_aside.failed(user("not due"), &panicked(), Instant(0));
        set_aside.worked(&user("works"));
        set_aside.forget_old(Instant(1_999));
        assert_eq!(set_aside.len(), 1);
        set_aside.forget_old(Instant(2_000));
        assert_eq!(set_aside.len(), 0);
    }

    #[test]
    fn no_more_wait_than_the_cap() {
        let mut set_aside = SetAside::default();
        for at in 0..USERS_MAX {
            assert!(set_aside.failed(user(&at.to_string()), &panicked(), Instant(0)));
        }
        assert!(!set_aside.failed(user("one more"), &panicked(), Instant(0)));
        assert!(set_aside.failed(user("7"), &panicked(), Instant(0)), "it waits already");
    }
}
