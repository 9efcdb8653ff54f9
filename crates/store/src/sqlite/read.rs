//! What is read from the file.

use super::write::{Numbers, Superseded};
use crate::{
    Account, CallbackId, CallbackQuery, CallbackRecord, CallbackState, Claimed, Collapse,
    EndpointName, Lease, StoreError, UserQuery, Versioned, index::Index, queue::Row,
};
use presence::{Change, Instant, Timestamp, User, UserId, Waiting};
use rusqlite::{Connection, OptionalExtension, ToSql, params};
use serde::de::DeserializeOwned;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        StoreError::Unavailable(error.to_string())
    }
}

pub(super) fn user(connection: &Connection, user: &UserId) -> Result<Versioned<User>, StoreError> {
    let sql = "SELECT version, state FROM users WHERE name = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let row = |row: &rusqlite::Row| Ok((row.get(0)?, row.get::<_, String>(1)?));
    let Some((version, state)) = statement.query_row([user.as_str()], row).optional()? else {
        let seq_floor = number(connection, "seq_floor")?;
        return Ok(Versioned { version: 0, value: User::unknown(seq_floor as u64) });
    };
    Ok(Versioned { version, value: parse("presence", user, &state)? })
}

pub(super) fn users(
    connection: &Connection,
    query: &UserQuery,
) -> Result<Vec<(UserId, User)>, StoreError> {
    let sql = "SELECT name, state FROM users WHERE name > ?1 ORDER BY name LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let after = query.after.as_ref().map_or("", UserId::as_str);
    let mut rows = statement.query(params![after, query.limit])?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        let user = UserId::new(row.get::<_, String>(0)?);
        let state = parse("presence", &user, &row.get::<_, String>(1)?)?;
        users.push((user, state));
    }
    Ok(users)
}

pub(super) fn claimed(
    connection: &Connection,
    leases: Vec<Lease>,
) -> Result<Vec<Claimed>, StoreError> {
    let sql = "SELECT change, operation_id, tries, json_array_length(attempts), replayed, collapsed
               FROM outbox WHERE id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut claimed = Vec::with_capacity(leases.len());
    for lease in leases {
        let mut rows = statement.query([lease.row])?;
        // It may have expired between the lease and this.
        let Some(row) = rows.next()? else { continue };
        let change = match parse("change", &lease.id, &row.get::<_, String>(0)?) {
            Ok(change) => change,
            // Its user waits; the others need not.
            Err(error) => {
                tracing::error!(%error, "a callback cannot be sent");
                continue;
            }
        };
        claimed.push(Claimed {
            change,
            operation_id: row.get(1)?,
            tries: row.get(2)?,
            attempts: row.get(3)?,
            replayed: row.get(4)?,
            collapsed: row.get(5)?,
            lease,
        });
    }
    Ok(claimed)
}

/// What of these lines others speak for.
pub(super) fn superseded(
    connection: &Connection,
    wish: &Collapse,
    lines: Vec<(UserId, Vec<Row>)>,
) -> Result<Vec<Superseded>, StoreError> {
    let sql = "SELECT change, attempts = '[]' AND NOT replayed FROM outbox WHERE id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut all = Vec::new();
    for (user, rows) in lines {
        let mut changes: Vec<(Row, Change, bool)> = Vec::with_capacity(rows.len());
        for row in rows {
            let found =
                statement.query_row([row], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)));
            // It may have expired meanwhile.
            let Some((change, fresh)) = found.optional()? else { continue };
            changes.push((row, parse("change", &user, &change)?, fresh));
        }
        let line = changes.iter().map(|(_, change, fresh)| Waiting { change, fresh: *fresh });
        let replaced = presence::collapse(&line.collect::<Vec<_>>(), wish.scope);
        for ((row, change, _), by) in changes.iter().zip(replaced) {
            let Some(by) = by else { continue };
            let id =
                CallbackId { endpoint: wish.endpoint.clone(), user: user.clone(), seq: change.seq };
            all.push(Superseded { id, row: *row, by: changes[by].0 });
        }
    }
    Ok(all)
}

const OUTBOX: &str = "SELECT id, endpoint, user, seq, operation_id, change, 'pending', tries,
                      attempts, replayed, collapsed FROM outbox";
const HISTORY: &str = "SELECT id, endpoint, user, seq, operation_id, change, state, tries,
                       attempts, replayed, collapsed FROM history";

pub(super) fn callbacks(
    connection: &Connection,
    query: &CallbackQuery,
    owed: Option<Vec<Row>>,
) -> Result<Vec<CallbackRecord>, StoreError> {
    let mut records = Vec::new();
    if query.state.is_none_or(|state| state == CallbackState::Pending) {
        records.extend(matching(connection, OUTBOX, query, owed)?);
    }
    if query.state != Some(CallbackState::Pending) {
        records.extend(matching(connection, HISTORY, query, None)?);
    }
    records.sort_by_key(|record| std::cmp::Reverse(record.row));
    records.truncate(query.limit);
    Ok(records)
}

/// Rows of one table; `only` narrows the outbox, which has no index by user.
fn matching(
    connection: &Connection,
    select: &str,
    query: &CallbackQuery,
    only: Option<Vec<Row>>,
) -> Result<Vec<CallbackRecord>, StoreError> {
    let before = query.before.map_or(i64::MAX, |row| row as i64);
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
    let sql = format!("{select} WHERE {conditions} ORDER BY id DESC LIMIT ?");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(record(row)?);
    }
    Ok(records)
}

