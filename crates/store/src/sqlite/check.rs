//! What is wrong with a store, by looking only: beside a running server, after a crash, on a copy.

use super::{
    disk::{self, Look},
    faults::is_about_content,
    files,
    rows::{self, CallbackRow, ReadError, Table, UserRow},
    schema::{self, Holds},
    set_aside,
};
use crate::{CallbackState, SetAside};
use presence::Session;
use rusqlite::{Connection, ToSql};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// How many problems are told in full.
const PROBLEMS_MAX: usize = 1_000;
/// How many lines SQLite's own check may have.
const QUICK_CHECK: &str = "PRAGMA quick_check(100)";

const NO_TABLES: &str = "it has no tables; if it was copied while Herald ran, or after a crash, \
                         herald.db-wal must be copied as well";

/// What was found.
#[derive(Debug, Default)]
pub struct Checked {
    /// The file that was looked at.
    pub file: PathBuf,
    /// The version of its tables, and the one that this program writes.
    pub schema: (u32, u32),
    /// How many rows each table has.
    pub rows: Vec<(&'static str, u64)>,
    /// Empty: all is well.
    pub problems: Vec<Problem>,
    /// Beyond those.
    pub more_problems: u64,
    /// Rows that could not be read and were set aside; they harm nothing any more.
    pub set_aside: Vec<SetAside>,
}

/// One thing that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In which table, or `file`.
    pub table: &'static str,
    /// In which row; empty where it is not about one.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum CheckError {
    #[error("there is no {0}; name the folder of a store (store.path)")]
    Missing(PathBuf),
    #[error("{0} was written by a newer herald (schema {1}, this one knows {2}); use that one")]
    TooNew(PathBuf, u32, u32),
    #[error("cannot read {0}; if its folder cannot be written, copy it to one that can")]
    File(PathBuf, #[source] rusqlite::Error),
}

/// Looks at the store in a folder, or at a database file by its name. Changes, makes and deletes
/// nothing.
pub fn check(store: &Path) -> Result<Checked, CheckError> {
    let file = if store.is_file() { store.to_owned() } else { store.join(files::DATABASE) };
    if !file.is_file() {
        return Err(CheckError::Missing(file));
    }
    loop {
        let how = if files::is_taken(&file) { Look::Beside } else { Look::Alone };
        let mut checked = Checked { file: file.clone(), ..Checked::default() };
        let looked = look(&file, how, &mut checked);
        if how == Look::Alone && files::is_taken(&file) {
            // A server came meanwhile: without its locks it was half seen.
            continue;
        }
        return match looked {
            Ok(()) if checked.schema.0 > schema::VERSION => {
                Err(CheckError::TooNew(file, checked.schema.0, schema::VERSION))
            }
            Ok(()) => Ok(checked),
            Err(error) if disk::is_damaged(&error) => {
                checked.note("file", &"", error.to_string());
                Ok(checked)
            }
            Err(error) => Err(CheckError::File(file, error)),
        };
    }
}

fn look(file: &Path, how: Look, checked: &mut Checked) -> rusqlite::Result<()> {
    checked.schema = (0, schema::VERSION);
    if disk::lost_to_its_log(file) {
        checked.note("file", &"", files::EMPTY_BESIDE_LOG);
        return Ok(());
    }
    let connection = disk::open_to_check(file, how)?;
    // One snapshot, so that a server that writes meanwhile is never half seen.
    let reading = connection.unchecked_transaction()?;
    let version = match schema::holds(&reading)? {
        Holds::Store(version) => version,
        Holds::Nothing => {
            let is_empty = file.metadata().is_ok_and(|found| found.len() == 0);
            let why = if is_empty { "it is empty" } else { NO_TABLES };
            checked.note("file", &"", format!("this file holds no store of Herald: {why}"));
            return Ok(());
        }
        Holds::Foreign(why) => {
            checked.note("file", &"", format!("this file holds no store of Herald: {why}"));
            return Ok(());
        }
    };
    checked.schema.0 = version;
    if version <= schema::VERSION {
        At { connection: &reading, version, checked, known: BTreeMap::new() }.everything()?;
    }
    Ok(())
}

impl Checked {
    fn note(&mut self, table: &'static str, key: &dyn ToString, what: impl Into<String>) {
        if self.problems.len() == PROBLEMS_MAX {
            self.more_problems += 1;
            return;
        }
        self.problems.push(Problem { table, key: key.to_string(), what: what.into() });
    }
}

type Step<'a> = fn(&mut At<'a>) -> rusqlite::Result<()>;

