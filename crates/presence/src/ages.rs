//! How old something is that is kept by its age: by time in which a process ran, not by a wall clock that
//! may jump.
//!
//! What is kept carries the wall time of its day. [`Ages`] knows how the wall clock went while processes
//! ran, and so which wall times are long enough ago.

use crate::{Instant, Now, Timestamp};
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// A wall clock that is off by more than this has been set.
const STEP_MS: u64 = 60_000;
/// How many stretches are remembered; beyond that the shortest is forgotten.
const STRETCHES_MAX: usize = 512;

/// How the wall clock went since the store was made. Stored from time to time; what passes between
/// that and a crash does not count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ages {
    /// How long processes ran, in milliseconds.
    ran: u64,
    /// Oldest first.
    stretches: Vec<Stretch>,
    #[serde(skip)]
    noted_at: Instant,
}

/// From here on the wall clock went as time passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stretch {
    ran: u64,
    wall: u64,
}

impl Ages {
    /// A process begins.
    pub fn begin(&mut self, now: Now) {
        self.noted_at = now.mono;
        self.push(now.wall);
    }

    /// Time has passed. True if the wall clock was set meanwhile.
    pub fn note(&mut self, now: Now) -> bool {
        self.ran += now.mono.0.saturating_sub(self.noted_at.0);
        self.noted_at = self.noted_at.max(now.mono);
        let expected = self.stretches.last().map_or(0, |last| last.wall + (self.ran - last.ran));
        let was_set = expected.abs_diff(now.wall.0) > STEP_MS;
        if was_set {
            self.push(now.wall);
        }
        was_set
    }

    fn push(&mut self, wall: Timestamp) {
        self.stretches.push(Stretch { ran: self.ran, wall: wall.0 });
        if self.stretches.len() > STRETCHES_MAX {
            let lengths = self.stretches.windows(2).map(|two| two[1].ran - two[0].ran);
            let shortest = lengths.enumerate().min_by_key(|(_, length)| *length);
            self.stretches.remove(shortest.map_or(0, |(at, _)| at));
        }
    }

    /// What carries an earlier wall time is older than that. Nothing that is younger does, whatever the
    /// clock showed when it was made.
    pub fn before(&self, age: Duration) -> Timestamp {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let Some(then) = self.ran.checked_sub(age) else { return Timestamp(0) };
        let later = self.stretches.iter().position(|stretch| stretch.ran > then);
        let (past, later) = self.stretches.split_at(later.unwrap_or(self.stretches.len()));
        let Some(last) = past.last() else { return Timestamp(0) };
        let wall = last.wall + (then - last.ran);
        Timestamp(later.iter().map(|stretch| stretch.wall).fold(wall, u64::min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const BEGIN: u64 = 1_000 * HOUR;

    fn now(ran_h: u64, wall_h: i64) -> Now {
        let wall = Timestamp(BEGIN.checked_add_signed(wall_h * HOUR as i64).unwrap());
        Now { mono: Instant(ran_h * HOUR), wall }
    }

    fn before(ages: &Ages, hours: u64) -> i64 {
        let at = ages.before(Duration::from_millis(hours * HOUR)).0;
        if at == 0 { i64::MIN } else { (at as i64 - BEGIN as i64) / HOUR as i64 }
    }

    fn noted(readings: &[(u64, i64)]) -> Ages {
        let mut ages = Ages::default();
        ages.begin(now(0, 0));
        for (ran, wall) in readings {
            ages.note(now(*ran, *wall));
        }
        ages
    }

    #[test]
    fn where_the_clock_goes_as_time_passes_an_age_is_what_it_seems() {
        let ages = noted(&[(10, 10), (100, 100)]);
        assert_eq!((before(&ages, 72), before(&ages, 100)), (28, 0));
        assert_eq!(before(&ages, 101), i64::MIN, "nothing is as old");
    }

    #[test]
    fn a_clock_that_jumps_ahead_makes_nothing_old() {
        let ages = noted(&[(100, 100), (100, 2_300), (101, 2_301)]);
        assert_eq!(before(&ages, 72), 29);
        let mut back = ages.clone();
        back.note(now(102, 102));
        assert_eq!(before(&back, 72), 30);
        assert_eq!(before(&back, 1), 102, "what was made while it was ahead is kept longer");
    }

    #[test]
    fn what_was_made_while_the_clock_was_behind_is_not_taken_for_old() {
        let ages = noted(&[(100, 100), (100, 4), (101, 5), (101, 101), (110, 110)]);
        assert_eq!(before(&ages, 9), 101);
        assert_eq!(before(&ages, 10), 4, "an hour that was made to look old");
        assert_eq!(before(&ages, 20), 4, "and nothing of it goes too early");
    }

    #[test]
    fn time_without_a_process_makes_nothing_old() {
        let mut ages = noted(&[(10, 10)]);
        let stored = serde_json::to_string(&ages).unwrap();
        ages = serde_json::from_str(&stored).unwrap();
        ages.begin(now(7, 500));
        ages.note(now(8, 501));
        assert_eq!((before(&ages, 1), before(&ages, 2)), (500, 9));
    }

    #[test]
    fn of_very_many_stretches_the_shortest_is_forgotten() {
        let mut ages = noted(&[(100, 100)]);
        for n in 0..600 {
            ages.begin(now(100, 200 + n));
        }
        assert_eq!(ages.stretches.len(), STRETCHES_MAX);
        assert_eq!(before(&ages, 50), 50);
    }
}
