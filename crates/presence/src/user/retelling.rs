//! How things are, told once more to an App that missed what became of them.

use super::{User, background::newest};
use crate::{Change, Connection, Edges, Kind, Now, Reason, Retold, Scope, Subject};
use alloc::vec::Vec;

impl User {
    /// What an App that was not told of `missed` is to be told of its subject now, as a change with a
    /// `seq` of its own. A refusal of an online ends only what came online with it at the scope `online`: the
    /// App may have accepted what came before at a wider scope.
    pub(super) fn retell(
        &mut self,
        subject: Subject,
        missed: &Change,
        online: Scope,
        now: Now,
    ) -> Retold {
        self.last_seq = now.wall.0.max(self.last_seq + 1);
        // Whatever the App counts, it is news to it.
        let edges = Edges::all();
        let (seq, reason, at) = (self.last_seq, Reason::Resync, now.wall);
        let change = Change { seq, reason, edges, at, ..missed.clone() };
        let Some(newest) = newest(&self.connections, |c| subject.includes(c)) else {
            let change = Change { kind: Kind::Offline, background: false, ..change };
            return Retold { change, speaks_for: Vec::new() };
        };
        let Connection { platform, told, .. } = *newest;
        let background = newest.background_told();
        let (kind, conn) = (Kind::Online, newest.told_id());
        let address = newest.address.clone();
        let change = Change { kind, platform, conn, background, address, ..change };
        let speaks_for = Some(told.at(online)).filter(|seq| *seq != 0);
        Retold { change, speaks_for: speaks_for.into_iter().collect() }
    }
}
