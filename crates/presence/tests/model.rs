//! Random lives against a naive model: whatever happens, what was told adds up to who is there.
#![allow(clippy::unwrap_used)]

use presence::*;
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const GRACE_S: u64 = 20;
const RESTART_GRACE_S: u64 = 60;
const LEASE_S: u64 = 300;

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_told_adds_up_to_who_is_there(life in prop::collection::vec(step(), 1..60)) {
        let mut world = World::default();
        for (wait, event) in life {
            world.secs += wait;
            let event = world.named(event);
            world.live_through(&event);
        }
    }
}

/// The core, the naive model, and Apps of all kinds, living the same life.
#[derive(Default)]
struct World {
    secs: u64,
    logins: u8,
    user: User,
    model: Model,
    apps: Apps,
}

impl World {
    /// Connections have a name for ever: a login gets a new one, other events speak of recent ones.
    fn named(&mut self, mut event: Event) -> Event {
        match &mut event {
            Event::Connected(login) | Event::Knocked(login) => {
                self.logins += 1;
                login.conn = ConnId([self.logins; 16]);
                // Kicked tokens are denied, so new ones come into use as time goes by.
                login.token.0[1] = self.logins / 8;
            }
            Event::LetIn { conn }
            | Event::Disconnected { conn, .. }
            | Event::BackgroundSet { conn, .. }
            | Event::Kicked(Kick::Connection(conn))
            | Event::Refused { conn: Some(conn), .. } => {
                *conn = ConnId([self.logins.saturating_sub(conn.0[0]); 16]);
            }
            _ => {}
        }
        event
    }

    fn live_through(&mut self, event: &Event) {
        let now = Now { mono: Instant(self.secs * 1000), wall: Timestamp(self.secs * 1000) };
        let effects = self.user.apply(event.clone(), now, &policy());
        effects.changes.iter().for_each(|change| self.apps.hear(change));
        self.model.live_through(event, self.secs);
        self.apps.agree_with(&self.model);
        assert_eq!(self.user.platforms().collect::<BTreeSet<_>>(), self.model.seen());

        let again = self.user.apply(event.clone(), now, &policy());
        assert_eq!(again.changes, [], "the second time is quiet");
        assert_eq!(again.wake_at, effects.wake_at);
        assert!(effects.wake_at.is_none_or(|at| at > now.mono), "nothing is due any more");
    }
}

/// Who is there, kept the slow and obvious way.
#[derive(Default)]
struct Model {
    sockets: BTreeMap<ConnId, Socket>,
    /// Virtual connections, and when they end.
    places: BTreeMap<Platform, u64>,
    denied: BTreeSet<TokenHash>,
}

struct Socket {
    platform: Platform,
    token: TokenHash,
    /// When it stops to count; none while it is open.
    gone_at: Option<u64>,
    /// Whether the App is still being asked about it.
    at_gate: bool,
}

