//! Whether an endpoint may be sent to: open, backing off, being probed, or paused.

use crate::Instant;
use core::time::Duration;

const BACK_OFF_FIRST: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// The longest wait an App can ask for with `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// How an endpoint is doing. Starts healthy; kept in memory only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    trouble: Option<Trouble>,
    paused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trouble {
    /// Failures in a row, each after the wait of the one before.
    failures: u32,
    began_at: Instant,
    resume_at: Instant,
}

/// What may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// As much as the endpoint's concurrency allows.
    Open,
    /// One callback, to see whether the App is back; nothing while that one is in flight.
    Probe,
    /// Nothing until then.
    Wait(Instant),
    /// Nothing until an operator resumes it.
    Paused,
}

impl Health {
    /// What may be sent now.
    pub fn permit(&self, now: Instant) -> Permit {
        match self.trouble {
            _ if self.paused => Permit::Paused,
            None => Permit::Open,
            Some(trouble) if now < trouble.resume_at => Permit::Wait(trouble.resume_at),
            Some(_) => Permit::Probe,
        }
    }

    /// The App answered: everything owed may go.
    pub fn succeeded(&mut self) {
        self.trouble = None;
    }

    /// An attempt that began then found the endpoint in trouble.
    ///
    /// `chance` in 0..=1 spreads the wait over its last quarter, so that many servers do not
    /// return in step.
    pub fn failed(
        &mut self,
        began_at: Instant,
        now: Instant,
        retry_after: Option<Duration>,
        chance: f32,
    ) {
        // Those that were under way when the trouble began say nothing new.
        if self.trouble.is_some_and(|trouble| began_at < trouble.resume_at) {
            return;
        }
        let failures = self.trouble.map_or(0, |trouble| trouble.failures) + 1;
        let wait = match retry_after {
            Some(asked) => asked.clamp(BACK_OFF_FIRST, RETRY_AFTER_MAX),
            None => back_off(failures).mul_f32(0.75 + 0.25 * chance.clamp(0.0, 1.0)),
        };
        let began_at = self.trouble.map_or(now, |trouble| trouble.began_at);
        self.trouble = Some(Trouble { failures, began_at, resume_at: now + wait });
    }

    /// Stops all sending (the App answered 410, or an operator asked).
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Ends a pause, and any wait.
    pub fn resume(&mut self) {
        *self = Health::default();
    }

    /// How long a callback waits that has just found the endpoint in trouble, the n-th time for it
    /// (from 1).
    ///
    /// While the endpoint keeps failing this is short, so that the first success releases
    /// everything owed. Where it is well otherwise, the callback itself is the likely cause and
    /// waits longer each time, so that it does not make the endpoint back off over and over.
    pub fn callback_wait(&self, attempts: u32) -> Duration {
        match self.trouble {
            Some(trouble) if trouble.failures > 1 => BACK_OFF_FIRST,
            _ => back_off(attempts),
        }
    }

    /// Since when the endpoint has been failing, if it is.
    pub fn failing_since(&self) -> Option<Instant> {
        self.trouble.map(|trouble| trouble.began_at)
    }
}

/// 1 s, doubling to 30 s; `failures` counts from 1.
fn back_off(failures: u32) -> Duration {
    BACK_OFF_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACK_OFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant(secs * 1000)
    }

    #[test]
    fn the_wait_doubles_to_half_a_minute() {
        let waits: Vec<u64> = (1..=8).map(|failures| back_off(failures).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(back_off(u32::MAX).as_secs(), 30);
    }

    #[test]
    fn a_failing_endpoint_waits_is_probed_and_opens_at_the_first_success() {
        let mut health = Health::default();
        assert_eq!(health.permit(at(0)), Permit::Open);
        health.failed(at(0), at(1), None, 1.0);
        assert_eq!(health.permit(at(1)), Permit::Wait(at(2)));
        assert_eq!(health.permit(at(2)), Permit::Probe);
        health.failed(at(2), at(3), None, 1.0);
        assert_eq!(health.permit(at(4)), Permit::Wait(at(5)), "the second wait is twice as long");
        health.succeeded();
        assert_eq!(health.permit(at(4)), Permit::Open);
    }

    #[test]
    fn attempts_that_were_under_way_do_not_count_twice() {
        let mut health = Health::default();
        health.failed(at(0), at(1), None, 1.0);
        let once = health.clone();
        health.failed(at(0), at(1), None, 1.0);
        health.failed(at(1), at(1), None, 0.0);
        assert_eq!(health, once);
    }

    #[test]
    fn chance_shortens_the_wait_by_a_quarter_at_most() {
        let mut health = Health::default();
        health.failed(at(0), at(0), None, 0.0);
        assert_eq!(health.permit(at(0)), Permit::Wait(Instant(750)));
    }

    #[test]
    fn retry_after_is_honoured_between_one_second_and_one_hour() {
        for (asked, waited) in [(0, 1), (7, 7), (999_999_999, 3600)] {
            let mut health = Health::default();
            health.failed(at(0), at(0), Some(Duration::from_secs(asked)), 1.0);
            assert_eq!(health.permit(at(0)), Permit::Wait(at(waited)), "asked for {asked} s");
        }
    }

    #[test]
    fn an_outage_makes_no_callback_wait_long_but_one_that_fails_alone_waits_longer_each_time() {
        let mut health = Health::default();
        health.failed(at(0), at(0), None, 1.0);
        assert_eq!(health.callback_wait(4).as_secs(), 8, "all was well before");
        health.failed(at(1), at(1), None, 1.0);
        assert_eq!(health.callback_wait(40).as_secs(), 1, "nothing is well");
        health.succeeded();
        assert_eq!(health.callback_wait(40).as_secs(), 30);
    }

    #[test]
    fn a_pause_ends_only_by_hand() {
        let mut health = Health::default();
        health.pause();
        health.succeeded();
        assert_eq!(health.permit(at(99_999)), Permit::Paused);
        health.resume();
        assert_eq!(health.permit(at(99_999)), Permit::Open);
    }
}
