//! What one endpoint is owed, as a queue of row numbers: which callback may go next.
//!
//! Holds no payloads, does no IO. Every backend that lives in one process keeps one for each
//! endpoint and rebuilds it from its rows at start; leases and due times are not stored, so after a
//! restart everything owed is due.

use presence::{Instant, Kind, Timestamp, UserId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

pub(crate) type Row = u64;

#[derive(Default)]
pub(crate) struct Queue {
    /// One line for each user who is owed something.
    lines: HashMap<UserId, Line>,
    /// Heads that nobody has, by when they are due and the place of their line.
    due: BTreeMap<(Instant, Row), UserId>,
    /// Heads on lease, by when the lease ends and the place of their line.
    leased: BTreeMap<(Instant, Row), UserId>,
    /// Each head by when it was queued; the oldest of all owed is among them.
    ages: BTreeSet<(Timestamp, Row)>,
    owed: u64,
    leases_given: u64,
}

struct Line {
    entries: VecDeque<Entry>,
    head: Head,
    /// Among lines that are due at the same time: the row of the head, or of one that it speaks for.
    /// Who is told less must not be told later.
    place: Row,
}

#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) row: Row,
    pub(crate) seq: u64,
    pub(crate) kind: Kind,
    pub(crate) queued_at: Timestamp,
}

enum Head {
    Due(Instant),
    Leased { until: Instant, number: u64 },
}

/// A head that was given out.
pub(crate) struct Granted {
    pub(crate) user: UserId,
    pub(crate) row: Row,
    pub(crate) seq: u64,
    pub(crate) number: u64,
}

impl Queue {
    /// Adds a callback to its user's line, in order of `seq`, but never before one on lease.
    pub(crate) fn push(&mut self, user: &UserId, entry: Entry) {
        self.owed += 1;
        let Some(line) = self.lines.get_mut(user) else {
            let (place, entries) = (entry.row, VecDeque::from([entry]));
            self.lines.insert(user.clone(), Line { entries, head: Head::Due(Instant(0)), place });
            return self.show_head(user);
        };
        let first = usize::from(matches!(line.head, Head::Leased { .. }));
        // From the end, where nearly all belong: a line may be long.
        let before = line.entries.iter().rposition(|other| other.seq <= entry.seq);
        let at = before.map_or(0, |at| at + 1).max(first);
        if at > 0 {
            return line.entries.insert(at, entry);
        }
        self.hide_head(user);
        if let Some(line) = self.lines.get_mut(user) {
            line.place = entry.row;
            line.entries.push_front(entry);
        }
        self.show_head(user);
    }

    /// Gives out heads that are due: by turns the longest due, and the one that was queued last, so
    /// that what happens now does not wait behind a long backlog. In order of their rows.
    pub(crate) fn claim(&mut self, now: Instant, lease: Duration, limit: usize) -> Vec<Granted> {
        self.take_back_leases(now);
        let mut granted = Vec::new();
        while granted.len() < limit
            && let Some(user) = self.next(now)
        {
            self.leases_given += 1;
            let head = Head::Leased { until: now + lease, number: self.leases_given };
            let number = self.leases_given;
            if let Some(Entry { row, seq, .. }) = self.set_head(&user, head) {
                granted.push(Granted { user, row, seq, number });
            }
        }
        granted.sort_by_key(|granted| granted.row);
        granted
    }

    /// Takes the head whose turn it is out of those that are due.
    fn next(&mut self, now: Instant) -> Option<UserId> {
        let oldest = *self.due.first_key_value()?.0;
        // A head that was never tried is due since the beginning.
        let newest = self.due.range(..=(Instant(0), Row::MAX)).next_back().map(|(key, _)| *key);
        let turn =
            if self.leases_given.is_multiple_of(2) { oldest } else { newest.unwrap_or(oldest) };
        if turn.0 > now { None } else { self.due.remove(&turn) }
    }

    /// Users whose turn it is, who are owed more than one callback, the oldest since before then.
    /// Looks at the `users_max` that the next claim may get.
    pub(crate) fn collapsible(
        &self,
        due: Instant,
        queued_before: Timestamp,
        users_max: usize,
    ) -> Vec<UserId> {
        let oldest = self.due.iter().take_while(|((at, _), _)| *at <= due).take(users_max);
        let newest = self.due.range(..=(Instant(0), Row::MAX)).rev().take(users_max);
        let next: BTreeMap<_, _> = oldest.chain(newest).collect();
        let is_long = |user: &&UserId| {
            self.lines.get(*user).is_some_and(|line| {
                let oldest = line.entries.front();
                line.entries.len() > 1 && oldest.is_some_and(|e| e.queued_at < queued_before)
            })
        };
        next.into_values().filter(is_long).cloned().collect()
    }