/// In one transaction, or a callback that is settled meanwhile would be on neither page.
pub(super) fn callbacks_after(
    connection: &Connection,
    endpoint: &EndpointName,
    row: Row,
    limit: usize,
) -> Result<Option<Vec<CallbackRecord>>, StoreError> {
    let reading = connection.unchecked_transaction()?;
    if (row as i64) < number(&reading, "forgotten_row")? {
        return Ok(None);
    }
    let mut records = Vec::new();
    for select in [OUTBOX, HISTORY] {
        let sql = format!("{select} WHERE id > ?1 AND endpoint = ?2 ORDER BY id LIMIT ?3");
        let mut statement = reading.prepare_cached(&sql)?;
        let mut rows = statement.query(params![row, endpoint.as_str(), limit])?;
        while let Some(row) = rows.next()? {
            records.push(record(row)?);
        }
    }
    records.sort_by_key(|record| record.row);
    records.truncate(limit);
    Ok(Some(records))
}

pub(super) fn callback(
    connection: &Connection,
    id: &CallbackId,
    owed: Option<Row>,
) -> Result<Option<CallbackRecord>, StoreError> {
    if let Some(row) = owed {
        let mut statement = connection.prepare_cached(&format!("{OUTBOX} WHERE id = ?1"))?;
        let mut rows = statement.query([row])?;
        if let Some(row) = rows.next()? {
            return record(row).map(Some);
        }
    }
    let sql = format!("{HISTORY} WHERE user = ?1 AND seq = ?2 AND endpoint = ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![id.user.as_str(), id.seq, id.endpoint.as_str()])?;
    rows.next()?.map(record).transpose()
}

fn record(row: &rusqlite::Row) -> Result<CallbackRecord, StoreError> {
    let id = CallbackId {
        endpoint: EndpointName::new(row.get::<_, String>(1)?),
        user: UserId::new(row.get::<_, String>(2)?),
        seq: row.get(3)?,
    };
    let state: String = row.get(6)?;
    Ok(CallbackRecord {
        row: row.get(0)?,
        operation_id: row.get(4)?,
        change: parse("change", &id, &row.get::<_, String>(5)?)?,
        state: CallbackState::parse(&state).ok_or_else(|| corrupt("callback", &id, &state))?,
        tries: row.get(7)?,
        attempts: parse("attempts", &id, &row.get::<_, String>(8)?)?,
        replayed: row.get(9)?,
        collapsed: row.get(10)?,
        id,
    })
}

pub(super) fn accounts(
    connection: &Connection,
    users: &[UserId],
) -> Result<Vec<Option<Account>>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT account FROM accounts WHERE name = ?1")?;
    let mut account = |user: &UserId| {
        let found = statement.query_row([user.as_str()], |row| row.get::<_, String>(0));
        found.optional()?.map(|account| parse("account", user, &account)).transpose()
    };
    users.iter().map(&mut account).collect()
}

/// What the index starts with: users with a connection or a deadline, and all that is owed.
pub(super) fn everything_alive(connection: &Connection) -> Result<(Index, Numbers), StoreError> {
    let mut index = Index::default();
    let mut statement =
        connection.prepare("SELECT name, version, state, wake_at FROM users WHERE active = 1")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let user = UserId::new(row.get::<_, String>(0)?);
        let state: User = parse("presence", &user, &row.get::<_, String>(2)?)?;
        index.put_user(&user, row.get(1)?, state, row.get::<_, Option<u64>>(3)?.map(Instant));
    }
    let mut statement = connection
        .prepare("SELECT id, endpoint, user, seq, queued_at, change FROM outbox ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let endpoint = EndpointName::new(row.get::<_, String>(1)?);
        let user = UserId::new(row.get::<_, String>(2)?);
        let id = CallbackId { endpoint, user, seq: row.get(3)? };
        let change: Change = parse("change", &id, &row.get::<_, String>(5)?)?;
        index.requeue(&id, row.get(0)?, change.kind, Timestamp(row.get(4)?));
    }
    let mut statement = connection
        .prepare("SELECT endpoint, count(*) FROM history WHERE state = 'dead' GROUP BY endpoint")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        index.count_dead(&EndpointName::new(row.get::<_, String>(0)?), row.get(1)?);
    }
    let mut statement = connection.prepare("SELECT name, state FROM endpoints")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let endpoint = EndpointName::new(row.get::<_, String>(0)?);
        let state = parse("endpoint", &endpoint, &row.get::<_, String>(1)?)?;
        index.put_endpoint(endpoint, state);
    }
    let numbers = Numbers {
        last_row: number(connection, "last_row")? as Row,
        forgotten_row: number(connection, "forgotten_row")? as Row,
        history_bytes: number(connection, "history_bytes")?,
        seq_floor: number(connection, "seq_floor")? as u64,
    };
    Ok((index, numbers))
}

fn number(connection: &Connection, name: &str) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM numbers WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0))?)
}

fn parse<T: DeserializeOwned>(
    what: &'static str,
    of: &impl ToString,
    json: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Corrupt {
        what,
        of: of.to_string(),
        why: error.to_string(),
    })
}

fn corrupt(what: &'static str, of: &impl ToString, why: &str) -> StoreError {
    StoreError::Corrupt { what, of: of.to_string(), why: format!("unknown state {why:?}") }
}
