//! How the file is opened: the settings that decide durability and speed.

use super::Sync;
use rusqlite::{Connection, OpenFlags};
use std::{path::Path, time::Duration};

/// In KiB. The working set of a hundred thousand users fits.
const CACHE_KIB: i64 = 64 * 1024;
/// In pages of 4 KiB: larger than the default, so that a burst is not slowed by checkpoints.
const CHECKPOINT_PAGES: i64 = 8_000;
/// In bytes: what the log is cut back to after a burst.
const LOG_BYTES_KEPT: i64 = 64 * 1024 * 1024;

pub(super) fn open(path: &Path, sync: Sync) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = if sync == Sync::Full { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
