//! One user who is online, as the tools of truth tell it: `snapshot` and `diff`.

use presence::{ConnId, Subject, User, UserId};
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
    /// Whether the newest connection is in the background, as Apps are told.
    #[serde(rename = "isAppBackground")]
    is_app_background: bool,
    /// Those whose newest connection is.
    #[serde(rename = "backgroundPlatformIDs")]
    background_platform_ids: Vec<u8>,
    /// Those that are.
    #[serde(rename = "backgroundConnIDs")]
    background_conn_ids: Vec<String>,
}

impl OnlineView {
    pub(super) fn new(user: &UserId, state: &User) -> OnlineView {
        let told = state.connections().iter().map(|connection| connection.told_id());
        let mut told: Vec<Option<ConnId>> = told.collect();
        told.sort_unstable();
        told.dedup();
        let name = |id: &Option<ConnId>| id.map(|id| id.to_string()).unwrap_or_default();
        let is_hidden = |subject| state.is_in_background(subject);
        let hidden = told.iter().filter(|id| is_hidden(Subject::Connection(**id)));
        let hidden_platforms = state.platforms_told().filter(|p| is_hidden(Subject::Platform(*p)));
        OnlineView {
            is_app_background: is_hidden(Subject::User),
            background_platform_ids: hidden_platforms.map(|platform| platform.id()).collect(),
            background_conn_ids: hidden.map(name).collect(),
            conn_ids: told.iter().map(name).collect(),
            user_id: user.to_string(),
            seq: state.last_seq(),
            platform_ids: state.platforms_told().map(|platform| platform.id()).collect(),
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
