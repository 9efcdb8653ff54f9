//! What real reads and commits say of the store. A probe writes one number every few seconds: it may
//! work while logins fail, and it says so late.

use presence::Instant;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long after a failure the store counts as failing.
const FAILING_FOR: Duration = Duration::from_secs(2);

/// The last failure.
#[derive(Default)]
pub(super) struct StoreFailures(Mutex<Option<(Instant, String)>>);

impl StoreFailures {
    /// Nothing could be read or stored.
    pub(super) fn note(&self, now: Instant, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, why));
    }

    /// Why the store counts as failing, if so.
    pub(super) fn why(&self, now: Instant) -> Option<String> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, why) = last.as_ref()?;
        (at.until(now) < FAILING_FOR).then(|| why.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fails_from_a_failure_on_until_there_was_none_for_a_while() {
        let failures = StoreFailures::default();
        assert_eq!(failures.why(Instant(0)), None);
        failures.note(Instant(10), "full".into());
        assert_eq!(failures.why(Instant(10)).unwrap(), "full");
        failures.note(Instant(1_500), "hangs".into());
        assert_eq!(failures.why(Instant(3_499)).unwrap(), "hangs");
        assert_eq!(failures.why(Instant(3_500)), None);
    }
}
