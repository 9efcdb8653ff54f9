//! Whether an endpoint may be sent to: open, suspect, backing off, being probed, or paused.

use crate::Instant;
use alloc::vec::Vec;
use core::time::Duration;

const BACK_OFF_FIRST: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// The longest wait an App can ask for with `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// How often one callback that tells again how things are finds the endpoint in trouble before it makes room
/// for another: where the endpoint is well otherwise, and where it fails at everything.
const RETOLD_ATTEMPTS_MAX: u32 = 2;
const RETOLD_PROBES_MAX: u32 = 6;
/// So many users whose callbacks failed in a row, with no success between them, are not at fault.
const SUSPECT_USERS: usize = 3;

/// How an endpoint is doing. Starts healthy; kept in memory only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    trouble: Option<Trouble>,
    /// About whom the App failed since its last success: different users, by a hash, as many as make it
    /// suspect.
    failed_users: Vec<u64>,
    paused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trouble {
    /// Failures in a row, each after the wait of the one before.
    failures: u32,
    began_at: Instant,
    /// When the failure came that the wait follows.
    failed_at: Instant,
    resume_at: Instant,
    /// Whether the App said itself how long to wait.
    is_explicit: bool,
}

/// What may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// As much as the endpoint's concurrency allows.
    Open,
    /// A few at a time: the App answers, and fails at whoever it is told of.
    Suspect,
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
            None if self.is_suspect() => Permit::Suspect,
            None => Permit::Open,
            Some(trouble) if now < trouble.resume_at => Permit::Wait(trouble.resume_at),
            Some(_) => Permit::Probe,
        }
    }

    /// The App took what a request told that began then: everything owed may go.
    pub fn succeeded(&mut self, began_at: Instant) {
        self.failed_users.clear();
        self.answered(began_at);
    }

    /// The App failed at what a request told about one user that began then. Whether so many users fail
    /// that it is no fault of theirs.
    pub fn failed_at(&mut self, user: u64, began_at: Instant) -> bool {
        if self.failed_users.len() < SUSPECT_USERS && !self.failed_users.contains(&user) {
            self.failed_users.push(user);
        }
        self.answered(began_at);
        self.is_suspect()
    }

    /// For an endpoint that was suspect when the process before this one ended: nothing is given up until its
    /// App takes something.
    pub fn suspect(&mut self) {
        self.failed_users = (0..SUSPECT_USERS as u64).collect();
    }

    /// Whether the App fails at whoever it is told of.
    pub fn is_suspect(&self) -> bool {
        self.failed_users.len() >= SUSPECT_USERS
    }

    /// It can be reached. What it said itself about when to come back outlives requests begun before.
    fn answered(&mut self, began_at: Instant) {
        self.trouble.take_if(|trouble| !trouble.is_explicit || began_at >= trouble.failed_at);
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
        let asked = retry_after.map(|asked| asked.clamp(BACK_OFF_FIRST, RETRY_AFTER_MAX));
        if let Some(trouble) = self.trouble.as_mut().filter(|trouble| began_at < trouble.resume_at)
        {
            // Those that were under way when the trouble began say nothing new, but for a later time that
            // the App asks for itself.
            if let Some(resume_at) = asked.map(|asked| now + asked)
                && resume_at > trouble.resume_at
            {
                (trouble.failed_at, trouble.resume_at) = (now, resume_at);
                trouble.is_explicit = true;
            }
            return;
        }
        let failures = self.trouble.map_or(0, |trouble| trouble.failures) + 1;
        let wait = asked
            .unwrap_or_else(|| back_off(failures).mul_f32(0.75 + 0.25 * chance.clamp(0.0, 1.0)));
        let began_at = self.trouble.map_or(now, |trouble| trouble.began_at);
        let (failed_at, resume_at, is_explicit) = (now, now + wait, asked.is_some());
        self.trouble = Some(Trouble { failures, began_at, failed_at, resume_at, is_explicit });
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

    /// Whether a callback that tells again how things are is left for later, having just found the endpoint in
    /// trouble for the n-th time (from 1). Few of them go at once, so one that the App cannot take would keep
    /// all others waiting.
    pub fn leaves_retold(&self, attempts: u32) -> bool {
        let is_failing = self.trouble.is_some_and(|trouble| trouble.failures > 1);
        attempts >= if is_failing { RETOLD_PROBES_MAX } else { RETOLD_ATTEMPTS_MAX }
    }

    /// For an endpoint that is owed nothing: no callback would find out whether the App is back. The next one
    /// that is told does.
    pub fn forget_trouble(&mut self) {
        self.failed_users.clear();
        self.trouble = None;
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
    fn an_endpoint_that_is_owed_nothing_is_open_again() {
        let mut health = Health::default();
        health.failed(at(0), at(1), None, 1.0);
        assert_eq!(health.permit(at(9)), Permit::Probe);
        health.forget_trouble();
        assert_eq!((health.permit(at(9)), health.failing_since()), (Permit::Open, None));
        (0..SUSPECT_USERS as u64).for_each(|user| _ = health.failed_at(user, at(10)));
        assert_eq!(health.permit(at(11)), Permit::Suspect);
        health.forget_trouble();
        assert_eq!(health.permit(at(11)), Permit::Open);
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
        health.succeeded(at(0));
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
        health.succeeded(at(0));
        assert_eq!(health.callback_wait(40).as_secs(), 30);
    }

    #[test]
    fn the_latest_time_that_the_app_asks_for_wins_whichever_answer_said_it() {
        let asks = |secs| Some(Duration::from_secs(secs));
        #[rustfmt::skip]
        let table = [
            // first answer    the other, 1 s later    waits until
            (None,             asks(20),               22),
            (asks(5),          asks(20),               22),
            (asks(20),         asks(5),                21),
            (asks(20),         None,                   21),
            (None,             asks(999_999),          3602),
        ];
        for (first, other, until) in table {
            let mut health = Health::default();
            health.failed(at(0), at(1), first, 1.0);
            health.failed(at(0), at(2), other, 1.0);
            assert_eq!(health.permit(at(2)), Permit::Wait(at(until)), "{first:?}, {other:?}");
            health.succeeded(at(0));
            assert_eq!(health.permit(at(2)), Permit::Wait(at(until)), "it began before");
        }
    }

    #[test]
    fn what_is_told_again_makes_room_for_others() {
        let mut health = Health::default();
        health.failed(at(0), at(0), None, 1.0);
        assert_eq!([1, 2].map(|n| health.leaves_retold(n)), [false, true], "it fails alone");
        health.failed(at(1), at(1), None, 1.0);
        assert_eq!([2, 5, 6].map(|n| health.leaves_retold(n)), [false, false, true], "an outage");
    }

    #[test]
    fn what_the_app_asked_for_outlives_what_began_before() {
        let mut health = Health::default();
        health.failed(at(0), at(5), Some(Duration::from_secs(30)), 1.0);
        health.succeeded(at(4));
        assert_eq!(health.permit(at(6)), Permit::Wait(at(35)));
        health.succeeded(at(5));
        assert_eq!(health.permit(at(6)), Permit::Open, "one that began after it says more");
        health.failed(at(10), at(11), None, 1.0);
        health.succeeded(at(10));
        assert_eq!(health.permit(at(11)), Permit::Open, "our own wait is a guess");
    }

    #[test]
    fn three_users_in_a_row_make_it_suspect_until_the_first_success() {
        let mut health = Health::default();
        let tells = |health: &mut Health, users: &[u64]| {
            let failed = users.iter().map(|user| health.failed_at(*user, at(1)));
            failed.collect::<Vec<_>>()
        };
        assert_eq!(tells(&mut health, &[1, 1, 1, 2, 1]), [false; 5], "two users are at fault");
        health.succeeded(at(1));
        assert_eq!(tells(&mut health, &[3, 4, 3, 5, 3]), [false, false, false, true, true]);
        assert_eq!((health.permit(at(2)), health.failing_since()), (Permit::Suspect, None));
        health.failed(at(2), at(3), None, 1.0);
        assert_eq!(health.permit(at(3)), Permit::Wait(at(4)), "it may be in trouble as well");
        health.succeeded(at(4));
        assert_eq!(health.permit(at(4)), Permit::Open);
    }

    #[test]
    fn a_suspicion_that_is_taken_over_ends_like_any_other() {
        let mut health = Health::default();
        health.suspect();
        assert_eq!(health.permit(at(1)), Permit::Suspect);
        assert!(health.failed_at(77, at(1)), "nothing counts");
        health.succeeded(at(2));
        assert_eq!(health.permit(at(2)), Permit::Open);
        assert!(!health.failed_at(77, at(3)));
    }

    #[test]
    fn a_pause_ends_only_by_hand() {
        let mut health = Health::default();
        health.pause();
        health.succeeded(at(1));
        assert_eq!(health.permit(at(99_999)), Permit::Paused);
        health.resume();
        assert_eq!(health.permit(at(99_999)), Permit::Open);
    }
}
