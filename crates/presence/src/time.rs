//! The two clocks, kept apart by type so that nobody subtracts one from the other.

use core::{ops::Add, time::Duration};
use serde::{Deserialize, Serialize};

/// Now, on both clocks. Read once for an event and passed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Drives timeouts, leases and graces.
    pub mono: Instant,
    /// Goes into what is stored and told: `seq`, expiries that people set, times to look at.
    pub wall: Timestamp,
}

/// Milliseconds on the monotonic timeline of this process.
///
/// The timeline starts at the wall time of the start of the process, so that a deadline read back
/// after a restart is roughly right; [`crate::Event::Restarted`] clamps what a stepped clock did.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Instant(pub u64);

/// Milliseconds since the Unix epoch, as a wall clock shows them: may step either way.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(pub u64);

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, later: Duration) -> Instant {
        Instant(self.0.saturating_add(millis(later)))
    }
}

impl Instant {
    /// How long it is from now until this instant; zero when it has passed.
    pub fn after(self, now: Instant) -> Duration {
        Duration::from_millis(self.0.saturating_sub(now.0))
    }

    /// How long it was from this instant until now; zero when it is still to come.
    pub fn until(self, now: Instant) -> Duration {
        now.after(self)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
