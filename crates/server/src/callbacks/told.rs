//! A change in the words of the contract.

use contract::Kind;
use presence::{Change, UserId};

/// What an endpoint is told.
pub(crate) fn told(
    user: &UserId,
    change: &Change,
    operation_id: &str,
    collapsed: u64,
    epoch: &str,
) -> contract::Callback {
    contract::Callback {
        kind: match change.kind {
            presence::Kind::Online => Kind::Online,
            presence::Kind::Offline => Kind::Offline,
            presence::Kind::KickOff => Kind::KickOff,
            presence::Kind::Background => Kind::Background,
        },
        user_id: user.to_string(),
        seq: change.seq,
        is_app_background: change.background,
        conn_id: change.conn.map(|conn| conn.to_string()).unwrap_or_default(),
        operation_id: operation_id.to_owned(),
        platform_id: change.platform.id(),
        platform: change.platform.name().to_owned(),
        reason: change.reason.name().to_owned(),
        collapsed,
        epoch: epoch.to_owned(),
        status: change.status.as_ref().map(|status| contract::Status {
            availability: status.availability.name().to_owned(),
            text: status.text.to_string(),
            emoji: status.emoji.to_string(),
        }),
        client_address: change.address.as_deref().unwrap_or_default().to_owned(),
    }
}
