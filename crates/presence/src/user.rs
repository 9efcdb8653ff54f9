//! One user's presence, as a state machine.

use crate::{
    Availability, Change, ConnId, Connection, Denied, Effects, End, Event, Instant, Issued, Kick,
    Login, Now, Platform, Policy, Reason, Refusal, Session, Sight, Standing, Status, Timestamp,
    TokenHash,
    budget::Budget,
    refusal::Remembered,
    status::SetStatus,
    step::{Arrival, Present, Step, platforms},
    token::Tokens,
};
use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// How many ended sessions are remembered, so that their return is a reconnect; oldest go first.
const LOST_MAX: usize = 8;
/// How many connections a user may have; a further one takes the place of the oldest.
const CONNECTIONS_MAX: usize = 64;
/// The longest sleep until a status expires; then it is looked at again.
const STATUS_WAKE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Where one user is connected, what they say about themselves, and the last `seq` told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// In order of arrival.
    connections: Vec<Connection>,
    /// Sessions that went offline by loss.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lost: Vec<(Platform, TokenHash)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<Box<SetStatus>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<Box<Tokens>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<Box<Remembered>>,
    #[serde(default, skip_serializing_if = "Budget::is_untouched")]
    budget: Budget,
    last_seq: u64,
    /// When the user last came online or went offline.
    since: Timestamp,
}

impl User {
    /// A user nobody remembers. `seq_floor` is the highest `seq` that a forgotten user may have had.
    pub fn unknown(seq_floor: u64) -> User {
        User { last_seq: seq_floor, ..User::default() }
    }

    /// Takes one event and returns what must be done about it.
    ///
    /// All branching on the event is here; the helpers below only move data.
    pub fn apply(&mut self, event: Event, now: Now, policy: &Policy) -> Effects {
        let mut effects = Effects::default();
        // What fell due before this event is told first, however late the tick comes; but nothing
        // can have run out while there was no server to come back to.
        if event != Event::Restarted {
            self.expire(now, policy, &mut effects.changes);
        }
        match event {
            Event::Connected(login) => {
                self.connect(login, Session::Live, now, policy, &mut effects);
            }
            Event::Knocked(login) => {
                self.connect(login, Session::AtGate, now, policy, &mut effects);
            }
            Event::LetIn { conn } => self.let_in(conn, now, policy, &mut effects),
            Event::Disconnected { conn, end } => {
                self.disconnect(conn, end, now, policy, &mut effects);
            }
            Event::BackgroundSet { conn, background } => self.set_background(conn, background),
            Event::StatusSet { platform, status } => {
                self.set_status(platform, status, now, policy, &mut effects);
            }
            Event::StatusCleared { platform } => self.clear_status(platform, now, &mut effects),
            Event::Kicked(kick) => self.kick(kick, now, &mut effects),
            Event::TokenIssued(issued) => self.issue(issued, now, policy),
            Event::Refused { conn: Some(conn), refusal, .. } => {
                self.refuse(conn, refusal, now, policy, &mut effects);
            }
            Event::Refused { seq, conn: None, .. } => self.refuse_status(seq, now, &mut effects),
            Event::Restarted => self.restart(now, policy, &mut effects),
            Event::Ticked => {}
        }
        self.expire(now, policy, &mut effects.changes);
        effects.wake_at = self.wake_at(now, policy);
        self.note_since(&effects.changes);
        self.check();
        effects
    }

    /// Whether the App believes this user to be online, told at any scope.
    pub fn is_online(&self) -> bool {
        !self.connections.is_empty()
    }

    /// Whether the App believes this user to be online there.
    pub fn is_online_on(&self, platform: Platform) -> bool {
        Present::of(&self.connections).has(platform)
    }

    /// The platforms the user is online on, in order of their numbers, each once.
    pub fn platforms(&self) -> impl Iterator<Item = Platform> {
        self.sight().to_self()
    }

    /// The platforms that the App believes the user to be online on: also where it is being asked.
    pub fn platforms_told(&self) -> impl Iterator<Item = Platform> {
        let present = Present::of(&self.connections);
        Platform::ALL.into_iter().filter(move |platform| present.has(*platform))
    }

