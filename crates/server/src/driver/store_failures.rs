//! What real reads and commits say of the store. A probe writes one number every few seconds: it may
//! work while logins fail, and it says so late.

use presence::Instant;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long after a failure the store counts as failing at least.
const FAILING_FOR: Duration = Duration::from_secs(2);

/// The last failure.
#[derive(Default)]
pub(super) struct StoreFailures(Mutex<Option<(Instant, String)>>);

impl StoreFailures {
    /// Nothing could be read or stored.
    pub(super) fn note(&self, now: Instant, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, why));
    }

    /// A probe that began then worked.
    pub(super) fn probed(&self, began: Instant) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|(at, _)| at.until(began) >= FAILING_FOR) {
            *last = None;
        }
    }

    /// Why the store counts as failing, if so.
    pub(super) fn why(&self) -> Option<String> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|(_, why)| why.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fails_from_a_failure_on_until_a_later_probe_works() {
        let failures = StoreFailures::default();
        assert_eq!(failures.why(), None);
        failures.note(Instant(10), "full".into());
        assert_eq!(failures.why().unwrap(), "full");
        failures.note(Instant(1_500), "hangs".into());
        failures.probed(Instant(3_499));
        assert_eq!(failures.why().unwrap(), "hangs");
        failures.probed(Instant(3_500));
        assert_eq!(failures.why(), None);
    }
}
