//! What the checkers of P1 to P6 remember while a run goes on, and what they say of each step. What must
//! hold at the end is in `verdicts.rs`.

use crate::{
    admissions::{Admissions, Dial},
    app::Mode,
    world::World,
};
use presence::{
    Attempt, Change, ConnId, Edges, End, Kind, Platform, Reason, Session, TokenHash, UserId,
};
use server::login::PendingLogin;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use store::{CallbackId, Claimed, Commit};

/// The contract keeps `seq` below it.
const SEQ_END: u64 = 1 << 53;
/// A working store, and every other App, must not let anybody wait longer: P6.
const LOGIN_MS_MAX: u64 = 500;
const FIRST_ATTEMPT_MS_MAX: u64 = 4_000;
/// For how long a login may wait for the App, where it is asked: the handshake's timeout.
pub(crate) const WAIT_MS_MAX: u64 = 10_000;
/// How long a login that was not admitted may take to give its place back.
const LEAVING_MS: u64 = 30_000;
/// After its last trouble an endpoint may take so long to be as fast as ever.
const RECOVERY_MS: u64 = 60_000;
/// Rounding of clocks, in milliseconds.
const SLACK_MS: u64 = 2;

/// The books.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) sockets: BTreeMap<ConnId, Socket>,
    /// Those of each user that have not ended.
    here: BTreeMap<UserId, BTreeSet<ConnId>>,
    last_seq: BTreeMap<UserId, u64>,
    /// What a caller was told is stored: when.
    pub(crate) promised: BTreeMap<CallbackId, u64>,
    /// What each callback changed, as it is stored.
    edges: BTreeMap<CallbackId, Edges>,
    lanes: BTreeMap<(usize, UserId), Lane>,
    /// When each endpoint was last in any trouble.
    troubled_at: BTreeMap<usize, u64>,
    pub(crate) admissions: Admissions,
    epoch: Option<String>,
    /// Who was told that they are registered.
    registered: BTreeSet<UserId>,
}

/// A socket of the simulated gateway: the truth.
pub(crate) struct Socket {
    pub(crate) user: UserId,
    pub(crate) platform: Platform,
    pub(crate) token: TokenHash,
    pub(crate) node: u32,
    /// When its client dialled.
    pub(crate) began: u64,
    /// To a session that lingered.
    pub(crate) returns: bool,
    /// It was committed as one with an open socket.
    pub(crate) admitted: bool,
    pub(crate) stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not let in yet.
    Waits,
    Open,
    /// Since then, by that end; none: kicked, or the server went away.
    Ended(u64, Option<End>),
}

/// The callbacks of one user to one endpoint.
#[derive(Default)]
struct Lane {
    last: u64,
    in_flight: Option<u64>,
}

impl Ledger {
    fn here_of(&self, user: &UserId) -> impl Iterator<Item = (&ConnId, &Socket)> {
        let conns = self.here.get(user).into_iter().flatten();
        conns.filter_map(|conn| self.sockets.get_key_value(conn))
    }

    /// The sockets of a process that wait to be admitted, or may still hold a place for a question.
    pub(crate) fn waiting_or_leaving(&self, node: u32, now: u64) -> usize {
        let holds = |socket: &&Socket| match socket.stage {
            Stage::Waits => true,
            Stage::Open => false,
            Stage::Ended(at, _) => !socket.admitted && at + LEAVING_MS > now,
        };
        let of_node = self.sockets.values().filter(|socket| socket.node == node);
        of_node.filter(holds).count()
    }

    /// The sockets of a process that wait to be admitted.
    pub(crate) fn waiting(&self, node: u32) -> impl Iterator<Item = (&ConnId, &Socket)> {
        let here = self.here.values().flatten();
        here.filter_map(|conn| self.sockets.get_key_value(conn))
            .filter(move |(_, socket)| socket.stage == Stage::Waits && socket.node == node)
    }

    /// The sockets of a process that are open.
    pub(crate) fn open(&self, node: u32) -> impl Iterator<Item = (&ConnId, &Socket)> {
        let here = self.here.values().flatten();
        here.filter_map(|conn| self.sockets.get_key_value(conn))
            .filter(move |(_, socket)| socket.stage == Stage::Open && socket.node == node)
    }
}

