//! The table of all keys: their paths, fields and what their values must be.

use super::{
    Config, Size,
    checks::{
        anything, bearer, between, callback_url, headers, if_set, levels, long_secret, names,
        networks, own_secret, path, sdk_name, signing_secrets, strong_token,
    },
    setting::{Setting, quoted},
};
use std::time::Duration;
use toml::de::DeValue;

/// A row of the table: the field it is about, and what its value must be.
macro_rules! key {
    ($section:ident $(.$name:ident)+) => {
        key!($section $(.$name)+, anything)
    };
    ($section:ident $(.$name:ident)+, $check:expr) => {
        Key {
            path: concat!(stringify!($section) $(, ".", stringify!($name))+),
            secret: false,
            of_all: false,
            read: |config, written| {
                let default = Config::default().$section $(.$name)+;
                config.$section $(.$name)+ = read(written, &default, $check)?;
                Ok(())
            },
            show: |config| config.$section $(.$name)+.show(),
        }
    };
}

/// One setting: how it is called, read and shown.
pub(super) struct Key {
    /// Its tables and its name, as `callbacks.online.enable`.
    pub(super) path: &'static str,
    /// Whether its value is never shown, and may come from a file of its own.
    pub(super) secret: bool,
    /// Whether it is said once for all endpoints, though it is written beside those of one.
    pub(super) of_all: bool,
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
    key!(gateway.read_timeout, between(MOMENT, HOUR)),
    key!(gateway.ping_interval, between(MOMENT, HOUR)),
    key!(gateway.handshake_timeout, between(MOMENT, 5 * MINUTE)),
    key!(gateway.outbound_frames_max, between(1, 65_536)),
    key!(gateway.pending_per_address_max, between(1, 1_000_000)),
    key!(gateway.clients_per_address_max, between(0, 10_000_000)),
    key!(gateway.trusted_proxies, networks),
    key!(gateway.proxy_protocol),
    key!(api.listen),
    key!(api.body_bytes_max, between(Size::kib(1), Size::mib(64))),
    key!(admin.listen),
    key!(admin.token, if_set(strong_token)).secret(),
    key!(auth.secret, own_secret).secret(),
    key!(auth.previous_secret, if_set(long_secret)).secret(),
    key!(auth.admin_users, names),
    key!(auth.token_expiry, between(SECOND, 10 * YEAR)),
    key!(auth.known_tokens_only),
    key!(auth.logout_denies_token),
    key!(auth.end_expired),
    key!(login.policy),
    key!(presence.offline_grace, between(Duration::ZERO, DAY)),
    key!(presence.restart_grace, between(Duration::ZERO, DAY)),
    key!(presence.virtual_lease, between(SECOND, YEAR)),
    key!(presence.user_budget, between(0, 10_000)),
    key!(presence.refused_for, between(Duration::ZERO, DAY)),
    key!(presence.forget_after, between(MINUTE, 10 * YEAR)),
    key!(presence.mass_loss.share, between(0.0, 1.0)),
    key!(presence.mass_loss.min_connections, between(1, 10_000_000)),
    key!(presence.mass_loss.min_age, between(Duration::ZERO, HOUR)),
    key!(presence.mass_loss.window, between(SECOND, HOUR)),
    key!(presence.mass_loss.hold, between(Duration::ZERO, HOUR)),
    Key {
        show: |config| {
            quoted(config.callbacks.url.as_deref().map(without_query).unwrap_or_default())
        },
        ..key!(callbacks.url, if_set(callback_url))
    },
    key!(callbacks.deny_private),
    key!(callbacks.ca),
    key!(callbacks.client_cert),
    key!(callbacks.client_key),
    key!(callbacks.headers, headers).secret(),
    key!(callbacks.bearer, if_set(bearer)).secret(),
    key!(callbacks.secrets, signing_secrets).secret(),
    key!(callbacks.dialect),
    key!(callbacks.sdk_name, sdk_name),
    key!(callbacks.extra_fields),
    key!(callbacks.client_address),
    key!(callbacks.concurrency_max, between(1, 10_000)),
    key!(outbox.retention, between(SECOND, 90 * DAY)).of_all("callbacks.retention"),
    key!(outbox.owed_max, between(1_000, 100_000_000)).of_all("callbacks.owed_max"),
    key!(callbacks.collapse_after, between(Duration::ZERO, 90 * DAY)),
    key!(callbacks.retell),
    key!(callbacks.online.enable),
    key!(callbacks.online.timeout, between(MOMENT, 5 * MINUTE)),
    key!(callbacks.online.scope),
    key!(callbacks.online.mode),
    key!(callbacks.online.failed_continue),
    key!(callbacks.online.gate_waiting_max, between(1, 100_000)),
    key!(callbacks.online.on_refusal),
    key!(callbacks.refusal.share_max, between(0.0, 1.0)),
    key!(callbacks.refusal.window, between(SECOND, HOUR)),
    key!(callbacks.offline.enable),
    key!(callbacks.offline.timeout, between(MOMENT, 5 * MINUTE)),
    key!(callbacks.offline.scope),
    key!(callbacks.kick_off.enable),
    key!(callbacks.kick_off.timeout, between(MOMENT, 5 * MINUTE)),
    key!(callbacks.background.enable),
    key!(callbacks.background.timeout, between(MOMENT, 5 * MINUTE)),
    key!(outbox.history.age, between(Duration::ZERO, YEAR)).of_all("callbacks.history.age"),
    key!(outbox.history.bytes).of_all("callbacks.history.bytes"),
    key!(store.backend),
    key!(store.path, path),
    key!(store.sync),
    key!(log.format),
    key!(log.level, levels),
];

