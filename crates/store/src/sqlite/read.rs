//! What is read from the file.

use super::{
    disk,
    rows::{self, CallbackRow, ReadError, Table, UserRow},
    write::Superseded,
};
use crate::{
    Account, CallbackId, CallbackQuery, CallbackRecord, CallbackState, CallbacksPage, Claimed,
    Collapse, EndpointName, Lease, StoreError, UserQuery, Versioned, queue::Row,
};
use presence::{Ages, Change, User, UserId, Waiting};
use rusqlite::{Connection, ToSql, params};
use std::mem;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        StoreError::Unavailable(format!("{error}{}", disk::hint(&error)))
    }
}

/// Whether a login could be read.
pub(super) fn probe(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("SELECT 1 FROM users LIMIT 1")?.exists([]).map(|_| ())
}

pub(super) fn user(connection: &Connection, user: &UserId) -> Result<Versioned<User>, ReadError> {
    let sql = format!("{} WHERE name = ?1", UserRow::SELECT);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([user.as_str()])?;
    let Some(row) = rows.next()? else {
        let seq_floor = number(connection, "seq_floor")?;
        return Ok(Versioned { version: 0, value: User::unknown(seq_floor as u64) });
    };
    let UserRow { version, state, .. } = UserRow::read(row)?;
    Ok(Versioned { version, value: state })
}

pub(super) fn users(
    connection: &Connection,
    query: &UserQuery,
) -> Result<Vec<(UserId, User)>, ReadError> {
    let sql = format!("{} WHERE name > ?1 ORDER BY name LIMIT ?2", UserRow::SELECT);
    let mut statement = connection.prepare_cached(&sql)?;
    let after = query.after.as_ref().map_or("", UserId::as_str);
    let mut rows = statement.query(params![after, query.limit])?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        let UserRow { name, state, .. } = UserRow::read(row)?;
        users.push((name, state));
    }
    Ok(users)
}

pub(super) fn claimed(
    connection: &Connection,
    leases: &[Lease],
) -> Result<Vec<Claimed>, ReadError> {
    let sql = format!("{} WHERE id = ?1", CallbackRow::OUTBOX);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut claimed = Vec::with_capacity(leases.len());
    for lease in leases {
        let mut rows = statement.query([lease.row])?;
        // It may have expired between the lease and this.
        let Some(row) = rows.next()? else { continue };
        let CallbackRow { record, .. } = CallbackRow::read(Table::Outbox, row)?;
        claimed.push(Claimed {
            attempts: record.attempts.len() as u32,
            change: record.change,
            operation_id: record.operation_id,
            tries: record.tries,
            replayed: record.replayed,
            is_inherited: lease.is_inherited,
            collapsed: record.collapsed,
            spoken_for: record.spoken_for,
            lease: lease.clone(),
        });
    }
    Ok(claimed)
}

/// What of these lines others speak for.
pub(super) fn superseded(
    connection: &Connection,
    wish: &Collapse,
    lines: &[(UserId, Vec<Row>)],
) -> Result<Vec<Superseded>, ReadError> {
    let sql = format!("{} WHERE id = ?1", CallbackRow::OUTBOX);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut all = Vec::new();
    for (user, rows) in lines {
        let mut changes: Vec<(Row, Change, bool)> = Vec::with_capacity(rows.len());
        let mut spoken_for: Vec<Vec<u64>> = Vec::with_capacity(rows.len());
        for row in rows {
            let mut found = statement.query([row])?;
            // It may have expired meanwhile.
            let Some(found) = found.next()? else { continue };
            let CallbackRow { record, .. } = CallbackRow::read(Table::Outbox, found)?;
            let fresh = record.attempts.is_empty() && !record.replayed;
            changes.push((*row, record.change, fresh));
            spoken_for.push(record.spoken_for);
        }
        let line = changes.iter().map(|(_, change, fresh)| Waiting { change, fresh: *fresh });
        let replaced = presence::collapse(&line.collect::<Vec<_>>(), wish.scope);
        for (at, ((row, change, _), by)) in changes.iter().zip(replaced).enumerate() {
            let Some(by) = by else { continue };
            let id =
                CallbackId { endpoint: wish.endpoint.clone(), user: user.clone(), seq: change.seq };
            all.push(Superseded {
                id,
                row: *row,
                change: change.clone(),
                before: mem::take(&mut spoken_for[at]),
                by: changes[by].0,
                by_before: mem::take(&mut spoken_for[by]),
            });
        }
    }
    Ok(all)
}

pub(super) fn callbacks(
    connection: &Connection,
    query: &CallbackQuery,
    owed: Option<&[Row]>,
) -> Result<Vec<CallbackRecord>, ReadError> {
    let mut records = Vec::new();
    if query.state.is_none_or(|state| state == CallbackState::Pending) {
        records.extend(matching(connection, Table::Outbox, query, owed)?);
    }
    if query.state != Some(CallbackState::Pending) {
        records.extend(matching(connection, Table::History, query, None)?);
    }
    records.sort_by_key(|record| std::cmp::Reverse(record.row));
    records.truncate(query.limit);
    Ok(records)
}

