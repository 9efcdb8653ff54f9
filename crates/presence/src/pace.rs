//! How many requests an endpoint gets at the same time: more while it answers well, fewer when it
//! struggles (additive increase, multiplicative decrease).

use crate::Instant;
use core::time::Duration;

/// Where a pace begins. What was cut below it, in an outage, doubles again when that is over.
const FIRST: f32 = 4.0;
/// An answer that takes so many times the usual is slow, if it also takes this much more.
const SLOW_FACTOR: f32 = 4.0;
const SLOW_MORE: Duration = Duration::from_millis(100);

/// The pace of one endpoint. Kept in memory only.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    limit: f32,
    /// Until it is first cut, each answer makes room for one more request: it doubles in the time
    /// of one answer.
    starting: bool,
    /// What an answer usually takes, in milliseconds: follows faster ones at once, slower ones
    /// slowly.
    usual_ms: Option<f32>,
    /// Answers to what was sent before then say nothing new.
    cut_at: Instant,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { limit: FIRST, starting: true, usual_ms: None, cut_at: Instant(0) }
    }
}

impl Pace {
    /// How many requests may be under way, from 1 to `max`.
    pub fn limit(&self, max: usize) -> usize {
        (self.limit as usize).clamp(1, max)
    }

    /// An attempt that was begun then was answered well.
    pub fn answered(&mut self, began: Instant, now: Instant, max: usize) {
        let took_ms = now.0.saturating_sub(began.0) as f32;
        let usual_ms = *self.usual_ms.get_or_insert(took_ms);
        self.usual_ms =
            Some(if took_ms < usual_ms { took_ms } else { usual_ms + (took_ms - usual_ms) * 0.05 });
        let slow_ms = (usual_ms * SLOW_FACTOR).max(usual_ms + SLOW_MORE.as_millis() as f32);
        if took_ms > slow_ms {
            return self.cut(began, now, 0.8);
        }
        let more = if self.starting { 1.0 } else { 1.0 / self.limit };
        self.limit = (self.limit + more).min(max as f32);
    }

    /// An attempt that was begun then was turned away, or not answered.
    pub fn turned_away(&mut self, began: Instant, now: Instant) {
        self.cut(began, now, 0.5);
    }

    /// The first answer after the endpoint was in trouble.
    pub fn recovered(&mut self, now: Instant) {
        self.starting = self.limit < FIRST;
        self.cut_at = now;
    }

    fn cut(&mut self, began: Instant, now: Instant, factor: f32) {
        if began < self.cut_at {
            return;
        }
        self.limit = (self.limit * factor).max(1.0);
        self.starting = false;
        self.cut_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends as much as it may, `rounds` times, to an App that answers at once as long as no more
    /// than `capacity` come at the same time, and 503 to the rest.
    fn run(pace: &mut Pace, rounds: u64, capacity: usize, max: usize) -> Vec<usize> {
        let mut limits = Vec::new();
        for round in 0..rounds {
            let (began, now) = (Instant(round * 10), Instant(round * 10 + 9));
            let sent = pace.limit(max);
            limits.push(sent);
            for n in 0..sent {
                if n < capacity {
                    pace.answered(began, now, max);
                } else {
                    pace.turned_away(began, now);
                }
            }
        }
        limits
    }

    #[test]
    fn it_doubles_until_the_app_turns_some_away() {
        let limits = run(&mut Pace::default(), 6, 1_000, 64);
        assert_eq!(limits, [4, 8, 16, 32, 64, 64]);
    }

    #[test]
    fn it_settles_around_what_the_app_can_take() {
        let limits = run(&mut Pace::default(), 200, 20, 64);
        let settled = &limits[20..];
        assert!(settled.iter().all(|limit| (10..=22).contains(limit)), "{settled:?}");
        assert!(settled.iter().any(|limit| *limit >= 20), "it tries for more: {settled:?}");
    }

    #[test]
    fn an_app_that_takes_nothing_gets_one_at_a_time() {
        let mut pace = Pace::default();
        assert_eq!(run(&mut pace, 8, 0, 64).last(), Some(&1));
        pace.recovered(Instant(0));
        assert_eq!(run(&mut pace, 8, 1_000, 64), [1, 2, 4, 8, 16, 32, 64, 64]);
        assert_eq!(pace.limit(2), 2);
    }

    #[test]
    fn slow_answers_cut_it_and_what_was_under_way_then_cuts_it_once() {
        let mut pace = Pace::default();
        run(&mut pace, 5, 1_000, 64);
        let before = pace.limit(1_000);
        for _ in 0..before {
            pace.answered(Instant(100), Instant(2_100), 64);
        }
        let after = pace.limit(64);
        assert!((before * 8 / 10..before * 9 / 10).contains(&after), "from {before} to {after}");
    }

    #[test]
    fn an_app_that_becomes_slower_for_good_is_slow_no_more() {
        let mut pace = Pace::default();
        run(&mut pace, 5, 1_000, 64);
        for n in 0..2_000 {
            let began = Instant(1_000 + n * 1_000);
            pace.answered(began, Instant(began.0 + 500), 64);
        }
        assert_eq!(pace.limit(64), 64);
    }
}
