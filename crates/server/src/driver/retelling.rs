//! Tells one App again how a user is, where it was not told a change.

use super::{Driver, step::Along};
use crate::callbacks::Endpoint;
use presence::{Event, Scope, Subject};
use std::sync::Arc;
use store::{Mark, StoreError};

impl Driver {
    /// An endpoint was not told something: queues how that is now, for it alone. False if it is not told
    /// of what is so, and then its mark goes; or if there is nothing to tell any more.
    pub async fn retell(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        mark: Mark,
    ) -> Result<bool, StoreError> {
        let (driver, endpoint) = (Arc::clone(self), Arc::clone(endpoint));
        let run = async move {
            let (user, event) = (mark.user.clone(), untold(&mark, &endpoint));
            let told = driver.carry(&user, event, None, Along::Answers(mark, endpoint)).await;
            told.map(|outcome| outcome.is_retold)
        };
        let ended = tokio::spawn(run).await;
        ended.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    /// In the user's turn: what an event is about by now. Whoever had the turn before may have told the App,
    /// queued something for it, or erased the person; then there is nothing to tell again.
    pub(super) async fn as_it_is_now(
        &self,
        event: &Event,
        along: &Along,
    ) -> Result<Option<(Event, Along)>, StoreError> {
        let Along::Answers(mark, endpoint) = along else {
            return Ok(Some((event.clone(), along.clone())));
        };
        let mark = self.store.mark_to_tell(mark).await?;
        Ok(mark.map(|mark| {
            let event = untold(&mark, endpoint);
            (event, Along::Answers(mark, Arc::clone(endpoint)))
        }))
    }
}

fn untold(mark: &Mark, endpoint: &Endpoint) -> Event {
    let missed = mark.detail.missed.clone();
    // By what the App keeps a word about now: its scope may have been another then.
    let subject = Subject::of(&missed, endpoint.scope());
    let online = endpoint.settings.interest.online.unwrap_or(Scope::Connection);
    Event::Untold { subject, missed, online }
}