/// An operator may have put a token there, or behind a `#`.
pub(crate) fn without_query(url: &str) -> String {
    let begins = url.find(['?', '#']);
    begins.map_or_else(|| url.to_owned(), |at| format!("{}***", &url[..=at]))
}

const MOMENT: Duration = Duration::from_millis(10);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The list of the further endpoints, which is no row: each has rows of its own, written as those of
/// `callbacks`.
pub(super) const ENDPOINTS: &str = "callbacks.endpoints";

/// The row of a path.
pub(super) fn key(path: &str) -> &'static Key {
    KEYS.iter().find(|key| key.path == path).expect("our own code names keys of the table")
}

/// The sections and keys of these that stand directly in a section (`""`: at the top), in order.
pub(super) fn children(
    keys: impl Iterator<Item = &'static Key>,
    section: &str,
) -> Vec<&'static str> {
    let mut children: Vec<&str> = Vec::new();
    for key in keys {
        let rest = match section {
            "" => Some(key.path),
            _ => key.path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')),
        };
        let child = rest.and_then(|rest| rest.split('.').next());
        children.extend(child.filter(|child| children.last() != Some(child)));
    }
    children
}

impl Key {
    /// Sets the field to what was written, unless it cannot be that.
    pub(super) fn read(&self, config: &mut Config, written: &Written<'_>) -> Result<(), String> {
        (self.read)(config, written)
    }

    /// The field as TOML; a secret masked.
    pub(super) fn show(&self, config: &Config) -> String {
        (self.show)(config)
    }

    /// Whether each endpoint has its own.
    pub(super) fn is_of_endpoint(&self) -> bool {
        self.path.starts_with("callbacks.") && !self.of_all
    }

    /// The variable that sets it.
    pub(super) fn variable(&self) -> String {
        variable(self.path)
    }

    /// The section it stands in, and its name there.
    pub(super) fn place(&self) -> (&'static str, &'static str) {
        self.path.rsplit_once('.').expect("every key is in a section")
    }

    const fn secret(self) -> Key {
        Key { secret: true, ..self }
    }

    const fn of_all(self, path: &'static str) -> Key {
        Key { path, of_all: true, ..self }
    }
}

/// The variable that sets what is written there.
pub(super) fn variable(path: &str) -> String {
    format!("HERALD_{}", path.replace('.', "__").to_uppercase())
}

fn read<T: Setting>(
    written: &Written<'_>,
    default: &T,
    check: impl Fn(&T) -> Result<(), String>,
) -> Result<T, String> {
    let value = match written {
        Written::Toml(value) => T::read(value),
        Written::Bare(text) => T::read_bare(text),
    };
    let value = value.ok_or_else(|| format!("expected {}", T::expected(default)));
    value.and_then(|value| check(&value).map(|()| value)).map_err(|text| match written {
        // Where nothing needs quotes, an example in quotes would mislead.
        Written::Bare(_) if T::BARE => text.replace('"', ""),
        _ => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_section_stand_together() {
        let mut sections: Vec<_> = KEYS.iter().map(|key| key.place().0).collect();
        sections.dedup();
        let together = sections.len();
        sections.sort_unstable();
        sections.dedup();
        assert_eq!(sections.len(), together);
    }

    #[test]
    fn a_key_is_marked_secret_exactly_when_its_value_is_masked() {
        for key in KEYS {
            let texts = [
                "0123456789abcdef",
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "{ X-Key = \"0123456789abcdef\" }",
            ];
            let masked = texts.iter().any(|text| {
                let mut config = Config::default();
                let read = key.read(&mut config, &Written::Bare(text));
                read.is_ok() && key.show(&config).contains(r#""***""#)
            });
            assert_eq!(key.secret, masked, "{}", key.path);
        }
    }

    #[test]
    fn every_default_is_a_value_that_may_be_written() {
        for key in KEYS {
            let shown = key.show(&Config::default());
            let value = DeValue::parse(&shown).unwrap();
            let mut config = Config::default();
            assert_eq!(key.read(&mut config, &Written::Toml(value.get_ref())), Ok(()));
            assert_eq!(config, Config::default(), "{}", key.path);
        }
    }
}
