//! How each kind of row is read. No other code looks at stored content, so that a row that cannot
//! be read is known by its table and its key, and fails nothing but itself.

use crate::{
    Account, CallbackId, CallbackRecord, CallbackState, EndpointName, EndpointState, Mark,
};
use presence::{Change, Instant, Timestamp, User, UserId};
use rusqlite::{Connection, Params, types::ValueRef};
use serde::de::DeserializeOwned;
use std::fmt;

/// A larger counter (a version, a `seq`, the number of a row) is garbage: Herald counts by one, or
/// from the clock. Read as unreadable, so that its successor always fits the file and the contract.
pub(super) const CREDIBLE_MAX: u64 = 1 << 52;
/// No row of the history is larger; one that says so does not upset the sum.
pub(super) const ROW_BYTES_MAX: u64 = 1 << 32;

/// A table with content of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Users,
    Outbox,
    History,
    Endpoints,
    Accounts,
    Numbers,
    Texts,
    Marks,
}

impl Table {
    pub(super) fn name(self) -> &'static str {
        match self {
            Table::Users => "users",
            Table::Outbox => "outbox",
            Table::History => "history",
            Table::Endpoints => "endpoints",
            Table::Accounts => "accounts",
            Table::Numbers => "numbers",
            Table::Texts => "texts",
            Table::Marks => "marks",
        }
    }

    /// The condition that finds a row by its key.
    pub(super) fn by_key(self) -> &'static str {
        match self {
            Table::Users | Table::Outbox | Table::History | Table::Marks => "id = ?1",
            // A name that is no UTF-8 can only be bound as bytes.
            _ => "name = CAST(?1 AS TEXT)",
        }
    }

    /// What [`Table::try_read`] needs, the key first.
    pub(super) fn select(self) -> &'static str {
        match self {
            Table::Users => UserRow::SELECT,
            Table::Outbox => CallbackRow::OUTBOX,
            Table::History => CallbackRow::HISTORY,
            Table::Endpoints => "SELECT name, state FROM endpoints",
            Table::Accounts => "SELECT name, account FROM accounts",
            Table::Numbers => "SELECT name, value FROM numbers",
            Table::Texts => "SELECT name, value FROM texts",
            Table::Marks => "SELECT id, endpoint, user, subject, seq, due_at, detail FROM marks",
        }
    }

    /// Whether a row that [`Table::select`] found can be read.
    pub(super) fn try_read(self, row: &rusqlite::Row) -> Result<(), ReadError> {
        match self {
            Table::Users => UserRow::read(row).map(|_| ()),
            Table::Outbox | Table::History => CallbackRow::read(self, row).map(|_| ()),
            Table::Endpoints => endpoint(row).map(|_| ()),
            Table::Accounts => account(row).map(|_| ()),
            Table::Numbers => number(row).map(|_| ()),
            Table::Texts => text(row).map(|_| ()),
            Table::Marks => mark(row).map(|_| ()),
        }
    }
}

/// What finds a row again, also one that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Id(i64),
    Name(Vec<u8>),
}

impl Key {
    fn of(value: ValueRef) -> Key {
        match value {
            ValueRef::Integer(id) => Key::Id(id),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Key::Name(bytes.to_owned()),
            ValueRef::Null | ValueRef::Real(_) => Key::Name(Vec::new()),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Id(id) => write!(f, "{id}"),
            Key::Name(name) => write!(f, "{}", String::from_utf8_lossy(name)),
        }
    }
}

impl rusqlite::ToSql for Key {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        match self {
            Key::Id(id) => id.to_sql(),
            Key::Name(name) => name.to_sql(),
        }
    }
}

/// A row that cannot be read.
#[derive(Debug, Clone)]
pub(super) struct Unreadable {
    pub(super) table: Table,
    pub(super) key: Key,
    pub(super) why: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {} of {}: {}", self.key, self.table.name(), self.why)
    }
}

/// Why something could not be read: one row, or all of it.
#[derive(Debug)]
pub(super) enum ReadError {
    Row(Unreadable),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> ReadError {
        ReadError::Sqlite(error)
    }
}

