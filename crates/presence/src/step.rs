//! Turns what came and went in one step into changes, with their edges, order and `seq`.

use crate::{Change, ConnId, Connection, Edges, Kind, Now, Platform, Reason, Session};
use alloc::{boxed::Box, vec::Vec};

/// What one step did to a user's connections.
pub(crate) struct Step {
    before: Present,
    kicked: Vec<Connection>,
    departed: Vec<(Connection, Reason)>,
    arrived: Option<Arrival>,
}

/// Somebody came online, or a status was set by somebody who is.
pub(crate) struct Arrival {
    pub(crate) reason: Reason,
    pub(crate) platform: Platform,
    pub(crate) conn: Option<ConnId>,
    pub(crate) background: bool,
    pub(crate) address: Option<Box<str>>,
}

impl Step {
    pub(crate) fn begin(connections: &[Connection]) -> Step {
        let before = Present::of(connections);
        Step { before, kicked: Vec::new(), departed: Vec::new(), arrived: None }
    }

    pub(crate) fn depart(&mut self, connection: Connection, reason: Reason) {
        if reason == Reason::Kicked {
            self.kicked.push(connection.clone());
        }
        self.departed.push((connection, reason));
    }

    /// One that stops counting by itself: its grace or its lease is over, or it makes room.
    pub(crate) fn depart_by_itself(&mut self, connection: Connection) {
        let reason = match connection.session {
            Session::Lingering { end, .. } => end.into(),
            Session::AtGate | Session::Live | Session::Virtual { .. } => Reason::LeaseEnded,
        };
        self.depart(connection, reason);
    }

    pub(crate) fn arrive(&mut self, arrival: Arrival) {
        self.arrived = Some(arrival);
    }

    /// Writes the changes in the contract's order: kick-off, offline, online. Returns the `seq` of
    /// the online one.
    pub(crate) fn end(
        self,
        connections: &[Connection],
        now: Now,
        last_seq: &mut u64,
        changes: &mut Vec<Change>,
    ) -> Option<u64> {
        let after = Present::of(connections);
        let mut tell = |change: Change| {
            if !change.edges.any() {
                return None;
            }
            *last_seq = now.wall.0.max(*last_seq + 1);
            changes.push(Change { seq: *last_seq, ..change });
            Some(*last_seq)
        };
        for connection in &self.kicked {
            let edges = Edges { connection: true, ..Edges::default() };
            tell(gone(connection, Kind::KickOff, Reason::Kicked, edges, now));
        }
        for (at, (connection, reason)) in self.departed.iter().enumerate() {
            let edges = self.departure_edges(at, &after);
            tell(gone(connection, Kind::Offline, *reason, edges, now));
        }
        let arrival = self.arrived.as_ref()?;
        tell(Change {
            seq: 0,
            kind: Kind::Online,
            reason: arrival.reason,
            edges: Edges {
                connection: true,
                platform: !self.before.has(arrival.platform) && after.has(arrival.platform),
                user: self.before.is_empty() && !after.is_empty(),
            },
            online_scopes: Edges::all(),
            platform: arrival.platform,
            conn: arrival.conn,
            background: arrival.background,
            at: now.wall,
            // Known once the step is over.
            status: None,
            address: arrival.address.clone(),
        })
    }

    /// Of several that left at once, the last one carries the edge.
    fn departure_edges(&self, at: usize, after: &Present) -> Edges {
        let (connection, _) = &self.departed[at];
        let mut later = self.departed[at + 1..].iter().map(|(connection, _)| connection);
        let platform = connection.platform;
        let last_virtual = !after.has_virtual && !later.clone().any(Connection::is_virtual);
        Edges {
            // All virtual connections are one to the App, which hears of them as connID "".
            connection: !connection.is_virtual() || last_virtual,
            platform: !after.has(platform) && !later.clone().any(|c| c.platform == platform),
            user: after.is_empty() && later.next().is_none(),
        }
    }
}

fn gone(connection: &Connection, kind: Kind, reason: Reason, edges: Edges, now: Now) -> Change {
    Change {
        seq: 0,
        kind,
        reason,
        edges,
        online_scopes: Edges::all(),
        platform: connection.platform,
        conn: connection.told_id(),
        background: connection.background,
        at: now.wall,
        status: None,
        address: connection.address.clone(),
    }
}

/// Which platforms count as online, as a set of bits.
pub(crate) struct Present {
    platforms: u16,
    has_virtual: bool,
}

impl Present {
    pub(crate) fn of(connections: &[Connection]) -> Present {
        let platforms = platforms(connections.iter());
        Present { platforms, has_virtual: connections.iter().any(Connection::is_virtual) }
    }

    pub(crate) fn has(&self, platform: Platform) -> bool {
        self.platforms & (1 << platform.id()) != 0
    }

    fn is_empty(&self) -> bool {
        self.platforms == 0
    }
}

pub(crate) fn platforms<'a>(connections: impl Iterator<Item = &'a Connection>) -> u16 {
    connections.fold(0, |bits, c| bits | (1 << c.platform.id()))
}
