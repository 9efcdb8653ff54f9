//! Rows that cannot be read: moved to a table of their own, so that they stop nobody else.
//!
//! A user whose row is set aside begins anew, with a `seq` above all it may have had. What endpoints
//! may have missed by it, they are asked to read anew.

use super::{
    facts::Fact,
    rows::{self, CREDIBLE_MAX, Key, Table, Unreadable},
    write::{Batch, Done, Outcome},
};
use crate::{
    CallbackState, EndpointChange, EndpointName, Resync, SetAside, StoreError, Versioned,
    queue::Row,
};
use presence::{Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Result, params, types::ValueRef};
use serde_json::{Map, Value, json};

/// How many rows are kept there. More is no fault of single rows: a person must look first.
pub(super) const SET_ASIDE_MAX: usize = 1_000;

impl Batch<'_> {
    /// Sets a row aside that a reader found, unless it is readable by now.
    pub(super) fn set_aside_found(&mut self, row: &Unreadable) -> Result<Outcome> {
        let sql = format!("{} WHERE {}", row.table.select(), row.table.by_key());
        let mut statement = self.transaction.prepare_cached(&sql)?;
        let mut rows = statement.query([&row.key])?;
        let is_readable = match rows.next()? {
            Some(found) => row.table.try_read(found).is_ok(),
            None => true,
        };
        drop(rows);
        drop(statement);
        let mut learn = Vec::new();
        if !is_readable && !self.set_aside(row, &mut learn)? {
            let of = row.key.to_string();
            let (what, why) = (row.table.name(), row.why.clone());
            return Ok(Outcome::Refused(StoreError::Corrupt { what, of, why }));
        }
        Ok(Outcome::Written { learn, done: Done::Written })
    }

    /// Moves a row out of the way. False if there are too many, and it stays where it is.
    pub(super) fn set_aside(&mut self, row: &Unreadable, learn: &mut Vec<Fact>) -> Result<bool> {
        let Some(content) = content(self.transaction, row)? else { return Ok(true) };
        if count(self.transaction)? >= SET_ASIDE_MAX {
            tracing::error!(
                table = row.table.name(), key = %row.key, why = row.why,
                "a stored row cannot be read, and as many are set aside as are kept; see \
                 `herald store check`"
            );
            return Ok(false);
        }
        tracing::error!(
            table = row.table.name(), key = %row.key, why = row.why,
            "a stored row cannot be read and was set aside; see `herald store check`"
        );
        let now = now(self.transaction)?;
        self.keep(row, &content, now)?;
        learn.push(Fact::SetAside { more: 1 });
        match row.table {
            Table::Users => self.after_user(&content, now, learn)?,
            Table::Outbox => self.after_owed(row, &content, now, learn)?,
            Table::History => self.after_settled(row, &content, learn),
            Table::Endpoints => {
                let name = content.text("name").map(EndpointName::new);
                self.ask_for_resync(name.into_iter().collect(), row.table, now, learn)?;
            }
            Table::Marks => {
                let endpoint = content.text("endpoint").map(EndpointName::new);
                self.ask_for_resync(endpoint.into_iter().collect(), row.table, now, learn)?;
            }
            Table::Accounts | Table::Numbers | Table::Texts => {}
        }
        Ok(true)
    }

    pub(super) fn set_aside_all(
        &mut self,
        rows: Vec<Unreadable>,
        learn: &mut Vec<Fact>,
    ) -> Result<()> {
        rows.iter().try_for_each(|row| self.set_aside(row, learn).map(|_| ()))
    }

    fn keep(&self, row: &Unreadable, content: &Content, now: Timestamp) -> Result<()> {
        let sql = "INSERT INTO set_aside(from_table, key, content, why, at)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        let Unreadable { table, key, why } = row;
        let content = Value::Object(content.0.clone()).to_string();
        self.run(sql, params![table.name(), key.to_string(), content, why, now.0])?;
        let sql = format!("DELETE FROM {} WHERE {}", table.name(), table.by_key());
        self.run(&sql, [key])
    }

    fn after_user(
        &mut self,
        content: &Content,
        now: Timestamp,
        learn: &mut Vec<Fact>,
    ) -> Result<()> {
        let name = content.text("name").map(UserId::new);
        // Of a user who is present the index has the truth.
        let active = name.as_ref().and_then(|name| Some((name, self.index.lock().active(name)?)));
        if let Some((name, (Versioned { version, value }, wake_at))) = active {
            return self.put_user(name, version, &value, wake_at, now);
        }
        let floor = self.highest_seq(content, now)?;
        self.numbers.seq_floor = self.numbers.seq_floor.max(floor);
        let all = self.index.lock().endpoints();
        self.ask_for_resync(all, Table::Users, now, learn)
    }

    /// No lower than any `seq` that this user had.
    fn highest_seq(&self, content: &Content, now: Timestamp) -> Result<u64> {
        let one = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> Result<u64> {
            let highest: i64 = self.transaction.query_row(sql, values, |row| row.get(0))?;
            Ok(highest.unsigned_abs())
        };
        let told = "SELECT max(ifnull((SELECT max(seq) FROM outbox
                                       WHERE user = ?1 AND seq BETWEEN 0 AND ?2), 0),
                               ifnull((SELECT max(seq) FROM history
                                       WHERE user = ?1 AND seq BETWEEN 0 AND ?2), 0))";
        let told = one(told, &[&content.text("name"), &CREDIBLE_MAX])?;
        let state = content.text("state").and_then(|text| serde_json::from_str::<Value>(text).ok());
        let stated = state.as_ref().and_then(|state| state.get("last_seq")?.as_u64());
        let noted = content.number("last_seq");
        let known = [stated, noted].into_iter().flatten().filter(|seq| *seq <= CREDIBLE_MAX);
        if let Some(highest) = known.max() {
            return Ok(highest.max(told));
        }
        let others = "SELECT ifnull(max(last_seq), 0) FROM users WHERE last_seq BETWEEN 0 AND ?1";
        Ok(one(others, &[&CREDIBLE_MAX])?.max(told).max(now.0))
    }

    fn after_owed(
        &mut self,
        row: &Unreadable,
        content: &Content,
        now: Timestamp,
        learn: &mut Vec<Fact>,
    ) -> Result<()> {
        let id = row_id(&row.key);
        self.settled.insert(id);
        self.numbers.forget_up_to(id);
        let known = self.index.lock().owed_in(id);
        let endpoints = match (&known, content.text("endpoint")) {
            (Some(known), _) => vec![known.endpoint.clone()],
            (None, Some(endpoint)) => vec![EndpointName::new(endpoint)],
            (None, None) => self.index.lock().endpoints(),
        };
        learn.extend(known.map(|known| Fact::Gone { id: known, row: id }));
        self.ask_for_resync(endpoints, Table::Outbox, now, learn)
    }

    /// Nobody misses it but who reads the history, and that says that something is gone.
    fn after_settled(&mut self, row: &Unreadable, content: &Content, learn: &mut Vec<Fact>) {
        self.numbers.forget_up_to(row_id(&row.key));
        self.numbers.free(content.number("bytes").unwrap_or(0));
        let is_dead = content.text("state") == Some(CallbackState::Dead.name());
        if let Some(endpoint) = content.text("endpoint").filter(|_| is_dead) {
            learn.push(Fact::Dead { endpoint: EndpointName::new(endpoint), more: -1 });
        }
    }

    fn ask_for_resync(
        &mut self,
        endpoints: Vec<EndpointName>,
        table: Table,
        since: Timestamp,
        learn: &mut Vec<Fact>,
    ) -> Result<()> {
        let why = format!("a row of {} could not be read and was set aside", table.name());
        for endpoint in endpoints {
            let change =
                EndpointChange::NeedsResync(Resync { since, why: why.clone(), heals: false });
            learn.extend(self.note_endpoint(endpoint, change)?);
        }
        Ok(())
    }
}

