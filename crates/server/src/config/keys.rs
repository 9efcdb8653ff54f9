//! The table of all keys: their paths, fields and what their values must be.

use super::{
    Config, Size,
    checks::{
        anything, between, callback_url, if_set, levels, names, path, sdk_name, strong_token,
    },
    setting::Setting,
};
use std::time::Duration;
use toml::de::DeValue;

/// One setting: how it is called, read and shown.
pub(super) struct Key {
    /// Its tables and its name, as `callbacks.online.enable`.
    pub(super) path: &'static str,
    /// Whether its value is never shown, and may come from a file of its own.
    pub(super) secret: bool,
    read: fn(&mut Config, &Written<'_>) -> Result<(), String>,
    show: fn(&Config) -> String,
}

/// A value as somebody wrote it.
pub(super) enum Written<'a> {
    /// In the file.
    Toml(&'a DeValue<'a>),
    /// In the environment.
    Bare(&'a str),
}

/// In the order of `default.toml`.
pub(super) const KEYS: &[Key] = &[
    key!(gateway.listen),
    key!(gateway.connections_max, between(1, 10_000_000)),
    key!(gateway.frame_bytes_max, between(Size::kib(1), Size::mib(1))),
    key!(gateway.read_timeout, between(BRIEFLY, HOUR)),
    key!(gateway.ping_interval, between(BRIEFLY, HOUR)),
    key!(gateway.handshake_timeout, between(BRIEFLY, 5 * MINUTE)),
    key!(gateway.outbound_frames_max, between(1, 65_536)),
    key!(api.listen),
    key!(api.body_bytes_max, between(Size::kib(1), Size::mib(64))),
    key!(admin.listen),
    key!(admin.token, if_set(strong_token)).secret(),
    key!(auth.secret).secret(),
    key!(auth.admin_users, names),
    key!(auth.token_expiry, between(SECOND, 10 * YEAR)),
    key!(presence.offline_grace, between(Duration::ZERO, DAY)),
    key!(presence.restart_grace, between(Duration::ZERO, DAY)),
    key!(presence.virtual_lease, between(SECOND, YEAR)),
    key!(presence.forget_after, between(MINUTE, 10 * YEAR)),
    key!(callbacks.url, if_set(callback_url)),
    key!(callbacks.ca),
    key!(callbacks.dialect),
    key!(callbacks.sdk_name, sdk_name),
    key!(callbacks.extra_fields),
    key!(callbacks.concurrency_max, between(1, 10_000)),
    key!(callbacks.retention, between(SECOND, 90 * DAY)),
    key!(callbacks.online.enable),
    key!(callbacks.online.timeout, between(BRIEFLY, 5 * MINUTE)),
    key!(callbacks.online.scope),
    key!(callbacks.online.on_refusal),
    key!(callbacks.offline.enable),
    key!(callbacks.offline.timeout, between(BRIEFLY, 5 * MINUTE)),
    key!(callbacks.offline.scope),
    key!(callbacks.kick_off.enable),
    key!(callbacks.kick_off.timeout, between(BRIEFLY, 5 * MINUTE)),
    key!(callbacks.history.age, between(Duration::ZERO, YEAR)),
    key!(callbacks.history.bytes),
    key!(store.backend),
    key!(store.path, path),
    key!(store.sync),
    key!(log.format),
    key!(log.level, levels),
];