    /// Where watchers see the user.
    ///
    /// A status that ran out hides the user until the tick that ends it, which is when watchers
    /// are told.
    pub fn sight(&self) -> Sight {
        let said = self.status.as_ref().map(|set| set.status.availability);
        Sight {
            platforms: platforms(self.connections.iter().filter(|c| !c.is_at_gate())),
            invisible: said == Some(Availability::Invisible),
        }
    }

    /// All connections that count, in order of arrival.
    pub fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// How many sockets are open.
    pub fn sockets(&self) -> usize {
        self.connections.iter().filter(|c| c.is_live()).count()
    }

    /// The custom status, unless it has run out.
    pub fn status(&self, now: Timestamp) -> Option<&Status> {
        let status = &self.status.as_ref()?.status;
        status.expires_at.is_none_or(|at| at > now).then_some(status)
    }

    /// What a validly signed token of this user is worth.
    pub fn standing(
        &self,
        platform: Platform,
        token: TokenHash,
        issued_at: Timestamp,
        policy: &Policy,
    ) -> Standing {
        let known_only = policy.known_tokens_only;
        match &self.tokens {
            Some(tokens) => tokens.standing(platform, token, issued_at, known_only),
            None if known_only => Standing::Unknown,
            None => Standing::Good,
        }
    }

    /// A token that says it was issued until then is not good.
    pub fn issue_after(&self, platform: Platform) -> Timestamp {
        self.tokens.as_ref().map_or(Timestamp(0), |tokens| tokens.issue_after(platform))
    }

