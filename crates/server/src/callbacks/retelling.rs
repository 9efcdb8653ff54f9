//! Tells an App how things are now, where it was not told what became of them.
//!
//! A callback that was given up leaves a [`Mark`]. While the endpoint is well and is owed nothing else
//! about that user, the core makes one callback of the present truth, for this endpoint alone.

use super::dispatcher::Dispatcher;
use presence::{Instant, Permit};
use std::time::Duration;
use store::Mark;

/// How often marks are looked at, unless one is known to be due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Of what may be in flight at once, this part may tell again.
const SHARE: usize = 10;

/// What one dispatcher remembers of it.
#[derive(Default)]
pub(super) struct Retelling {
    look_at: Instant,
}

impl Retelling {
    /// Makes callbacks for some of the marks that are due. They are claimed like all others.
    pub(super) async fn look(&mut self, dispatcher: &Dispatcher) {
        let (endpoint, now) = (&dispatcher.endpoint, dispatcher.clock.now());
        let is_early = now.mono < self.look_at && !endpoint.is_to_look_at_marks();
        if is_early || endpoint.health().permit(now.mono) != Permit::Open {
            return;
        }
        self.look_at = now.mono + LOOK_EVERY;
        let most = endpoint.settings.concurrency_max.div_ceil(SHARE);
        let room = most.saturating_sub(endpoint.retold());
        if room == 0 {
            return;
        }
        let due = dispatcher.store.marks_due(&endpoint.settings.name, now.wall, room).await;
        // An outbox that cannot be read is logged where callbacks are claimed.
        for mark in due.unwrap_or_default() {
            if endpoint.settings.retell || mark.is_at_once() {
                self.tell(dispatcher, mark).await;
            }
        }
    }

    async fn tell(&self, dispatcher: &Dispatcher, mark: Mark) {
        let (endpoint, user) = (&dispatcher.endpoint, mark.user.clone());
        match dispatcher.driver.retell(endpoint, mark).await {
            Ok(true) => {
                endpoint.note_retold(1);
                dispatcher.metrics.retold.inc();
            }
            // Of what is true now it is not told.
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, user.id = %user, "an App could not be told again how things are");
            }
        }
    }
}
