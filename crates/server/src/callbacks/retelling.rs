//! Tells an App how things are now, where it was not told what became of them.
//!
//! A callback that was given up leaves a [`Mark`]. While the endpoint is well and is owed nothing else
//! about that user, the core makes one callback of the present truth, for this endpoint alone.

use super::dispatcher::Dispatcher;
use presence::{Instant, Permit, UserId};
use std::{mem, time::Duration};
use store::Mark;

/// How often marks are looked at, unless one is known to be due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Of what may be in flight at once, this part may tell again.
const SHARE: usize = 10;

/// What one dispatcher remembers of it.
#[derive(Default)]
pub(super) struct Retelling {
    look_at: Instant,
    /// About whom something was told again that may still be owed.
    told: Vec<UserId>,
}

impl Retelling {
    /// Makes callbacks for some of the marks that are due. They are claimed like all others.
    pub(super) async fn look(&mut self, dispatcher: &Dispatcher) {
        let (endpoint, now) = (&dispatcher.endpoint, dispatcher.clock.now());
        if endpoint.health().permit(now.mono) != Permit::Open {
            return;
        }
        if now.mono < self.look_at && !endpoint.is_to_look_at_marks() {
            return;
        }
        self.look_at = now.mono + LOOK_EVERY;
        self.forget_delivered(dispatcher).await;
        let most = endpoint.settings.concurrency_max.div_ceil(SHARE);
        let room = most.saturating_sub(self.told.len());
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

    /// However a callback ended: it may have been delivered, left out, expired.
    async fn forget_delivered(&mut self, dispatcher: &Dispatcher) {
        for user in mem::take(&mut self.told) {
            let owed = dispatcher.store.owes(&dispatcher.endpoint.settings.name, &user).await;
            if owed.unwrap_or(true) {
                self.told.push(user);
            }
        }
    }

    async fn tell(&mut self, dispatcher: &Dispatcher, mark: Mark) {
        let (endpoint, user) = (&dispatcher.endpoint, mark.user.clone());
        match dispatcher.driver.retell(endpoint, mark).await {
            Ok(true) => {
                self.told.push(user);
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