    /// The `seq` of the last change.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// When the user last came online or went offline.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    fn connect(
        &mut self,
        login: Login,
        session: Session,
        now: Now,
        policy: &Policy,
        effects: &mut Effects,
    ) {
        if self.connections.iter().any(|c| c.id == login.conn) {
            return;
        }
        effects.denied = self.why_denied(&login, now, policy);
        if effects.denied.is_some() {
            return;
        }
        let mut step = Step::begin(&self.connections);
        let same_session = |c: &Connection| c.platform == login.platform && c.token == login.token;
        let has_twin = self.connections.iter().any(|c| c.is_live() && same_session(c));
        let returned = self
            .connections
            .iter()
            .position(|c| same_session(c) && matches!(c.session, Session::Lingering { .. }));
        let mut was_lost = self.forget_lost(login.platform, login.token);
        // The one that comes back takes the place of the one that is gone.
        if let Some(at) = returned {
            let gone = self.connections.remove(at);
            if let Session::Lingering { end, .. } = gone.session {
                was_lost |= end.is_loss();
                step.depart(gone, end.into());
            }
        }
        let newcomer = Connection {
            id: login.conn,
            platform: login.platform,
            token: login.token,
            background: login.background,
            since: now.wall,
            session,
        };
        if newcomer.is_live() {
            self.kick_rivals(&newcomer, policy, &mut step, effects);
        }
        self.make_room(&mut step, effects);
        self.connections.push(newcomer);
        step.arrive(Arrival {
            reason: if was_lost && !has_twin { Reason::Reconnect } else { Reason::Login },
            platform: login.platform,
            conn: Some(login.conn),
            background: login.background,
        });
        step.end(&self.connections, now, &mut self.last_seq, &mut effects.changes);
    }

    /// It was told when it knocked; what it pushes out is told now.
    fn let_in(&mut self, conn: ConnId, now: Now, policy: &Policy, effects: &mut Effects) {
        let at_gate = |c: &&mut Connection| c.is_at_gate() && c.id == conn;
        let Some(newcomer) = self.connections.iter_mut().find(at_gate) else {
            effects.denied = Some(Denied::Kicked);
            return;
        };
        newcomer.session = Session::Live;
        let newcomer = newcomer.clone();
        let mut step = Step::begin(&self.connections);
        self.kick_rivals(&newcomer, policy, &mut step, effects);
        step.end(&self.connections, now, &mut self.last_seq, &mut effects.changes);
    }

    fn why_denied(&mut self, login: &Login, now: Now, policy: &Policy) -> Option<Denied> {
        let standing = self.standing(login.platform, login.token, login.issued_at, policy);
        if standing != Standing::Good {
            return Some(Denied::Token(standing));
        }
        if let Some(refusal) = self.refused.as_ref().and_then(|known| known.holds(now, policy)) {
            return Some(Denied::Refused(refusal.clone()));
        }
        self.refused = None;
        (!self.budget.spend(now.mono, policy.user_budget)).then_some(Denied::TooOften)
    }

    /// Those that may not live beside a newcomer. Its own token is spared: a line that came back,
    /// or a second tab.
    fn kick_rivals(
        &mut self,
        newcomer: &Connection,
        policy: &Policy,
        step: &mut Step,
        effects: &mut Effects,
    ) {
        let is_rival = |c: &mut Connection| {
            !c.is_virtual()
                && c.token != newcomer.token
                && policy.login.kicks(newcomer.platform, c.platform)
        };
        let rivals: Vec<Connection> = self.connections.extract_if(.., is_rival).collect();
        for rival in rivals {
            self.deny(rival.token);
            effects.kicked.extend(rival.is_live().then_some(rival.id));
            step.depart(rival, Reason::Kicked);
        }
    }

    fn deny(&mut self, token: TokenHash) {
        self.tokens.get_or_insert_default().deny(token);
    }

    /// A new token replaces older ones wherever its login would kick their connections; an
    /// administrator's none, because each process of a backend gets its own.
    fn issue(&mut self, issued: Issued, now: Now, policy: &Policy) {
        let tokens = self.tokens.get_or_insert_default();
        let older = Timestamp(issued.issued_at.0.saturating_sub(1));
        for other in Platform::ALL {
            let is_kicked = policy.login.kicks(issued.platform, other);
            if is_kicked && issued.platform != Platform::Admin {
                tokens.deny_until(other, older);
            }
        }
        tokens.issue(issued, now.wall, policy.known_tokens_only);
    }

    /// Nobody needs as many; a client that has lost its way must not make a user heavy.
    fn make_room(&mut self, step: &mut Step, effects: &mut Effects) {
        while self.connections.len() >= CONNECTIONS_MAX {
            let oldest = self.connections.remove(0);
            effects.kicked.extend(oldest.is_live().then_some(oldest.id));
            step.depart(oldest, Reason::Kicked);
        }
    }

    fn disconnect(
        &mut self,
        conn: ConnId,
        end: End,
        now: Now,
        policy: &Policy,
        effects: &mut Effects,
    ) {
        // It was never let in, so there is nothing to come back to.
        let at_gate = |c: &Connection| c.is_at_gate() && c.id == conn;
        if self.connections.iter().any(at_gate) {
            return self.remove(now, effects, |c| at_gate(c).then_some(end.into()));
        }
        // Kicked, refused or never known: not an error, its socket closes after its kick.
        let Some(at) = self.live(conn) else { return };
        if end != End::LoggedOut {
            let until = now.mono + policy.offline_grace;
            self.connections[at].session = Session::Lingering { until, end };
            return;
        }
        if policy.logout_denies_token {
            self.deny_tokens_of(|c| c.id == conn);
        }
        self.remove(now, effects, |c| (c.id == conn).then_some(Reason::LoggedOut));
    }

    fn set_background(&mut self, conn: ConnId, background: bool) {
        if let Some(at) = self.live(conn) {
            self.connections[at].background = background;
        }
    }

    fn set_status(
        &mut self,
        platform: Platform,
        status: Status,
        now: Now,
        policy: &Policy,
        effects: &mut Effects,
    ) {
        let is_new = self.status(now.wall) != Some(&status);
        if is_new && !self.budget.spend(now.mono, policy.user_budget) {
            effects.denied = Some(Denied::TooOften);
            return;
        }
        let mut step = Step::begin(&self.connections);
        let brought_online = self.hold_place(platform, &status, now, policy);
        if self.is_online() && (is_new || brought_online) {
            step.arrive(self.status_told(brought_online));
        }
        let seq = step.end(&self.connections, now, &mut self.last_seq, &mut effects.changes);
        if is_new || brought_online {
            let previous =
                self.status.take().map(|set| Box::new(SetStatus { previous: None, ..*set }));
            self.status = Some(Box::new(SetStatus {
                status,
                seq: seq.unwrap_or(0),
                brought_online: brought_online.then_some(platform),
                previous,
            }));
        }
    }

    /// Makes or renews the virtual connection of a status. Returns whether it is a new one.
    fn hold_place(
        &mut self,
        platform: Platform,
        status: &Status,
        now: Now,
        policy: &Policy,
    ) -> bool {
        let left = status.expires_at.map_or(u64::MAX, |at| at.0.saturating_sub(now.wall.0));
        let until =
            Instant((now.mono + policy.virtual_lease).0.min(now.mono.0.saturating_add(left)));
        let held = self.connections.iter_mut().find(|c| c.is_virtual() && c.platform == platform);
        if let Some(held) = held {
            held.session = Session::Virtual { until };
            return false;
        }
        let wanted = status.availability == Availability::Online;
        if !wanted || until <= now.mono || self.connections.iter().any(Connection::is_live) {
            return false;
        }
        self.connections.push(Connection {
            id: ConnId([0; 16]),
            platform,
            token: TokenHash([0; 16]),
            background: false,
            since: now.wall,
            session: Session::Virtual { until },
        });
        true
    }

    /// What a status change says: the user's newest connection; a virtual one (told as none) only
    /// when it is new or there is no other.
    fn status_told(&self, brought_online: bool) -> Arrival {
        let mut real = self.connections.iter().rev().filter(|c| !brought_online && !c.is_virtual());
        let newest = real.next().or(self.connections.last()).expect("told of present users only");
        Arrival {
            reason: Reason::Status,
            platform: newest.platform,
            conn: newest.told_id(),
            background: newest.background,
        }
    }

    fn clear_status(&mut self, platform: Option<Platform>, now: Now, effects: &mut Effects) {
        self.status = None;
        self.remove(now, effects, |c| {
            let here = c.is_virtual() && platform.is_none_or(|platform| platform == c.platform);
            here.then_some(Reason::StatusCleared)
        });
    }

    fn kick(&mut self, kick: Kick, now: Now, effects: &mut Effects) {
        let hit = |c: &Connection| match kick {
            Kick::Connection(id) => c.id == id && !c.is_virtual(),
            Kick::Platform(platform) | Kick::Tokens(platform, _) => c.platform == platform,
            Kick::Everywhere => true,
        };
        if let Kick::Tokens(platform, until) = kick {
            self.tokens.get_or_insert_default().deny_all(platform, until);
        }
        self.deny_tokens_of(hit);
        self.close_sockets(effects, hit);
        self.remove(now, effects, |c| hit(c).then_some(Reason::Kicked));
    }

    /// A token that also holds a connection which stays remains good.
    fn deny_tokens_of(&mut self, gone: impl Fn(&Connection) -> bool) {
        let real = self.connections.iter().filter(|c| !c.is_virtual());
        let (gone, stay): (Vec<_>, Vec<_>) =
            real.map(|c| (gone(c), c.token)).partition(|(gone, _)| *gone);
        for (_, token) in gone {
            if !stay.iter().any(|(_, other)| *other == token) {
                self.deny(token);
            }
        }
    }

    /// A late or repeated refusal finds nothing to undo and is quiet.
    fn refuse(
        &mut self,
        conn: ConnId,
        refusal: Refusal,
        now: Now,
        policy: &Policy,
        effects: &mut Effects,
    ) {
        let hit = |c: &Connection| c.id == conn && (c.is_live() || c.is_at_gate());
        if !self.connections.iter().any(hit) {
            return;
        }
        self.refused = Some(Box::new(Remembered::new(refusal, now, policy)));
        self.close_sockets(effects, hit);
        self.remove(now, effects, |c| hit(c).then_some(Reason::Refused));
    }

    fn refuse_status(&mut self, seq: u64, now: Now, effects: &mut Effects) {
        let Some(place) = self.undo_status(seq) else { return };
        self.remove(now, effects, |c| {
            (c.is_virtual() && c.platform == place).then_some(Reason::Refused)
        });
    }

    /// Takes a refused status back; returns where the virtual connection ends that came with it.
    fn undo_status(&mut self, seq: u64) -> Option<Platform> {
        let set = self.status.as_mut().filter(|_| seq != 0)?;
        if let Some(refused) = set.previous.take_if(|previous| previous.seq == seq) {
            // Another one was set meanwhile: it stays, but this one can no longer be restored, and
            // what this one brought is now held by the other.
            set.brought_online = set.brought_online.or(refused.brought_online);
            return None;
        }
        let undone = self.status.take_if(|set| set.seq == seq)?;
        // What is restored has had its answer.
        self.status = undone.previous.map(|previous| Box::new(SetStatus { seq: 0, ..*previous }));
        undone.brought_online
    }

    /// Nobody could come back while the server was away, so every grace starts anew.
    fn restart(&mut self, now: Now, policy: &Policy, effects: &mut Effects) {
        // Nobody ever saw those who were at the gate.
        self.remove(now, effects, |c| c.is_at_gate().then_some(Reason::ServerLost));
        let grace_ends = now.mono + policy.restart_grace;
        let lease_ends = now.mono + policy.virtual_lease;
        for connection in &mut self.connections {
            connection.session = match connection.session {
                Session::AtGate | Session::Live => {
                    Session::Lingering { until: grace_ends, end: End::ServerLost }
                }
                Session::Lingering { end, .. } => Session::Lingering { until: grace_ends, end },
                Session::Virtual { until } => {
                    Session::Virtual { until: until.max(grace_ends).min(lease_ends) }
                }
            };
        }
    }

    fn expire(&mut self, now: Now, policy: &Policy, changes: &mut Vec<Change>) {
        self.status.take_if(|set| set.status.expires_at.is_some_and(|at| at <= now.wall));
        let ends_at = |c: &Connection| c.ends_at(policy.held_until);
        let is_due = |c: &mut Connection| ends_at(c).is_some_and(|at| at <= now.mono);
        let mut step = Step::begin(&self.connections);
        let mut due: Vec<Connection> = self.connections.extract_if(.., is_due).collect();
        due.sort_by_key(ends_at);
        for connection in due {
            match connection.session {
                Session::Lingering { end, .. } => {
                    self.remember_lost(&connection, end);
                    step.depart(connection, end.into());
                }
                Session::AtGate | Session::Live | Session::Virtual { .. } => {
                    step.depart(connection, Reason::LeaseEnded);
                }
            }
        }
        step.end(&self.connections, now, &mut self.last_seq, changes);
    }

    /// Removes the connections that `why` gives a reason for, and tells it.
    fn remove(
        &mut self,
        now: Now,
        effects: &mut Effects,
        why: impl Fn(&Connection) -> Option<Reason>,
    ) {
        let mut step = Step::begin(&self.connections);
        let gone: Vec<Connection> = self.connections.extract_if(.., |c| why(c).is_some()).collect();
        for connection in gone {
            let reason = why(&connection).expect("it was taken out because it has a reason");
            step.depart(connection, reason);
        }
        step.end(&self.connections, now, &mut self.last_seq, &mut effects.changes);
    }

    fn close_sockets(&self, effects: &mut Effects, hit: impl Fn(&Connection) -> bool) {
        let sockets = self.connections.iter().filter(|c| c.is_live() && hit(c));
        effects.kicked.extend(sockets.map(|c| c.id));
    }

    fn live(&self, conn: ConnId) -> Option<usize> {
        self.connections.iter().position(|c| c.is_live() && c.id == conn)
    }

    fn remember_lost(&mut self, connection: &Connection, end: End) {
        self.forget_lost(connection.platform, connection.token);
        if end.is_loss() {
            if self.lost.len() == LOST_MAX {
                self.lost.remove(0);
            }
            self.lost.push((connection.platform, connection.token));
        }
    }

    fn forget_lost(&mut self, platform: Platform, token: TokenHash) -> bool {
        let before = self.lost.len();
        self.lost.retain(|lost| *lost != (platform, token));
        self.lost.len() < before
    }

    fn wake_at(&self, now: Now, policy: &Policy) -> Option<Instant> {
        let ends = self.connections.iter().filter_map(|c| c.ends_at(policy.held_until));
        let connections = ends.min();
        let status = self.status.as_ref().and_then(|set| set.status.expires_at);
        let status = status.map(|at| {
            let left = Duration::from_millis(at.0.saturating_sub(now.wall.0));
            now.mono + left.min(STATUS_WAKE_MAX)
        });
        [connections, status].into_iter().flatten().min()
    }

    fn note_since(&mut self, changes: &[Change]) {
        if let Some(last) = changes.iter().rev().find(|change| change.edges.user) {
            self.since = last.at;
        }
    }

    fn check(&self) {
        let virtuals = self.connections.iter().filter(|c| c.is_virtual()).map(|c| c.platform);
        debug_assert!(
            Platform::ALL.iter().all(|p| virtuals.clone().filter(|held| held == p).count() <= 1),
            "a platform holds more than one virtual connection"
        );
        debug_assert!(self.lost.len() <= LOST_MAX, "more lost sessions than we remember");
    }
}
