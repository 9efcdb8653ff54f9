//! What an App keeps one word about, by the scope that it is told of departures at.

use crate::{Change, ConnId, Connection, Platform, Scope};
use serde::{Deserialize, Serialize};

/// What a callback is about, to an App that counts at some [`Scope`]: two callbacks about the same
/// subject replace each other there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The user as a whole.
    User,
    /// The user on one platform.
    Platform(Platform),
    /// One connection; none: the virtual ones, which are one to the App.
    Connection(Option<ConnId>),
}

impl Subject {
    /// What a change is about.
    pub fn of(change: &Change, scope: Scope) -> Subject {
        match scope {
            Scope::User => Subject::User,
            Scope::Platform => Subject::Platform(change.platform),
            Scope::Connection => Subject::Connection(change.conn),
        }
    }

    /// Whether a change is about it.
    pub fn covers(self, change: &Change) -> bool {
        match self {
            Subject::User => true,
            Subject::Platform(platform) => change.platform == platform,
            Subject::Connection(conn) => change.conn == conn,
        }
    }

    pub(crate) fn includes(self, connection: &Connection) -> bool {
        match self {
            Subject::User => true,
            Subject::Platform(platform) => connection.platform == platform,
            Subject::Connection(conn) => connection.told_id() == conn,
        }
    }
}