impl World {
    pub(crate) fn socket_waits(&self, pending: &PendingLogin, node: u32) {
        let PendingLogin { user, login, .. } = pending;
        let socket = Socket {
            user: user.clone(),
            platform: login.platform,
            token: login.token,
            node,
            began: self.ms(),
            returns: false,
            admitted: false,
            stage: Stage::Waits,
        };
        let mut ledger = self.ledger();
        ledger.sockets.insert(login.conn, socket);
        ledger.here.entry(user.clone()).or_default().insert(login.conn);
    }

    pub(crate) fn socket_opens(&self, conn: ConnId) {
        let ledger = &mut *self.ledger();
        if let Some(socket) = ledger.sockets.get_mut(&conn)
            && socket.stage == Stage::Waits
        {
            socket.stage = Stage::Open;
            ledger.admissions.is_back(&(socket.user.clone(), socket.platform, socket.token));
        }
    }

    pub(crate) fn socket_ends(&self, conn: ConnId, end: Option<End>) {
        let now = self.ms();
        let ledger = &mut *self.ledger();
        if let Some(socket) = ledger.sockets.get_mut(&conn)
            && !matches!(socket.stage, Stage::Ended(..))
        {
            let was_open = socket.stage == Stage::Open;
            socket.stage = Stage::Ended(now, end);
            let session = (socket.user.clone(), socket.platform, socket.token);
            let admissions = &mut ledger.admissions;
            if was_open && end.is_some() && admissions.is_live(&socket.user, conn) {
                admissions.is_absent(session, now, socket.node);
            } else if admissions.is_at_gate(&socket.user, conn) {
                admissions.asked_in_vain(&session, now, socket.node);
            }
            if let Some(here) = ledger.here.get_mut(&socket.user) {
                here.remove(&conn);
            }
        }
    }

    /// A process ended, and its sockets with it.
    pub(crate) fn node_ends(&self, node: u32) {
        let now = self.ms();
        let ledger = &mut *self.ledger();
        for (conn, socket) in &mut ledger.sockets {
            if socket.node == node && !matches!(socket.stage, Stage::Ended(..)) {
                let was_open = socket.stage == Stage::Open;
                socket.stage = Stage::Ended(now, Some(End::ServerLost));
                if was_open && ledger.admissions.is_live(&socket.user, *conn) {
                    let session = (socket.user.clone(), socket.platform, socket.token);
                    ledger.admissions.is_absent(session, now, node);
                }
                if let Some(here) = ledger.here.get_mut(&socket.user) {
                    here.remove(conn);
                }
            }
        }
        ledger.lanes.values_mut().for_each(|lane| lane.in_flight = None);
        ledger.admissions.process_is_gone(now);
    }

    /// A step is durable, and decides from now on.
    pub(crate) fn committed(&self, commit: &Commit, node: u32, booted_at: u64) {
        let mut changes: Vec<&Change> = commit.callbacks.iter().map(|new| &new.change).collect();
        changes.sort_by_key(|change| change.seq);
        changes.dedup();
        for change in &changes {
            let Change { seq, kind, reason, platform, conn, .. } = change;
            let conn = conn.map_or("-".to_owned(), short);
            let user = &commit.user;
            self.note(&format!(
                "{user} {kind:?} {} on {} {conn} #{seq}",
                reason.name(),
                platform.name()
            ));
            self.count(match kind {
                Kind::Online => "change: online",
                Kind::Offline => "change: offline",
                Kind::KickOff => "change: kick-off",
                Kind::Background => "change: background",
            });
        }
        self.check_seq(&commit.user, &changes);
        self.check_presence(commit, &changes, node);
        self.check_graces(&commit.user, &changes, node, booted_at);
        self.note_ended(commit, &changes);
        self.check_admissions(commit, &changes);
    }

