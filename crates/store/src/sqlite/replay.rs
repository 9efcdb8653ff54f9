//! What is told again, or left out, or forgotten.

use super::{
    facts::Fact,
    rows::{CallbackRow, ReadError, Table},
    write::{Batch, Done, Outcome, Superseded},
};
use crate::{
    CallbackId, CallbackRecord, CallbackState, Mark, Replay, Replayed, callback::speak_for,
    index::Index, query::scope_of, queue::Row,
};
use presence::{Subject, Timestamp};
use rusqlite::{OptionalExtension, Result, params};
use std::collections::HashMap;

impl Batch<'_> {
    pub(super) fn replay(&mut self, replay: &Replay) -> Result<Outcome> {
        let mut learn = Vec::new();
        let mut replayed = Replayed::default();
        for id in &replay.ids {
            let Some(settled) = self.settled_callback(id, &mut learn)? else {
                replayed.unknown += 1;
                continue;
            };
            if !self.hold_if(id, |index| !index.is_busy(id)) {
                replayed.in_flight += 1;
                continue;
            }
            self.queue_again(settled, replay, &mut learn)?;
            replayed.queued += 1;
        }
        Ok(Outcome::Written { learn, done: Done::Replayed(replayed) })
    }

    fn queue_again(
        &mut self,
        settled: CallbackRecord,
        replay: &Replay,
        learn: &mut Vec<Fact>,
    ) -> Result<()> {
        let CallbackRecord { row, id, state, change, .. } = settled;
        self.requeue(row as i64, replay.at)?;
        if state == CallbackState::Dead {
            learn.push(Fact::Dead { endpoint: id.endpoint.clone(), more: -1 });
        }
        learn.push(Fact::Requeued { id: id.clone(), row, at: replay.at });
        let last = self.last_seq(&id)?;
        if !change.kind.is_about_a_subject() || last == Some(id.seq) {
            return Ok(());
        }
        // It is not the last word about the user any more.
        let subject = Subject::of(&change, scope_of(&replay.scopes, &id.endpoint));
        let mark = Mark::given_up((id.endpoint, id.user, subject), change, replay.at);
        self.mark(mark.at_once().beyond(last.unwrap_or(id.seq)), learn)
    }

    /// The `seq` of a user's last change; none for one who was forgotten.
    fn last_seq(&self, id: &CallbackId) -> Result<Option<u64>> {
        let sql = "SELECT last_seq FROM users WHERE name = ?1";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let last = statement.query_row([id.user.as_str()], |row| row.get::<_, i64>(0));
        Ok(last.optional()?.map(|seq| u64::try_from(seq).unwrap_or(0)))
    }

    pub(super) fn collapse(&mut self, all: Vec<Superseded>, at: Timestamp) -> Result<Outcome> {
        let mut learn = Vec::new();
        let mut collapsed = 0;
        let mut spoken_for: HashMap<Row, Vec<u64>> = HashMap::new();
        for Superseded { id, row, change, before, by, by_before } in all {
            let of = spoken_for.entry(by).or_insert(by_before);
            let is_settled = self.settled.contains(&row) || self.settled.contains(&by);
            let is_free = |index: &Index| !index.is_leased(&id, row) && index.owes_row(&id, by);
            if is_settled || !self.hold_if(&id, is_free) {
                continue;
            }
            speak_for(of, &change, before);
            let sql = "UPDATE outbox SET collapsed = collapsed + 1
                         + ifnull((SELECT collapsed FROM outbox WHERE id = ?1), 0)
                       WHERE id = ?2";
            self.run(sql, params![row, by])?;
            self.settled.insert(row);
            if self.file(row, CallbackState::Superseded, None, at, &mut learn)? {
                learn.push(Fact::Superseded { id, row });
                collapsed += 1;
            }
        }
        for (row, seqs) in spoken_for {
            let sql = "UPDATE outbox SET spoken_for = ?2 WHERE id = ?1";
            self.run(sql, params![row, super::rows::json(&seqs)])?;
        }
        let done = Done::Collapsed(collapsed);
        Ok(Outcome::Written { learn, done })
    }

    pub(super) fn purge(&mut self, rows: Vec<Row>) -> Result<Outcome> {
        let mut learn = Vec::new();
        let mut purged = 0;
        for row in rows {
            let sql = "SELECT id, endpoint, state FROM history WHERE id = ?1";
            for settled in self.history(sql, [row])? {
                self.forget_settled(settled, &mut learn)?;
                purged += 1;
            }
        }
        Ok(Outcome::Written { learn, done: Done::Purged(purged) })
    }

    /// A callback of the history.
    fn settled_callback(
        &mut self,
        id: &CallbackId,
        learn: &mut Vec<Fact>,
    ) -> Result<Option<CallbackRecord>> {
        let sql =
            format!("{} WHERE user = ?1 AND endpoint = ?2 AND seq = ?3", CallbackRow::HISTORY);
        let mut statement = self.transaction.prepare_cached(&sql)?;
        let mut rows = statement.query(params![id.user.as_str(), id.endpoint.as_str(), id.seq])?;
        let mut unreadable = Vec::new();
        let mut found = None;
        while found.is_none()
            && let Some(row) = rows.next()?
        {
            match CallbackRow::read(Table::History, row) {
                Ok(CallbackRow { record, .. }) => found = Some(record),
                Err(ReadError::Row(row)) => unreadable.push(row),
                Err(ReadError::Sqlite(error)) => return Err(error),
            }
        }
        drop(rows);
        drop(statement);
        self.set_aside_all(unreadable, learn)?;
        Ok(found)
    }

    /// Moves a row from the history back to the outbox.
    fn requeue(&mut self, row: i64, now: Timestamp) -> Result<()> {
        let sql = "INSERT INTO outbox(id, endpoint, user, seq, operation_id, change, queued_at, tries,
                     attempts, replayed, collapsed)
                   SELECT id, endpoint, user, seq, operation_id, change, ?2, 0, attempts, 1, collapsed
                   FROM history WHERE id = ?1";
        self.run(sql, params![row, now.0])?;
        self.forget(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Claim, EndpointName,
        sqlite::{SharedIndex, schema, start, write::Write},
    };
    use presence::{Instant, UserId};
    use rusqlite::Connection;
    use std::time::Duration;

    fn main() -> EndpointName {
        EndpointName::new("main")
    }

    fn claim(index: &SharedIndex) -> usize {
        let (now, lease) = (Instant(9), Duration::from_secs(30));
        index.lock().claim(&Claim { endpoint: main(), now, lease, limit: 9 }).len()
    }

    /// A slow disk lies between what a write is decided on and what the index learns.
    #[test]
    fn nothing_is_given_out_about_a_user_while_a_replay_is_written() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        let change = r#"{"seq":SEQ,"kind":"online","reason":"login","platform":1,"conn":null,"at":1,
            "background":false,"edges":{"connection":true,"platform":true,"user":true}}"#;
        let settled =
            "INSERT INTO history VALUES (1, 'main', 'u', 1, 'op', ?1, 'dead', 3, '[]', 0, 2, 9, 0)";
        connection.execute(settled, [change.replace("SEQ", "1")]).unwrap();
        let owed = "INSERT INTO outbox(id, endpoint, user, seq, operation_id, change, queued_at)
                    VALUES (2, 'main', 'u', 2, 'op', ?1, 2)";
        connection.execute(owed, [change.replace("SEQ", "2")]).unwrap();
        let (index, mut numbers) = start::everything_alive(&mut connection).ok().unwrap();
        let mut held = Vec::new();
        let transaction = connection.transaction().unwrap();
        let mut batch = Batch::begin(&transaction, &index, &mut numbers, &mut held);
        let user = UserId::new("u");
        let ids = vec![CallbackId { endpoint: main(), user, seq: 1 }];
        let replay = Replay { ids, scopes: Vec::new(), at: Timestamp(9) };
        let Outcome::Written { learn, .. } = batch.write(Write::Replay(replay)).unwrap() else {
            panic!("it is written")
        };
        assert_eq!(claim(&index), 0, "the later one would be sent before it");
        transaction.commit().unwrap();
        learn.into_iter().for_each(|fact| fact.teach(&mut index.lock()));
        assert_eq!(claim(&index), 0);
        held.iter().for_each(|id| index.lock().release(id));
        let (now, lease) = (Instant(9), Duration::from_secs(30));
        let claimed = index.lock().claim(&Claim { endpoint: main(), now, lease, limit: 9 });
        assert_eq!(claimed.iter().map(|lease| lease.id.seq).collect::<Vec<_>>(), [1]);
    }
}
