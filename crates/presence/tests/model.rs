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
            Event::Connected(login) | Event::Knocked { login, .. } => {
                self.logins += 1;
                login.conn = ConnId([self.logins; 16]);
                // Kicked tokens are denied, so new ones come into use as time goes by.
                login.token.0[1] = self.logins / 8;
            }
            Event::LetIn { conn }
            | Event::Disconnected { conn, .. }
            | Event::BackgroundSet { conn, .. }
            | Event::Kicked(Kick::Connection(conn)) => *conn = self.recent(conn.0[0]),
            // Comes with how many logins ago it was.
            Event::Refused(refused) => {
                let conn = self.recent(refused.seqs[0] as u8);
                let known = self.user.connections().iter().find(|c| c.told_id() == Some(conn));
                refused.seqs = known.map(|c| c.told.connection).into_iter().collect();
            }
            _ => {}
        }
        event
    }

    fn recent(&self, logins_ago: u8) -> ConnId {
        ConnId([self.logins.saturating_sub(logins_ago); 16])
    }

    fn live_through(&mut self, event: &Event) {
        let now = Now { mono: Instant(self.secs * 1000), wall: Timestamp(self.secs * 1000) };
        let effects = self.user.apply(event.clone(), now, &policy());
        effects.changes.iter().for_each(|change| self.apps.hear(change));
        effects.changes.iter().for_each(|change| self.model.note(change));
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
    /// Which change told of a connection.
    told: BTreeMap<u64, ConnId>,
}

struct Socket {
    platform: Platform,
    token: TokenHash,
    /// When it stops to count; none while it is open.
    gone_at: Option<u64>,
    /// Whether the App is still being asked about it.
    at_gate: bool,
}

impl Socket {
    fn is_session_of(&self, platform: Platform, token: TokenHash) -> bool {
        self.platform == platform && self.token == token
    }
}

impl Model {
    fn live_through(&mut self, event: &Event, secs: u64) {
        if *event != Event::Restarted {
            self.forget_what_is_due(secs);
        }
        match event {
            Event::Connected(login) => self.connect(login),
            Event::Knocked { login, .. } => self.knock(login, secs),
            Event::LetIn { conn } => self.let_in(*conn, secs),
            Event::Disconnected { conn, end } => self.disconnect(*conn, *end, secs),
            Event::StatusSet { platform, status, .. } => {
                let is_open = |socket: &Socket| socket.gone_at.is_none() && !socket.at_gate;
                let open = self.sockets.values().any(is_open);
                let held = self.places.contains_key(platform);
                // A renewal counts once a tenth of the lease has passed.
                let renews = self
                    .places
                    .get(platform)
                    .is_none_or(|until| 10 * until.saturating_sub(secs) < 9 * LEASE_S);
                if renews && (held || (!open && status.availability == Availability::Online)) {
                    self.places.insert(*platform, secs + LEASE_S);
                }
            }
            Event::StatusCleared { platform } => {
                self.places.retain(|place, _| platform.is_some_and(|platform| platform != *place));
            }
            Event::Kicked(kick) => self.kick(*kick),
            Event::Refused(refused) => {
                let conn = refused.seqs.first().and_then(|seq| self.told.get(seq).copied());
                let is_open =
                    |conn: &ConnId| self.sockets.get(conn).is_some_and(|s| s.gone_at.is_none());
                conn.filter(is_open).into_iter().for_each(|conn| self.end_with_predecessor(conn));
            }
            Event::Restarted => {
                let back_by = secs + RESTART_GRACE_S;
                self.sockets.retain(|_, socket| !socket.at_gate);
                self.sockets.values_mut().for_each(|socket| socket.gone_at = Some(back_by));
                for until in self.places.values_mut() {
                    *until = (*until).max(back_by).min(secs + LEASE_S);
                }
            }
            Event::BackgroundSet { .. }
            | Event::TokenIssued(_)
            | Event::Untold { .. }
            | Event::Ticked => {}
        }
        self.forget_what_is_due(secs);
    }

    fn note(&mut self, change: &Change) {
        if let (Kind::Online, Some(conn)) = (change.kind, change.conn) {
            self.told.insert(change.seq, conn);
        }
    }

    /// What lingers of a session; connection names rise in this test, so the first is the oldest.
    fn lingering(&self, platform: Platform, token: TokenHash) -> Option<ConnId> {
        let mut sockets = self.sockets.iter();
        let found = sockets.find(|(_, s)| s.gone_at.is_some() && s.is_session_of(platform, token));
        found.map(|(id, _)| *id)
    }

    fn is_asked_about(&self, platform: Platform, token: TokenHash) -> bool {
        self.sockets.values().any(|s| s.at_gate && s.is_session_of(platform, token))
    }

    fn connect(&mut self, login: &Login) {
        let Login { conn, platform, token, .. } = *login;
        if self.denied.contains(&token) || self.sockets.contains_key(&conn) {
            return;
        }
        self.lingering(platform, token).map(|id| self.sockets.remove(&id));
        self.sockets.insert(conn, Socket { platform, token, gone_at: None, at_gate: false });
    }

