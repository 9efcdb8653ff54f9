//! One user's presence, as a state machine.

mod background;
mod gate;
mod refusal;
mod retelling;
mod status;

use crate::{
    Availability, Change, ConnId, Connection, Denied, Effects, End, Event, Instant, Issued, Kick,
    Login, Now, Platform, Policy, Reason, Session, Sight, Standing, Status, Timestamp, TokenHash,
    Told,
    rate::Rates,
    refusal::Remembered,
    status::SetStatus,
    step::{Arrival, Present, Step, platforms},
    token::{DeniedToken, Shown, Tokens},
};
use alloc::{boxed::Box, vec::Vec};
use background::Backgrounds;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// How many ended sessions are remembered, so that their return is a reconnect; oldest go first.
const LOST_MAX: usize = 8;
/// How many connections a user may have, beside those at the gate; a further one takes the place of
/// the oldest that lingers, or else of the oldest.
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
    /// Of whom the App refused, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refusals: Vec<Remembered>,
    #[serde(default, skip_serializing_if = "Rates::are_untouched")]
    rates: Rates,
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
        let before = policy.tells_background.then(|| Backgrounds::of(&self.connections));
        if let Some(tokens) = &mut self.tokens {
            tokens.believe(now.wall);
        }
        // What fell due before this event is told first, however late the tick comes; but nothing
        // can have run out while there was no server to come back to.
        if event != Event::Restarted {
            self.expire(now, policy, &mut effects.changes);
        }
        match event {
            Event::Connected(login) => self.connect(&login, now, policy, &mut effects),
            Event::Knocked { login, scope, may_ask } => {
                self.knock(&login, scope, may_ask, now, policy, &mut effects);
            }
            Event::LetIn { conn } => self.let_in(conn, now, policy, &mut effects),
            Event::Disconnected { conn, end } => {
                self.disconnect(conn, end, now, policy, &mut effects);
            }
            Event::BackgroundSet { conn, background } => {
                self.set_background(conn, background, now, policy);
            }
            Event::StatusSet { platform, status, by } => {
                self.set_status(platform, status, by, now, policy, &mut effects);
            }
            Event::StatusCleared { platform } => self.clear_status(platform, now, &mut effects),
            Event::Kicked(kick) => self.kick(kick, now, &mut effects),
            Event::TokenIssued(issued) => self.issue(issued, now, policy),
            Event::Refused(refused) => self.refuse(refused, now, policy, &mut effects),
            Event::Restarted => self.restart(now, policy, &mut effects),
            Event::Untold { subject, missed, online } => {
                effects.retold = Some(self.retell(subject, &missed, online, now));
            }
            Event::Ticked => {}
        }
        self.expire(now, policy, &mut effects.changes);
        if let Some(before) = before {
            self.say_background(&before, now, &mut effects.changes);
        }
        self.say_status(now, &mut effects);
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

    /// What a validly signed token of this user is worth now.
    pub fn standing(
        &self,
        platform: Platform,
        token: TokenHash,
        issued_at: Timestamp,
        now: Timestamp,
        policy: &Policy,
    ) -> Standing {
        let known_only = policy.known_tokens_only;
        let is_present = self.connections.iter().any(|c| c.is_session_of(platform, token));
        let shown = Shown { platform, token, issued_at, is_present };
        match &self.tokens {
            Some(tokens) => tokens.standing(shown, now, known_only),
            None if known_only => Standing::Unknown,
            None => Standing::Good,
        }
    }

    /// A token that says it was issued until then is not good now.
    pub fn issue_after(&self, platform: Platform, now: Timestamp) -> Timestamp {
        self.tokens.as_ref().map_or(Timestamp(0), |tokens| tokens.issue_after(platform, now))
    }

    /// The next change gets at least this `seq`: others have had as high a one.
    pub fn continue_at(&mut self, seq: u64) {
        self.last_seq = self.last_seq.max(seq.saturating_sub(1));
    }

    /// The `seq` of the last change.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// When the user last came online or went offline.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    fn connect(&mut self, login: &Login, now: Now, policy: &Policy, effects: &mut Effects) {
        if self.connections.iter().any(|c| c.id == login.conn) {
            return;
        }
        effects.denied = self.why_denied(login, now, policy);
        if effects.denied.is_some() {
            return;
        }
        let arrival = self.arrival_of(login);
        let cover = self.cover(login.platform);
        let mut step = Step::begin(&self.connections);
        self.forget_lost(login.platform, login.token);
        // The one that comes back takes the place of the one that is gone.
        self.replace_lingering(login.platform, login.token, &mut step);
        let newcomer = self.newcomer(login, Session::Live, now);
        self.kick_rivals(&newcomer, u64::MAX, policy, &mut step, effects);
        self.connections.push(newcomer);
        self.make_room(login.conn, &mut step, effects);
        step.arrive(arrival);
        let seq = step.end(&self.connections, now, &mut self.last_seq, &mut effects.changes);
        self.note_told(login.conn, cover, seq);
    }

    fn newcomer(&self, login: &Login, session: Session, now: Now) -> Connection {
        Connection {
            id: login.conn,
            platform: login.platform,
            token: login.token,
            issued_at: login.issued_at,
            background: login.background,
            switch: None,
            address: login.address.clone(),
            since: now.wall,
            session,
            told: Told::default(),
        }
    }

    /// How a login is told: a return to a session that ended by loss is a reconnect, unless a live
    /// twin makes it a second tab.
    fn arrival_of(&self, login: &Login) -> Arrival {
        let Login { platform, token, conn, background, .. } = *login;
        let mut twins = self.connections.iter().filter(|c| c.is_session_of(platform, token));
        let has_live_twin = twins.clone().any(Connection::is_live);
        let was_lost = self.lost.contains(&(platform, token))
            || twins.any(|c| matches!(c.session, Session::Lingering { end, .. } if end.is_loss()));
        let reason = if was_lost && !has_live_twin { Reason::Reconnect } else { Reason::Login };
        let address = login.address.clone();
        Arrival { reason, platform, conn: Some(conn), background, address }
    }

    fn replace_lingering(&mut self, platform: Platform, token: TokenHash, step: &mut Step) {
        let is_gone = |c: &Connection| c.is_lingering() && c.is_session_of(platform, token);
        if let Some(at) = self.connections.iter().position(is_gone) {
            let gone = self.connections.remove(at);
            step.depart_by_itself(gone);
        }
    }

    /// Which changes told of the platform and of the user, if they are online; see [`Told`].
    fn cover(&self, platform: Platform) -> Option<(Option<u64>, u64)> {
        let user = self.connections.first()?.told.user;
        let same = self.connections.iter().find(|c| c.platform == platform);
        Some((same.map(|c| c.told.platform), user))
    }

    /// Notes which changes told of a connection that has just arrived.
    fn note_told(&mut self, conn: ConnId, cover: Option<(Option<u64>, u64)>, seq: Option<u64>) {
        let newcomer = self.connections.iter_mut().rev().find(|c| c.id == conn);
        if let (Some(newcomer), Some(seq)) = (newcomer, seq) {
            let platform = cover.and_then(|(platform, _)| platform).unwrap_or(seq);
            let user = cover.map_or(seq, |(_, user)| user);
            newcomer.told = Told { connection: seq, platform, user };
        }
    }

    fn why_denied(&mut self, login: &Login, now: Now, policy: &Policy) -> Option<Denied> {
        let Login { platform, token, issued_at, .. } = *login;
        let standing = self.standing(platform, token, issued_at, now.wall, policy);
        if standing != Standing::Good {
            return Some(Denied::Token(standing));
        }
        let is_same = |c: &Connection| c.is_session_of(login.platform, login.token);
        if self.connections.iter().any(|c| c.is_lingering() && is_same(c)) {
            // The session counts as present: its return has a limit of its own, and no refusal of
            // another login stands against it.
            let at = self.rates.come_back(now.mono).err()?;
            let until = at + policy.offline_grace;
            self.linger_until(until, login.platform, login.token);
            return Some(Denied::NotBefore(at));
        }
        if let Some(refusal) = self.refusal_of(login, now, policy) {
            return Some(Denied::Refused(refusal));
        }
        (!self.rates.log_in(now.mono, policy.user_budget)).then_some(Denied::TooOften)
    }

    /// What lingers of a session goes on to do so at least until then.
    fn linger_until(&mut self, at_least: Instant, platform: Platform, token: TokenHash) {
        for connection in &mut self.connections {
            if !connection.is_session_of(platform, token) {
                continue;
            }
            if let Session::Lingering { until, .. } = &mut connection.session {
                *until = (*until).max(at_least);
            }
        }
    }

    /// Those that may not live beside a newcomer. Its own token is spared: a line that came back,
    /// or a second tab; and so is whoever knocked after it, at `knocked`, and kicks it when let in.
    fn kick_rivals(
        &mut self,
        newcomer: &Connection,
        knocked: u64,
        policy: &Policy,
        step: &mut Step,
        effects: &mut Effects,
    ) {
        let is_rival = |c: &mut Connection| {
            !c.is_virtual()
                && c.id != newcomer.id
                && !(c.is_at_gate() && c.told.connection > knocked)
                && c.token != newcomer.token
                && policy.login.kicks(newcomer.platform, c.platform)
        };
        let rivals: Vec<Connection> = self.connections.extract_if(.., is_rival).collect();
        for rival in rivals {
            self.deny(&rival);
            let has_socket = rival.is_live() || rival.is_at_gate();
            effects.kicked.extend(has_socket.then_some(rival.id));
            step.depart(rival, Reason::Kicked);
        }
    }

    fn deny(&mut self, connection: &Connection) {
        let Connection { token, platform, issued_at, .. } = *connection;
        self.tokens.get_or_insert_default().deny(DeniedToken { token, platform, issued_at });
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

    /// Nobody needs as many; a client that has lost its way must not make a user heavy. What lingers
    /// goes first, what is live last.
    fn make_room(&mut self, newcomer: ConnId, step: &mut Step, effects: &mut Effects) {
        let counts = |c: &&Connection| !c.is_at_gate();
        while self.connections.iter().filter(counts).count() > CONNECTIONS_MAX {
            let others = || self.connections.iter().filter(|c| c.id != newcomer || c.is_virtual());
            let least = others()
                .find(|c| c.is_lingering())
                .or_else(|| others().find(|c| c.is_virtual()))
                .or_else(|| others().find(|c| c.is_live()))
                .map(|c| (c.id, c.session));
            let Some((id, session)) = least else { return };
            let is_least = |c: &Connection| c.id == id && c.session == session;
            let Some(at) = self.connections.iter().position(is_least) else { return };
            let gone = self.connections.remove(at);
            if gone.is_live() {
                effects.kicked.push(gone.id);
                step.depart(gone, Reason::Kicked);
            } else {
                step.depart_by_itself(gone);
            }
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
        if self.withdraw(conn, end, now, policy, effects) {
            return;
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

    /// Beside every going online.
    fn say_status(&self, now: Now, effects: &mut Effects) {
        let retold = effects.retold.iter_mut().map(|retold| &mut retold.change);
        for change in effects.changes.iter_mut().chain(retold) {
            let status = self.status(now.wall).filter(|_| change.kind == crate::Kind::Online);
            change.status = status.cloned().map(Box::new);
        }
    }

    fn set_background(&mut self, conn: ConnId, background: bool, now: Now, policy: &Policy) {
        if let Some(at) = self.live(conn) {
            let is_told = policy.tells_background;
            self.connections[at].set_background(background, is_told, now.mono);
        }
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
        self.close_sockets(effects, |c| hit(c) && (c.is_live() || c.is_at_gate()));
        let predecessors = self.predecessors(hit);
        self.remove(now, effects, |c| {
            let gone = hit(c) || (c.is_lingering() && predecessors.contains(&c.session_key()));
            gone.then_some(Reason::Kicked)
        });
    }

    /// A token that also holds a connection which stays remains good.
    fn deny_tokens_of(&mut self, gone: impl Fn(&Connection) -> bool) {
        let real = self.connections.iter().filter(|c| !c.is_virtual());
        let (gone, stay): (Vec<_>, Vec<_>) = real.cloned().partition(gone);
        for connection in gone {
            if !stay.iter().any(|other| other.token == connection.token) {
                self.deny(&connection);
            }
        }
    }

    /// Nobody could come back while the server was away, so every grace starts anew.
    fn restart(&mut self, now: Now, policy: &Policy, effects: &mut Effects) {
        // Nobody ever saw those who were at the gate.
        self.remove(now, effects, |c| c.is_at_gate().then_some(Reason::ServerLost));
        let grace_ends = now.mono + policy.restart_grace;
        let lease_ends = now.mono + policy.virtual_lease;
        for connection in &mut self.connections {
            // Those who come back are told as they are then.
            connection.switch = None;
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
        let believed = policy.believed(now);
        self.status.take_if(|set| set.status.expires_at.is_some_and(|at| at <= believed));
        let awaited = self.predecessors(|_| true);
        let ends_at = |c: &Connection| ends_at(c, &awaited, policy);
        let is_due = |c: &mut Connection| ends_at(c).is_some_and(|at| at <= now.mono);
        let mut step = Step::begin(&self.connections);
        let mut due: Vec<Connection> = self.connections.extract_if(.., is_due).collect();
        due.sort_by_key(ends_at);
        for connection in due {
            if let Session::Lingering { end, .. } = connection.session {
                self.remember_lost(&connection, end);
            }
            step.depart_by_itself(connection);
        }
        step.end(&self.connections, now, &mut self.last_seq, changes);
        self.connections.iter_mut().for_each(|c| c.switch_if_due(now.mono));
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
        effects.kicked.extend(self.connections.iter().filter(|c| hit(c)).map(|c| c.id));
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
        let awaited = self.predecessors(|_| true);
        let ends = self.connections.iter().filter_map(|c| ends_at(c, &awaited, policy));
        let switches = self.connections.iter().filter_map(Connection::switches_at);
        let connections = ends.chain(switches).min();
        let status = self.status.as_ref().and_then(|set| set.status.expires_at);
        let status = status.map(|at| {
            let left = Duration::from_millis(at.0.saturating_sub(policy.believed(now).0));
            now.mono + left.min(STATUS_WAKE_MAX)
        });
        [connections, status].into_iter().flatten().min()
    }

    fn note_since(&mut self, changes: &[Change]) {
        let is_edge = |change: &&Change| change.edges.user && change.kind.says_who_is_online();
        if let Some(last) = changes.iter().rev().find(is_edge) {
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

/// When a connection stops counting by itself. What lingers does not while the App is asked about
/// its return.
fn ends_at(c: &Connection, awaited: &[(Platform, TokenHash)], policy: &Policy) -> Option<Instant> {
    let is_awaited = c.is_lingering() && awaited.contains(&c.session_key());
    if is_awaited { None } else { c.ends_at(policy.held_until) }
}