/// Rows of one table; `only` narrows the outbox, which has no index by user.
fn matching(
    connection: &Connection,
    table: Table,
    query: &CallbackQuery,
    only: Option<&[Row]>,
) -> Result<Vec<CallbackRecord>, ReadError> {
    let before = query.before.map_or(i64::MAX, id);
    let mut conditions = vec!["id < ?".to_owned()];
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(before)];
    if let Some(user) = &query.user {
        conditions.push("user = ?".into());
        values.push(Box::new(user.as_str().to_owned()));
    }
    if let Some(endpoint) = &query.endpoint {
        conditions.push("endpoint = ?".into());
        values.push(Box::new(endpoint.as_str().to_owned()));
    }
    if let Some(state) = query.state.filter(|state| *state != CallbackState::Pending) {
        // Spelled out, so that the index of the dead is used.
        conditions.push(format!("state = '{}'", state.name()));
    }
    if let Some(rows) = only {
        let rows: Vec<String> = rows.iter().map(u64::to_string).collect();
        conditions.push(format!("id IN ({})", rows.join(",")));
    }
    values.push(Box::new(query.limit));
    let conditions = conditions.join(" AND ");
    let select = table.select();
    let sql = format!("{select} WHERE {conditions} ORDER BY id DESC LIMIT ?");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(CallbackRow::read(table, row)?.record);
    }
    Ok(records)
}

/// In one transaction, or a callback that is settled meanwhile would be on neither page.
pub(super) fn callbacks_after(
    connection: &Connection,
    endpoint: &EndpointName,
    row: Row,
    limit: usize,
) -> Result<Option<CallbacksPage>, ReadError> {
    let (after, reading) = (id(row), connection.unchecked_transaction()?);
    if after < number(&reading, "forgotten_row")? || row < forgotten_row(&reading, endpoint)? {
        return Ok(None);
    }
    // No transaction outlives this page, or the log could not be emptied.
    let newest = number(&reading, "last_row")?.unsigned_abs();
    let mut records = Vec::new();
    for table in [Table::Outbox, Table::History] {
        let select = table.select();
        let sql = format!("{select} WHERE id > ?1 AND endpoint = ?2 ORDER BY id LIMIT ?3");
        let mut statement = reading.prepare_cached(&sql)?;
        let mut rows = statement.query(params![after, endpoint.as_str(), limit])?;
        while let Some(row) = rows.next()? {
            records.push(CallbackRow::read(table, row)?.record);
        }
    }
    records.sort_by_key(|record: &CallbackRecord| record.row);
    records.truncate(limit);
    let last = records.last().map(|record| record.row);
    let cursor = if records.len() < limit { Some(newest) } else { last };
    Ok(Some(CallbacksPage { records, cursor: cursor.unwrap_or(row).max(row) }))
}

pub(super) fn callback(
    connection: &Connection,
    id: &CallbackId,
    owed: Option<Row>,
) -> Result<Option<CallbackRecord>, ReadError> {
    let one = |table: Table, condition: &str, values: &[&dyn ToSql]| {
        let sql = format!("{} WHERE {condition}", table.select());
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(values)?;
        let row = rows.next()?.map(|row| CallbackRow::read(table, row)).transpose()?;
        Ok(row.map(|row| row.record))
    };
    if let Some(row) = owed
        && let Some(record) = one(Table::Outbox, "id = ?1", &[&row])?
    {
        return Ok(Some(record));
    }
    let condition = "user = ?1 AND seq = ?2 AND endpoint = ?3";
    one(Table::History, condition, &[&id.user.as_str(), &id.seq, &id.endpoint.as_str()])
}

pub(super) fn accounts(
    connection: &Connection,
    users: &[UserId],
) -> Result<Vec<Option<Account>>, ReadError> {
    let sql = format!("{} WHERE name = ?1", Table::Accounts.select());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut account = |user: &UserId| {
        let mut rows = statement.query([user.as_str()])?;
        rows.next()?.map(rows::account).transpose()
    };
    users.iter().map(&mut account).collect()
}

/// The newest row of an endpoint that is not kept any more.
fn forgotten_row(connection: &Connection, endpoint: &EndpointName) -> Result<Row, ReadError> {
    let sql = format!("{} WHERE name = ?1", Table::Endpoints.select());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([endpoint.as_str()])?;
    let state = rows.next()?.map(rows::endpoint).transpose()?;
    Ok(state.map_or(0, |(_, state)| state.forgotten_row))
}

/// What cannot be read is begun anew: then nothing is old.
pub(super) fn ages(connection: &Connection) -> Result<Ages, ReadError> {
    let sql = format!("{} WHERE name = 'ages'", Table::Texts.select());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let text = rows.next()?.map(rows::text).transpose()?;
    Ok(text.and_then(|(_, text)| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// A client may name any number.
fn id(row: Row) -> i64 {
    i64::try_from(row).unwrap_or(i64::MAX)
}

fn number(connection: &Connection, name: &str) -> Result<i64, ReadError> {
    let sql = format!("{} WHERE name = ?1", Table::Numbers.select());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([name])?;
    // One that is gone is written again with the next batch.
    Ok(rows.next()?.map(rows::number).transpose()?.map_or(0, |(_, value)| value))
}
