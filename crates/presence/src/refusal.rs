//! The App's refusal of a user: remembered, so that a client that redials costs nobody anything.

use crate::{Instant, Now, Policy};
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};

/// Why the App does not want a user, in its own words; both may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Refusal {
    pub msg: Box<str>,
    pub detail: Box<str>,
}

/// A refusal that still holds for those who redial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    until: Instant,
    refusal: Refusal,
}

impl Remembered {
    pub(crate) fn new(refusal: Refusal, now: Now, policy: &Policy) -> Remembered {
        Remembered { until: now.mono + policy.refused_for, refusal }
    }

    /// The refusal, while it holds. A clock that was set back makes it hold no longer than it may.
    pub(crate) fn holds(&self, now: Now, policy: &Policy) -> Option<&Refusal> {
        let left = self.until.after(now.mono);
        (!left.is_zero() && left <= policy.refused_for).then_some(&self.refusal)
    }
}
