//! What the checkers know of admissions and refusals: which logins the App was asked about, what it
//! answered, whom it refused, and which lost sessions may still come back. What the real code says of
//! itself counts for nothing here, except the states that it commits.

use crate::{
    ledger::{Stage, short},
    node::Node,
    sockets::NotAdmitted,
    world::World,
};
use presence::{
    Attempt, Change, ConnId, Connection, Kind, Platform, Reason, Scope, Session, TokenHash, User,
    UserId, Verdict, verdict,
};
use server::{callbacks::Sent, login::PendingLogin};
use std::collections::BTreeMap;
use store::{CallbackId, Claimed, Commit, Fate, Settlement};

/// How long after its time an effect may show while the store works.
const SLACK_MS: u64 = 500;
/// The same after trouble with the store.
const TROUBLED_SLACK_MS: u64 = 15_000;

/// As in `presence::refusal`: how many refusals of a user are remembered.
const REMEMBERED_MAX: usize = 8;

/// One client that may have several connections.
pub(crate) type SessionKey = (UserId, Platform, TokenHash);

/// The books.
#[derive(Default)]
pub(crate) struct Admissions {
    /// Each user as last committed.
    last: BTreeMap<UserId, User>,
    /// The logins about which the App was asked, by the `seq` of their online callback.
    questions: BTreeMap<(UserId, u64), Question>,
    /// The `seq` of what else a callback speaks for.
    spoken_for: BTreeMap<CallbackId, Vec<u64>>,
    /// Refusals that are to be carried out.
    refusing: BTreeMap<CallbackId, Refusing>,
    /// Whom the App refused: when it said so, and when that was stored.
    refused: BTreeMap<SessionKey, (u64, u64)>,
    /// Sessions that ended by loss: since when, in which process.
    absent: BTreeMap<SessionKey, (u64, u32)>,
    /// When an App could not be asked. Another one may be asked from the next start on.
    away: BTreeMap<usize, Vec<Away>>,
    /// When more logins waited than may.
    crowded_at: Option<u64>,
}

struct Question {
    session: SessionKey,
    ended_at: Option<u64>,
    consented_at: Option<u64>,
    refused_at: Option<u64>,
    failed: bool,
}

/// What the App refused.
#[derive(Clone)]
struct Refusing {
    /// What its callback speaks for, and at which scope.
    seqs: Vec<u64>,
    scope: Scope,
    /// When it said so; what holds from then on is decided later.
    at: u64,
}

/// While the App fails, or is paused.
struct Away {
    from: u64,
    /// None: still.
    until: Option<u64>,
    paused: bool,
}

/// A login on its way in.
pub(crate) struct Dial {
    conn: ConnId,
    session: SessionKey,
    pub(crate) began: u64,
    /// What of its session lingered when it began.
    lingered: Option<ConnId>,
}

impl Admissions {
    fn last(&self, user: &UserId) -> &[Connection] {
        self.last.get(user).map_or(&[], |state| state.connections())
    }

    fn lingering(&self, session: &SessionKey) -> Option<ConnId> {
        let lingers =
            |c: &&Connection| matches!(c.session, Session::Lingering { .. }) && is_of(c, session);
        self.last(&session.0).iter().find(lingers).map(|c| c.id)
    }

    /// Whether it is in the last committed state, with an open socket.
    pub(crate) fn is_live(&self, user: &UserId, conn: ConnId) -> bool {
        self.last(user).iter().any(|c| c.id == conn && c.session == Session::Live)
    }

    /// Whether the App is still asked about it.
    pub(crate) fn is_at_gate(&self, user: &UserId, conn: ConnId) -> bool {
        self.last(user).iter().any(|c| c.id == conn && c.session == Session::AtGate)
    }

    /// A socket of the session is gone by loss; or a question about it is, and the client was heard of.
    pub(crate) fn is_absent(&mut self, session: SessionKey, now: u64, node: u32) {
        self.absent.insert(session, (now, node));
    }

    /// A question about its return has ended.
    pub(crate) fn asked_in_vain(&mut self, session: &SessionKey, now: u64, node: u32) {
        if let Some(absent) = self.absent.get_mut(session) {
            *absent = (now, node);
        }
    }

    pub(crate) fn absent_since(&self, session: &SessionKey) -> Option<(u64, u32)> {
        self.absent.get(session).copied()
    }

