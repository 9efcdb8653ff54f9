//! What an App was not told, and is told again: a mark for each thing that it keeps a word about.

use crate::EndpointName;
use presence::{Change, Scope, Subject, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

/// How many marks one endpoint may have. Beyond that its App must read who is online.
const MARKS_MAX: usize = 100_000;
/// How many marks that are due are looked at in one go; those of users who are owed something wait.
const LOOKED_AT_MAX: usize = 1_000;
/// A wall clock that was ahead by more has been set back.
const AHEAD_MS: u64 = 60_000;
const MINUTE: Duration = Duration::from_secs(60);

/// One endpoint may be wrong about something of one user, because it was not told a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Whose App.
    pub endpoint: EndpointName,
    /// About whom.
    pub user: UserId,
    /// What the App keeps a word about.
    pub subject: Subject,
    /// A callback with this `seq`, or a higher one, about the subject makes the App right.
    pub seq: u64,
    /// When it is told how things are.
    pub due_at: Timestamp,
    /// The rest of it.
    pub detail: MarkDetail,
}

/// What a [`Mark`] is not found by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MarkDetail {
    /// What the App was not told.
    pub missed: Change,
    /// When it was given up.
    pub marked_at: Timestamp,
    /// How often the App was told since.
    pub told: u32,
    /// Whether it is told even where what was given up is not told again: the App was told something that is
    /// not so any more, or was not told something by its settings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_once: bool,
}

impl Mark {
    /// For a callback that was given up.
    pub(crate) fn given_up(
        (endpoint, user, subject): (EndpointName, UserId, Subject),
        missed: Change,
        at: Timestamp,
    ) -> Mark {
        let seq = missed.seq;
        let detail = MarkDetail { missed, marked_at: at, told: 0, at_once: false };
        let due_at = retold_at(&detail);
        Mark { endpoint, user, subject, seq, due_at, detail }
    }

    /// For a change that an App may have missed, of a user whose last `seq` it has: whatever was told up to
    /// then, it is told how that is.
    pub(crate) fn anew(
        endpoint: &EndpointName,
        scope: Scope,
        (user, missed): (UserId, Change),
        at: Timestamp,
    ) -> Mark {
        let (subject, last) = (Subject::of(&missed, scope), missed.seq);
        Mark::given_up((endpoint.clone(), user, subject), missed, at).at_once().beyond(last)
    }

    /// The same for one that must not wait: the App is told how things are as soon as nothing else about
    /// the user is owed.
    pub(crate) fn at_once(mut self) -> Mark {
        self.detail.at_once = true;
        Mark { due_at: self.detail.marked_at, ..self }
    }

    /// Only a callback after `seq` makes the App right.
    pub(crate) fn beyond(self, seq: u64) -> Mark {
        Mark { seq: self.seq.max(seq + 1), ..self }
    }

    /// Whether its App was asked to read who is online because of it, and has not said since that it did.
    pub(crate) fn is_asked_for(&self, resynced_at: Option<Timestamp>) -> bool {
        !self.detail.at_once && resynced_at.is_none_or(|at| self.detail.marked_at > at)
    }

    /// After the App was told.
    pub(crate) fn told(mut self, now: Timestamp) -> Mark {
        self.detail.told += 1;
        self.detail.marked_at = self.detail.marked_at.min(now);
        self.due_at = retold_at(&self.detail);
        self
    }

    /// Two about the same subject: the newer one, as far as either goes.
    pub(crate) fn with(mut self, older: &Mark) -> Mark {
        self.detail.at_once |= older.detail.at_once;
        let (seq, due_at) = (self.seq.max(older.seq), self.due_at.min(older.due_at));
        Mark { seq, due_at, ..self }
    }
}

/// After 1, 5, 15 and 60 minutes, then each hour.
fn retold_at(detail: &MarkDetail) -> Timestamp {
    let after = match detail.told {
        0 => MINUTE,
        1 => MINUTE * 5,
        2 => MINUTE * 15,
        more => MINUTE * 60 * (more - 2),
    };
    Timestamp(detail.marked_at.0.saturating_add(after.as_millis() as u64))
}

/// The marks of one endpoint.
#[derive(Default, Clone)]
pub(crate) struct Marks {
    by_user: HashMap<UserId, Vec<Mark>>,
    due: BTreeSet<(Timestamp, UserId, Subject)>,
    /// Those of them that are told in any case.
    due_at_once: BTreeSet<(Timestamp, UserId, Subject)>,
    /// By when they were made.
    made: BTreeSet<(Timestamp, UserId, Subject)>,
}

