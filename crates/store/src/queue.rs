//! What one endpoint is owed, as a queue of row numbers: which callback may go next.
//!
//! Holds no payloads, does no IO. Every backend that lives in one process keeps one for each
//! endpoint and rebuilds it from its rows at start; leases and due times are not stored, so after a
//! restart everything owed is due.

use presence::{Instant, Timestamp, UserId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    time::Duration,
};

pub(crate) type Row = u64;

#[derive(Default)]
pub(crate) struct Queue {
    /// One line for each user who is owed something.
    lines: HashMap<UserId, Line>,
    /// Heads that nobody has, by when they are due and the place of their line.
    due: BTreeMap<(Instant, Row), UserId>,
    /// Those of them that were never tried: by their place, when they are due.
    fresh: BTreeMap<Row, Instant>,
    /// Those of them whose line holds a question: a client waits for its answer.
    asking: BTreeSet<(Instant, Row)>,
    /// Heads on lease, by when the lease ends and the place of their line.
    leased: BTreeMap<(Instant, Row), UserId>,
    /// Each head by when it was queued; the oldest of all owed is among them.
    ages: BTreeSet<(Timestamp, Row)>,
    /// Users about whom something is being written that this queue does not know yet. Their heads are in
    /// none of the maps above, so that nothing is given out and no lease runs out meanwhile.
    held: HashSet<UserId>,
    owed: u64,
    leases_given: u64,
    /// The time of the latest claim.
    claimed_at: Instant,
}

struct Line {
    entries: VecDeque<Entry>,
    head: Head,
    /// How many of the entries are questions.
    questions: usize,
    /// Among lines that are due at the same time: the row of the head, or of one that it speaks for.
    /// Who is told less must not be told later.
    place: Row,
}

#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) row: Row,
    pub(crate) seq: u64,
    pub(crate) queued_at: Timestamp,
    pub(crate) due_at: Instant,
    /// Whether a client waits for what the App answers.
    pub(crate) asks: bool,
}

#[derive(Clone, Copy)]
enum Head {
    Due { at: Instant, is_fresh: bool },
    Leased { until: Instant, number: u64 },
}

impl Head {
    fn fresh(entry: &Entry) -> Head {
        Head::Due { at: entry.due_at, is_fresh: true }
    }
}

/// A head that was given out.
pub(crate) struct Granted {
    pub(crate) user: UserId,
    pub(crate) row: Row,
    pub(crate) seq: u64,
    pub(crate) number: u64,
    pub(crate) is_inherited: bool,
}

impl Queue {
    /// Adds a callback to its user's line, in order of `seq`, but never before one on lease.
    pub(crate) fn push(&mut self, user: &UserId, entry: Entry) {
        self.owed += 1;
        self.hide_head(user);
        let line = self.lines.entry(user.clone()).or_insert_with(|| Line {
            entries: VecDeque::new(),
            head: Head::fresh(&entry),
            questions: 0,
            place: entry.row,
        });
        line.questions += usize::from(entry.asks);
        let first = usize::from(matches!(line.head, Head::Leased { .. }));
        // From the end, where nearly all belong: a line may be long.
        let before = line.entries.iter().rposition(|other| other.seq <= entry.seq);
        let at = before.map_or(0, |at| at + 1).max(first);
        line.entries.insert(at, entry);
        if at == 0 {
            (line.place, line.head) = (entry.row, Head::fresh(&entry));
        }
        self.show_head(user);
    }

    /// Adds one that was settled or stored before, to be due at once.
    pub(crate) fn push_again(&mut self, user: &UserId, entry: Entry) {
        self.push(user, Entry { due_at: self.claimed_at, ..entry });
    }

    /// Gives out heads that are due: first those for whose answer a client waits; then by turns the
    /// one that is due for the longest time and the one that was queued last, so that neither a
    /// backlog nor a stream of news keeps the other from being sent. In order of their rows.
    pub(crate) fn claim(&mut self, now: Instant, lease: Duration, limit: usize) -> Vec<Granted> {
        self.claimed_at = now;
        self.take_back_leases(now);
        let mut granted = Vec::new();
        while granted.len() < limit
            && let Some(user) = self.next(now)
        {
            self.leases_given += 1;
            let number = self.leases_given;
            let head = Head::Leased { until: now + lease, number };
            if let Some(Entry { row, seq, due_at, .. }) = self.set_head(&user, head) {
                let is_inherited = due_at == Instant(0);
                granted.push(Granted { user, row, seq, number, is_inherited });
            }
        }
        granted.sort_by_key(|granted| granted.row);
        granted
    }