    /// P2: strictly rising for ever.
    fn check_seq(&self, user: &UserId, changes: &[&Change]) {
        for change in changes {
            let last = self.ledger().last_seq.insert(user.clone(), change.seq).unwrap_or(0);
            if change.seq <= last || change.seq >= SEQ_END {
                self.violated(
                    "P2",
                    &format!("the seq of {user} goes from {last} to {}", change.seq),
                );
            }
        }
    }

    /// P4: nobody with an open socket is taken for gone.
    fn check_presence(&self, commit: &Commit, changes: &[&Change], node: u32) {
        let mut wrong = Vec::new();
        for (conn, socket) in self.ledger().here_of(&commit.user) {
            if socket.node != node || socket.stage != Stage::Open {
                continue;
            }
            let connections = commit.state.connections();
            let is_live = connections.iter().any(|c| c.id == *conn && c.session == Session::Live);
            let sent_away = changes.iter().any(|change| {
                let on_purpose =
                    matches!(change.reason, Reason::Kicked | Reason::Refused | Reason::LoggedOut);
                change.kind == Kind::Offline && change.conn == Some(*conn) && on_purpose
            });
            if !is_live && !sent_away {
                wrong.push(format!("{} has an open socket {}", socket.user, short(*conn)));
            }
        }
        wrong.iter().for_each(|who| self.violated("P4", &format!("{who} and counts as gone")));
    }

    /// P4: a loss is news after its grace, counted from the loss or the start of this process; or from
    /// the end of the last question about the return of its client.
    fn check_graces(&self, user: &UserId, changes: &[&Change], node: u32, booted_at: u64) {
        let policy = &self.plan.policy;
        let grace = |of: u32, at: u64| match of == node {
            true => (at, policy.offline_grace),
            false => (booted_at, policy.restart_grace),
        };
        for change in changes {
            let lost = matches!(
                change.reason,
                Reason::Closed | Reason::Lost | Reason::Misbehaved | Reason::ServerLost
            );
            let is_edge = change.edges.user || change.edges.platform;
            if change.kind != Kind::Offline || !lost || !is_edge {
                continue;
            }
            let Some(conn) = change.conn else { continue };
            let (of_socket, of_session) = {
                let ledger = self.ledger();
                let Some(socket) = ledger.sockets.get(&conn) else { continue };
                let session = (user.clone(), socket.platform, socket.token);
                let of_session = ledger.admissions.absent_since(&session);
                // One that was never admitted has no grace of its own.
                let of_socket = socket.admitted.then(|| match socket.stage {
                    Stage::Ended(at, _) => grace(socket.node, at),
                    _ => (booted_at, policy.restart_grace),
                });
                (of_socket, of_session.map(|(at, of)| grace(of, at)))
            };
            for (from, grace) in of_socket.into_iter().chain(of_session) {
                let waited = self.ms() - from - self.frozen_ms(from, self.ms()) + SLACK_MS;
                if Duration::from_millis(waited) < grace {
                    let conn = short(conn);
                    let how = format!("{conn} of {user} is told offline after {waited} ms");
                    self.violated("P4", &how);
                }
            }
        }
    }

    /// The caller was told that a step is stored.
    pub(crate) fn promised(&self, commit: &Commit) {
        let now = self.ms();
        let mut ledger = self.ledger();
        for new in &commit.callbacks {
            let (endpoint, user) = (new.endpoint.clone(), commit.user.clone());
            ledger.promised.insert(CallbackId { endpoint, user, seq: new.change.seq }, now);
        }
    }

    /// P1: the store's name stays as long as the store.
    pub(crate) fn epoch_is(&self, epoch: &str) {
        let known = self.ledger().epoch.get_or_insert_with(|| epoch.to_owned()).clone();
        if known != epoch {
            self.violated("P1", &format!("the epoch {known} became {epoch}"));
        }
    }

    /// A backend was told that a user is registered.
    pub(crate) fn is_registered(&self, user: &UserId) {
        self.ledger().registered.insert(user.clone());
    }

    /// P1: who is registered stays so.
    pub(crate) fn check_registered(&self, user: &UserId, found: bool) {
        if !found && self.ledger().registered.contains(user) {
            self.violated("P1", &format!("the account of {user} is lost"));
        }
    }

