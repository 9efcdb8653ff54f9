//! What is allowed, but probably not meant.

use super::{
    Auth, Backend, Callbacks, Config, DEV_SECRET, Gateway, Mode, Outbox, Presence, Store,
    section_of,
};
use crate::peer::Network;
use presence::Scope;
use std::time::Duration;

/// A sentence for each thing that the operator should read at every start.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut all = said(of_auth(&config.auth));
    all.extend(said(of_gateway(&config.gateway)));
    all.extend(said(of_presence(&config.presence)));
    let nowhere = config.endpoints().next().is_none();
    all.extend(said(vec![(nowhere, "nothing is sent: callbacks.url is empty")]));
    for (name, callbacks) in config.endpoints() {
        let own = [where_to(callbacks), what_is_told(callbacks)].concat();
        let section = section_of(name) + ".";
        all.extend(said(own).iter().map(|sentence| sentence.replace("callbacks.", &section)));
    }
    all.extend(said(of_outbox(&config.outbox)));
    all.extend(said(of_store(&config.store)));
    all
}

fn said(rows: Vec<Row>) -> Vec<String> {
    let meant = rows.into_iter().filter(|(applies, _)| *applies);
    meant.map(|(_, sentence)| sentence.to_owned()).collect()
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
        (
            auth.previous_secret.as_ref().is_some_and(|secret| secret.expose().len() < 16),
            "tokens may be guessed: auth.previous_secret has fewer than 16 characters",
        ),
    ]
}

fn of_gateway(gateway: &Gateway) -> Vec<Row> {
    vec![(
        gateway
            .trusted_proxies
            .iter()
            .flat_map(|network| network.parse())
            .any(Network::is_too_wide),
        "anybody can say whose address is theirs: gateway.trusted_proxies names far more addresses than a proxy has",
    )]
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
        (
            callbacks.ca.is_some() && !secured,
            "callbacks.ca is of no use: callbacks.url does not begin with https",
        ),
        (
            callbacks.client_cert.is_some() && !secured,
            "callbacks.client_cert is of no use: callbacks.url does not begin with https",
        ),
        (
            callbacks.bearer.is_some() && !secured,
            "callbacks.bearer can be read on its way: callbacks.url does not begin with https",
        ),
    ]
}

fn of_outbox(outbox: &Outbox) -> Vec<Row> {
    vec![(
        outbox.retention < Duration::from_secs(60 * 60),
        "an App that is away for a little misses callbacks: callbacks.retention is below 1h",
    )]
}

fn what_is_told(callbacks: &Callbacks) -> Vec<Row> {
    let Callbacks { online, offline, kick_off, background, .. } = callbacks;
    let both = online.enable && offline.enable;
    let by_platform = (online.enable && online.scope == Scope::Platform)
        || (offline.enable && offline.scope == Scope::Platform);
    vec![
        (
            !online.enable && !offline.enable && !kick_off.enable && !background.enable,
            "nothing is sent: callbacks.online, .offline, .kick_off and .background are all switched off",
        ),
        (
            background.enable && !online.enable,
            "the App cannot know in whose background: callbacks.background is enabled without callbacks.online",
        ),
        (
            online.mode == Mode::Gate && !online.enable,
            "the App is not asked: callbacks.online.mode is gate, but callbacks.online is switched off",
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
            by_platform && !callbacks.extra_fields && !callbacks.dialect.names_platform(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, SyncMode};
    use expect_test::expect;

    fn check(change: fn(&mut Config)) -> String {
        let mut config = Config::default();
        config.auth.secret = Secret::new("0123456789abcdef");
        config.callbacks.url = Some("http://app.example".to_owned());
        change(&mut config);
        warnings(&config).iter().fold("-\n".to_owned(), |all, warning| all + warning + "\n")
    }

    #[test]
    fn what_is_probably_not_meant_is_said() {
        let actual = [
            check(|_| ()),
            check(|config| config.auth.secret = Secret::new("short")),
            check(|config| config.auth.secret = Secret::new(DEV_SECRET)),
            check(|config| config.presence.restart_grace = Duration::ZERO),
            check(|config| config.callbacks.url = None),
            check(|config| config.callbacks.ca = Some("ca.pem".into())),
            check(|config| config.callbacks.client_cert = Some("cert.pem".into())),
            check(|config| config.callbacks.bearer = Some(Secret::new("token"))),
            check(|config| config.outbox.retention = Duration::from_secs(3599)),
            check(|config| config.callbacks.online.enable = false),
            check(|config| config.callbacks.offline.enable = false),
            check(|config| {
                config.callbacks.online.enable = false;
                config.callbacks.offline.enable = false;
            }),
            check(|config| config.callbacks.online.scope = Scope::User),
            check(|config| config.callbacks.offline.scope = Scope::Connection),
            check(|config| config.callbacks.offline.scope = Scope::Platform),
            check(|config| {
                config.callbacks.online.scope = Scope::User;
                config.callbacks.offline.scope = Scope::Connection;
            }),
            check(|config| config.gateway.trusted_proxies = vec!["0.0.0.0/0".to_owned()]),
            check(|config| config.store.sync = SyncMode::Normal),
            check(|config| config.store.backend = Backend::Memory),
        ];
        expect![[r#"
            -
            -
            tokens may be guessed: auth.secret has fewer than 16 characters
            -
            anybody can make tokens: auth.secret is OpenIM's well-known one (--dev)
            -
            a restart tells the App that everybody left: presence.restart_grace is 0s
            -
            nothing is sent: callbacks.url is empty
            -
            callbacks.ca is of no use: callbacks.url does not begin with https
            -
            callbacks.client_cert is of no use: callbacks.url does not begin with https
            -
            callbacks.bearer can be read on its way: callbacks.url does not begin with https
            -
            an App that is away for a little misses callbacks: callbacks.retention is below 1h
            -
            -
            USERS STAY ONLINE FOR EVER in the App: callbacks.online is enabled without callbacks.offline
            -
            nothing is sent: callbacks.online, .offline, .kick_off and .background are all switched off
            -
            -
            -
            the App cannot tell platforms apart: a scope is platform, but callbacks.extra_fields is false
            -
            the App takes users for offline who are online: callbacks.offline.scope is finer than callbacks.online.scope
            -
            anybody can say whose address is theirs: gateway.trusted_proxies names far more addresses than a proxy has
            -
            -
            nothing survives a restart: store.backend is memory
        "#]].assert_eq(&actual.concat());
    }
}
