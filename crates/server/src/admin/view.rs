//! How users and callbacks look in the management API. Times are unix milliseconds, and beside them as people
//! read them (RFC 3339).

use super::Addresses;
use presence::{Availability, Connection, Platform, Session, Status, Timestamp, User, UserId};
use serde::Serialize;
use std::time::{Duration, UNIX_EPOCH};
use store::{AttemptRecord, CallbackRecord};

/// The end of the year 9999.
const LAST_MS: u64 = 253_402_300_799_999;

fn written(at: Timestamp) -> String {
    // A clock may be ahead by any time, and nobody writes the years beyond.
    let at = UNIX_EPOCH + Duration::from_millis(at.0.min(LAST_MS));
    humantime::format_rfc3339_millis(at).to_string()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserView {
    #[serde(rename = "userID")]
    user_id: String,
    online: bool,
    platforms: Vec<&'static str>,
    /// When the user last came online or went offline.
    since: u64,
    since_time: String,
    /// Of the last change.
    seq: u64,
    status: Option<StatusView>,
    connections: Vec<ConnectionView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConnectionView {
    /// Empty for a virtual one.
    #[serde(rename = "connID")]
    conn_id: String,
    #[serde(rename = "platformID")]
    platform_id: u8,
    platform: &'static str,
    is_app_background: bool,
    since: u64,
    since_time: String,
    /// `live`; `lingering`: gone, and may come back until `until`; `virtual`: a status holds it
    /// until `until`.
    session: &'static str,
    until: Option<u64>,
    /// Where its client is, while the socket is open.
    address: Option<String>,
}

impl UserView {
    pub(super) fn new(
        user: &UserId,
        state: &User,
        now: Timestamp,
        addresses: &dyn Addresses,
    ) -> UserView {
        let connection = |connection| ConnectionView::new(connection, addresses);
        UserView {
            user_id: user.to_string(),
            online: state.is_online(),
            platforms: state.platforms().map(Platform::name).collect(),
            since: state.since().0,
            since_time: written(state.since()),
            seq: state.last_seq(),
            status: state.status(now).map(StatusView::new),
            connections: state.connections().iter().map(connection).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusView {
    availability: Availability,
    text: Box<str>,
    emoji: Box<str>,
    expire_at: Option<u64>,
}

impl StatusView {
    fn new(status: &Status) -> StatusView {
        let Status { availability, text, emoji, expires_at } = status.clone();
        StatusView { availability, text, emoji, expire_at: expires_at.map(|at| at.0) }
    }
}

impl ConnectionView {
    fn new(connection: &Connection, addresses: &dyn Addresses) -> ConnectionView {
        let (session, until) = match connection.session {
            Session::AtGate => ("at_gate", None),
            Session::Live => ("live", None),
            Session::Lingering { until, .. } => ("lingering", Some(until.0)),
            Session::Virtual { until } => ("virtual", Some(until.0)),
        };
        ConnectionView {
            conn_id: connection.told_id().map(|id| id.to_string()).unwrap_or_default(),
            platform_id: connection.platform.id(),
            platform: connection.platform.name(),
            is_app_background: connection.background,
            since: connection.since.0,
            since_time: written(connection.since),
            session,
            until,
            address: addresses.address(connection.id).map(|peer| peer.to_string()),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CallbackView {
    id: String,
    endpoint: String,
    #[serde(rename = "userID")]
    user_id: String,
    seq: u64,
    kind: presence::Kind,
    reason: &'static str,
    platform: &'static str,
    #[serde(rename = "connID")]
    conn_id: String,
    is_app_background: bool,
    #[serde(rename = "operationID")]
    operation_id: String,
    /// When the change was decided.
    at: u64,
    time: String,
    /// `pending`, `delivered`, `dead`, `expired` or `superseded`.
    state: &'static str,
    /// Attempts at which the App itself failed.
    tries: u32,
    replayed: bool,
    /// How many older ones it speaks for.
    collapsed: u64,
    /// The first and the latest.
    attempts: Vec<AttemptView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptView {
    at: u64,
    time: String,
    took_ms: u64,
    /// The HTTP status, when there was an answer.
    status: Option<u16>,
    /// The beginning of the App's answer.
    answer: Option<String>,
    /// What went wrong, in words.
    error: Option<String>,
    /// What it meant: delivered, refused, again, dead, back_off or pause.
    verdict: String,
}

impl From<AttemptRecord> for AttemptView {
    fn from(record: AttemptRecord) -> AttemptView {
        let AttemptRecord { at, took_ms, status, answer, error, verdict } = record;
        AttemptView { at: at.0, time: written(at), took_ms, status, answer, error, verdict }
    }
}

impl From<CallbackRecord> for CallbackView {
    fn from(record: CallbackRecord) -> CallbackView {
        let change = &record.change;
        CallbackView {
            id: record.id.to_string(),
            endpoint: record.id.endpoint.to_string(),
            user_id: record.id.user.to_string(),
            seq: change.seq,
            kind: change.kind,
            reason: change.reason.name(),
            platform: change.platform.name(),
            conn_id: change.conn.map(|conn| conn.to_string()).unwrap_or_default(),
            is_app_background: change.background,
            operation_id: record.operation_id,
            at: change.at.0,
            time: written(change.at),
            state: record.state.name(),
            tries: record.tries,
            replayed: record.replayed,
            collapsed: record.collapsed,
            attempts: record.attempts.into_iter().map(AttemptView::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_that_may_be_stored_can_be_written() {
        assert_eq!(written(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(written(Timestamp(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }
}
