//! What each endpoint is told of, and was told of before: one that was told of less for a while may be wrong
//! about whatever happened meanwhile, and about what it was still owed.

use super::Parts;
use crate::callbacks::{Endpoint, EndpointSettings};
use presence::{
    Change, ConnId, Connection, Edges, Kind, Platform, Reason, Scope, Subject, Timestamp, User,
    UserId,
};
use std::collections::HashMap;
use store::{
    Anew, CallbackState, EndpointChange, EndpointName, EndpointState, Resync, StoreError, UserQuery,
};

/// What an endpoint is told of that is not configured.
const NOTHING: &str = "nothing";
/// How much is read, and marked, in one go.
const PAGE: usize = 500;
/// What an App may still hold is remembered of so many at most; the resync mark says the rest.
const HELD_MAX: usize = 200_000;

/// Which kinds are told; who is kicked changes nothing in a view.
#[derive(Clone, Copy, PartialEq)]
struct Kinds {
    online: bool,
    offline: bool,
    background: bool,
}

impl Kinds {
    /// From what is stored about an endpoint: its [`presence::Interest`] as text, or [`NOTHING`].
    fn read(told_of: &str) -> Kinds {
        Kinds {
            online: told_of.contains(" online: Some"),
            offline: told_of.contains(" offline: Some"),
            background: told_of.contains(" background: true"),
        }
    }

    fn has_more_than(self, other: Kinds) -> bool {
        self.says_more_of_who_is_there_than(other) || (self.background && !other.background)
    }

    fn says_more_of_who_is_there_than(self, other: Kinds) -> bool {
        (self.online && !other.online) || (self.offline && !other.offline)
    }
}

impl Parts {
    /// An endpoint that is new, or told of other things than before, must read who is online. What one may be
    /// wrong about that is told of a kind again is marked. `highest` is the highest `seq` of the process
    /// before this one.
    pub(super) async fn note_what_is_told(&self, highest: u64) -> Result<(), StoreError> {
        let somebody = UserQuery { online_only: false, after: None, limit: 1 };
        let is_used = !self.store.users(somebody).await?.is_empty();
        for endpoint in &self.endpoints {
            let EndpointSettings { name, interest, .. } = &endpoint.settings;
            let told_of = format!("{interest:?}");
            let before = self.store.endpoint(name).await?;
            if is_used && before.told_of.as_ref() != Some(&told_of) {
                let why = "it is new, or told of other things than before".to_owned();
                let since = self.clock.now().wall;
                let change = EndpointChange::NeedsResync(Resync { since, why, heals: false });
                self.store.change_endpoint(name, change).await?;
            }
            let now = Kinds::read(&told_of);
            if let Some(before_of) = before.told_of.as_deref().map(Kinds::read) {
                if now.has_more_than(before_of) {
                    let is_there = now.says_more_of_who_is_there_than(before_of);
                    self.begin_anew(endpoint, &before, is_there).await?;
                }
                self.note_missing(name, &before, before_of, now, highest).await?;
            }
            self.store.change_endpoint(name, EndpointChange::ToldOf(told_of)).await?;
            let stands = self.store.endpoint(name).await?;
            if let Some(Resync { why, .. }) = stands.resync {
                tracing::warn!(endpoint = %name, why, "the App must read who is online");
            }
            if stands.paused {
                let owed = self.store.backlog(name).await?.owed;
                tracing::warn!(
                    endpoint = %name, owed,
                    "the endpoint is paused: nothing is sent to it until it is resumed \
                     (POST /v1/endpoints/{name}/resume)"
                );
            }
        }
        Ok(())
    }

    /// An endpoint that is not configured any more is told nothing: if it comes back, it must read
    /// who is online.
    pub(super) async fn note_who_is_gone(&self, highest: u64) -> Result<(), StoreError> {
        for name in self.store.endpoints().await? {
            if self.endpoints.iter().any(|endpoint| endpoint.settings.name == name) {
                continue;
            }
            let before = self.store.endpoint(&name).await?;
            let nothing = Kinds::read(NOTHING);
            let before_of = before.told_of.as_deref().map_or(nothing, Kinds::read);
            self.note_missing(&name, &before, before_of, nothing, highest).await?;
            self.store.change_endpoint(&name, EndpointChange::ToldOf(NOTHING.to_owned())).await?;
            let owed = self.store.backlog(&name).await?.owed;
            if owed > 0 {
                tracing::warn!(
                    endpoint = %name, owed,
                    "callbacks are owed to an endpoint that is not configured any more: if you configure it \
                     again, it is told how things are then; else they expire (callbacks.retention)"
                );
            }
        }
        Ok(())
    }

    /// Since when it is told of less than it was once.
    async fn note_missing(
        &self,
        name: &EndpointName,
        before: &EndpointState,
        before_of: Kinds,
        now: Kinds,
        highest: u64,
    ) -> Result<(), StoreError> {
        let since = match before.missing_since {
            since if before_of.has_more_than(now) => since.or(Some(highest)),
            // What may still be missing counts as missing since ever.
            _ if now.has_more_than(before_of) => None,
            since => since,
        };
        self.store.change_endpoint(name, EndpointChange::Missing(since)).await
    }