    pub(crate) fn is_back(&mut self, session: &SessionKey) {
        self.absent.remove(session);
    }

    /// It has answered a request: one that began before it failed says nothing of what it is like since.
    fn app_answers(&mut self, app: usize, began: u64, now: u64) {
        let failing = self
            .away
            .entry(app)
            .or_default()
            .iter_mut()
            .filter(|away| !away.paused && away.from <= began);
        failing.for_each(|away| _ = away.until.get_or_insert(now));
    }

    /// The next process knows nothing of how Apps are doing, except that one is paused.
    pub(crate) fn process_is_gone(&mut self, now: u64) {
        let failing = self.away.values_mut().flatten().filter(|away| !away.paused);
        failing.for_each(|away| _ = away.until.get_or_insert(now));
    }

    fn app_is_away(&mut self, app: usize, now: u64, paused: bool) {
        let away = self.away.entry(app).or_default();
        if !away.iter().any(|away| away.until.is_none() && away.paused == paused) {
            away.push(Away { from: now, until: None, paused });
        }
    }

    fn app_is_resumed(&mut self, app: usize, now: u64) {
        self.away
            .entry(app)
            .or_default()
            .iter_mut()
            .for_each(|away| _ = away.until.get_or_insert(now));
    }
}

impl World {
    /// What is known when a client dials.
    pub(crate) fn dial_begins(&self, pending: &PendingLogin, node: u32) -> Dial {
        let login = &pending.login;
        let session = (pending.user.clone(), login.platform, login.token);
        let now = self.ms();
        let gate = self.settings().gate;
        let ledger = &mut *self.ledger();
        if let Some(gate) = gate
            && ledger.waiting_or_leaving(node, now) > gate.waiting_max
        {
            ledger.admissions.crowded_at = Some(now);
        }
        let lingered = ledger.admissions.lingering(&session);
        if let Some(socket) = ledger.sockets.get_mut(&login.conn) {
            socket.returns = lingered.is_some();
        }
        Dial { conn: login.conn, session, began: now, lingered }
    }

    /// Whether the App has refused anything of a user a moment ago.
    pub(crate) fn is_refused(&self, user: &UserId) -> bool {
        let holds = self.plan.policy.refused_for.as_millis() as u64;
        let ledger = self.ledger();
        let mut refused = ledger.admissions.refused.iter();
        refused.any(|((of, ..), (at, _))| of == user && at + holds > self.ms())
    }

    /// A callback is handed out.
    pub(crate) fn claimed(&self, callbacks: &[Claimed]) {
        let mut ledger = self.ledger();
        for callback in callbacks.iter().filter(|callback| !callback.spoken_for.is_empty()) {
            let seqs = callback.spoken_for.clone();
            ledger.admissions.spoken_for.insert(callback.lease.id.clone(), seqs);
        }
    }

    /// Notes what the App said, whether or not Herald does what follows from it.
    pub(crate) fn app_said(&self, app: usize, callback: &Claimed, sent: &Sent, began: u64) {
        let settings = self.settings();
        let is_asked = settings.gate.is_some_and(|gate| gate.endpoint == app);
        let (now, id) = (self.ms(), &callback.lease.id);
        let admissions = &mut self.ledger().admissions;
        match verdict(sent.attempt, 1, true) {
            Verdict::BackOff => admissions.app_is_away(app, now, false),
            Verdict::Pause => admissions.app_is_away(app, now, true),
            _ => admissions.app_answers(app, began, now),
        }
        // What was said about an earlier attempt was not recorded, or does not count any more.
        admissions.refusing.remove(id);
        let is_online = callback.change.kind == Kind::Online && !callback.replayed;
        if !is_online {
            return;
        }
        let refuses = matches!(sent.attempt, Attempt::Answered { status: 200, refuses: true, .. });
        let question = admissions.questions.get_mut(&(id.user.clone(), id.seq));
        if let Some(question) = question.filter(|_| is_asked) {
            let agrees =
                matches!(sent.attempt, Attempt::Answered { status: 200, action_code: 0, .. });
            match () {
                () if refuses => question.refused_at = Some(now),
                () if agrees && sent.consents => {
                    question.consented_at.get_or_insert(now);
                }
                () => question.failed = true,
            }
        }
        if refuses && (settings.closes_on_refusal || is_asked) {
            let mut seqs = admissions.spoken_for.get(id).cloned().unwrap_or_default();
            seqs.push(id.seq);
            let scope = settings.interest(app).online.unwrap_or(Scope::Connection);
            for seq in &seqs {
                if let Some(question) = admissions.questions.get_mut(&(id.user.clone(), *seq)) {
                    question.refused_at = Some(now);
                }
            }
            admissions.refusing.insert(id.clone(), Refusing { seqs, scope, at: now });
        }
    }

