//! How often something happened within the last while.

use crate::Instant;
use core::time::Duration;

/// The last while moves on in so many steps.
const STEPS: usize = 10;

/// Counts by steps of a tenth of the window, so it forgets a little early rather than late.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Window {
    counts: [u64; STEPS],
    /// Of the newest count.
    step: u64,
}

impl Window {
    pub(crate) fn add(&mut self, now: Instant, length: Duration) {
        self.move_to(now, length);
        self.counts[0] += 1;
    }

    pub(crate) fn sum(&mut self, now: Instant, length: Duration) -> u64 {
        self.move_to(now, length);
        self.counts.iter().sum()
    }

    fn move_to(&mut self, now: Instant, length: Duration) {
        let step = now.0 / (length.as_millis() as u64 / STEPS as u64).max(1);
        let passed = step.saturating_sub(self.step).min(STEPS as u64) as usize;
        self.counts.rotate_right(passed % STEPS);
        self.counts[..passed].fill(0);
        self.step = self.step.max(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_is_forgotten_step_by_step() {
        let (mut window, length) = (Window::default(), Duration::from_secs(10));
        for second in 0..100 {
            window.add(Instant(second * 1_000), length);
            let expected = (second + 1).min(10);
            assert_eq!(window.sum(Instant(second * 1_000 + 999), length), expected);
        }
        let sums = [100, 105, 108, 109, 200].map(|secs| window.sum(Instant(secs * 1_000), length));
        assert_eq!(sums, [9, 4, 1, 0, 0]);
    }
}
