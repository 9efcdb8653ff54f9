//! Users as the App registers them: a name and a face, nothing that presence depends on.

use crate::{EndpointChange, Resync};
use presence::{Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// A registered user. A user need not be registered to log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Account {
    pub user: UserId,
    pub nickname: String,
    pub face_url: String,
    pub ex: String,
    pub app_manager_level: i32,
    pub global_recv_msg_opt: i32,
    pub created_at: Timestamp,
}

/// A wish to erase a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erase {
    /// Whom.
    pub user: UserId,
    /// Also if an App is still to be told about them: it is not told then, and asked to read who is online.
    pub force: bool,
    /// When that was.
    pub at: Timestamp,
}

impl Erase {
    /// What an endpoint needs that is not told any more.
    pub(crate) fn resync(&self) -> EndpointChange {
        let why = "a person was erased about whom it was still to be told".to_owned();
        EndpointChange::NeedsResync(Resync { since: self.at, why, heals: false })
    }
}

/// What came of a wish to erase a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasure {
    /// It is gone.
    Done(Erased),
    /// Not all was erased: they are online, await a deadline, or an App is still to be told about them.
    StillNeeded,
}

/// What was erased of a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Whether they were known: status, sessions, denied tokens, when they were last online.
    pub state: bool,
    /// Whether they had an account.
    pub account: bool,
    /// How many callbacks of the history.
    pub callbacks: u64,
    /// How many of these were still owed.
    pub owed: u64,
    /// How many rows about them that could not be read.
    pub set_aside: u64,
}

/// What came of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// All of them are registered now.
    All,
    /// This one was already; nothing was written.
    Already(UserId),
}