    /// When a claim may next find something.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = self.due.first_key_value().map(|((at, _), _)| *at);
        let leased = self.leased.first_key_value().map(|((until, _), _)| *until);
        due.into_iter().chain(leased).min()
    }

    /// Whether this lease still holds.
    pub(crate) fn holds(&self, user: &UserId, row: Row, number: u64) -> bool {
        self.lines.get(user).is_some_and(|line| {
            let same_row = line.entries.front().is_some_and(|head| head.row == row);
            same_row && matches!(line.head, Head::Leased { number: held, .. } if held == number)
        })
    }

    /// Puts a head back, to be due again then.
    pub(crate) fn retry(&mut self, user: &UserId, at: Instant) {
        self.hide_head(user);
        self.set_head(user, Head::Due(at));
    }

    /// Takes one callback out: settled, or expired. The next in line is due at once, in its own place.
    pub(crate) fn remove(&mut self, user: &UserId, row: Row) {
        self.take_out(user, row, |_, next| next);
    }

    /// Takes one callback out that a later one speaks for, in the same place.
    pub(crate) fn supersede(&mut self, user: &UserId, row: Row) {
        self.take_out(user, row, |place, _| place);
    }

    /// `place` is that of the line, given its old one and the row of the new head.
    fn take_out(&mut self, user: &UserId, row: Row, place: impl Fn(Row, Row) -> Row) {
        let Some(line) = self.lines.get_mut(user) else { return };
        let Some(at) = line.entries.iter().position(|entry| entry.row == row) else { return };
        self.owed -= 1;
        if at > 0 {
            line.entries.remove(at);
            return;
        }
        self.hide_head(user);
        let Some(line) = self.lines.get_mut(user) else { return };
        line.entries.pop_front();
        line.head = Head::Due(Instant(0));
        match line.entries.front() {
            None => {
                self.lines.remove(user);
            }
            Some(next) => {
                line.place = place(line.place, next.row);
                self.show_head(user);
            }
        }
    }

    pub(crate) fn owed(&self) -> u64 {
        self.owed
    }

    pub(crate) fn oldest_at(&self) -> Option<Timestamp> {
        self.ages.first().map(|(at, _)| *at)
    }

    pub(crate) fn owes(&self, user: &UserId) -> bool {
        self.lines.contains_key(user)
    }

    /// What is owed about one user, in order.
    pub(crate) fn line(&self, user: &UserId) -> impl Iterator<Item = &Entry> {
        self.lines.get(user).into_iter().flat_map(|line| &line.entries)
    }

    /// Whose callback a row holds, and its `seq`.
    pub(crate) fn owed_in(&self, row: Row) -> Option<(UserId, u64)> {
        self.lines.iter().find_map(|(user, line)| {
            let entry = line.entries.iter().find(|entry| entry.row == row)?;
            Some((user.clone(), entry.seq))
        })
    }

    /// Whether a callback of this user is on lease.
    pub(crate) fn is_busy(&self, user: &UserId) -> bool {
        self.lines.get(user).is_some_and(|line| matches!(line.head, Head::Leased { .. }))
    }

    pub(crate) fn is_leased(&self, user: &UserId, row: Row) -> bool {
        self.lines.get(user).is_some_and(|line| {
            matches!(line.head, Head::Leased { .. })
                && line.entries.front().map(|e| e.row) == Some(row)
        })
    }

    fn take_back_leases(&mut self, now: Instant) {
        while let Some(first) = self.leased.first_entry()
            && first.key().0 <= now
        {
            let user = first.remove();
            self.set_head(&user, Head::Due(now));
        }
    }

    /// Changes a head that is in none of the maps, and shows it in the right one.
    fn set_head(&mut self, user: &UserId, head: Head) -> Option<Entry> {
        let line = self.lines.get_mut(user)?;
        line.head = head;
        let entry = line.entries.front().copied();
        self.show_head(user);
        entry
    }

    fn show_head(&mut self, user: &UserId) {
        let Some(line) = self.lines.get(user) else { return };
        let Some(Entry { row, queued_at, .. }) = line.entries.front().copied() else { return };
        self.ages.insert((queued_at, row));
        match line.head {
            Head::Due(at) => self.due.insert((at, line.place), user.clone()),
            Head::Leased { until, .. } => self.leased.insert((until, line.place), user.clone()),
        };
    }

    fn hide_head(&mut self, user: &UserId) {
        let Some(line) = self.lines.get(user) else { return };
        let Some(Entry { row, queued_at, .. }) = line.entries.front().copied() else { return };
        self.ages.remove(&(queued_at, row));
        match line.head {
            Head::Due(at) => self.due.remove(&(at, line.place)),
            Head::Leased { until, .. } => self.leased.remove(&(until, line.place)),
        };
    }
}
