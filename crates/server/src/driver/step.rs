//! One decided step, as what is stored.

use crate::callbacks::Endpoint;
use presence::{Change, Effects, Now, Retold, Session, User, UserId};
use std::sync::Arc;
use store::{Commit, Mark, NewCallback, Settlement};

/// What is stored along with a step.
#[derive(Clone)]
pub(super) enum Along {
    Nothing,
    /// The callback whose answer caused it.
    Settles(Settlement),
    /// The mark that it answers, and for whom.
    Answers(Mark, Arc<Endpoint>),
}

/// One decided step, ready to be made a commit.
pub(super) struct Step<'a> {
    pub(super) user: &'a UserId,
    pub(super) version: u64,
    pub(super) state: User,
    pub(super) effects: &'a Effects,
    pub(super) now: Now,
}

impl Step<'_> {
    /// Whether a client waits at the gate for what is answered to it.
    fn asks(&self, change: &Change) -> bool {
        let mut connections = self.state.connections().iter();
        connections.any(|c| c.session == Session::AtGate && c.told.connection == change.seq)
    }

    /// How things are, for the endpoint that was not told, if it is told of such things.
    pub(super) fn retold(&self, along: &Along, operation_id: &str) -> Option<NewCallback> {
        let Along::Answers(_, endpoint) = along else { return None };
        let Retold { change, speaks_for } = self.effects.retold.clone()?;
        endpoint.settings.interest.selects(&change).then(|| NewCallback {
            endpoint: endpoint.settings.name.clone(),
            change,
            operation_id: operation_id.to_owned(),
            due_at: self.now.mono,
            asks: false,
            speaks_for,
        })
    }

    pub(super) fn commit(
        self,
        endpoints: &[Arc<Endpoint>],
        operation_id: &str,
        along: Along,
        retold: Option<NewCallback>,
    ) -> Commit {
        let told = self.effects.changes.iter().flat_map(|change| {
            let interested = endpoints.iter().filter(|e| e.settings.interest.selects(change));
            let asks = self.asks(change);
            interested.map(move |endpoint| NewCallback {
                endpoint: endpoint.settings.name.clone(),
                change: change.clone(),
                operation_id: operation_id.to_owned(),
                due_at: self.now.mono,
                asks: asks && endpoint.settings.gate.is_some(),
                speaks_for: Vec::new(),
            })
        });
        let mut callbacks: Vec<NewCallback> = told.collect();
        callbacks.extend(retold);
        callbacks.sort_by_key(|callback| callback.change.seq);
        let (settles, answers) = match along {
            Along::Nothing => (None, None),
            Along::Settles(settlement) => (Some(settlement), None),
            Along::Answers(mark, _) => (None, Some(mark)),
        };
        Commit {
            callbacks,
            user: self.user.clone(),
            based_on: self.version,
            state: self.state,
            wake_at: self.effects.wake_at,
            settles,
            answers,
            at: self.now.wall,
        }
    }
}
