//! How the sample App misbehaves, and which request meets it.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use receiver::BODY_BYTES_MAX;
use std::{collections::HashSet, io, time::Duration};

/// Shares are 0 to 1, and 1 at most together: a request meets one fault or none.
#[derive(Debug, Clone)]
pub struct Faults {
    /// Which share of callbacks fails.
    pub fail: f64,
    /// With which HTTP status.
    pub status: StatusCode,
    /// Which share is never answered.
    pub hang: f64,
    /// Of which share the connection is closed without an answer.
    pub drop: f64,
    /// Which share is taken, and answered with bytes that are no answer.
    pub garbage: f64,
    /// How long every answer takes.
    pub delay: Duration,
    /// Whose going online is refused.
    pub refuse: HashSet<String>,
    /// The n-th request meets the same fault in each run with it.
    pub seed: u64,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            fail: 0.0,
            status: StatusCode::SERVICE_UNAVAILABLE,
            hang: 0.0,
            drop: 0.0,
            garbage: 0.0,
            delay: Duration::ZERO,
            refuse: HashSet::new(),
            seed: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Fail,
    Hang,
    Drop,
    Garbage,
}

impl Faults {
    /// Answers the n-th request, counted from 0.
    pub(super) async fn answer(&self, nth: u64, request: Request, next: Next) -> Response {
        tokio::time::sleep(self.delay).await;
        let Some(fault) = self.of(nth) else { return next.run(request).await };
        match fault {
            Fault::Fail => (self.status, "failing to order\n").into_response(),
            // Ends with the connection, when Herald gives up.
            Fault::Hang => std::future::pending().await,
            Fault::Drop => {
                let _ = to_bytes(request.into_body(), BODY_BYTES_MAX).await;
                close()
            }
            Fault::Garbage => {
                let answer = next.run(request).await;
                let bytes = (0..4).flat_map(|at| random(self.seed, nth, 1 + at).to_be_bytes());
                // Herald takes it for delivered, so what is not taken must be answered as it is.
                match answer.status() {
                    StatusCode::OK => Bytes::from_iter(bytes).into_response(),
                    _ => answer,
                }
            }
        }
    }

    fn of(&self, nth: u64) -> Option<Fault> {
        let shares = [
            (self.fail, Fault::Fail),
            (self.hang, Fault::Hang),
            (self.drop, Fault::Drop),
            (self.garbage, Fault::Garbage),
        ];
        // 53 bits, which a float holds: 0 to 1, without 1.
        let mut left = (random(self.seed, nth, 0) >> 11) as f64 / (1_u64 << 53) as f64;
        shares.into_iter().find_map(|(share, fault)| {
            let met = left < share;
            left -= share;
            met.then_some(fault)
        })
    }
}

/// The server closes a connection, and sends nothing, when a body fails at its first byte.
fn close() -> Response {
    let failing = stream::iter([Err::<Bytes, _>(io::Error::other("dropped to order"))]);
    Body::from_stream(failing).into_response()
}

/// Looks random and is the same in each run (SplitMix64's finish).
fn random(seed: u64, nth: u64, at: u64) -> u64 {
    let mut z =
        seed ^ nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at.wrapping_mul(0xd1b5_4a32_d192_ed03);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_their_shares_and_alike_for_a_seed() {
        let faults = |seed| Faults {
            fail: 0.1,
            hang: 0.01,
            drop: 0.05,
            garbage: 0.2,
            seed,
            ..Faults::default()
        };
        let met = |seed| (0..10_000).map(|nth| faults(seed).of(nth)).collect::<Vec<_>>();
        for seed in 0..20 {
            let met = met(seed);
            let share = |fault| met.iter().filter(|one| **one == fault).count();
            for (fault, expected) in [
                (Some(Fault::Fail), 1_000),
                (Some(Fault::Hang), 100),
                (Some(Fault::Drop), 500),
                (Some(Fault::Garbage), 2_000),
                (None, 6_400),
            ] {
                assert!(share(fault).abs_diff(expected) < 60 + expected / 10, "{fault:?} {seed}");
            }
        }
        assert_eq!(met(7), met(7));
        assert_ne!(met(7), met(8));
    }
}