/// What is wrong inside of a row.
pub(super) enum Fault {
    Content(String),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..) => Fault::Content(error.to_string()),
            error => Fault::Sqlite(error),
        }
    }
}

/// Reads columns of one row; its first is the key.
fn read<'a, T>(
    table: Table,
    row: &rusqlite::Row<'a>,
    read: impl FnOnce(&rusqlite::Row<'a>) -> Result<T, Fault>,
) -> Result<T, ReadError> {
    read(row).map_err(|fault| match (fault, row.get_ref(0)) {
        (Fault::Content(why), Ok(key)) => {
            ReadError::Row(Unreadable { table, key: Key::of(key), why })
        }
        (Fault::Content(_), Err(error)) | (Fault::Sqlite(error), _) => ReadError::Sqlite(error),
    })
}

/// Rows, and those that could not be read.
pub(super) struct Rows<T> {
    pub(super) read: Vec<T>,
    pub(super) unreadable: Vec<Unreadable>,
}

/// Some columns of rows, in Rust's types.
pub(super) fn columns<T>(
    connection: &Connection,
    table: Table,
    sql: &str,
    values: impl Params,
    get: impl Fn(&rusqlite::Row) -> Result<T, Fault>,
) -> rusqlite::Result<Rows<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Rows { read: Vec::new(), unreadable: Vec::new() };
    while let Some(row) = rows.next()? {
        match read(table, row, &get) {
            Ok(columns) => found.read.push(columns),
            Err(ReadError::Row(row)) => found.unreadable.push(row),
            Err(ReadError::Sqlite(error)) => return Err(error),
        }
    }
    Ok(found)
}

/// A version, a `seq` or the number of a row.
pub(super) fn counter(row: &rusqlite::Row, column: usize) -> Result<u64, Fault> {
    let value: i64 = row.get(column)?;
    let name = row.as_ref().column_name(column).unwrap_or("value");
    u64::try_from(value).map_err(|_| not_credible(name, value)).and_then(|v| credible(name, v))
}

fn credible(name: &str, value: u64) -> Result<u64, Fault> {
    if value <= CREDIBLE_MAX { Ok(value) } else { Err(not_credible(name, value)) }
}

fn not_credible(name: &str, value: impl fmt::Display) -> Fault {
    Fault::Content(format!("{name}: {value} is no number that Herald counts to"))
}

pub(super) fn parse<T: DeserializeOwned>(
    row: &rusqlite::Row,
    column: usize,
    name: &str,
) -> Result<T, Fault> {
    let text = row.get_ref(column)?.as_str().map_err(|error| {
        let kind = row.get_ref(column).map(|value| value.data_type());
        Fault::Content(format!("{name}: {error} ({kind:?})"))
    })?;
    serde_json::from_str(text).map_err(|error| Fault::Content(format!("{name}: {error}")))
}

/// A row of `users`.
pub(super) struct UserRow {
    pub(super) name: UserId,
    pub(super) version: u64,
    pub(super) state: User,
    pub(super) last_seq: u64,
    pub(super) wake_at: Option<Instant>,
    pub(super) active: bool,
}

impl UserRow {
    pub(super) const SELECT: &str =
        "SELECT id, name, version, state, last_seq, wake_at, active FROM users";

    pub(super) fn read(row: &rusqlite::Row) -> Result<UserRow, ReadError> {
        read(Table::Users, row, |row| {
            let state: User = parse(row, 3, "state")?;
            credible("state.last_seq", state.last_seq())?;
            Ok(UserRow {
                name: UserId::new(row.get::<_, String>(1)?),
                version: counter(row, 2)?,
                state,
                last_seq: counter(row, 4)?,
                wake_at: row.get::<_, Option<u64>>(5)?.map(Instant),
                active: row.get(6)?,
            })
        })
    }
}

/// A row of `outbox` or `history`.
pub(super) struct CallbackRow {
    pub(super) record: CallbackRecord,
    /// When it was queued, or settled.
    pub(super) at: Timestamp,
}

