//! One user who is online, as the tools of truth tell it: `snapshot` and `diff`.

use presence::{User, UserId};
use serde::Serialize;

/// Platforms rise by their number, connections by their id; all virtual ones are `""`, as in
/// callbacks.
#[derive(Serialize)]
pub(super) struct OnlineView {
    #[serde(rename = "userID")]
    user_id: String,
    /// Of the user's last change.
    seq: u64,
    #[serde(rename = "platformIDs")]
    platform_ids: Vec<u8>,
    #[serde(rename = "connIDs")]
    conn_ids: Vec<String>,
}

impl OnlineView {
    pub(super) fn new(user: &UserId, state: &User) -> OnlineView {
        let told = state.connections().iter().map(|connection| connection.told_id());
        let mut conn_ids: Vec<String> =
            told.map(|id| id.map(|id| id.to_string()).unwrap_or_default()).collect();
        conn_ids.sort_unstable();
        conn_ids.dedup();
        OnlineView {
            user_id: user.to_string(),
            seq: state.last_seq(),
            platform_ids: state.platforms_told().map(|platform| platform.id()).collect(),
            conn_ids,
        }
    }

    /// As [`contract::buckets`] wants them.
    pub(super) fn platforms(&self) -> String {
        let numbers: Vec<String> = self.platform_ids.iter().map(u8::to_string).collect();
        numbers.join(",")
    }

    /// As [`contract::buckets`] wants them.
    pub(super) fn connections(&self) -> String {
        self.conn_ids.join(",")
    }
}