impl Model {
    fn live_through(&mut self, event: &Event, secs: u64) {
        if *event != Event::Restarted {
            self.forget_what_is_due(secs);
        }
        match event {
            Event::Connected(login) | Event::Knocked(login) => {
                let back = self.sockets.iter().find(|(_, s)| {
                    s.gone_at.is_some() && s.platform == login.platform && s.token == login.token
                });
                // Connection names rise in this test, so the first found is the oldest.
                let back = back.map(|(id, _)| *id);
                let denied = self.denied.contains(&login.token);
                if !denied && !self.sockets.contains_key(&login.conn) {
                    back.map(|id| self.sockets.remove(&id));
                    let Login { platform, token, .. } = *login;
                    let at_gate = matches!(event, Event::Knocked(_));
                    let socket = Socket { platform, token, gone_at: None, at_gate };
                    self.sockets.insert(login.conn, socket);
                }
            }
            Event::LetIn { conn } => {
                self.sockets.get_mut(conn).into_iter().for_each(|socket| socket.at_gate = false);
            }
            Event::Disconnected { conn, end } => match self.sockets.get_mut(conn) {
                Some(socket)
                    if socket.gone_at.is_none() && (*end == End::LoggedOut || socket.at_gate) =>
                {
                    self.sockets.remove(conn);
                }
                Some(socket) if socket.gone_at.is_none() => socket.gone_at = Some(secs + GRACE_S),
                _ => {}
            },
            Event::StatusSet { platform, status } => {
                let is_open = |socket: &Socket| socket.gone_at.is_none() && !socket.at_gate;
                let open = self.sockets.values().any(is_open);
                let held = self.places.contains_key(platform);
                if held || (!open && status.availability == Availability::Online) {
                    self.places.insert(*platform, secs + LEASE_S);
                }
            }
            Event::StatusCleared { platform } => {
                self.places.retain(|place, _| platform.is_some_and(|platform| platform != *place));
            }
            Event::Kicked(kick) => self.kick(*kick),
            Event::Refused { conn, .. } => {
                let open = |socket: &Socket| socket.gone_at.is_none();
                if conn.is_some_and(|conn| self.sockets.get(&conn).is_some_and(open)) {
                    conn.map(|conn| self.sockets.remove(&conn));
                }
            }
            Event::Restarted => {
                let back_by = secs + RESTART_GRACE_S;
                self.sockets.retain(|_, socket| !socket.at_gate);
                self.sockets.values_mut().for_each(|socket| socket.gone_at = Some(back_by));
                for until in self.places.values_mut() {
                    *until = (*until).max(back_by).min(secs + LEASE_S);
                }
            }
            Event::BackgroundSet { .. } | Event::TokenIssued(_) | Event::Ticked => {}
        }
        self.forget_what_is_due(secs);
    }

    fn kick(&mut self, kick: Kick) {
        let hit = |id: ConnId, platform| match kick {
            Kick::Connection(conn) => conn == id,
            Kick::Platform(other) | Kick::Tokens(other, _) => other == platform,
            Kick::Everywhere => true,
        };
        let mut gone = BTreeSet::new();
        self.sockets.retain(|id, socket| {
            let stays = !hit(*id, socket.platform);
            if !stays {
                gone.insert(socket.token);
            }
            stays
        });
        let held: BTreeSet<_> = self.sockets.values().map(|socket| socket.token).collect();
        self.denied.extend(gone.difference(&held));
        match kick {
            Kick::Connection(_) => {}
            Kick::Platform(platform) | Kick::Tokens(platform, _) => {
                self.places.remove(&platform);
            }
            Kick::Everywhere => self.places.clear(),
        }
    }

    fn forget_what_is_due(&mut self, secs: u64) {
        self.sockets.retain(|_, socket| socket.gone_at.is_none_or(|at| at > secs));
        self.places.retain(|_, until| *until > secs);
    }

    fn platforms(&self) -> BTreeSet<Platform> {
        let sockets = self.sockets.values().map(|socket| socket.platform);
        sockets.chain(self.places.keys().copied()).collect()
    }

    /// The same for everybody but the App.
    fn seen(&self) -> BTreeSet<Platform> {
        let inside = self.sockets.values().filter(|socket| !socket.at_gate);
        inside.map(|socket| socket.platform).chain(self.places.keys().copied()).collect()
    }

    fn connections(&self) -> BTreeSet<Option<ConnId>> {
        let virtual_one = (!self.places.is_empty()).then_some(None);
        self.sockets.keys().map(|id| Some(*id)).chain(virtual_one).collect()
    }
}

/// One App for each row of the contract's table in §8, applying what it hears naively.
#[derive(Default)]
struct Apps {
    last_seq: u64,
    flag: bool,
    quiet_flag: bool,
    platforms: BTreeSet<Platform>,
    connections: BTreeSet<Option<ConnId>>,
}

