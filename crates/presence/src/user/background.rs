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
            let edges = self.background_edges(connection, before, &onlines);
            if !edges.any() {
                continue;
            }
            self.last_seq = now.wall.0.max(self.last_seq + 1);
            let is_its_own = |online: &&Change| online.conn == connection.told_id();
            let told_beside = onlines.iter().find(is_its_own);
            changes.push(Change {
                seq: self.last_seq,
                kind: Kind::Background,
                reason: told_beside.map_or(Reason::Background, |online| online.reason),
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

    /// For whom what holds for a connection is news.
    fn background_edges(
        &self,
        connection: &Connection,
        before: &Backgrounds,
        onlines: &[Change],
    ) -> Edges {
        let told = connection.background_told();
        let speaks_for = |of: &dyn Fn(&Connection) -> bool| {
            newest(&self.connections, of).is_some_and(|newest| core::ptr::eq(newest, connection))
        };
        // An online of this step that names another connection told something else.
        let was_told = |of: &dyn Fn(&Change) -> bool| {
            let last = onlines.iter().rev().find(|online| of(online));
            last.is_some_and(|online| online.background != told)
        };
        let is_news = |scope, of: &dyn Fn(&Change) -> bool| {
            before.at(scope, connection).is_some_and(|before| before != told || was_told(of))
        };
        let platform = connection.platform;
        Edges {
            connection: !connection.is_virtual()
                && is_news(Scope::Connection, &|online| online.conn == connection.told_id()),
            platform: speaks_for(&|c| c.platform == platform)
                && is_news(Scope::Platform, &|online| online.platform == platform),
            user: speaks_for(&|_| true) && is_news(Scope::User, &|_| true),
        }
    }
}
