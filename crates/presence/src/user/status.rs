//! Custom statuses of a user, and the virtual connections that they hold.

use super::User;
use crate::{
    Author, Availability, ConnId, Connection, Denied, Effects, Instant, Now, Platform, Policy,
    Reason, Session, Status, TokenHash, Told,
    status::SetStatus,
    step::{Arrival, Step},
};
use alloc::boxed::Box;

/// The name of all virtual connections, which the App is never told.
const VIRTUAL: ConnId = ConnId([0; 16]);

impl User {
    pub(super) fn set_status(
        &mut self,
        platform: Platform,
        status: Status,
        by: Author,
        now: Now,
        policy: &Policy,
        effects: &mut Effects,
    ) {
        let is_new = self.status(now.wall) != Some(&status);
        if is_new && !self.rates.set_status(by, now.mono, policy.user_budget) {
            effects.denied = Some(Denied::TooOften);
            return;
        }
        let cover = self.cover(platform);
        let mut step = Step::begin(&self.connections);
        let brought_online = self.hold_place(platform, &status, now, policy);
        if self.is_online() && (is_new || brought_online) {
            step.arrive(self.status_told(brought_online));
        }
        let seq = step.end(&self.connections, now, &mut self.last_seq, &mut effects.changes);
        if brought_online {
            self.note_told(VIRTUAL, cover, seq);
        }
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
            // A renewal is written only where it renews a good part of the lease.
            let renews = match held.session {
                Session::Virtual { until: old } => {
                    until < old
                        || old.after(now.mono) + policy.virtual_lease / 10 < until.after(now.mono)
                }
                _ => true,
            };
            if renews {
                held.session = Session::Virtual { until };
            }
            return false;
        }
        let wanted = status.availability == Availability::Online;
        if !wanted || until <= now.mono || self.connections.iter().any(Connection::is_live) {
            return false;
        }
        self.connections.push(Connection {
            id: VIRTUAL,
            platform,
            token: TokenHash([0; 16]),
            issued_at: Default::default(),
            background: false,
            switch: None,
            address: None,
            since: now.wall,
            session: Session::Virtual { until },
            told: Told::default(),
        });
        true
    }

    /// What a status change says: the user's newest connection; a virtual one (told as none) only
    /// when it is new or there is no other.
    fn status_told(&self, brought_online: bool) -> Arrival {
        let real = || self.connections.iter().rev().filter(|c| !brought_online && !c.is_virtual());
        let newest = real().find(|c| !c.is_at_gate()).or_else(|| real().next());
        let newest = newest.or(self.connections.last()).expect("told of present users only");
        Arrival {
            reason: Reason::Status,
            platform: newest.platform,
            conn: newest.told_id(),
            // A switch that waits for its turn comes after it.
            background: newest.background_told(),
            address: newest.address.clone(),
        }
    }

    pub(super) fn clear_status(
        &mut self,
        platform: Option<Platform>,
        now: Now,
        effects: &mut Effects,
    ) {
        self.status = None;
        self.remove(now, effects, |c| {
            let here = c.is_virtual() && platform.is_none_or(|platform| platform == c.platform);
            here.then_some(Reason::StatusCleared)
        });
    }

    /// Takes a refused status back; returns where the virtual connection ends that came with it.
    pub(super) fn undo_status(&mut self, seq: u64) -> Option<Platform> {
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
}