impl Apps {
    fn hear(&mut self, change: &Change) {
        assert!(change.seq > self.last_seq, "seq rises: {change:?}");
        self.last_seq = change.seq;
        let heard = |online, offline| {
            let told = Interest { online: Some(online), offline: Some(offline), kick_off: false };
            told.selects(change).then_some(change.kind == Kind::Online)
        };
        if let Some(online) = heard(Scope::Connection, Scope::User) {
            self.flag = online;
        }
        if let Some(online) = heard(Scope::User, Scope::User) {
            assert_ne!(self.quiet_flag, online, "a user's edges alternate: {change:?}");
            self.quiet_flag = online;
        }
        if let Some(online) = heard(Scope::Platform, Scope::Platform) {
            let news = if online {
                self.platforms.insert(change.platform)
            } else {
                self.platforms.remove(&change.platform)
            };
            assert!(news, "a platform's edges alternate: {change:?}");
        }
        if let Some(online) = heard(Scope::Connection, Scope::Connection) {
            let news = if online {
                self.connections.insert(change.conn)
            } else {
                self.connections.remove(&change.conn)
            };
            assert!(news || (online && change.reason == Reason::Status), "told twice: {change:?}");
        }
    }

    fn agree_with(&self, model: &Model) {
        let online = !model.platforms().is_empty();
        assert_eq!((self.flag, self.quiet_flag), (online, online));
        assert_eq!(self.platforms, model.platforms());
        assert_eq!(self.connections, model.connections());
    }
}

fn policy() -> Policy {
    Policy {
        offline_grace: Duration::from_secs(GRACE_S),
        restart_grace: Duration::from_secs(RESTART_GRACE_S),
        virtual_lease: Duration::from_secs(LEASE_S),
        login: LoginPolicy::None,
        // Neither memory of refusals nor a budget: the model knows of neither.
        refused_for: Duration::ZERO,
        user_budget: 0,
        ..Policy::default()
    }
}

fn step() -> impl Strategy<Value = (u64, Event)> {
    (prop_oneof![3 => 0..3u64, 2 => 3..25u64, 1 => 25..400u64], event())
}

fn event() -> impl Strategy<Value = Event> {
    let platform = || prop_oneof![Just(Platform::Ios), Just(Platform::Web), Just(Platform::Linux)];
    let end = prop_oneof![
        3 => Just(End::Lost),
        1 => Just(End::Closed),
        1 => Just(End::Misbehaved),
        1 => Just(End::LoggedOut),
    ];
    let kick = prop_oneof![
        conn().prop_map(Kick::Connection),
        platform().prop_map(Kick::Platform),
        Just(Kick::Everywhere),
    ];
    let availability = prop_oneof![3 => Just(Availability::Online), 1 => Just(Availability::Busy)];
    prop_oneof![
        8 => (conn(), platform(), 0..2u8).prop_map(|(conn, platform, token)| {
            Event::Connected(Login { conn, platform, token: TokenHash([token; 16]), issued_at: Timestamp(1), background: false })
        }),
        2 => (conn(), platform(), 0..2u8).prop_map(|(conn, platform, token)| {
            Event::Knocked(Login { conn, platform, token: TokenHash([token; 16]), issued_at: Timestamp(1), background: false })
        }),
        2 => conn().prop_map(|conn| Event::LetIn { conn }),
        8 => (conn(), end).prop_map(|(conn, end)| Event::Disconnected { conn, end }),
        1 => (conn(), any::<bool>()).prop_map(|(conn, background)| Event::BackgroundSet { conn, background }),
        3 => (platform(), availability).prop_map(|(platform, availability)| {
            Event::StatusSet { platform, status: Status { availability, ..Status::default() } }
        }),
        1 => prop::option::of(platform()).prop_map(|platform| Event::StatusCleared { platform }),
        2 => kick.prop_map(Event::Kicked),
        1 => conn().prop_map(|conn| Event::Refused { seq: 0, conn: Some(conn), refusal: Refusal::default() }),
        1 => Just(Event::Restarted),
        3 => Just(Event::Ticked),
    ]
}

/// How many logins ago; see [`World::named`].
fn conn() -> impl Strategy<Value = ConnId> {
    (0..6u8).prop_map(|name| ConnId([name; 16]))
}
