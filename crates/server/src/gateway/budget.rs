//! What one connection may ask for: a client that asks for more is read later, not refused.

use presence::Instant;
use std::time::Duration;
use wire::{frame::Request, identifier as id};

/// Frames, pings among them, that may come at once, and how often one more.
const FRAMES_AT_ONCE: u32 = 500;
const FRAME_EVERY: Duration = Duration::from_millis(20);
/// The same for requests that write or read much, each weighed.
const COSTLY_AT_ONCE: u32 = 40;
const COSTLY_EVERY: Duration = Duration::from_millis(500);
/// So many bytes of a request's data weigh as much as a write: some hundred names.
const COSTLY_BYTES: usize = 2 * 1024;

/// When the next frame is read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Budget {
    frames: Spent,
    costly: Spent,
}

impl Budget {
    pub(super) fn frame(&mut self, now: Instant) {
        self.frames.spend(1, FRAMES_AT_ONCE, FRAME_EVERY, now);
    }

    pub(super) fn request(&mut self, request: &Request, now: Instant) {
        let weight = match request.identifier {
            id::SUB_USER_ONLINE_STATUS | id::SET_BACKGROUND_STATUS | id::LOGOUT => {
                1 + request.data.len() / COSTLY_BYTES
            }
            _ => return,
        };
        let weight = u32::try_from(weight).unwrap_or(COSTLY_AT_ONCE);
        self.costly.spend(weight, COSTLY_AT_ONCE, COSTLY_EVERY, now);
    }

    /// Nothing is read before.
    pub(super) fn reads_from(&self) -> Instant {
        self.frames.over.max(self.costly.over)
    }
}

/// Until when what was spent is not back.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    until: Instant,
    /// When there is something to spend again.
    over: Instant,
}

impl Spent {
    fn spend(&mut self, weight: u32, at_once: u32, every: Duration, now: Instant) {
        self.until = self.until.max(now) + every * weight;
        let full = every * (at_once - 1);
        self.over = Instant(self.until.0.saturating_sub(full.as_millis() as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_frames_may_come_at_once_and_then_one_in_each_interval() {
        let mut budget = Budget::default();
        let mut now = Instant(1_000_000);
        for _ in 0..FRAMES_AT_ONCE - 1 {
            budget.frame(now);
            assert!(budget.reads_from() <= now);
        }
        budget.frame(now);
        assert_eq!(budget.reads_from(), now + FRAME_EVERY);
        now = budget.reads_from();
        budget.frame(now);
        assert_eq!(budget.reads_from(), now + FRAME_EVERY);
        now = now + FRAME_EVERY * (FRAMES_AT_ONCE + 1);
        budget.frame(now);
        assert!(budget.reads_from() <= now, "all of it is back");
    }

    #[test]
    fn what_costs_more_weighs_more() {
        let request =
            |identifier, bytes| Request { identifier, data: vec![0; bytes], ..Request::default() };
        let now = Instant(1_000_000);
        let waits = |request: Request, times: u32| {
            let mut budget = Budget::default();
            (0..times).for_each(|_| budget.request(&request, now));
            budget.reads_from().until(Instant(u64::MAX)) < now.until(Instant(u64::MAX))
        };
        assert!(!waits(request(id::SET_BACKGROUND_STATUS, 2), COSTLY_AT_ONCE - 1));
        assert!(waits(request(id::SET_BACKGROUND_STATUS, 2), COSTLY_AT_ONCE));
        assert!(waits(request(id::SUB_USER_ONLINE_STATUS, 50_000), 2));
        assert!(!waits(request(id::GET_NEWEST_SEQ, 50_000), 1_000));
    }
}
