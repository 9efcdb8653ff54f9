//! Users as the App registers them: a name and a face, nothing that presence depends on.

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

/// What came of a wish to erase a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasure {
    /// It is gone.
    Done(Erased),
    /// Nothing was erased: they are online, await a deadline, or an App is still to be told about them.
    StillNeeded,
}

/// What was erased of a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Whether they were known: status, sessions, denied tokens, when they were last online.
    pub state: bool,
    /// Whether they had an account.
    pub account: bool,
    /// How many settled callbacks.
    pub callbacks: u64,
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
