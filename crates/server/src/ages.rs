//! How long the processes of a store ran: a wall clock that jumps makes nothing old.

use crate::clock::Clock;
use presence::{Ages, Instant, Timestamp};
use std::time::Duration;
use store::Store;

/// How often it is stored how long this process has run.
const KEPT_EVERY: Duration = Duration::from_secs(60);

/// [`Ages`], as they are stored.
#[derive(Default)]
pub struct KeptAges {
    ages: Ages,
    /// None: those of the processes before are not read yet. Until then nothing is old.
    kept_at: Option<Instant>,
}

impl KeptAges {
    /// To be called every few seconds. Errors of the store are logged; then less is old.
    pub async fn keep(&mut self, store: &dyn Store, clock: &dyn Clock) {
        let now = clock.now();
        let is_to_be_kept = match self.kept_at {
            Some(kept_at) => self.ages.note(now) || kept_at.until(now.mono) >= KEPT_EVERY,
            None => match store.ages().await {
                Ok(ages) => {
                    self.ages = ages;
                    self.ages.begin(now);
                    true
                }
                Err(error) => return tracing::warn!(%error, "nobody knows how old anything is"),
            },
        };
        if is_to_be_kept {
            self.kept_at = Some(now.mono);
            self.keep_now(store).await;
        }
    }

    /// For the end of the process.
    pub async fn keep_now(&self, store: &dyn Store) {
        if self.kept_at.is_none() {
            return;
        }
        if let Err(error) = store.keep_ages(self.ages.clone()).await {
            tracing::warn!(%error, "how long this process runs was not kept");
        }
    }

    /// What carries an earlier wall time is older than that.
    pub fn before(&self, age: Duration) -> Timestamp {
        self.ages.before(age)
    }
}
