//! Who is in the background: what Apps are told of it beside who comes and goes.
//!
//! An App keeps one word about a connection, a platform or a user. About the latter two that is what holds for
//! their newest connection: the one that every online of theirs names, too.

use super::User;
use crate::{
    Change, ConnId, Connection, Edges, Kind, Now, Platform, Reason, Scope, Subject, Timestamp,
};
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
            for news in self.news(connection, before, &onlines) {
                self.last_seq = now.wall.0.max(self.last_seq + 1);
                changes.push(Change { seq: self.last_seq, at: now.wall, ..news });
            }
        }
    }

    /// What is to be said of a connection, to those who keep a word about what it speaks for: in as many changes as
    /// there are differences between them in what they heard of this step.
    fn news(
        &self,
        connection: &Connection,
        before: &Backgrounds,
        onlines: &[Change],
    ) -> Vec<Change> {
        let mut news: Vec<Change> = Vec::new();
        for kept in [Scope::Connection, Scope::Platform, Scope::User] {
            if !self.speaks_for(connection, kept) {
                continue;
            }
            let last = |heard_at: Scope| {
                let is_heard = |online: &&Change| {
                    is_same(online, connection, kept) && online.is_edge_of(heard_at)
                };
                onlines.iter().rfind(is_heard)
            };
            let believes_else = |heard_at: Scope| {
                let heard = last(heard_at).map(|online| online.background);
                let believed = heard.or_else(|| before.at(kept, connection));
                believed.is_some_and(|believed| believed != connection.background_told())
            };
            let online_scopes = Edges::of(believes_else);
            let edges = Edges::of(|scope| scope == kept);
            match news.iter_mut().find(|change| change.online_scopes == online_scopes) {
                _ if !online_scopes.any() => {}
                Some(same) => same.edges = Edges::of(|at| same.edges.at(at) || edges.at(at)),
                None => {
                    let reason = match last(Scope::Connection) {
                        Some(online) if !online_scopes.connection => online.reason,
                        Some(_) if !online_scopes.at(kept) => Reason::OtherConnection,
                        _ => Reason::Background,
                    };
                    news.push(Change {
                        seq: 0,
                        kind: Kind::Background,
                        reason,
                        edges,
                        online_scopes,
                        platform: connection.platform,
                        conn: connection.told_id(),
                        background: connection.background_told(),
                        at: Timestamp(0),
                        status: None,
                        address: connection.address.clone(),
                    });
                }
            }
        }
        news
    }

    /// Whether what is kept at a scope says what holds for a connection.
    fn speaks_for(&self, connection: &Connection, kept: Scope) -> bool {
        let is_newest = |of: &dyn Fn(&Connection) -> bool| {
            newest(&self.connections, of).is_some_and(|newest| core::ptr::eq(newest, connection))
        };
        match kept {
            Scope::Connection => !connection.is_virtual(),
            Scope::Platform => is_newest(&|c| c.platform == connection.platform),
            Scope::User => is_newest(&|_| true),
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
