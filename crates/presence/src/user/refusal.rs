//! The App's refusals: what they end, and for whom they hold.

use super::User;
use crate::{
    Connection, Effects, Login, Now, Platform, Policy, Reason, Refusal, Refused, Scope,
    refusal::Remembered,
};
use alloc::vec::Vec;

impl User {
    /// Ends whatever the callback spoke for, as far as it is still there: a late or repeated refusal
    /// finds nothing to undo and is quiet.
    pub(super) fn refuse(
        &mut self,
        refused: Refused,
        now: Now,
        policy: &Policy,
        effects: &mut Effects,
    ) {
        let Refused { mut seqs, scope, only_at_gate, refusal } = refused;
        // Oldest first, so that no status is restored that is refused itself.
        seqs.sort_unstable();
        let is_spoken_for = |c: &Connection| {
            let told = c.told.at(scope);
            told != 0 && seqs.contains(&told)
        };
        let hit =
            |c: &Connection| is_spoken_for(c) && (c.is_at_gate() || (c.is_live() && !only_at_gate));
        let ended: Vec<_> = self.connections.iter().filter(|c| hit(c)).cloned().collect();
        let predecessors = self.predecessors(hit);
        for connection in &ended {
            let of = connection.session_key();
            Remembered::add(&mut self.refusals, of, refusal.clone(), now, policy);
        }
        // Those at the gate read the App's words as the answer to their handshake.
        self.close_sockets(effects, |c| hit(c) && c.is_live());
        let undo = seqs.iter().filter(|_| !only_at_gate);
        let places: Vec<Platform> = undo.filter_map(|seq| self.undo_status(*seq)).collect();
        let is_ended = |c: &Connection| ended.iter().any(|e| e.id == c.id && !c.is_virtual());
        // At a wider scope the callback also spoke for a status that was set later.
        let is_covered = |c: &Connection| {
            c.is_virtual()
                && scope != Scope::Connection
                && is_spoken_for(c)
                && !(only_at_gate && ended.is_empty())
        };
        self.remove(now, effects, |c| {
            let gone = is_ended(c)
                || is_covered(c)
                || (c.is_lingering() && predecessors.contains(&c.session_key()))
                || (c.is_virtual() && places.contains(&c.platform));
            gone.then_some(Reason::Refused)
        });
    }

    /// What the App said about this very platform and token a moment ago.
    pub(super) fn refusal_of(
        &mut self,
        login: &Login,
        now: Now,
        policy: &Policy,
    ) -> Option<Refusal> {
        self.refusals.retain(|known| known.holds(now, policy));
        let of = (login.platform, login.token);
        self.refusals.iter().find(|known| known.is_of(of)).map(|known| known.refusal().clone())
    }
}
