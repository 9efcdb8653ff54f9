//! What is allowed, but probably not meant.

use super::{Auth, Backend, Callbacks, Config, DEV_SECRET, Presence, Store};
use presence::Scope;
use std::time::Duration;

/// A sentence for each thing that the operator should read at every start.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let rows = [
        of_auth(&config.auth),
        of_presence(&config.presence),
        where_to(&config.callbacks),
        what_is_told(&config.callbacks),
        of_store(&config.store),
    ];
    let meant = rows.iter().flatten().filter(|(applies, _)| *applies);
    meant.map(|(_, sentence)| (*sentence).to_owned()).collect()
}

/// Whether a sentence is to be said, and the sentence.
type Row = (bool, &'static str);

fn of_auth(auth: &Auth) -> Vec<Row> {
    let secret = auth.secret.expose();
    let well_known = secret == DEV_SECRET;
    vec![
        (well_known, "anybody can make tokens: auth.secret is OpenIM's well-known one (--dev)"),
        (
            !well_known && secret.len() < 16,
            "tokens may be guessed: auth.secret has fewer than 16 characters",
        ),
    ]
}

fn of_presence(presence: &Presence) -> Vec<Row> {
    vec![(
        presence.restart_grace.is_zero(),
        "a restart tells the App that everybody left: presence.restart_grace is 0s",
    )]
}

fn where_to(callbacks: &Callbacks) -> Vec<Row> {
    let secured = callbacks.url.as_ref().is_some_and(|url| url.starts_with("https:"));
    vec![
        (callbacks.url.is_none(), "nothing is sent: callbacks.url is empty"),
        (
            callbacks.ca.is_some() && !secured,
            "callbacks.ca is of no use: callbacks.url does not begin with https",
        ),
        (
            callbacks.retention < Duration::from_secs(60 * 60),
            "an App that is away for a little misses callbacks: callbacks.retention is below 1h",
        ),
    ]
}

fn what_is_told(callbacks: &Callbacks) -> Vec<Row> {
    let Callbacks { online, offline, kick_off, .. } = callbacks;
    let both = online.enable && offline.enable;
    let by_platform = (online.enable && online.scope == Scope::Platform)
        || (offline.enable && offline.scope == Scope::Platform);
    vec![
        (
            !online.enable && !offline.enable && !kick_off.enable,
            "nothing is sent: callbacks.online, .offline and .kick_off are all switched off",
        ),
        (
            online.enable && !offline.enable,
            "USERS STAY ONLINE FOR EVER in the App: callbacks.online is enabled without \
             callbacks.offline",
        ),
        (
            both && fineness(offline.scope) > fineness(online.scope),
            "the App takes users for offline who are online: callbacks.offline.scope is finer than \
             callbacks.online.scope",
        ),
        (
            by_platform && !callbacks.extra_fields,
            "the App cannot tell platforms apart: a scope is platform, but callbacks.extra_fields \
             is false",
        ),
    ]
}

fn of_store(store: &Store) -> Vec<Row> {
    vec![(store.backend == Backend::Memory, "nothing survives a restart: store.backend is memory")]
}

fn fineness(scope: Scope) -> u8 {
    match scope {
        Scope::User => 0,
        Scope::Platform => 1,
        Scope::Connection => 2,
    }
}
