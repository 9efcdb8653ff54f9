//! What one attempt to tell the App means: the tables of `docs/callback.md`.

use core::time::Duration;

/// How often a callback is tried when the App itself says that it failed.
pub const TRIES_MAX: u32 = 3;

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// An HTTP answer came, whole and in time.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The App's `actionCode`; 0 when its answer cannot be read.
        action_code: i64,
        /// Whether the App refuses to continue. With an action code beside it this is a refusal
        /// where refusals are carried out, and a failure elsewhere: some dialects know no other way
        /// to say either.
        refuses: bool,
    },
    /// An HTTP answer came that is not read: too long, or packed in a way that nobody asked for. What it
    /// says is not known, so it is no success.
    Unread {
        /// The HTTP status.
        status: u16,
    },
    /// No connection, TLS failure, timeout, or an answer that broke off.
    Unanswered,
}

/// What becomes of the callback, and of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The App has it.
    Delivered,
    /// The App has it, and refuses to continue with what it told.
    Refused,
    /// The App refuses, as it does with so many that it must be broken: delivered, and no more.
    RefusalHeld,
    /// The App failed at this one callback: try it again, nobody else waits.
    Again,
    /// It failed as often as it may: parked for a person to look at, the user's next one goes.
    Dead,
    /// It fails at this one as at everybody's: not counted as a try, nor held up.
    Suspect,
    /// The endpoint is in trouble: it backs off as a whole, the callback's tries are not used up.
    BackOff,
    /// The endpoint is gone on purpose: nothing is sent until an operator resumes it.
    Pause,
}

/// Decides what an attempt means. `tries` counts those that were about the callback, this included;
/// `can_refuse`: it told of an arrival, and refusals of it are carried out.
pub fn verdict(attempt: Attempt, tries: u32, can_refuse: bool) -> Verdict {
    let (status, action_code, refuses) = match attempt {
        Attempt::Answered { status, action_code, refuses } => (status, action_code, refuses),
        // As if the App had failed at it.
        Attempt::Unread { status } => (status, 1, false),
        Attempt::Unanswered => return Verdict::BackOff,
    };
    match status {
        200..=299 if refuses && (can_refuse || action_code == 0) => Verdict::Refused,
        200..=299 if action_code == 0 => Verdict::Delivered,
        410 => Verdict::Pause,
        401 | 403 | 404 | 405 | 408 | 425 | 429 => Verdict::BackOff,
        200..=299 | 400..=499 if tries < TRIES_MAX => Verdict::Again,
        200..=299 | 400..=499 => Verdict::Dead,
        // 3xx is never followed; 5xx, and what HTTP does not know.
        _ => Verdict::BackOff,
    }
}

/// How long a callback waits after its n-th try that was about itself; `tries` counts from 1.
pub fn retry_wait(tries: u32) -> Duration {
    if tries <= 1 { Duration::from_secs(1) } else { Duration::from_secs(5) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_those_of_the_contract() {
        use Verdict::*;
        let answered =
            |status, action_code, refuses| Attempt::Answered { status, action_code, refuses };
        let http = |status| answered(status, 0, false);
        #[rustfmt::skip]
        let table = [
            // attempt                   tries  verdict
            (http(200),                  1,     Delivered),
            (http(204),                  3,     Delivered),
            (answered(200, 0, true),     1,     Refused),
            (answered(299, 0, true),     9,     Refused),
            (answered(200, 1, false),    1,     Again),
            (answered(200, -1, false),   2,     Again),
            (answered(200, 1, false),    3,     Dead),
            (answered(200, 1, true),     1,     Again),
            (answered(200, 1, true),     3,     Dead),
            (http(400),                  1,     Again),
            (http(409),                  2,     Again),
            (http(413),                  3,     Dead),
            (http(422),                  3,     Dead),
            (http(402),                  3,     Dead),
            (http(451),                  1,     Again),
            (http(401),                  9,     BackOff),
            (http(403),                  9,     BackOff),
            (http(404),                  9,     BackOff),
            (http(405),                  9,     BackOff),
            (http(408),                  9,     BackOff),
            (http(425),                  9,     BackOff),
            (http(429),                  9,     BackOff),
            (http(410),                  1,     Pause),
            (http(301),                  1,     BackOff),
            (http(307),                  9,     BackOff),
            (answered(302, 0, true),     1,     BackOff),
            (http(500),                  9,     BackOff),
            (answered(503, 0, true),     9,     BackOff),
            (http(599),                  9,     BackOff),
            (http(101),                  1,     BackOff),
            (http(999),                  1,     BackOff),
            (Attempt::Unread { status: 200 }, 1, Again),
            (Attempt::Unread { status: 204 }, 3, Dead),
            (Attempt::Unread { status: 503 }, 9, BackOff),
            (Attempt::Unread { status: 410 }, 1, Pause),
            (Attempt::Unanswered,        1,     BackOff),
            (Attempt::Unanswered,        99,    BackOff),
        ];
        for (attempt, tries, expected) in table {
            assert_eq!(verdict(attempt, tries, false), expected, "{attempt:?} on try {tries}");
            let by_code = Attempt::Answered { status: 200, action_code: 1, refuses: true };
            let expected = if attempt == by_code { Refused } else { expected };
            assert_eq!(verdict(attempt, tries, true), expected, "{attempt:?} can refuse");
        }
    }
}
