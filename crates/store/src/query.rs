//! What the API asks of a store, and the housekeeping.

use crate::{CallbackId, CallbackRecord, CallbackState, EndpointChange, EndpointName, Resync};
use presence::{Change, Instant, Scope, Timestamp, UserId};

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

/// Some callbacks of one endpoint, in the order of their changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallbacksPage {
    /// At most as many as were asked for.
    pub records: Vec<CallbackRecord>,
    /// The row to go on after: that of the last one, or beyond it where there are no more.
    pub cursor: u64,
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
    /// Marks: things that the App was not told, and is not right about yet.
    pub marks: u64,
}

/// A wish to send settled callbacks again, in one transaction.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Which.
    pub ids: Vec<CallbackId>,
    /// What their Apps keep a word about; [`Scope::User`] where nothing is said.
    pub scopes: Vec<(EndpointName, Scope)>,
    /// Now.
    pub at: Timestamp,
}

/// An endpoint is told of something again that it was not told of for a while: what it may be wrong about.
#[derive(Debug, Clone)]
pub struct Anew {
    /// Which.
    pub endpoint: EndpointName,
    /// What its App keeps a word about.
    pub scope: Scope,
    /// Changes that it may have missed, each with the last `seq` of its user: their subjects are marked, to
    /// be told in any case.
    pub missed: Vec<(UserId, Change)>,
    /// Whether all callbacks up to now count as from before: a reader of the feed learns that some are missing
    /// ([`crate::EndpointState::anew_row`]).
    pub begins: bool,
    /// Now.
    pub at: Timestamp,
}

/// What came of it, for how many each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// They are queued.
    pub queued: u64,
    /// Another callback of that user is being sent right now, and would end up before it: try again.
    pub in_flight: u64,
    /// No such callback is settled.
    pub unknown: u64,
}

/// The scope of an endpoint.
pub(crate) fn scope_of(scopes: &[(EndpointName, Scope)], endpoint: &EndpointName) -> Scope {
    scopes.iter().find(|(name, _)| name == endpoint).map_or(Scope::User, |(_, scope)| *scope)
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
#[derive(Debug, Clone)]
pub struct Prune {
    /// Now: what expires is settled then.
    pub now: Timestamp,
    /// Delivered callbacks settled before then go.
    pub history_before: Timestamp,
    /// Dead and expired ones settled before then go.
    pub failed_before: Timestamp,
    /// The oldest settled callbacks go until the rest take up no more than this.
    pub history_bytes_max: u64,
    /// Callbacks owed since before then expire, and their subjects are marked. Marks that are older go:
    /// then only who is online says it.
    pub owed_before: Timestamp,
    /// What the Apps keep a word about; [`Scope::User`] where nothing is said.
    pub scopes: Vec<(EndpointName, Scope)>,
    /// Of more than so many callbacks owed to one endpoint the oldest expire.
    pub owed_max: u64,
    /// Offline users not touched since then, and owed nothing, are forgotten but for their `seq`.
    pub users_before: Timestamp,
    /// How many of each kind at most, so that nobody waits long for the writer.
    pub limit: usize,
}

impl Prune {
    /// What an endpoint is told that was not told something, and is not told it any more.
    pub(crate) fn resync(&self) -> EndpointChange {
        let why =
            "callbacks were given up, more than can be told again, or too long ago".to_owned();
        EndpointChange::NeedsResync(Resync { since: self.now, why, heals: false })
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
    /// Owed for too long, or too many.
    pub expired: u64,
    pub users: u64,
}