    fn knock(&mut self, login: &Login, secs: u64) {
        let Login { conn, platform, token, .. } = *login;
        let asked = self.sockets.values().filter(|s| s.at_gate).count();
        let is_shared = self.is_asked_about(platform, token);
        let is_known = self.sockets.contains_key(&conn) || self.denied.contains(&token);
        if is_known || is_shared {
            return;
        }
        if asked < 4 {
            self.sockets.insert(conn, Socket { platform, token, gone_at: None, at_gate: true });
        } else {
            self.linger_on(platform, token, secs);
        }
    }

    fn let_in(&mut self, conn: ConnId, secs: u64) {
        let Some(socket) = self.sockets.get_mut(&conn).filter(|s| s.at_gate) else { return };
        socket.at_gate = false;
        let (platform, token) = (socket.platform, socket.token);
        self.lingering(platform, token).map(|id| self.sockets.remove(&id));
        self.linger_on(platform, token, secs);
    }

    fn linger_on(&mut self, platform: Platform, token: TokenHash, secs: u64) {
        for socket in self.sockets.values_mut().filter(|s| s.is_session_of(platform, token)) {
            socket.gone_at = socket.gone_at.map(|at| at.max(secs + GRACE_S));
        }
    }

    fn disconnect(&mut self, conn: ConnId, end: End, secs: u64) {
        let Some(socket) = self.sockets.get_mut(&conn).filter(|s| s.gone_at.is_none()) else {
            return;
        };
        let (platform, token) = (socket.platform, socket.token);
        if socket.at_gate {
            self.sockets.remove(&conn);
            self.linger_on(platform, token, secs);
        } else if end == End::LoggedOut {
            self.sockets.remove(&conn);
        } else {
            socket.gone_at = Some(secs + GRACE_S);
        }
    }

    /// A question that is refused or kicked takes with it what it would have replaced.
    fn end_with_predecessor(&mut self, conn: ConnId) {
        let Some(gone) = self.sockets.remove(&conn) else { return };
        self.sockets.retain(|_, s| {
            !(gone.at_gate && s.gone_at.is_some() && s.is_session_of(gone.platform, gone.token))
        });
    }

    fn kick(&mut self, kick: Kick) {
        let hit = |id: ConnId, platform| match kick {
            Kick::Connection(conn) => conn == id,
            Kick::Platform(other) | Kick::Tokens(other, _) => other == platform,
            Kick::Everywhere => true,
        };
        let hits: Vec<ConnId> = self
            .sockets
            .iter()
            .filter(|(id, s)| hit(**id, s.platform))
            .map(|(id, _)| *id)
            .collect();
        let gone: BTreeSet<_> = hits.iter().map(|id| self.sockets[id].token).collect();
        let stay = self.sockets.iter().filter(|(id, _)| !hits.contains(id));
        let held: BTreeSet<_> = stay.map(|(_, socket)| socket.token).collect();
        hits.iter().for_each(|id| self.end_with_predecessor(*id));
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
        let is_asked = |s: &Socket| self.is_asked_about(s.platform, s.token);
        let is_due = |s: &Socket| s.gone_at.is_some_and(|at| at <= secs) && !is_asked(s);
        let due: Vec<ConnId> =
            self.sockets.iter().filter(|(_, s)| is_due(s)).map(|(id, _)| *id).collect();
        due.iter().for_each(|id| _ = self.sockets.remove(id));
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
            let told = Interest {
                online: Some(online),
                offline: Some(offline),
                kick_off: false,
                background: false,
            };
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
            Event::Connected(Login { conn, platform, token: TokenHash([token; 16]), issued_at: Timestamp(1), background: false, address: None })
        }),
        2 => (conn(), platform(), 0..2u8).prop_map(|(conn, platform, token)| {
            let login = Login { conn, platform, token: TokenHash([token; 16]), issued_at: Timestamp(1), background: false, address: None };
            Event::Knocked { login, scope: Scope::Connection, may_ask: true }
        }),
        2 => conn().prop_map(|conn| Event::LetIn { conn }),
        8 => (conn(), end).prop_map(|(conn, end)| Event::Disconnected { conn, end }),
        1 => (conn(), any::<bool>()).prop_map(|(conn, background)| Event::BackgroundSet { conn, background }),
        3 => (platform(), availability).prop_map(|(platform, availability)| {
            Event::StatusSet { platform, status: Status { availability, ..Status::default() }, by: Author::User }
        }),
        1 => prop::option::of(platform()).prop_map(|platform| Event::StatusCleared { platform }),
        2 => kick.prop_map(Event::Kicked),
        1 => (0..6u64).prop_map(|ago| {
            let refusal = Refusal::default();
            Event::Refused(Refused { seqs: vec![ago], scope: Scope::Connection, only_at_gate: false, refusal })
        }),
        1 => Just(Event::Restarted),
        3 => Just(Event::Ticked),
    ]
}

/// How many logins ago; see [`World::named`].
fn conn() -> impl Strategy<Value = ConnId> {
    (0..6u8).prop_map(|name| ConnId([name; 16]))
}
