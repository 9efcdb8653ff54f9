//! The ticks under way: a slow one holds up nobody else's.

use super::{Along, Driver, Outcome};
use presence::{Event, UserId};
use std::{collections::HashSet, sync::Arc};
use store::StoreError;
use tokio::task::JoinSet;

/// How many deadlines are worked on at once.
pub(super) const TICKS_MAX: usize = 512;

/// How the tick of a user went.
pub(super) type Ticked = (UserId, Result<Outcome, StoreError>);

/// Belongs to the loop that ticks.
#[derive(Default)]
pub(super) struct Ticks {
    running: JoinSet<Ticked>,
    users: HashSet<UserId>,
}

impl Ticks {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether no further one may begin.
    pub(super) fn are_full(&self) -> bool {
        self.len() >= TICKS_MAX
    }

    /// Whether the tick of this user is under way.
    pub(super) fn has(&self, user: &UserId) -> bool {
        self.users.contains(user)
    }

    pub(super) fn begin(&mut self, driver: &Arc<Driver>, user: UserId) {
        let driver = Arc::clone(driver);
        self.users.insert(user.clone());
        self.running.spawn(async move {
            let carried = driver.carry(&user, Event::Ticked, None, Along::Nothing).await;
            (user, carried)
        });
    }

    /// Those that have ended since.
    pub(super) fn take_ended(&mut self) -> Vec<Ticked> {
        let mut ended = Vec::new();
        while let Some(joined) = self.running.try_join_next() {
            // Panics are contained in the step, so it is the runtime that ends.
            ended.extend(joined);
        }
        ended.iter().for_each(|(user, _)| _ = self.users.remove(user));
        ended
    }

    /// Waits for all.
    pub(super) async fn finish(mut self) {
        while self.running.join_next().await.is_some() {}
    }
}
