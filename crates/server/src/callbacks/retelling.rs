//! Tells an App how things are now, where it was not told what became of them.
//!
//! A callback that was given up leaves a [`Mark`]. While the endpoint is well and is owed nothing else
//! about that user, the core makes one callback of the present truth, for this endpoint alone.

use super::dispatcher::Dispatcher;
use presence::{Instant, Permit, UserId};
use std::{collections::HashSet, mem, sync::Arc, time::Duration};
use store::{Mark, StoreError};
use tokio::task::JoinSet;

/// How often marks are looked at, unless one is known to be due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Of what may be in flight at once, this part may tell again.
const SHARE: usize = 10;

/// What one dispatcher remembers of it.
#[derive(Default)]
pub(super) struct Retelling {
    look_at: Instant,
    /// A user may be busy for long, and nobody else waits for that.
    under_way: JoinSet<(UserId, Result<bool, StoreError>)>,
    /// About whom something is under way.
    users: HashSet<UserId>,
    /// About whom something was told again that may still be owed.
    told: Vec<UserId>,
}

impl Retelling {
    /// Makes callbacks for some of the marks that are due. They are claimed like all others.
    pub(super) async fn look(&mut self, dispatcher: &Dispatcher) {
        self.note_ended(dispatcher);
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
        let room = most.saturating_sub(self.told.len() + self.under_way.len());
        if room == 0 {
            return;
        }
        // Those under way are still due.
        let many = room + self.users.len();
        let (name, at_once_only) = (&endpoint.settings.name, !endpoint.settings.retell);
        let due = dispatcher.store.marks_due(name, now.wall, many, at_once_only).await;
        // An outbox that cannot be read is logged where callbacks are claimed.
        for mark in due.unwrap_or_default() {
            if self.under_way.len() + self.told.len() < most && !self.users.contains(&mark.user) {
                self.tell(dispatcher, mark);
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

    fn tell(&mut self, dispatcher: &Dispatcher, mark: Mark) {
        let (driver, endpoint) = (Arc::clone(&dispatcher.driver), Arc::clone(&dispatcher.endpoint));
        let user = mark.user.clone();
        self.users.insert(user.clone());
        self.under_way.spawn(async move {
            let told = driver.retell(&endpoint, mark).await;
            (user, told)
        });
    }

    fn note_ended(&mut self, dispatcher: &Dispatcher) {
        while let Some(ended) = self.under_way.try_join_next() {
            // What panics in it is contained by the driver.
            let Ok((user, told)) = ended else { continue };
            self.users.remove(&user);
            match told {
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
}