struct At<'a> {
    connection: &'a Connection,
    version: u32,
    checked: &'a mut Checked,
    known: BTreeMap<String, i64>,
}

impl<'a> At<'a> {
    fn everything(&mut self) -> rusqlite::Result<()> {
        let steps: [(&'static str, Step<'a>); 6] = [
            ("file", Self::file),
            ("users", Self::users),
            ("callbacks", Self::callbacks),
            ("others", Self::others),
            ("numbers", Self::numbers),
            ("set_aside", Self::set_aside),
        ];
        for (what, step) in steps {
            // What one step cannot read is no reason not to look at the rest.
            match step(self) {
                Err(error) if disk::is_damaged(&error) || is_about_content(&error) => {
                    self.checked.note(what, &"", error.to_string());
                }
                done => done?,
            }
        }
        Ok(())
    }

    fn file(&mut self) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(QUICK_CHECK)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let line = rows::lossy(row, 0)?;
            if line != "ok" {
                self.checked.note("file", &"", line);
            }
        }
        Ok(())
    }

    fn users(&mut self) -> rusqlite::Result<()> {
        self.each(Table::Users, |checked, row| {
            let UserRow { name, state, last_seq, wake_at, active, .. } = UserRow::read(row)?;
            if last_seq != state.last_seq() {
                let what = format!("last_seq is {last_seq}, its state says {}", state.last_seq());
                checked.note("users", &name, what);
            }
            if active != (state.is_online() || wake_at.is_some()) {
                checked.note("users", &name, format!("active is {active}, its state says not so"));
            }
            let ends =
                |session| matches!(session, Session::Lingering { .. } | Session::Virtual { .. });
            let leaves = state.connections().iter().any(|connection| ends(connection.session));
            if leaves && wake_at.is_none() {
                checked.note("users", &name, "a connection ends by itself, and wake_at is not set");
            }
            Ok(())
        })
    }

    fn callbacks(&mut self) -> rusqlite::Result<()> {
        for table in [Table::Outbox, Table::History] {
            self.each(table, |checked, row| {
                let CallbackRow { record, .. } = CallbackRow::read(table, row)?;
                if record.change.seq != record.id.seq {
                    let what = format!("its change has the seq {}", record.change.seq);
                    checked.note(table.name(), &record.id, what);
                }
                if table == Table::History && record.state == CallbackState::Pending {
                    checked.note("history", &record.id, "it is settled, and its state is pending");
                }
                Ok(())
            })?;
        }
        if self.version == 0 {
            return Ok(());
        }
        let both = "SELECT outbox.id FROM outbox JOIN history ON history.id = outbox.id";
        self.none_of("outbox", both, &[], "it is in the history as well")?;
        let twice = "SELECT endpoint || ':' || seq || ':' || user
                     FROM (SELECT endpoint, seq, user FROM outbox
                           UNION ALL SELECT endpoint, seq, user FROM history)
                     GROUP BY endpoint, seq, user HAVING count(*) > 1";
        self.none_of("outbox", twice, &[], "the same callback is there more than once")
    }

    fn others(&mut self) -> rusqlite::Result<()> {
        self.each(Table::Accounts, |_, row| rows::account(row).map(|_| ()))?;
        self.each(Table::Endpoints, |_, row| rows::endpoint(row).map(|_| ()))?;
        self.each(Table::Texts, |_, row| rows::text(row).map(|_| ()))?;
        self.each(Table::Marks, |_, row| rows::mark(row).map(|_| ()))
    }

    fn numbers(&mut self) -> rusqlite::Result<()> {
        let mut numbers = BTreeMap::new();
        self.each(Table::Numbers, |_, row| {
            numbers.extend([rows::number(row)?]);
            Ok(())
        })?;
        self.known = numbers;
        if self.version == 0 {
            return Ok(());
        }
        let one = |sql: String| self.connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
        let (newest, bytes) = (one(rows::newest_row())?, one(rows::history_bytes())?);
        if let Some(last_row) = self.number("last_row", 1) {
            if last_row < newest {
                let what = format!("it is {last_row}, and the newest callback is row {newest}");
                self.checked.note("numbers", &"last_row", what);
            }
            if self.number("forgotten_row", 4).is_some_and(|forgotten| forgotten > last_row) {
                self.checked.note("numbers", &"forgotten_row", "it is beyond last_row");
            }
        }
        if let Some(noted) = self.number("history_bytes", 1).filter(|noted| *noted != bytes) {
            let what = format!("it is {noted}, and the rows take up {bytes}");
            self.checked.note("numbers", &"history_bytes", what);
        }
        let Some(floor) = self.number("seq_floor", 1) else { return Ok(()) };
        let behind = "SELECT told.user FROM
                        (SELECT user, max(seq) AS seq
                         FROM (SELECT user, seq FROM outbox UNION ALL SELECT user, seq FROM history)
                         GROUP BY user) AS told
                      LEFT JOIN users ON users.name = told.user
                      WHERE told.seq > ifnull(users.last_seq, ?1)";
        self.none_of("users", behind, &[&floor], "a callback has a higher seq than its user")
    }

    /// A number that tables of that version have.
    fn number(&mut self, name: &'static str, since: u32) -> Option<i64> {
        let number = self.known.get(name).copied();
        let is_noted = self.checked.problems.iter().any(|p| p.table == "numbers" && p.key == name);
        if number.is_none() && self.version >= since && !is_noted {
            self.checked.note("numbers", &name, "it is missing");
        }
        number
    }

    fn set_aside(&mut self) -> rusqlite::Result<()> {
        if self.version < 5 {
            return Ok(());
        }
        self.checked.set_aside = set_aside::list(self.connection, 0, set_aside::SET_ASIDE_MAX)?;
        self.checked.rows.push(("set_aside", self.checked.set_aside.len() as u64));
        Ok(())
    }

    /// Each row of a table, as far as tables of this version have it.
    fn each(
        &mut self,
        table: Table,
        mut look: impl FnMut(&mut Checked, &rusqlite::Row) -> Result<(), ReadError>,
    ) -> rusqlite::Result<()> {
        let since = match table {
            Table::Marks => 7,
            Table::Endpoints | Table::Texts => 3,
            _ => 1,
        };
        if self.version < since {
            return Ok(());
        }
        let collapsed = if self.version < 2 { "0" } else { "collapsed" };
        let spoken_for = if self.version < 6 { "'[]'" } else { "spoken_for" };
        let sql = table.select().replace("collapsed", collapsed);
        let sql = sql.replace("spoken_for", spoken_for);
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            match look(self.checked, row) {
                Ok(()) => {}
                Err(ReadError::Row(row)) => {
                    let what = format!("it cannot be read: {}", row.why);
                    self.checked.note(table.name(), &row.key, what);
                }
                Err(ReadError::Sqlite(error)) => return Err(error),
            }
        }
        self.checked.rows.push((table.name(), count));
        Ok(())
    }

    /// What finds nothing when all is well.
    fn none_of(
        &mut self,
        table: &'static str,
        sql: &str,
        values: &[&dyn ToSql],
        what: &str,
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query(values)?;
        while let Some(row) = rows.next()? {
            let key = match row.get_ref(0)? {
                rusqlite::types::ValueRef::Integer(id) => id.to_string(),
                _ => rows::lossy(row, 0)?,
            };
            self.checked.note(table, &key, what);
        }
        Ok(())
    }
}
