//! Who watches whom: subscriptions of connections to users' statuses, and the pushes to them.
//!
//! A subscription lives as long as its connection. It is registered before the status is read, so
//! no change falls between the two.

use super::outbound::Outbound;
use presence::{ConnId, Platform, Sight, UserId};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio_tungstenite::tungstenite::Bytes;
use wire::{
    frame::{Codec, Response},
    identifier,
    message::{Message, SubUserOnlineStatusElem, SubUserOnlineStatusTips},
};

/// How many users one connection may watch; further ones are answered as offline and not watched.
pub(super) const WATCHED_MAX: usize = 3_000;
/// How many all connections of one user may watch together.
const WATCHED_BY_USER_MAX: usize = 4 * WATCHED_MAX;

/// All subscriptions in this process.
#[derive(Default)]
pub(super) struct Watchers(Mutex<Subscriptions>);

#[derive(Default)]
struct Subscriptions {
    /// Who watches a user.
    watchers: HashMap<UserId, HashMap<ConnId, Watcher>>,
    /// Whom a connection watches.
    watched: HashMap<ConnId, Watched>,
    /// How many all connections of a user watch.
    by_user: HashMap<UserId, usize>,
}

struct Watched {
    /// Who watches.
    by: UserId,
    names: HashSet<UserId>,
}

/// A connection that watches.
#[derive(Clone)]
pub(super) struct Watcher {
    pub(super) conn: ConnId,
    pub(super) user: UserId,
    pub(super) outbound: Arc<Outbound>,
}

impl Watchers {
    /// False: this connection, or those of its user together, watch as many as they may.
    pub(super) fn watch(&self, watcher: &Watcher, user: &UserId) -> bool {
        let subscriptions = &mut *self.lock();
        let Subscriptions { watched, by_user, .. } = subscriptions;
        let watched = watched
            .entry(watcher.conn)
            .or_insert_with(|| Watched { by: watcher.user.clone(), names: HashSet::new() });
        if !watched.names.contains(user) {
            let theirs = by_user.entry(watcher.user.clone()).or_default();
            if watched.names.len() >= WATCHED_MAX || *theirs >= WATCHED_BY_USER_MAX {
                return false;
            }
            *theirs += 1;
            watched.names.insert(user.clone());
        }
        let watchers = subscriptions.watchers.entry(user.clone()).or_default();
        watchers.insert(watcher.conn, watcher.clone());
        true
    }

    pub(super) fn unwatch(&self, conn: ConnId, user: &UserId) {
        let subscriptions = &mut *self.lock();
        if let Some(watched) = subscriptions.watched.get_mut(&conn)
            && watched.names.remove(user)
        {
            let by = watched.by.clone();
            subscriptions.count_less(&by, 1);
        }
        subscriptions.forget(conn, user);
    }

    /// Whom a connection watches, by name.
    pub(super) fn watched(&self, conn: ConnId) -> Vec<UserId> {
        let subscriptions = self.lock();
        let watched = subscriptions.watched.get(&conn).into_iter().flat_map(|one| &one.names);
        let mut watched: Vec<UserId> = watched.cloned().collect();
        watched.sort_unstable();
        watched
    }

    /// The connection is gone, and with it all it watched.
    pub(super) fn forget(&self, conn: ConnId) {
        let subscriptions = &mut *self.lock();
        let Some(Watched { by, names }) = subscriptions.watched.remove(&conn) else { return };
        subscriptions.count_less(&by, names.len());
        for user in names {
            subscriptions.forget(conn, &user);
        }
    }

    /// Tells all who watch a user where they are now, if that is news to them.
    pub(super) fn tell(&self, user: &UserId, before: Sight, now: Sight) {
        let subscriptions = self.lock();
        let Some(watchers) = subscriptions.watchers.get(user) else { return };
        let mut written: HashMap<(Codec, bool), Bytes> = HashMap::new();
        for watcher in watchers.values() {
            let is_self = watcher.user == *user;
            let seen = seen_by(is_self, now);
            if seen == seen_by(is_self, before) {
                continue;
            }
            let frame = written.entry((watcher.outbound.codec, is_self)).or_insert_with(|| {
                let tips = SubUserOnlineStatusTips { subscribers: vec![element(user, seen)] };
                let push = Response::push(identifier::SUB_USER_ONLINE_STATUS, tips.encode_to_vec());
                watcher.outbound.codec.encode(&push).into()
            });
            watcher.outbound.push(frame.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Subscriptions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriptions {
    fn count_less(&mut self, by: &UserId, names: usize) {
        let left = self.by_user.get(by).map_or(0, |theirs| theirs.saturating_sub(names));
        match left {
            0 => self.by_user.remove(by),
            left => self.by_user.insert(by.clone(), left),
        };
    }

    fn forget(&mut self, conn: ConnId, user: &UserId) {
        if let Some(watchers) = self.watchers.get_mut(user) {
            watchers.remove(&conn);
            if watchers.is_empty() {
                self.watchers.remove(user);
            }
        }
    }
}

pub(super) fn seen_by(is_self: bool, sight: Sight) -> Vec<Platform> {
    if is_self { sight.to_self().collect() } else { sight.to_others().collect() }
}

/// A user with the platforms they are online on, in order of their numbers; none: offline.
pub(super) fn element(user: &UserId, platforms: Vec<Platform>) -> SubUserOnlineStatusElem {
    SubUserOnlineStatusElem {
        user_id: user.to_string(),
        online_platform_ids: platforms.into_iter().map(|platform| platform.id().into()).collect(),
    }
}