    /// An operator has purged these.
    pub(crate) fn purged(&self, ids: &[CallbackId]) {
        let mut ledger = self.ledger();
        ids.iter().for_each(|id| _ = ledger.promised.remove(id));
    }

    /// A callback is read from the store.
    pub(crate) fn is_stored(&self, callback: &Claimed) {
        self.ledger().edges.insert(callback.lease.id.clone(), callback.change.edges);
    }

    /// P3: an App reads what its endpoint is told of now, and nothing else.
    fn check_selected(&self, app: usize, callback: &Claimed) {
        let id = &callback.lease.id;
        let Some(edges) = self.ledger().edges.get(id).copied() else { return };
        let stored = Change { edges, ..callback.change.clone() };
        if !self.settings().interest(app).selects(&stored) {
            self.violated("P3", &format!("{id} is sent, and its endpoint is not told of such"));
        }
    }

    /// P2: in order, one in flight. P6: at once, unless the endpoint itself is the reason.
    pub(crate) fn attempt_begins(&self, app: usize, callback: &Claimed) {
        self.check_selected(app, callback);
        let (now, id) = (self.ms(), &callback.lease.id);
        let calm_ms = self.store_calm_for().as_millis() as u64;
        let slowed = self.is_slowed(&id.user);
        let mut ledger = self.ledger();
        let well = ledger.troubled_at.get(&app).map_or(now, |at| now - at);
        let waited = ledger.promised.get(id).map(|at| now - at);
        let lane = ledger.lanes.entry((app, id.user.clone())).or_default();
        let mut problem = None;
        if let Some(other) = lane.in_flight.replace(id.seq) {
            problem = Some(("P2", format!("{id} is sent while #{other} is in flight")));
        } else if !callback.replayed && id.seq < lane.last {
            problem = Some(("P2", format!("{id} is sent after #{}", lane.last)));
        }
        lane.last = lane.last.max(id.seq);
        drop(ledger);
        let fresh = callback.attempts == 0 && !callback.replayed && !slowed;
        if let Some(waited) = waited.filter(|_| fresh)
            && waited > FIRST_ATTEMPT_MS_MAX
            && self.apps[app].mode() == Mode::Well
            && well > waited + RECOVERY_MS
            && calm_ms > waited + RECOVERY_MS
        {
            problem = Some(("P6", format!("{id} waited {waited} ms for a working endpoint")));
        }
        if let Some((promise, how)) = problem {
            self.violated(promise, &how);
        }
    }

    pub(crate) fn attempt_ended(&self, app: usize, callback: &Claimed, attempt: Attempt) {
        let id = &callback.lease.id;
        let now = self.ms();
        let mut ledger = self.ledger();
        if let Some(lane) = ledger.lanes.get_mut(&(app, id.user.clone())) {
            lane.in_flight = None;
        }
        let fine = matches!(attempt, Attempt::Answered { status: 200, action_code: 0, .. });
        if !fine {
            ledger.troubled_at.insert(app, now);
        }
        drop(ledger);
        if fine {
            self.count("callback taken");
        }
    }

    /// The endpoint is slow or paused, which delays what it is told.
    pub(crate) fn endpoint_is_troubled(&self, app: usize) {
        let now = self.ms();
        self.ledger().troubled_at.insert(app, now);
    }

    /// P6: a login never waits for an App, unless it is asked, and then not for ever.
    pub(crate) fn login_took(&self, user: &UserId, dial: &Dial) {
        let took = self.ms() - dial.began;
        let calm = self.store_calm_for() > Duration::from_millis(took + 2_000);
        let may_wait = if self.settings().gate.is_some() { WAIT_MS_MAX } else { 0 };
        if calm && took > may_wait + LOGIN_MS_MAX && !self.is_slowed(user) {
            self.violated("P6", &format!("a login of {user} took {took} ms"));
        }
    }
}

/// Enough of a connection's name to know it by.
pub(crate) fn short(conn: ConnId) -> String {
    let [.., a, b, c] = conn.0;
    format!("{a:02x}{b:02x}{c:02x}")
}
