//! The tables, as steps from one version to the next.

use super::rows;
use rusqlite::{Connection, Transaction};

/// The version this program writes.
pub(super) const VERSION: u32 = STEPS.len() as u32;

/// Each step is applied once, in its own transaction, and never changed after a release. A new one gets
/// its rows in `tests/golden`, which shows that the others can still be read.
const STEPS: [&str; 7] = [
    "
    CREATE TABLE users(
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        version INTEGER NOT NULL,
        state TEXT NOT NULL,            -- presence::User as JSON
        last_seq INTEGER NOT NULL,
        wake_at INTEGER,                -- monotonic ms
        active INTEGER NOT NULL,        -- 1: online, or awaits a deadline
        touched_at INTEGER NOT NULL     -- unix ms
    ) STRICT;
    CREATE INDEX users_active ON users(id) WHERE active = 1;
    CREATE INDEX users_touched ON users(touched_at) WHERE active = 0;

    -- What the App is owed. A row moves to `history`, keeping its id, once it is settled.
    CREATE TABLE outbox(
        id INTEGER PRIMARY KEY,
        endpoint TEXT NOT NULL,
        user TEXT NOT NULL,
        seq INTEGER NOT NULL,
        operation_id TEXT NOT NULL,
        change TEXT NOT NULL,           -- presence::Change as JSON
        queued_at INTEGER NOT NULL,     -- unix ms
        tries INTEGER NOT NULL DEFAULT 0,
        attempts TEXT NOT NULL DEFAULT '[]',
        replayed INTEGER NOT NULL DEFAULT 0
    ) STRICT;

    CREATE TABLE history(
        id INTEGER PRIMARY KEY,
        endpoint TEXT NOT NULL,
        user TEXT NOT NULL,
        seq INTEGER NOT NULL,
        operation_id TEXT NOT NULL,
        change TEXT NOT NULL,
        state TEXT NOT NULL,            -- delivered | dead | expired | superseded
        tries INTEGER NOT NULL,
        attempts TEXT NOT NULL,
        replayed INTEGER NOT NULL,
        settled_at INTEGER NOT NULL,    -- unix ms
        bytes INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX history_user ON history(user, seq);
    CREATE INDEX history_settled ON history(settled_at);
    CREATE INDEX history_dead ON history(id, endpoint) WHERE state = 'dead';

    CREATE TABLE accounts(
        name TEXT PRIMARY KEY,
        account TEXT NOT NULL           -- store::Account as JSON
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE numbers(
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO numbers VALUES ('seq_floor', 0), ('history_bytes', 0), ('last_row', 0), ('probe', 0);
",
    "
    -- How many older callbacks one speaks for, which were superseded by it.
    ALTER TABLE outbox ADD COLUMN collapsed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE history ADD COLUMN collapsed INTEGER NOT NULL DEFAULT 0;
",
    "
    CREATE TABLE endpoints(
        name TEXT PRIMARY KEY,
        state TEXT NOT NULL             -- store::EndpointState as JSON
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE texts(
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    -- Nobody noted what was deleted so far: anything may have been.
    INSERT INTO numbers SELECT 'forgotten_row', value FROM numbers WHERE name = 'last_row';
",
    "
    -- Rows that could not be read, as they were.
    CREATE TABLE set_aside(
        id INTEGER PRIMARY KEY,
        from_table TEXT NOT NULL,
        key TEXT NOT NULL,              -- its id or name there
        content TEXT NOT NULL,          -- its columns as JSON
        why TEXT NOT NULL,
        at INTEGER NOT NULL             -- unix ms
    ) STRICT;
",
    "
    -- The `seq` of the online callbacks among those that one speaks for, as a JSON array.
    ALTER TABLE outbox ADD COLUMN spoken_for TEXT NOT NULL DEFAULT '[]';
",
    "
    -- What an App was not told, and is told again.
    CREATE TABLE marks(
        id INTEGER PRIMARY KEY,
        endpoint TEXT NOT NULL,
        user TEXT NOT NULL,
        subject TEXT NOT NULL,          -- presence::Subject as JSON
        seq INTEGER NOT NULL,           -- of the first callback that makes the App right
        due_at INTEGER NOT NULL,        -- unix ms
        detail TEXT NOT NULL,           -- store::MarkDetail as JSON
        UNIQUE(endpoint, user, subject)
    ) STRICT;
",
];

/// The tables, and the version that brought each.
const TABLES: [(&str, u32); 9] = [
    ("users", 1),
    ("outbox", 1),
    ("history", 1),
    ("accounts", 1),
    ("numbers", 1),
    ("endpoints", 3),
    ("texts", 3),
    ("set_aside", 5),
    ("marks", 7),
];

/// Whether a file is a store.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Of that version.
    Store(u32),
    /// No table at all.
    Nothing,
    /// Of another program, or one that lost tables of ours: why.
    Foreign(String),
}

pub(super) fn holds(connection: &Connection) -> rusqlite::Result<Holds> {
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table'";
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map([], |row| rows::lossy(row, 0))?;
    let names = names.collect::<rusqlite::Result<Vec<_>>>()?;
    if version == 0 && names.is_empty() {
        return Ok(Holds::Nothing);
    }
    let wanted = TABLES.iter().filter(|(_, since)| *since <= version).map(|(name, _)| *name);
    let missing: Vec<&str> =
        wanted.clone().filter(|name| !names.iter().any(|n| n == name)).collect();
    Ok(match missing.len() {
        _ if version == 0 => Holds::Foreign("it is of another program".into()),
        0 => Holds::Store(version),
        some if some == wanted.count() => Holds::Foreign("it is of another program".into()),
        _ => Holds::Foreign(format!("the table {} is missing", missing.join(", "))),
    })
}

/// Brings a file up to [`VERSION`]. Returns the version it has; a newer one is left alone.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<u32> {
    loop {
        let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let Some(step) = STEPS.get(version as usize) else { return Ok(version) };
        apply(connection.transaction()?, step, version + 1)?;
    }
}

fn apply(transaction: Transaction, step: &str, to: u32) -> rusqlite::Result<()> {
    transaction.execute_batch(step)?;
    transaction.pragma_update(None, "user_version", to)?;
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_brought_up_to_the_newest() {
        for start in 0..=STEPS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            for (step, to) in STEPS[..start].iter().zip(1..) {
                apply(connection.transaction().unwrap(), step, to).unwrap();
            }
            assert_eq!(migrate(&mut connection).unwrap(), VERSION);
        }
    }

    #[test]
    fn a_newer_file_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", VERSION + 1).unwrap();
        assert_eq!(migrate(&mut connection).unwrap(), VERSION + 1);
        let tables = "SELECT count(*) FROM sqlite_schema";
        assert_eq!(connection.query_row(tables, [], |row| row.get::<_, u32>(0)).unwrap(), 0);
    }
}