    /// The endpoint was resumed by hand.
    pub(crate) fn app_is_resumed(&self, app: usize) {
        let now = self.ms();
        self.ledger().admissions.app_is_resumed(app, now);
    }

    /// What a step means for logins. Called once it is durable.
    pub(crate) fn check_admissions(&self, commit: &Commit, changes: &[&Change]) {
        let before = self.ledger().admissions.last(&commit.user).to_vec();
        for connection in commit.state.connections().iter().filter(|c| c.told_id().is_some()) {
            let was = before.iter().find(|c| c.id == connection.id).map(|c| c.session);
            match (was, connection.session) {
                (None, Session::AtGate) => self.question_begins(&commit.user, connection, changes),
                (None | Some(Session::AtGate), Session::Live) => {
                    self.check_admitted(&commit.user, connection, was, &before);
                }
                _ => {}
            }
        }
        if let Some(settlement) = &commit.settles {
            self.check_refusal(settlement, &before, &commit.state);
        }
        let now = self.ms();
        let admissions = &mut self.ledger().admissions;
        let waits = |id: ConnId| {
            let of = |c: &Connection| c.id == id && c.session == Session::AtGate;
            commit.state.connections().iter().any(of)
        };
        for connection in before.iter().filter(|c| c.session == Session::AtGate) {
            let key = (commit.user.clone(), connection.told.connection);
            if !waits(connection.id)
                && let Some(question) = admissions.questions.get_mut(&key)
            {
                question.ended_at.get_or_insert(now);
            }
        }
        admissions.last.insert(commit.user.clone(), commit.state.clone());
    }

    fn question_begins(&self, user: &UserId, connection: &Connection, changes: &[&Change]) {
        let told =
            |change: &&&Change| change.kind == Kind::Online && change.conn == Some(connection.id);
        let Some(seq) = changes.iter().find(told).map(|change| change.seq) else {
            let conn = short(connection.id);
            return self.violated("gate", &format!("{conn} of {user} waits and nobody is asked"));
        };
        self.count("gate: question");
        let session = (user.clone(), connection.platform, connection.token);
        let question = Question {
            session,
            ended_at: None,
            consented_at: None,
            refused_at: None,
            failed: false,
        };
        self.ledger().admissions.questions.insert((user.clone(), seq), question);
    }

    /// Nobody is admitted unasked, and nobody whom the App refused a moment ago.
    fn check_admitted(
        &self,
        user: &UserId,
        connection: &Connection,
        was: Option<Session>,
        before: &[Connection],
    ) {
        let session = (user.clone(), connection.platform, connection.token);
        let now = self.ms();
        let (began, lingered) = {
            let ledger = &mut *self.ledger();
            let Some(socket) = ledger.sockets.get_mut(&connection.id) else { return };
            socket.admitted = true;
            // Its client was turned away while the commit was under way: it came back, and is lost again.
            if matches!(socket.stage, Stage::Ended(..)) {
                let node = socket.node;
                ledger.admissions.is_absent(session.clone(), now, node);
            }
            let lingers = |c: &Connection| {
                matches!(c.session, Session::Lingering { .. }) && is_of(c, &session)
            };
            (socket.began, socket.returns || before.iter().any(lingers))
        };
        let conn = short(connection.id);
        if !lingered && self.is_refused_session(&session, began) {
            let at = self.ledger().admissions.refused.get(&session).map_or(0, |(at, _)| *at);
            let how =
                format!("{conn} of {user} is admitted although the App refused it at {at} ms");
            self.violated("gate", &how);
        }
        let why = self.why_admitted(&session, connection, was, before, began);
        match why {
            Some(why) => self.count(why),
            None => self.violated("gate", &format!("{conn} of {user} is admitted unasked")),
        }
    }

