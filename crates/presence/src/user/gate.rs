//! Logins about which the App is asked before they are let in.
//!
//! What is under way is in the user's state, so that it holds over nodes and restarts: a connection
//! [`Session::AtGate`] is a question that was asked. What it replaces lingers until it is let in.

use super::User;
use crate::{
    Admission, ConnId, Connection, Denied, Effects, End, Login, Now, Platform, Policy, Scope,
    Session, Standing, TokenHash, step::Step,
};
use alloc::vec::Vec;
use core::time::Duration;

/// When a return that found all questions taken tries again.
const NEXT_TURN: Duration = Duration::from_millis(500);
/// About how many logins of one user the App is asked at the same time.
const QUESTIONS_MAX: usize = 4;

impl User {
    /// Asks the App about a login, unless what it was told, or is asked, covers it.
    pub(super) fn knock(
        &mut self,
        login: &Login,
        scope: Scope,
        may_ask: bool,
        now: Now,
        policy: &Policy,
        effects: &mut Effects,
    ) {
        if let Some(known) = self.connections.iter().find(|c| c.id == login.conn) {
            effects.admission =
                if known.is_at_gate() { Admission::Asked } else { Admission::Inside };
            return;
        }
        if let Some(question) = self.question_about(login, scope) {
            return self.share(question, login, now, policy, effects);
        }
        if !self.is_news(login, scope) {
            return self.connect(login, now, policy, effects);
        }
        if !may_ask {
            effects.denied = Some(Denied::NoPlace);
            return;
        }
        if self.connections.iter().filter(|c| c.is_at_gate()).count() >= QUESTIONS_MAX {
            effects.denied = Some(self.too_many_questions(login, now, policy));
            return;
        }
        effects.denied = self.why_denied(login, now, policy);
        if effects.denied.is_some() {
            return;
        }
        let arrival = self.arrival_of(login);
        let cover = self.cover(login.platform);
        let mut step = Step::begin(&self.connections);
        self.connections.push(self.newcomer(login, Session::AtGate, now));
        step.arrive(arrival);
        let seq = step.end(&self.connections, now, &mut self.last_seq, &mut effects.changes);
        self.note_told(login.conn, cover, seq);
        effects.admission = Admission::Asked;
    }

    /// A return is not refused, but waits for its turn; its session goes on to linger meanwhile.
    fn too_many_questions(&mut self, login: &Login, now: Now, policy: &Policy) -> Denied {
        let Login { platform, token, .. } = *login;
        let is_return =
            self.connections.iter().any(|c| c.is_lingering() && c.is_session_of(platform, token));
        if !is_return {
            return Denied::TooManyQuestions;
        }
        self.linger_until(now.mono + policy.offline_grace, platform, token);
        Denied::NotBefore(now.mono + NEXT_TURN)
    }

    /// It was told when it knocked; what it replaces and what it pushes out is told now.
    pub(super) fn let_in(
        &mut self,
        conn: ConnId,
        now: Now,
        policy: &Policy,
        effects: &mut Effects,
    ) {
        let is_it = |c: &Connection| c.id == conn && !c.is_virtual();
        let Some(at) = self.connections.iter().position(is_it) else {
            effects.denied = Some(Denied::Kicked);
            return;
        };
        if !self.connections[at].is_at_gate() {
            return;
        }
        let mut step = Step::begin(&self.connections);
        self.connections[at].session = Session::Live;
        let newcomer = self.connections[at].clone();
        self.forget_lost(newcomer.platform, newcomer.token);
        self.replace_lingering(newcomer.platform, newcomer.token, &mut step);
        // Other tabs of the session waited for the same answer, and are about to return.
        let until = now.mono + policy.offline_grace;
        self.linger_until(until, newcomer.platform, newcomer.token);
        self.kick_rivals(&newcomer, newcomer.told.connection, policy, &mut step, effects);
        self.make_room(conn, &mut step, effects);
        step.end(&self.connections, now, &mut self.last_seq, &mut effects.changes);
    }

    /// Ends a question that has no answer. It was never let in; what it would have replaced lingers
    /// on from now, since its client was heard of. False: the App is not asked about it.
    pub(super) fn withdraw(
        &mut self,
        conn: ConnId,
        end: End,
        now: Now,
        policy: &Policy,
        effects: &mut Effects,
    ) -> bool {
        let is_it = |c: &Connection| c.is_at_gate() && c.id == conn;
        let Some(question) = self.connections.iter().find(|c| is_it(c)) else { return false };
        let (platform, token) = question.session_key();
        self.linger_until(now.mono + policy.offline_grace, platform, token);
        self.remove(now, effects, |c| is_it(c).then_some(end.into()));
        true
    }

    /// The sessions to which those at the gate would return; of these what lingers is kept.
    pub(super) fn predecessors(
        &self,
        of: impl Fn(&Connection) -> bool,
    ) -> Vec<(Platform, TokenHash)> {
        let questions = self.connections.iter().filter(|c| c.is_at_gate() && of(c));
        questions.map(Connection::session_key).collect()
    }

    /// The question that an answer of the App about this login would answer, too.
    fn question_about(&self, login: &Login, scope: Scope) -> Option<ConnId> {
        let mut questions = self.connections.iter().filter(|c| c.is_at_gate());
        let question = match scope {
            Scope::Connection => questions.find(|c| c.is_session_of(login.platform, login.token)),
            Scope::Platform | Scope::User => {
                let told = self.told_of(login, scope)?;
                questions.find(|c| c.told.connection == told)
            }
        };
        question.map(|c| c.id)
    }

    fn share(
        &self,
        question: ConnId,
        login: &Login,
        now: Now,
        policy: &Policy,
        effects: &mut Effects,
    ) {
        let Login { platform, token, issued_at, .. } = *login;
        match self.standing(platform, token, issued_at, now.wall, policy) {
            Standing::Good => effects.admission = Admission::Shares(question),
            standing => effects.denied = Some(Denied::Token(standing)),
        }
    }

    /// Whether an App that is told of logins at this scope is told of this one.
    fn is_news(&self, login: &Login, scope: Scope) -> bool {
        self.told_of(login, scope).is_none()
    }

    /// The change that told such an App of the platform, or the user, of a login.
    fn told_of(&self, login: &Login, scope: Scope) -> Option<u64> {
        let (platform, user) = self.cover(login.platform)?;
        match scope {
            Scope::Connection => None,
            Scope::Platform => platform,
            Scope::User => Some(user),
        }
    }
}
