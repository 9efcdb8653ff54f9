//! The App's refusal of a user: remembered, so that a client that redials costs nobody anything.

use crate::{Instant, Now, Platform, Policy, TokenHash};
use alloc::{boxed::Box, vec::Vec};
use serde::{Deserialize, Serialize};

/// How many refusals of one user are remembered; the oldest goes first, and its client is asked
/// about again.
const REMEMBERED_MAX: usize = 8;

/// Why the App does not want a user, in its own words; both may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Refusal {
    pub msg: Box<str>,
    pub detail: Box<str>,
}

/// A refusal that still holds for those who redial with the same platform and token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    platform: Platform,
    token: TokenHash,
    until: Instant,
    refusal: Refusal,
}

impl Remembered {
    pub(crate) fn add(
        all: &mut Vec<Remembered>,
        of: (Platform, TokenHash),
        refusal: Refusal,
        now: Now,
        policy: &Policy,
    ) {
        all.retain(|known| !known.is_of(of) && known.holds(now, policy));
        if policy.refused_for.is_zero() {
            return;
        }
        if all.len() == REMEMBERED_MAX {
            all.remove(0);
        }
        let (platform, token) = of;
        all.push(Remembered { platform, token, until: now.mono + policy.refused_for, refusal });
    }

    /// Whether it still holds. A clock that was set back makes it hold no longer than it may.
    pub(crate) fn holds(&self, now: Now, policy: &Policy) -> bool {
        let left = self.until.after(now.mono);
        !left.is_zero() && left <= policy.refused_for
    }

    pub(crate) fn is_of(&self, (platform, token): (Platform, TokenHash)) -> bool {
        self.platform == platform && self.token == token
    }

    pub(crate) fn refusal(&self) -> &Refusal {
        &self.refusal
    }
}