    fn is_refused_session(&self, session: &SessionKey, began: u64) -> bool {
        let plan = &self.plan;
        let holds = plan.policy.refused_for.as_millis() as u64;
        // A clock that steps, a process that did not run before the next one started, or a user who is
        // forgotten, ends a refusal early.
        if self.frozen_ms(0, self.ms()) > 0 {
            return false;
        }
        if plan.faults.clock_steps || plan.faults.clock_days || plan.forget_after_ms < holds {
            return false;
        }
        let ledger = self.ledger();
        let Some((at, _)) = ledger.admissions.refused.get(session) else { return false };
        let refused = &ledger.admissions.refused;
        let later = refused
            .iter()
            .filter(|(of, refused)| of.0 == session.0 && *of != session && refused.0 >= *at);
        if later.count() >= REMEMBERED_MAX {
            return false;
        }
        // The question of a login that began before speaks for itself.
        began > *at && self.ms() < at + holds
    }

    /// Why a login may be admitted; none: it may not.
    fn why_admitted(
        &self,
        session: &SessionKey,
        connection: &Connection,
        was: Option<Session>,
        before: &[Connection],
        began: u64,
    ) -> Option<&'static str> {
        let settings = self.settings();
        let Some(gate) = settings.gate else { return Some("login: not asked about") };
        let scope = settings.gate_scope()?;
        let now = self.ms();
        let slack = if self.store_calm_for().as_millis() > 20_000 { 0 } else { TROUBLED_SLACK_MS };
        let ledger = self.ledger();
        let admissions = &ledger.admissions;
        let is_own = |seq: u64| was == Some(Session::AtGate) && seq == connection.told.connection;
        let asked = || {
            admissions
                .questions
                .range((session.0.clone(), 0)..=(session.0.clone(), u64::MAX))
                .filter(|((_, seq), question)| {
                    let is_shared = was.is_none()
                        && covers(scope, &question.session, session)
                        && question.ended_at.is_none_or(|at| at + slack >= began);
                    is_own(*seq) || is_shared
                })
        };
        if asked().any(|(_, question)| question.consented_at.is_some()) {
            return Some(if was.is_some() { "gate: consent" } else { "gate: shared consent" });
        }
        let is_inside = |c: &&Connection| c.session != Session::AtGate;
        let covered = match scope {
            Scope::Connection => false,
            Scope::Platform => before.iter().filter(is_inside).any(|c| c.platform == session.1),
            Scope::User => before.iter().any(|c| is_inside(&c)),
        };
        if covered && was.is_none() {
            return Some("gate: covered");
        }
        if !gate.failed_continue {
            return None;
        }
        if asked().any(|(_, question)| question.failed) {
            return Some("gate: admitted after a failure");
        }
        let timeout = self.plan.online_timeout.as_millis() as u64;
        let is_away = |away: &Away| {
            let until = away.until.map_or(now, |until| until + SLACK_MS + slack).min(now);
            let lasts = until.saturating_sub(away.from) + SLACK_MS >= timeout;
            until >= began && (lasts || away.paused)
        };
        if admissions.away.get(&gate.endpoint).into_iter().flatten().any(is_away) {
            return Some("gate: admitted while the App is away");
        }
        let crowded = admissions.crowded_at.is_some_and(|at| at >= began);
        crowded.then_some("gate: admitted in a crowd")
    }

    /// A refusal ends all that its callback spoke for.
    fn check_refusal(&self, settlement: &Settlement, before: &[Connection], after: &User) {
        let id = &settlement.lease.id;
        let refusing = self.ledger().admissions.refusing.get(id).cloned();
        let refusing = refusing.filter(|_| settlement.fate == Fate::Delivered);
        let Some(Refusing { seqs, scope, at }) = refusing else { return };
        let now = self.ms();
        let closes = self.settings().closes_on_refusal;
        let mut ended = 0;
        for connection in before {
            let told = connection.told.at(scope);
            let open = connection.session == Session::AtGate
                || (connection.session == Session::Live && closes);
            if connection.told_id().is_none() || told == 0 || !seqs.contains(&told) || !open {
                continue;
            }
            ended += 1;
            let conn = short(connection.id);
            if after.connections().iter().any(|c| c.id == connection.id) {
                let how = format!("{conn} stays although {id} spoke for it and was refused");
                return self.violated("gate", &how);
            }
            let session = (id.user.clone(), connection.platform, connection.token);
            let admissions = &mut self.ledger().admissions;
            admissions.refused.insert(session, (at, now));
            let question = (id.user.clone(), connection.told.connection);
            if let Some(question) = admissions.questions.get_mut(&question) {
                question.refused_at = Some(at);
            }
        }
        match ended {
            0 => self.count("refusal: nothing to end"),
            1 => self.count("refusal: ends one"),
            _ => self.count("refusal: ends several"),
        }
    }

    /// The answer to a callback is recorded, and nothing else is done.
    pub(crate) fn only_settled(&self, settlement: &Settlement) {
        let last = self.ledger().admissions.last.get(&settlement.lease.id.user).cloned();
        if let Some(user) = last {
            self.check_refusal(settlement, user.connections(), &user);
        }
    }

    /// What a client that is turned away was told is true.
    pub(crate) fn not_admitted(&self, node: &Node, dial: &Dial, problem: NotAdmitted) {
        if problem != NotAdmitted::Refused || node.dead.is_cancelled() {
            return;
        }
        let now = self.ms();
        let troubled = self.store_calm_for().as_millis() < 20_000;
        let slack = if troubled { TROUBLED_SLACK_MS } else { SLACK_MS };
        let holds = self.plan.policy.refused_for.as_millis() as u64;
        let gate = self.settings().gate_scope();
        let ledger = self.ledger();
        let admissions = &ledger.admissions;
        let user = dial.session.0.clone();
        let mut questions = admissions.questions.range((user.clone(), 0)..=(user, u64::MAX));
        let refused_now = gate.is_some_and(|scope| {
            questions.any(|(_, question)| {
                question.refused_at.is_some()
                    && covers(scope, &question.session, &dial.session)
                    && question.ended_at.is_none_or(|at| at + slack >= dial.began)
            })
        });
        // After a step of the clock and a restart nobody knows how old a refusal is.
        let steps = self.plan.faults.clock_steps || self.plan.faults.clock_days;
        let known = admissions.refused.get(&dial.session);
        let is_new = |at: u64| now <= at + holds + slack + self.frozen_ms(at, now);
        let refused_before =
            known.is_some_and(|(_, stored)| holds > 0 && (steps || is_new(*stored)));
        let lingers =
            dial.lingered.is_some() && admissions.lingering(&dial.session) == dial.lingered;
        drop(ledger);
        let conn = short(dial.conn);
        if !refused_now && !refused_before {
            let how = format!("{conn} of {} reads that the App refused it", dial.session.0);
            self.violated("gate", &how);
        } else if !refused_now && lingers {
            let how = format!("{conn} of {} is refused its way back", dial.session.0);
            self.violated("gate", &how);
        }
    }

    /// Which sessions a step has ended for good, so that nobody waits for their return.
    pub(crate) fn note_ended(&self, commit: &Commit, changes: &[&Change]) {
        let ledger = &mut *self.ledger();
        for change in changes.iter().filter(|change| change.kind == Kind::Offline) {
            let Some(socket) = change.conn.and_then(|conn| ledger.sockets.get(&conn)) else {
                continue;
            };
            let session = (commit.user.clone(), socket.platform, socket.token);
            let on_purpose =
                matches!(change.reason, Reason::Kicked | Reason::Refused | Reason::LoggedOut);
            // One that asks anew in this very step comes too late.
            let asks_anew = |c: &Connection| {
                let before = ledger.admissions.last(&commit.user);
                c.session == Session::AtGate && !before.iter().any(|b| b.id == c.id)
            };
            let mut connections = commit.state.connections().iter();
            let stays = connections.any(|c| is_of(c, &session) && !asks_anew(c));
            if on_purpose || !stays {
                ledger.admissions.is_back(&session);
            }
        }
    }
}

/// Whether an answer about one login is one about another.
fn covers(scope: Scope, asked: &SessionKey, other: &SessionKey) -> bool {
    asked.0 == other.0
        && match scope {
            Scope::User => true,
            Scope::Platform => asked.1 == other.1,
            Scope::Connection => asked == other,
        }
}

fn is_of(connection: &Connection, (_, platform, token): &SessionKey) -> bool {
    connection.told_id().is_some() && connection.platform == *platform && connection.token == *token
}