impl CallbackRow {
    pub(super) const OUTBOX: &str =
        "SELECT id, endpoint, user, seq, operation_id, change, 'pending',
         tries, attempts, replayed, collapsed, spoken_for, queued_at FROM outbox";
    pub(super) const HISTORY: &str = "SELECT id, endpoint, user, seq, operation_id, change, state,
         tries, attempts, replayed, collapsed, '[]', settled_at FROM history";

    pub(super) fn read(table: Table, row: &rusqlite::Row) -> Result<CallbackRow, ReadError> {
        read(table, row, |row| {
            let id = CallbackId {
                endpoint: EndpointName::new(row.get::<_, String>(1)?),
                user: UserId::new(row.get::<_, String>(2)?),
                seq: counter(row, 3)?,
            };
            let state: String = row.get(6)?;
            let unknown = || Fault::Content(format!("state: {state:?} is unknown"));
            let change: Change = parse(row, 5, "change")?;
            credible("change.seq", change.seq)?;
            let record = CallbackRecord {
                row: counter(row, 0)?,
                operation_id: row.get(4)?,
                change,
                state: CallbackState::parse(&state).ok_or_else(unknown)?,
                tries: row.get(7)?,
                attempts: parse(row, 8, "attempts")?,
                replayed: row.get(9)?,
                collapsed: row.get(10)?,
                spoken_for: parse(row, 11, "spoken_for")?,
                id,
            };
            Ok(CallbackRow { record, at: Timestamp(row.get(12)?) })
        })
    }
}

pub(super) fn endpoint(row: &rusqlite::Row) -> Result<(EndpointName, EndpointState), ReadError> {
    read(Table::Endpoints, row, |row| {
        Ok((EndpointName::new(row.get::<_, String>(0)?), parse(row, 1, "state")?))
    })
}

pub(super) fn account(row: &rusqlite::Row) -> Result<Account, ReadError> {
    read(Table::Accounts, row, |row| parse(row, 1, "account"))
}

pub(super) fn mark(row: &rusqlite::Row) -> Result<Mark, ReadError> {
    read(Table::Marks, row, |row| {
        Ok(Mark {
            endpoint: EndpointName::new(row.get::<_, String>(1)?),
            user: UserId::new(row.get::<_, String>(2)?),
            subject: parse(row, 3, "subject")?,
            seq: counter(row, 4)?,
            due_at: Timestamp(row.get(5)?),
            detail: parse(row, 6, "detail")?,
        })
    })
}

/// All but the bytes of the history are never negative, and none is incredibly large.
pub(super) fn number(row: &rusqlite::Row) -> Result<(String, i64), ReadError> {
    read(Table::Numbers, row, |row| {
        let (name, value): (String, i64) = (row.get(0)?, row.get(1)?);
        let may_be_negative = name == "history_bytes";
        if value.unsigned_abs() > CREDIBLE_MAX || (value < 0 && !may_be_negative) {
            return Err(not_credible("value", value));
        }
        Ok((name, value))
    })
}

pub(super) fn text(row: &rusqlite::Row) -> Result<(String, String), ReadError> {
    read(Table::Texts, row, |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The newest callback, as SQL.
pub(super) fn newest_row() -> String {
    format!("SELECT max({}, {})", highest("id", "outbox"), highest("id", "history"))
}

/// The highest credible counter of a column, as an expression of SQL.
pub(super) fn highest(column: &str, table: &str) -> String {
    let credible = format!("{column} BETWEEN 0 AND {CREDIBLE_MAX}");
    format!("ifnull((SELECT max({column}) FROM {table} WHERE {credible}), 0)")
}

/// What the rows of the history take up, as SQL.
pub(super) fn history_bytes() -> String {
    format!("SELECT ifnull(sum(max(0, min(bytes, {ROW_BYTES_MAX}))), 0) FROM history")
}

/// How our own types are written.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("our own types have names for keys, so they are JSON")
}

/// Words that may be anything.
pub(super) fn lossy(row: &rusqlite::Row, column: usize) -> rusqlite::Result<String> {
    match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
        _ => Ok(String::new()),
    }
}