    /// Whose turn it is.
    fn next(&self, now: Instant) -> Option<UserId> {
        let oldest = *self.due.first_key_value()?.0;
        let asking = self.asking.first().copied().filter(|(at, _)| *at <= now);
        let newest = self.fresh.last_key_value().map(|(place, at)| (*at, *place));
        let turn = match newest.filter(|(at, _)| *at <= now) {
            Some(newest) if !self.leases_given.is_multiple_of(2) => newest,
            _ => oldest,
        };
        let turn = asking.unwrap_or(turn);
        if turn.0 > now { None } else { self.due.get(&turn).cloned() }
    }

    /// Users whose turn it is, who are owed more than one callback, the oldest since before then.
    /// Looks at the `users_max` that the next claim may get.
    pub(crate) fn collapsible(
        &self,
        due: Instant,
        queued_before: Timestamp,
        users_max: usize,
    ) -> Vec<UserId> {
        let oldest = self.due.keys().take_while(|(at, _)| *at <= due).take(users_max);
        let newest = self.fresh.iter().rev().map(|(place, at)| (*at, *place)).take(users_max);
        let next: BTreeSet<_> = oldest.copied().chain(newest).collect();
        let is_long = |user: &&UserId| {
            self.lines.get(*user).is_some_and(|line| {
                let oldest = line.entries.front();
                line.entries.len() > 1 && oldest.is_some_and(|e| e.queued_at < queued_before)
            })
        };
        next.iter().filter_map(|key| self.due.get(key)).filter(is_long).cloned().collect()
    }

    /// Keeps a user from being claimed, and their lease from running out, until [`Queue::release`]:
    /// what is being written about them is decided on what is queued now.
    pub(crate) fn hold(&mut self, user: &UserId) {
        self.hide_head(user);
        self.held.insert(user.clone());
        self.show_head(user);
    }

    /// What was written is known here, or was not written.
    pub(crate) fn release(&mut self, user: &UserId) {
        if self.held.remove(user) {
            self.show_head(user);
        }
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
        self.set_head(user, Head::Due { at, is_fresh: false });
    }

    /// Takes one callback out: settled, or expired. The next in line has its own place and time.
    pub(crate) fn remove(&mut self, user: &UserId, row: Row) {
        self.take_out(user, row, |line, next| {
            (line.place, line.head) = (next.row, Head::fresh(&next));
        });
    }

    /// Takes one callback out that a later one speaks for, in the same place: who is told less must not
    /// be told later.
    pub(crate) fn supersede(&mut self, user: &UserId, row: Row) {
        self.take_out(user, row, |_, _| {});
    }

    fn take_out(&mut self, user: &UserId, row: Row, succeed: impl Fn(&mut Line, Entry)) {
        let Some(line) = self.lines.get_mut(user) else { return };
        let Some(at) = line.entries.iter().position(|entry| entry.row == row) else { return };
        self.owed -= 1;
        self.hide_head(user);
        let Some(line) = self.lines.get_mut(user) else { return };
        let gone = line.entries.remove(at);
        line.questions -= usize::from(gone.is_some_and(|entry| entry.asks));
        match line.entries.front().copied() {
            None => {
                self.lines.remove(user);
                return;
            }
            Some(next) if at == 0 => succeed(line, next),
            Some(_) => {}
        }
        self.show_head(user);
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
        while let Some(((until, _), user)) = self.leased.first_key_value()
            && *until <= now
        {
            let user = user.clone();
            self.set_head(&user, Head::Due { at: now, is_fresh: false });
        }
    }