    /// Marks what an endpoint may be wrong about that is told of a kind again. If that says who is there, what
    /// is owed from before is told as it is now, too.
    async fn begin_anew(
        &self,
        endpoint: &Endpoint,
        before: &EndpointState,
        is_there: bool,
    ) -> Result<(), StoreError> {
        let (name, scope) = (&endpoint.settings.name, endpoint.scope());
        // Where it was never told of the kind, that is missing since ever.
        let since = before.missing_since.unwrap_or(0);
        let mut missed = Missed { parts: self, endpoint, marked: 0, page: Vec::new() };
        let mut after = None;
        loop {
            let query = UserQuery { online_only: !is_there, after, limit: PAGE };
            let users = self.store.users(query).await?;
            let Some((last, _)) = users.last() else { break };
            after = Some(last.clone());
            let changed = users.into_iter().filter(|(_, user)| user.last_seq() >= since);
            for (name, user) in changed {
                for change in present(&user, scope) {
                    missed.add(name.clone(), change).await?;
                }
                if !user.is_online() && scope == Scope::User {
                    missed.add(name, change(user.last_seq(), Platform::Web, None)).await?;
                }
            }
        }
        if is_there && scope != Scope::User {
            for ((user, subject), held) in self.held(name, scope, before.forgotten_row).await? {
                let now = self.store.load(&user).await?.value;
                let is_known =
                    present(&now, scope).iter().any(|c| Subject::of(c, scope) == subject);
                let last = now.last_seq().max(held.seq);
                if last >= since && !is_known {
                    missed.add(user, change(last, held.platform, held.conn)).await?;
                }
            }
        }
        let marked = missed.end(is_there).await?;
        tracing::warn!(
            endpoint = %name, marked,
            "the endpoint is told of something that it was not told of for a while: it is told how things \
             are now"
        );
        Ok(())
    }

    /// What the App of an endpoint was told is there, and was not told is gone, as far as its callbacks are kept.
    async fn held(
        &self,
        name: &EndpointName,
        scope: Scope,
        forgotten_row: u64,
    ) -> Result<HashMap<(UserId, Subject), Change>, StoreError> {
        let mut held = HashMap::new();
        let mut row = forgotten_row;
        while let Some(page) = self.store.callbacks_after(name, row, PAGE).await?
            && !page.records.is_empty()
        {
            row = page.cursor;
            for record in page.records {
                let key = (record.id.user, Subject::of(&record.change, scope));
                match record.change.kind {
                    Kind::Online if held.len() < HELD_MAX => drop(held.insert(key, record.change)),
                    Kind::Offline if record.state == CallbackState::Delivered => {
                        held.remove(&key);
                    }
                    _ => {}
                }
            }
        }
        Ok(held)
    }
}

/// Changes that an endpoint may have missed, a page at a time.
struct Missed<'a> {
    parts: &'a Parts,
    endpoint: &'a Endpoint,
    marked: usize,
    page: Vec<(UserId, Change)>,
}

impl Missed<'_> {
    async fn add(&mut self, user: UserId, change: Change) -> Result<(), StoreError> {
        self.page.push((user, change));
        if self.page.len() < PAGE { Ok(()) } else { self.write(false).await }
    }

    async fn end(mut self, begins: bool) -> Result<usize, StoreError> {
        self.write(begins).await?;
        Ok(self.marked)
    }

    async fn write(&mut self, begins: bool) -> Result<(), StoreError> {
        let missed = std::mem::take(&mut self.page);
        self.marked += missed.len();
        let (endpoint, scope) = (self.endpoint.settings.name.clone(), self.endpoint.scope());
        let at = self.parts.clock.now().wall;
        self.parts.store.begin_anew(Anew { endpoint, scope, missed, begins, at }).await
    }
}

/// What an App that keeps a word at this scope should hold of a user, one change for each.
fn present(user: &User, scope: Scope) -> Vec<Change> {
    let of = |c: &Connection| change(user.last_seq(), c.platform, c.told_id());
    let mut present: Vec<Change> = Vec::new();
    for missed in user.connections().iter().map(of) {
        let subject = Subject::of(&missed, scope);
        if !present.iter().any(|other| Subject::of(other, scope) == subject) {
            present.push(missed);
        }
    }
    present
}

/// A change that only says what it is about.
fn change(last_seq: u64, platform: Platform, conn: Option<ConnId>) -> Change {
    Change {
        seq: last_seq,
        kind: Kind::Offline,
        reason: Reason::Resync,
        edges: Edges::all(),
        online_scopes: Edges::all(),
        platform,
        conn,
        background: false,
        at: Timestamp(0),
        status: None,
        address: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence::Interest;

    #[test]
    fn the_kinds_that_an_endpoint_was_told_of_are_read_from_what_is_stored() {
        for n in 0..8 {
            let is = |bit: u32| n >> bit & 1 == 1;
            let scope = |bit| is(bit).then_some(Scope::User);
            let (online, offline) = (scope(0), scope(1));
            let interest = Interest { online, offline, kick_off: !is(0), background: is(2) };
            let kinds = Kinds { online: is(0), offline: is(1), background: is(2) };
            assert!(Kinds::read(&format!("{interest:?}")) == kinds, "{interest:?}");
        }
        assert!(!Kinds::read(NOTHING).online);
    }
}
