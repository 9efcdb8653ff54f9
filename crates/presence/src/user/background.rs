//! Who is in the background: what Apps are told of it beside who comes and goes.
//!
//! An App keeps one word about a connection, a platform or a user. About the latter two that is what holds for
//! their newest connection: the one that every online of theirs names, too.

use super::User;
use crate::{Change, ConnId, Connection, Edges, Kind, Now, Platform, Reason, Scope, Subject};
use alloc::vec::Vec;

/// The newest of some connections; a virtual one only when there is no other.
pub(super) fn newest(
    connections: &[Connection],
    of: impl Fn(&Connection) -> bool,
) -> Option<&Connection> {
    let those = || connections.iter().rev().filter(|c| of(c));
    those().find(|c| !c.is_virtual()).or_else(|| those().next())
}

/// What Apps believe.
pub(super) struct Backgrounds {
    connections: Vec<(Option<ConnId>, bool)>,
    platforms: Vec<(Platform, bool)>,
    user: Option<bool>,
}

impl Backgrounds {
    pub(super) fn of(connections: &[Connection]) -> Backgrounds {
        let told = |c: &Connection| c.background_told();
        let of_platform =
            |platform: &Platform| newest(connections, |c| c.platform == *platform).map(told);
        let platforms = Platform::ALL.into_iter();
        Backgrounds {
            connections: connections.iter().map(|c| (c.told_id(), told(c))).collect(),
            platforms: platforms.filter_map(|p| Some((p, of_platform(&p)?))).collect(),
            user: newest(connections, |_| true).map(told),
        }
    }

    /// What they believe about what a connection speaks for at a scope; none: that it is offline.
    fn at(&self, scope: Scope, connection: &Connection) -> Option<bool> {
        match scope {
            Scope::Connection => {
                let of = connection.told_id();
                self.connections.iter().find(|(id, _)| *id == of).map(|(_, told)| *told)
            }
            Scope::Platform => {
                let of = connection.platform;
                self.platforms.iter().find(|(platform, _)| *platform == of).map(|(_, told)| *told)
            }
            Scope::User => self.user,
        }
    }
}

impl User {
    /// Whether Apps are told that a connection is in the background, or that the newest one of a platform or
    /// of the user is.
    pub fn is_in_background(&self, subject: Subject) -> bool {
        newest(&self.connections, |c| subject.includes(c)).is_some_and(Connection::background_told)
    }

    /// Tells it of what was there before the step and still is.
    pub(super) fn say_background(
        &mut self,
        before: &Backgrounds,
        now: Now,
        changes: &mut Vec<Change>,
    ) {
        let onlines = changes.iter().filter(|change| change.kind == Kind::Online);
        let onlines: Vec<Change> = onlines.cloned().collect();
        for at in 0..self.connections.len() {
            let connection = &self.connections[at];
            let its_own = onlines.iter().rfind(|online| online.conn == connection.told_id());
            let is_news = |scope: Scope| {
                let is_told = |online: &&Change| {
                    is_same(online, connection, scope) && online.is_edge_of(scope)
                };
                let told = onlines.iter().rfind(is_told).map(|online| online.background);
                let told = told.or_else(|| before.at(scope, connection));
                told.is_some_and(|told| told != connection.background_told())
            };
            let is_contradicted = |scope: Scope| {
                before.at(scope, connection).is_some()
                    && is_contradicted(connection, scope, &onlines)
            };
            let (edges, reason) = match self.background_edges(connection, is_news) {
                edges if edges.any() => {
                    (edges, its_own.map_or(Reason::Background, |online| online.reason))
                }
                _ => {
                    let edges = self.background_edges(connection, is_contradicted);
                    (edges, Reason::OtherConnection)
                }
            };
            if !edges.any() {
                continue;
            }
            self.last_seq = now.wall.0.max(self.last_seq + 1);
            changes.push(Change {
                seq: self.last_seq,
                kind: Kind::Background,
                reason,
                edges,
                platform: connection.platform,
                conn: connection.told_id(),
                background: connection.background_told(),
                at: now.wall,
                status: None,
                address: connection.address.clone(),
            });
        }
    }

    /// For whom what holds for a connection is to be said, of those that it speaks for.
    fn background_edges(&self, connection: &Connection, is_due: impl Fn(Scope) -> bool) -> Edges {
        let speaks_for = |of: &dyn Fn(&Connection) -> bool| {
            newest(&self.connections, of).is_some_and(|newest| core::ptr::eq(newest, connection))
        };
        let platform = connection.platform;
        Edges {
            connection: !connection.is_virtual() && is_due(Scope::Connection),
            platform: speaks_for(&|c| c.platform == platform) && is_due(Scope::Platform),
            user: speaks_for(&|_| true) && is_due(Scope::User),
        }
    }
}

/// Whether an online is about what a connection speaks for.
fn is_same(online: &Change, connection: &Connection, scope: Scope) -> bool {
    match scope {
        Scope::Connection => online.conn == connection.told_id(),
        Scope::Platform => online.platform == connection.platform,
        Scope::User => true,
    }
}

/// Whether the last online of this step about it said something else.
fn is_contradicted(connection: &Connection, scope: Scope, onlines: &[Change]) -> bool {
    let last = onlines.iter().rfind(|online| is_same(online, connection, scope));
    last.is_some_and(|online| online.background != connection.background_told())
}
