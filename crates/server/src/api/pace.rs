//! How many names one ordinary user may ask about: each is a read of the store.

use crate::rate::{Rate, Spent};
use presence::Instant;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

const NAMES: Rate = Rate { at_once: 10_000, every: Duration::from_millis(1) };
/// A call costs as many names as this beside those that it names.
const CALL: usize = 10;
/// Beyond that many, users who have spent nothing are forgotten.
const USERS_MAX: usize = 10_000;

/// What each user spent.
#[derive(Default)]
pub struct Pace(Mutex<HashMap<Box<str>, Spent>>);

impl Pace {
    /// Whether a user may ask about so many now; then that is spent. Whoever has the whole budget may ask about any
    /// number, of those that the user's connections watch.
    pub(super) fn may_ask(&self, user: &str, names: usize, now: Instant) -> bool {
        let now = Duration::from_millis(now.0);
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= USERS_MAX {
            users.retain(|_, spent| !spent.is_nothing(now));
        }
        let weight = u32::try_from(names + CALL).unwrap_or(u32::MAX).min(NAMES.at_once);
        let mut spent = users.get(user).copied().unwrap_or_default();
        spent.spend(NAMES, weight, now);
        if spent.is_over(NAMES, now) {
            return false;
        }
        users.insert(user.into(), spent);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_asks_about_so_many_and_then_at_a_pace() {
        let pace = Pace::default();
        let now = Instant(1_000);
        for _ in 0..9 {
            assert!(pace.may_ask("u", 1_000, now));
        }
        assert!(!pace.may_ask("u", 1_000, now) && pace.may_ask("v", 1_000, now));
        assert!(pace.may_ask("u", 1_000, now + NAMES.every * 1_010));
        assert!(pace.may_ask("w", 12_000, now) && !pace.may_ask("w", 1, now));
        for n in 0..USERS_MAX {
            pace.may_ask(&format!("user-{n}"), 1, now);
        }
        pace.may_ask("last", 1, now + NAMES.every * NAMES.at_once);
        assert!(pace.0.lock().unwrap().len() < 10);
    }
}
