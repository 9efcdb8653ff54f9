//! The one place that reads the real time.

use presence::{Instant, Now, Timestamp};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// A wall clock that jumps ahead by more is not believed at once.
const JUMP_MAX_MS: i64 = 60_000;
/// But after so long.
const BELIEVED_AFTER_MS: u64 = 10 * 60_000;
/// A longer gap between two readings of a [`RunningClock`] is time in which the process did not run.
const GAP_MAX_MS: u64 = 1_000;

/// Tells the time. The real ones are [`SystemClock`] and [`RunningClock`]; tests and simulations bring
/// their own.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks, read at once.
    fn now(&self) -> Now;

    /// For how long the process did not run so far, which the monotonic timeline leaves out.
    fn frozen(&self) -> Duration {
        Duration::ZERO
    }

    /// By how much the wall clock has jumped ahead, while that is not believed yet.
    fn ahead(&self) -> Duration {
        Duration::ZERO
    }
}

/// The clocks of the machine.
pub struct SystemClock {
    started: std::time::Instant,
    /// The monotonic timeline begins here, so that a deadline read back after a restart is
    /// roughly right.
    started_at: u64,
}

impl SystemClock {
    /// Starts the monotonic timeline at the wall time of now.
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn start() -> SystemClock {
        SystemClock { started: std::time::Instant::now(), started_at: unix_ms() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let elapsed = self.started.elapsed().as_millis() as u64;
        Now { mono: Instant(self.started_at + elapsed), wall: Timestamp(unix_ms()) }
    }
}

/// The clocks of the machine for a process that reads them many times a second. Time in which it was
/// frozen (SIGSTOP, a machine that was moved) is not on the monotonic timeline: no grace, silence or
/// lease runs while nobody can be heard.
pub struct RunningClock {
    clock: SystemClock,
    timeline: Mutex<Timeline>,
    wall: Mutex<WallClock>,
}

/// What is believed of the wall clock: how far it is ahead of the monotonic timeline.
#[derive(Debug, Default)]
pub struct WallClock {
    believed_ms: i64,
    /// When it began to be further ahead.
    ahead_since: Option<Instant>,
}

impl WallClock {
    /// By how much it is ahead of what is believed. One that steps back is believed at once.
    pub fn ahead(&mut self, Now { mono, wall }: Now) -> Duration {
        let is_ms = (wall.0 as i64).saturating_sub(mono.0 as i64);
        let more = is_ms.saturating_sub(self.believed_ms);
        if more > JUMP_MAX_MS {
            let since = *self.ahead_since.get_or_insert(mono);
            if mono.0.saturating_sub(since.0) < BELIEVED_AFTER_MS {
                return Duration::from_millis(more.unsigned_abs());
            }
        }
        (self.believed_ms, self.ahead_since) = (is_ms, None);
        Duration::ZERO
    }
}

#[derive(Default)]
struct Timeline {
    read_at: u64,
    frozen_ms: u64,
}

impl Timeline {
    /// Takes a reading in milliseconds; how many of them the process did run.
    fn run_until(&mut self, elapsed_ms: u64) -> u64 {
        let gap = elapsed_ms.saturating_sub(self.read_at);
        if gap > GAP_MAX_MS {
            self.frozen_ms += gap;
        }
        self.read_at = self.read_at.max(elapsed_ms);
        self.read_at - self.frozen_ms
    }
}

impl RunningClock {
    /// Starts the monotonic timeline at the wall time of now.
    pub fn start() -> RunningClock {
        let (timeline, wall) = Default::default();
        RunningClock { clock: SystemClock::start(), timeline, wall }
    }
}

impl Clock for RunningClock {
    fn now(&self) -> Now {
        let mut timeline = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
        let Now { mono, wall } = self.clock.now();
        let started_at = self.clock.started_at;
        let ran = timeline.run_until(mono.0 - started_at);
        Now { mono: Instant(started_at + ran), wall }
    }

    fn frozen(&self) -> Duration {
        let timeline = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_millis(timeline.frozen_ms)
    }

    fn ahead(&self) -> Duration {
        let now = self.now();
        self.wall.lock().unwrap_or_else(PoisonError::into_inner).ahead(now)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    /// A monotonic clock whose hand a test sets, in ms.
    #[derive(Default)]
    pub(crate) struct Hand(pub(crate) AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Now {
            Now { mono: Instant(self.0.load(Relaxed)), wall: Timestamp(0) }
        }
    }

    #[test]
    fn a_gap_is_not_on_the_timeline() {
        let mut timeline = Timeline::default();
        let ran = [0, 50, 1_000, 2_000, 9_000, 9_050, 9_020, 60_000, 60_100]
            .map(|elapsed_ms| timeline.run_until(elapsed_ms));
        assert_eq!(ran, [0, 50, 1_000, 2_000, 2_000, 2_050, 2_050, 2_050, 2_150]);
        assert_eq!(timeline.frozen_ms, 57_950);
    }

    #[test]
    fn a_wall_clock_that_jumps_ahead_is_believed_after_ten_minutes_and_back_at_once() {
        const MINUTE: u64 = 60_000;
        let mut clock = WallClock::default();
        let mut ahead = |mono_min: u64, wall_min: u64| {
            let (mono, wall) = (Instant(mono_min * MINUTE), Timestamp(wall_min * MINUTE));
            clock.ahead(Now { mono, wall }).as_secs() / 60
        };
        assert_eq!((ahead(100, 100), ahead(101, 102)), (0, 0), "as any clock is corrected");
        assert_eq!((ahead(102, 9_102), ahead(111, 9_111)), (8_999, 8_999));
        assert_eq!(ahead(112, 112), 0, "back");
        assert_eq!((ahead(113, 9_113), ahead(122, 9_122), ahead(123, 9_123)), (9_000, 9_000, 0));
        assert_eq!(ahead(124, 124), 0);
    }
}
