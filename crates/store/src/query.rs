//! What the API asks of a store, and the housekeeping.

use crate::{CallbackState, EndpointChange, EndpointName, Resync};
use presence::{Instant, Scope, Timestamp, UserId};

/// Which users.
#[derive(Debug, Clone)]
pub struct UserQuery {
    /// Only those who are online.
    pub online_only: bool,
    /// Only names that come after this one.
    pub after: Option<UserId>,
    /// How many at most.
    pub limit: usize,
}

/// Which callbacks.
#[derive(Debug, Clone, Default)]
pub struct CallbackQuery {
    /// Only those that got this far.
    pub state: Option<CallbackState>,
    /// Only those about this user.
    pub user: Option<UserId>,
    /// Only those of this endpoint.
    pub endpoint: Option<EndpointName>,
    /// Only rows before this one.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: usize,
}

/// What one endpoint is owed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Callbacks not yet delivered.
    pub owed: u64,
    /// When the oldest of them was queued.
    pub oldest_at: Option<Timestamp>,
    /// Callbacks that were given up, still in the history.
    pub dead: u64,
}

/// What came of the wish to send a callback again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// It is queued.
    Queued,
    /// No such callback is settled.
    Unknown,
    /// A callback of this user is being sent right now, and would end up before it: try again.
    InFlight,
}

/// A wish to send less after a long outage.
#[derive(Debug, Clone)]
pub struct Collapse {
    /// Whose callbacks.
    pub endpoint: EndpointName,
    /// Of users whose turn it is by now.
    pub due: Instant,
    /// And whose oldest callback was queued before then.
    pub queued_before: Timestamp,
    /// What the App keeps one word about.
    pub scope: Scope,
    /// How many users are looked at.
    pub users_max: usize,
    /// Now, for the history.
    pub at: Timestamp,
}

/// What is too old or too much.
#[derive(Debug, Clone, Copy)]
pub struct Prune {
    /// Now: what expires is settled then.
    pub now: Timestamp,
    /// Delivered callbacks settled before then go.
    pub history_before: Timestamp,
    /// Dead and expired ones settled before then go.
    pub failed_before: Timestamp,
    /// The oldest settled callbacks go until the rest take up no more than this.
    pub history_bytes_max: u64,
    /// Callbacks owed since before then expire; their endpoints then need a resync.
    pub owed_before: Timestamp,
    /// Of more than so many callbacks owed to one endpoint the oldest expire.
    pub owed_max: u64,
    /// Offline users not touched since then, and owed nothing, are forgotten but for their `seq`.
    pub users_before: Timestamp,
    /// How many of each kind at most, so that nobody waits long for the writer.
    pub limit: usize,
}

impl Prune {
    /// What an endpoint is told that was owed for too long, or too much.
    pub(crate) fn resync(&self) -> EndpointChange {
        let why = "callbacks expired: the App was away for too long, or too many were owed";
        EndpointChange::NeedsResync(Resync { since: self.now, why: why.to_owned() })
    }

    /// Callbacks that ended so and were settled before then go.
    pub(crate) fn settled_before(&self, state: CallbackState) -> Timestamp {
        match state {
            CallbackState::Delivered => self.history_before,
            _ => self.failed_before,
        }
    }
}

/// What a [`Prune`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Pruned {
    pub callbacks: u64,
    /// Owed for too long, or too many. Their endpoints need a resync.
    pub expired: u64,
    pub users: u64,
}