    /// Changes a head, and shows it in the right maps.
    fn set_head(&mut self, user: &UserId, head: Head) -> Option<Entry> {
        self.hide_head(user);
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
        if self.held.contains(user) {
            return;
        }
        match line.head {
            Head::Due { at, is_fresh } => {
                self.due.insert((at, line.place), user.clone());
                if is_fresh {
                    self.fresh.insert(line.place, at);
                }
                if line.questions > 0 {
                    self.asking.insert((at, line.place));
                }
            }
            Head::Leased { until, .. } => {
                self.leased.insert((until, line.place), user.clone());
            }
        }
    }

    /// Takes the head out of the maps, where it may be in none.
    fn hide_head(&mut self, user: &UserId) {
        let Some(line) = self.lines.get(user) else { return };
        let Some(Entry { row, queued_at, .. }) = line.entries.front().copied() else { return };
        self.ages.remove(&(queued_at, row));
        if self.held.contains(user) {
            return;
        }
        match line.head {
            Head::Due { at, .. } => {
                self.due.remove(&(at, line.place));
                self.fresh.remove(&line.place);
                self.asking.remove(&(at, line.place));
            }
            Head::Leased { until, .. } => {
                self.leased.remove(&(until, line.place));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn push(queue: &mut Queue, user: &str, row: Row, due_ms: u64, asks: bool) {
        let (queued_at, due_at) = (Timestamp(row), Instant(due_ms));
        let entry = Entry { row, seq: row, queued_at, due_at, asks };
        queue.push(&UserId::new(user), entry);
    }

    fn claim(queue: &mut Queue, now_ms: u64) -> String {
        let claimed = queue.claim(Instant(now_ms), LEASE, 1);
        claimed.first().map(|granted| granted.user.to_string()).unwrap_or_default()
    }

    #[test]
    fn one_that_is_due_again_waits_for_one_of_the_fresh_at_most() {
        let mut queue = Queue::default();
        push(&mut queue, "failed", 1, 0, false);
        assert_eq!(claim(&mut queue, 0), "failed");
        queue.retry(&UserId::new("failed"), Instant(1_000));
        for n in 2..100 {
            push(&mut queue, &format!("before-{n}"), n, 500, false);
            push(&mut queue, &format!("after-{n}"), 100 + n, 1_100, false);
        }
        let claimed: Vec<String> = (0..400).map(|n| claim(&mut queue, 1_200 + n)).collect();
        let at = |user: &str| claimed.iter().position(|name| name == user).unwrap();
        let due_before = 98;
        assert!(at("failed") <= 2 * due_before + 1, "{}", at("failed"));
        assert!(at("after-99") <= 1, "news waits behind a backlog");
    }

    #[test]
    fn a_question_goes_first_with_what_is_before_it_in_its_line() {
        let mut queue = Queue::default();
        push(&mut queue, "old", 1, 0, false);
        push(&mut queue, "asks", 2, 0, false);
        push(&mut queue, "asks", 3, 0, true);
        push(&mut queue, "new", 4, 0, false);
        assert_eq!(claim(&mut queue, 0), "asks");
        queue.remove(&UserId::new("asks"), 2);
        assert_eq!(claim(&mut queue, 0), "asks");
        queue.retry(&UserId::new("asks"), Instant(1_000));
        assert_eq!(claim(&mut queue, 0), "old", "one that is not due keeps nobody waiting");
        assert_eq!(claim(&mut queue, 1_000), "asks");
    }

    #[test]
    fn who_is_held_is_not_claimed_and_keeps_the_lease() {
        let user = UserId::new("u");
        let mut queue = Queue::default();
        push(&mut queue, "u", 1, 0, false);
        queue.hold(&user);
        push(&mut queue, "u", 2, 0, false);
        assert_eq!((claim(&mut queue, 0), queue.next_due()), (String::new(), None));
        assert_eq!(queue.oldest_at(), Some(Timestamp(1)), "it is owed all the same");
        queue.release(&user);
        let claimed = queue.claim(Instant(0), LEASE, 1);
        queue.hold(&user);
        assert_eq!(claim(&mut queue, 1_000_000), "", "its lease does not run out meanwhile");
        assert!(queue.holds(&user, 1, claimed[0].number));
        queue.remove(&user, 1);
        assert_eq!(claim(&mut queue, 1_000_000), "");
        queue.release(&user);
        assert_eq!(claim(&mut queue, 1_000_000), "u");
    }
}
