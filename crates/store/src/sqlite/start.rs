//! What a store begins with: users with a connection or a deadline, and all that is owed.

use super::{
    SharedIndex,
    rows::{self, CallbackRow, ReadError, Table, Unreadable, UserRow},
    set_aside::{self, SET_ASIDE_MAX},
    write::{Batch, Numbers},
};
use crate::{EndpointName, index::Index, queue::Row};
use rusqlite::{Connection, TransactionBehavior};
use std::collections::HashMap;

/// A number that is lost begins so much above what is known, so that none is used twice.
const ROWS_SKIPPED: Row = 1 << 32;

/// Why there is nothing to begin with.
pub(super) enum StartError {
    Sqlite(rusqlite::Error),
    /// So many rows, and the first of them.
    Unreadable(usize, String),
}

impl From<rusqlite::Error> for StartError {
    fn from(error: rusqlite::Error) -> StartError {
        StartError::Sqlite(error)
    }
}

/// Reads everything, and sets aside what cannot be read.
pub(super) fn everything_alive(
    connection: &mut Connection,
) -> Result<(SharedIndex, Numbers), StartError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut reading = Reading { connection: &transaction, unreadable: Vec::new() };
    let mut index = reading.index()?;
    let mut numbers = reading.numbers()?;
    let kept = set_aside::count(&transaction)?;
    index.count_set_aside(kept as i64);
    index.begin_after(numbers.last_row);
    let index = SharedIndex::new(index);
    let unreadable = reading.unreadable;
    let count = unreadable.len();
    if let Some(first) = unreadable.first()
        && kept + count > SET_ASIDE_MAX
    {
        return Err(StartError::Unreadable(count, first.to_string()));
    }
    let mut learn = Vec::new();
    let mut held = Vec::new();
    let mut batch = Batch::begin(&transaction, &index, &mut numbers, &mut held);
    batch.set_aside_all(unreadable, &mut learn)?;
    batch.end()?;
    learn.into_iter().for_each(|fact| fact.teach(&mut index.lock()));
    transaction.commit()?;
    Ok((index, numbers))
}

struct Reading<'a> {
    connection: &'a Connection,
    unreadable: Vec<Unreadable>,
}

impl Reading<'_> {
    fn each<T>(
        &mut self,
        sql: &str,
        read: impl Fn(&rusqlite::Row) -> Result<T, ReadError>,
        mut take: impl FnMut(T),
    ) -> Result<(), StartError> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            match read(row) {
                Ok(row) => take(row),
                Err(ReadError::Row(row)) => self.unreadable.push(row),
                Err(ReadError::Sqlite(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn index(&mut self) -> Result<Index, StartError> {
        let mut index = Index::default();
        let users = format!("{} WHERE active = 1", UserRow::SELECT);
        self.each(&users, UserRow::read, |user| {
            index.put_user(&user.name, user.version, user.state, user.wake_at);
        })?;
        let owed = format!("{} ORDER BY id", CallbackRow::OUTBOX);
        let read = |row: &rusqlite::Row| CallbackRow::read(Table::Outbox, row);
        self.each(&owed, read, |CallbackRow { record, at }| {
            index.requeue(&record.id, record.row, at);
        })?;
        self.each(Table::Endpoints.select(), rows::endpoint, |(name, state)| {
            index.put_endpoint(name, state);
        })?;
        self.each(Table::Marks.select(), rows::mark, |mark| {
            index.marks_mut(&mark.endpoint.clone()).put(mark);
        })?;
        let dead = "SELECT endpoint, count(*) FROM history WHERE state = 'dead' GROUP BY endpoint";
        let count = |row: &rusqlite::Row| Ok((rows::lossy(row, 0)?, row.get(1)?));
        self.each(dead, count, |(endpoint, count)| {
            index.count_dead(&EndpointName::new(endpoint), count);
        })?;
        self.each(Table::Texts.select(), rows::text, |_| {})?;
        Ok(index)
    }

    fn numbers(&mut self) -> Result<Numbers, StartError> {
        let mut found = HashMap::new();
        self.each(Table::Numbers.select(), rows::number, |(name, value)| {
            found.insert(name, value);
        })?;
        let one = |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let newest = one(&rows::newest_row())?.unsigned_abs();
        let unsigned = |name| found.get(name).map(|value| i64::unsigned_abs(*value));
        let last_row = unsigned("last_row").map_or(newest + ROWS_SKIPPED, |row| row.max(newest));
        let seqs = format!(
            "SELECT max({}, {}, {})",
            rows::highest("last_seq", "users"),
            rows::highest("seq", "outbox"),
            rows::highest("seq", "history")
        );
        let highest_seq = match unsigned("highest_seq") {
            Some(seq) => seq,
            // As a store of before has none.
            None => one(&seqs)?.unsigned_abs().max(unsigned("seq_floor").unwrap_or(0)),
        };
        Ok(Numbers {
            last_row,
            highest_seq,
            // Whatever was deleted: who reads the history is told that something is gone.
            forgotten_row: unsigned("forgotten_row").map_or(last_row, |row| row.min(last_row)),
            history_bytes: match found.get("history_bytes") {
                Some(bytes) => *bytes,
                None => one(&rows::history_bytes())?,
            },
            seq_floor: match unsigned("seq_floor") {
                Some(floor) => floor,
                None => one(&seqs)?.unsigned_abs().max(set_aside::now(self.connection)?.0),
            },
        })
    }
}