/// The columns of a row, whatever they hold.
struct Content(Map<String, Value>);

impl Content {
    fn text(&self, column: &str) -> Option<&str> {
        self.0.get(column)?.as_str()
    }

    fn number(&self, column: &str) -> Option<u64> {
        self.0.get(column)?.as_u64()
    }
}

fn content(connection: &Connection, row: &Unreadable) -> Result<Option<Content>> {
    let sql = format!("SELECT * FROM {} WHERE {}", row.table.name(), row.table.by_key());
    let mut statement = connection.prepare_cached(&sql)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let read = |row: &rusqlite::Row| -> Result<Content> {
        let value =
            |(at, column): (usize, &String)| Ok((column.clone(), as_json(row.get_ref(at)?)));
        columns.iter().enumerate().map(value).collect::<Result<_>>().map(Content)
    };
    statement.query_row([&row.key], read).optional()
}

fn as_json(value: ValueRef) -> Value {
    let hex = |bytes: &[u8]| json!({ "hex": bytes.iter().map(|b| format!("{b:02x}")).collect::<String>() });
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(bytes) => {
            std::str::from_utf8(bytes).map_or_else(|_| hex(bytes), |text| text.into())
        }
        ValueRef::Blob(bytes) => hex(bytes),
    }
}

fn row_id(key: &Key) -> Row {
    match key {
        Key::Id(id) => u64::try_from(*id).unwrap_or(0),
        Key::Name(_) => 0,
    }
}

/// How many are kept.
pub(super) fn count(connection: &Connection) -> Result<usize> {
    connection.query_row("SELECT count(*) FROM set_aside", [], |row| row.get(0))
}

/// By SQLite's clock: nothing is decided on it but the floor of `seq`, which may be too high.
pub(super) fn now(connection: &Connection) -> Result<Timestamp> {
    let sql = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";
    connection.query_row(sql, [], |row| row.get(0)).map(Timestamp)
}

/// What is kept, the oldest first, after that one.
pub(super) fn list(connection: &Connection, after: u64, limit: usize) -> Result<Vec<SetAside>> {
    let sql = "SELECT id, from_table, key, content, why, at FROM set_aside WHERE id > ?1
               ORDER BY id LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let kept = statement.query_map(params![after, limit], |row| {
        Ok(SetAside {
            id: row.get(0)?,
            table: rows::lossy(row, 1)?,
            key: rows::lossy(row, 2)?,
            content: rows::lossy(row, 3)?,
            why: rows::lossy(row, 4)?,
            at: Timestamp(row.get::<_, i64>(5)?.max(0).unsigned_abs()),
        })
    })?;
    kept.collect()
}
