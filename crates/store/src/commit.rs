//! What is written in one piece, and what is handed out on lease.

use crate::{AttemptRecord, CallbackId, EndpointName, Mark};
use presence::{Change, Instant, Subject, Timestamp, User, UserId};
use std::time::Duration;

/// A value and the version it was read at.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned<T> {
    /// 0 for one that was never written.
    pub version: u64,
    /// As of that version.
    pub value: T,
}

/// One step of one user's life, ready to be stored.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Whose.
    pub user: UserId,
    /// The version the decision was based on; a different one now means
    /// [`crate::StoreError::Conflict`].
    pub based_on: u64,
    /// The new state.
    pub state: User,
    /// When this user needs a tick. Stored, so that a restart forgets no deadline.
    pub wake_at: Option<Instant>,
    /// What the endpoints are to be told, in order of `seq`.
    pub callbacks: Vec<NewCallback>,
    /// The callback whose answer caused this step, settled in the same transaction.
    pub settles: Option<Settlement>,
    /// The mark that this step answers: with a callback its App is told, and told again later unless it
    /// accepts that; without one nothing can be told, and the mark goes.
    pub answers: Option<Mark>,
    /// When this happened; users not touched for long are pruned.
    pub at: Timestamp,
}

/// A callback to be queued.
#[derive(Debug, Clone)]
pub struct NewCallback {
    /// Whom it is told.
    pub endpoint: EndpointName,
    /// What is told.
    pub change: Change,
    /// For tracing; the same at every attempt.
    pub operation_id: String,
    /// When it was decided: among others it is due since then.
    pub due_at: Instant,
    /// Whether a client waits for what the App answers. Not stored: after a restart nobody waits.
    pub asks: bool,
    /// The `seq` of earlier callbacks that it speaks for.
    pub speaks_for: Vec<u64>,
}

/// A wish for work.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Whose callbacks.
    pub endpoint: EndpointName,
    /// Only what is due by now.
    pub now: Instant,
    /// How long the claimed ones are kept from others.
    pub lease: Duration,
    /// How many at most.
    pub limit: usize,
}

/// A callback on lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// To be shown when settling.
    pub lease: Lease,
    /// What is told.
    pub change: Change,
    /// For tracing; the same at every attempt.
    pub operation_id: String,
    /// Attempts so far that count towards the limit of tries.
    pub tries: u32,
    /// All attempts so far.
    pub attempts: u32,
    /// Whether it was queued again by hand, so that its answer has no effect on presence.
    pub replayed: bool,
    /// Whether it was owed before this process began, perhaps under other settings.
    pub is_inherited: bool,
    /// How many older ones it speaks for, which were superseded by it.
    pub collapsed: u64,
    /// The `seq` of the online callbacks among those.
    pub spoken_for: Vec<u64>,
}

/// The right to settle one callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Which callback.
    pub id: CallbackId,
    pub(crate) row: u64,
    pub(crate) number: u64,
    pub(crate) is_inherited: bool,
}

impl Lease {
    /// Where the callback is, by [`crate::CallbackRecord::row`].
    pub fn row(&self) -> u64 {
        self.row
    }
}

/// What became of a claimed callback.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Settlement {
    pub lease: Lease,
    /// What was told.
    pub change: Change,
    /// What its App keeps a word about.
    pub subject: Subject,
    /// None if there was no attempt.
    pub attempt: Option<AttemptRecord>,
    pub fate: Fate,
    /// When, for the history.
    pub at: Timestamp,
}

/// Where a callback goes after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The App has it.
    Delivered,
    /// It is parked; the user's next one may go. Its subject is marked: the App is told how that is.
    Dead,
    /// It told again how things are, and failed: its mark stays, and speaks for it.
    Dropped,
    /// It is not sent: by its settings the App is not told of it.
    Unwanted {
        /// Whether the App is told how its subject is instead.
        retell: bool,
    },
    /// It stays first in its line, and is due again then.
    RetryAt {
        /// When it is due again.
        at: Instant,
        /// Whether this attempt counts towards the limit of tries.
        counts: bool,
    },
}
