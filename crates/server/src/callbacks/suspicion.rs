//! Keeps in the store that an App fails at whoever it is told of, so that a restart gives nothing up.

use super::dispatcher::Dispatcher;
use store::EndpointChange;

impl Dispatcher {
    /// Before anything is sent.
    pub(super) async fn take_over_suspicion(&self) {
        match self.store.endpoint(&self.endpoint.settings.name).await {
            Ok(state) if state.suspect => {
                self.endpoint.health().suspect();
                self.endpoint.note_suspicion(true);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "it is not known whether an App fails at everybody")
            }
        }
    }

    /// Also for after a restart: tries that count are stored, so each start would use up some.
    pub(super) async fn keep_suspicion(&self) {
        let is_suspect = self.endpoint.health().is_suspect();
        let Some(before) = self.endpoint.note_suspicion(is_suspect) else { return };
        let endpoint = &self.endpoint.settings.name;
        let change = EndpointChange::Suspect(is_suspect);
        if let Err(error) = self.store.change_endpoint(endpoint, change).await {
            // The next attempt tries again.
            self.endpoint.note_suspicion(before);
            tracing::warn!(%error, %endpoint, "whether an App fails at everybody could not be stored");
        }
    }
}