impl Marks {
    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }

    /// Whether one more may be made, of a subject that has none.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= MARKS_MAX
    }

    pub(crate) fn has(&self, user: &UserId) -> bool {
        self.by_user.contains_key(user)
    }

    pub(crate) fn of(&self, user: &UserId) -> impl Iterator<Item = &Mark> {
        self.by_user.get(user).into_iter().flatten()
    }

    pub(crate) fn get(&self, user: &UserId, subject: Subject) -> Option<&Mark> {
        self.by_user.get(user)?.iter().find(|mark| mark.subject == subject)
    }

    pub(crate) fn put(&mut self, mark: Mark) {
        self.remove(&mark.user, mark.subject);
        self.made.insert((mark.detail.marked_at, mark.user.clone(), mark.subject));
        self.due.insert((mark.due_at, mark.user.clone(), mark.subject));
        if mark.detail.at_once {
            self.due_at_once.insert((mark.due_at, mark.user.clone(), mark.subject));
        }
        self.by_user.entry(mark.user.clone()).or_default().push(mark);
    }

    /// Those that an accepted change of the subject answers. Their own subjects may be others, where they
    /// were made under another `offline.scope`.
    pub(crate) fn answered(&self, user: &UserId, subject: Subject, seq: u64) -> Vec<Subject> {
        let answered =
            self.of(user).filter(|mark| mark.seq <= seq && subject.covers(&mark.detail.missed));
        answered.map(|mark| mark.subject).collect()
    }

    pub(crate) fn remove(&mut self, user: &UserId, subject: Subject) {
        let Some(marks) = self.by_user.get_mut(user) else { return };
        for gone in marks.extract_if(.., |mark| mark.subject == subject) {
            let Mark { user, subject, due_at, detail, .. } = gone;
            let mut key = (due_at, user, subject);
            self.due.remove(&key);
            self.due_at_once.remove(&key);
            key.0 = detail.marked_at;
            self.made.remove(&key);
        }
        if marks.is_empty() {
            self.by_user.remove(user);
        }
    }

    /// Those that are due, of users who are not in `busy`; only those that are told in any case, if wished. One that was made while the wall clock was
    /// ahead waits for nothing: it may have waited for long.
    pub(crate) fn due(
        &self,
        now: Timestamp,
        limit: usize,
        at_once_only: bool,
        busy: impl Fn(&UserId) -> bool,
    ) -> Vec<Mark> {
        let those = if at_once_only { &self.due_at_once } else { &self.due };
        let due = those.iter().take_while(|(at, ..)| *at <= now).take(LOOKED_AT_MAX);
        let ahead = |at: &Timestamp| at.0 > now.0.saturating_add(AHEAD_MS);
        let ahead = self.made.iter().rev().take_while(|(at, ..)| ahead(at)).take(LOOKED_AT_MAX);
        let free = due.chain(ahead).filter(|(_, user, _)| !busy(user));
        free.filter_map(|(_, user, subject)| self.get(user, *subject))
            .filter(|mark| mark.detail.at_once || !at_once_only)
            .take(limit)
            .cloned()
            .collect()
    }

    /// Those that were made before then.
    pub(crate) fn made_before(&self, at: Timestamp, limit: usize) -> Vec<Mark> {
        let old = self.made.iter().take_while(|(made_at, ..)| *made_at < at);
        old.filter_map(|(_, user, subject)| self.get(user, *subject)).take(limit).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence::{ConnId, Edges, Kind, Platform, Reason};

    fn mark(user: usize, at: u64) -> Mark {
        let missed = Change {
            seq: 1,
            kind: Kind::Offline,
            reason: Reason::Closed,
            platform: Platform::Ios,
            conn: Some(ConnId([1; 16])),
            background: false,
            edges: Edges::all(),
            online_scopes: Edges::all(),
            at: Timestamp(at),
            status: None,
            address: None,
        };
        let of = (EndpointName::new("main"), UserId::new(format!("u{user}")), Subject::User);
        Mark::given_up(of, missed, Timestamp(at))
    }

    #[test]
    fn an_endpoint_has_so_many_marks_and_no_more() {
        let mut marks = Marks::default();
        (0..MARKS_MAX - 1).for_each(|user| marks.put(mark(user, 1)));
        assert!(!marks.is_full());
        marks.put(mark(0, 2));
        assert!(!marks.is_full(), "it takes the place of the one before");
        marks.put(mark(MARKS_MAX, 1));
        assert!(marks.is_full());
        marks.remove(&UserId::new("u7"), Subject::User);
        assert!(!marks.is_full());
    }

    #[test]
    fn those_that_are_due_go_first_and_old_ones_are_found_by_when_they_were_made() {
        let mut marks = Marks::default();
        for (user, at) in [(1, 500), (2, 100), (3, 300)] {
            marks.put(mark(user, at));
        }
        let users = |found: Vec<Mark>| found.iter().map(|m| m.user.to_string()).collect::<Vec<_>>();
        let minute = 60_000;
        assert_eq!(users(marks.due(Timestamp(minute + 300), 9, false, |_| false)), ["u2", "u3"]);
        assert_eq!(
            users(marks.due(Timestamp(minute + 500), 1, false, |user| user.as_str() == "u2")),
            ["u3"]
        );
        assert_eq!(users(marks.made_before(Timestamp(400), 9)), ["u2", "u3"]);
    }
}
