//! Marks in the file: what an App was not told, and is told again.

use super::{
    facts::Fact,
    rows,
    write::{Batch, Done, Outcome},
};
use crate::{Anew, EndpointChange, EndpointName, Mark, Resync, mark::Marks};
use presence::{Change, Subject, Timestamp, UserId};
use rusqlite::{OptionalExtension, Result, params};

impl Batch<'_> {
    /// A callback was given up, or is told again out of its time: its subject is marked.
    pub(super) fn mark(&mut self, mark: Mark, learn: &mut Vec<Fact>) -> Result<()> {
        let (endpoint, at) = (mark.endpoint.clone(), mark.detail.marked_at);
        let is_given_up = !mark.detail.at_once;
        let resynced_at = self.stands(&endpoint).resynced_at;
        let known = self.marks_of(&endpoint, &mark.user)?;
        let is_first = !known.iter().any(|mark| mark.is_asked_for(resynced_at));
        let mark = match self.marked(&mark)? {
            Some(older) => mark.with(&older),
            None if self.index.lock().marks(&endpoint).is_some_and(Marks::is_full) => {
                let why = "more was not told than can be told again".to_owned();
                let change = EndpointChange::NeedsResync(Resync { since: at, why, heals: false });
                learn.extend(self.note_endpoint(endpoint, change)?);
                return Ok(());
            }
            None => mark,
        };
        self.put_mark(mark, learn)?;
        if is_first && is_given_up {
            learn.extend(self.note_endpoint(endpoint, EndpointChange::GaveUp(at))?);
        }
        Ok(())
    }

    /// An endpoint is told of something again that it was not told of for a while.
    pub(super) fn begin_anew(&mut self, anew: Anew) -> Result<Outcome> {
        let Anew { endpoint, scope, missed, begins, at } = anew;
        let mut learn = Vec::new();
        for missed in missed {
            self.mark(Mark::anew(&endpoint, scope, missed, at), &mut learn)?;
        }
        if begins {
            // A row of its own, so that a cursor behind the newest callback is from before, too.
            self.numbers.last_row += 1;
            let row = self.numbers.last_row;
            learn.extend(self.note_endpoint(endpoint.clone(), EndpointChange::Anew(row))?);
            learn.push(Fact::Skipped { endpoint, row });
        }
        Ok(Outcome::Written { learn, done: Done::Written })
    }

    pub(super) fn put_mark(&mut self, mark: Mark, learn: &mut Vec<Fact>) -> Result<()> {
        let Mark { endpoint, user, subject, seq, due_at, detail } = &mark;
        let sql = "INSERT INTO marks(endpoint, user, subject, seq, due_at, detail)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT(endpoint, user, subject) DO UPDATE SET
                     seq = excluded.seq, due_at = excluded.due_at, detail = excluded.detail";
        let (subject, detail) = (rows::json(subject), rows::json(detail));
        self.run(sql, params![endpoint.as_str(), user.as_str(), subject, seq, due_at.0, detail])?;
        self.has_marked = true;
        learn.push(Fact::Marked(mark));
        Ok(())
    }

    /// The App has accepted a change: what it was not told about the subject before counts no more.
    pub(super) fn accepted(
        &mut self,
        (endpoint, user, subject): (&EndpointName, &UserId, Subject),
        change: &Change,
        learn: &mut Vec<Fact>,
    ) -> Result<()> {
        // Nearly always there is none, and nothing is looked for in the file.
        let may_be = self.has_marked || self.index.lock().marks(endpoint).is_some();
        if !may_be || !change.kind.says_who_is_online() {
            return Ok(());
        }
        for mark in self.marks_of(endpoint, user)? {
            // Its own subject may be another, where it was made under another `offline.scope`.
            if subject.covers(&mark.detail.missed) {
                self.unmark((endpoint, user, mark.subject), change.seq, learn)?;
            }
        }
        Ok(())
    }

    /// Those of a user. One that cannot be read is as good as none.
    pub(super) fn marks_of(&self, endpoint: &EndpointName, user: &UserId) -> Result<Vec<Mark>> {
        let sql = format!("{} WHERE endpoint = ?1 AND user = ?2", rows::Table::Marks.select());
        let mut statement = self.transaction.prepare_cached(&sql)?;
        let values = params![endpoint.as_str(), user.as_str()];
        let found = statement.query_map(values, |row| Ok(rows::mark(row).ok()))?;
        found.filter_map(Result::transpose).collect()
    }

    /// Takes back the mark of a subject, unless it is about a later change.
    pub(super) fn unmark(
        &mut self,
        (endpoint, user, subject): (&EndpointName, &UserId, Subject),
        seq: u64,
        learn: &mut Vec<Fact>,
    ) -> Result<()> {
        let sql =
            "DELETE FROM marks WHERE endpoint = ?1 AND user = ?2 AND subject = ?3 AND seq <= ?4";
        let values = params![endpoint.as_str(), user.as_str(), rows::json(&subject), seq];
        if self.transaction.prepare_cached(sql)?.execute(values)? == 0 {
            return Ok(());
        }
        let (of, user) = (endpoint.clone(), user.clone());
        learn.push(Fact::Unmarked { endpoint: of, user, subject });
        let any = "SELECT 1 FROM marks WHERE endpoint = ?1";
        if !self.transaction.prepare_cached(any)?.exists([endpoint.as_str()])? {
            learn.extend(self.note_endpoint(endpoint.clone(), EndpointChange::Healed)?);
        }
        Ok(())
    }

    /// An App that may be wrong is asked again to read who is online, once that is due.
    pub(super) fn ask_again(&mut self, now: Timestamp, learn: &mut Vec<Fact>) -> Result<()> {
        let endpoints = self.index.lock().endpoints();
        for endpoint in endpoints {
            learn.extend(self.note_endpoint(endpoint, EndpointChange::MayAsk(now))?);
        }
        Ok(())
    }

    /// The mark of the same subject, if there is one. One that cannot be read is as good as none.
    pub(super) fn marked(&self, mark: &Mark) -> Result<Option<Mark>> {
        let sql = format!(
            "{} WHERE endpoint = ?1 AND user = ?2 AND subject = ?3",
            rows::Table::Marks.select()
        );
        let mut statement = self.transaction.prepare_cached(&sql)?;
        let subject = rows::json(&mark.subject);
        let values = params![mark.endpoint.as_str(), mark.user.as_str(), subject];
        let found = statement.query_row(values, |row| Ok(rows::mark(row).ok())).optional()?;
        Ok(found.flatten())
    }
}
