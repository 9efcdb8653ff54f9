//! How the file is opened: the settings that decide durability and speed.

use super::Sync;
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// In KiB. The working set of a hundred thousand users fits.
const CACHE_KIB: i64 = 64 * 1024;
/// In pages of 4 KiB: larger than the default, so that a burst is not slowed by checkpoints.
const CHECKPOINT_PAGES: i64 = 8_000;
/// In bytes: what the log is cut back to after a burst.
const LOG_BYTES_KEPT: i64 = 32 * 1024 * 1024;
/// How long a write waits for another program's.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// In bytes: a log that is larger is begun anew, for which readers that are inside it are waited for.
const LOG_BYTES_MAX: u64 = 48 * 1024 * 1024;
/// How long; somebody else's reader may stay for ever.
const LOG_WAIT: Duration = Duration::from_millis(200);

/// How long a store that is closed waits for others that read it.
const READER_WAIT: Duration = Duration::from_secs(2);

pub(super) fn open(path: &Path, sync: Sync) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = if sync == Sync::Full { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    keep_log_on_close(&connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The last connection to be closed would delete the log, by its name: if the folder was replaced
/// meanwhile, that is the log of another database.
fn keep_log_on_close(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(|_| ())
}

/// Moves all that was written into the database and closes it. Whether all was moved: what others
/// read stays in the log, after a wait for them.
pub(super) fn close(connection: Connection) -> rusqlite::Result<bool> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    connection.busy_timeout(READER_WAIT)?;
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let is_all = connection.query_row(checkpoint, [], |row| {
        let (busy, logged, moved): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(!busy || logged == moved)
    })?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(is_all)
}

pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    keep_log_on_close(&connection)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Begins the log anew if it has grown too large. By itself that happens only in a moment in which
/// nobody reads, and while many read the history there may be none.
pub(super) fn bound_log(connection: &Connection) -> rusqlite::Result<()> {
    let path = connection.path().map(PathBuf::from).unwrap_or_default();
    if fs::metadata(log_of(&path)).is_ok_and(|log| log.len() <= LOG_BYTES_MAX) {
        return Ok(());
    }
    connection.busy_timeout(LOG_WAIT)?;
    let done = connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
    connection.busy_timeout(BUSY_WAIT)?;
    // It is cut back when the first page is written again (`journal_size_limit`).
    done
}

/// How a file can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// A process writes to it: by SQLite's locks, which are in its files.
    Beside,
    /// Nobody does: without locks, so that no file is made, changed or deleted.
    Alone,
}

/// Opens a file to look at it, with what its log holds.
pub(super) fn open_to_check(path: &Path, how: Look) -> rusqlite::Result<Connection> {
    let has_log = log_of(path).exists();
    if has_log && how == Look::Beside {
        return open_to_read(path);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    if has_log {
        let connection = Connection::open_with_flags_and_vfs(path, flags, c"unix-none")?;
        // What other connections would share is kept in memory.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        keep_log_on_close(&connection)?;
        return Ok(connection);
    }
    let bytes = path.as_os_str().as_encoded_bytes();
    let name: String = bytes.iter().map(|byte| uri_byte(*byte)).collect();
    Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)
}

pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// SQLite deletes the log of an empty file as soon as it reads: all that it holds.
pub(super) fn lost_to_its_log(path: &Path) -> bool {
    let size = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    size(path) == 0 && size(&log_of(path)) > 0
}

fn uri_byte(byte: u8) -> String {
    match byte {
        b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    }
}

/// What a person can do about an error, to be said beside it.
pub(super) fn hint(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode::{CannotOpen, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure};
    match error.sqlite_error_code() {
        _ if is_damaged(error) => " (see `herald store check`)",
        // To SQLite a full disk is either, by what it was writing.
        Some(DiskFull | SystemIoFailure) => {
            " (the disk may be full or broken: see `df` and the system's log)"
        }
        Some(CannotOpen | PermissionDenied | ReadOnly) => {
            " (all files of the folder must be readable and writable to the user that runs herald)"
        }
        _ => "",
    }
}

/// Whether the file itself is broken, not just a row.
pub(super) fn is_damaged(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn an_error_says_what_a_person_can_do() {
        for (code, words) in [
            (ffi::SQLITE_FULL, "disk may be full"),
            (ffi::SQLITE_IOERR_SHMSIZE, "disk may be full"),
            (ffi::SQLITE_IOERR_FSYNC, "or broken"),
            (ffi::SQLITE_CANTOPEN, "readable and writable"),
            (ffi::SQLITE_READONLY_DIRECTORY, "readable and writable"),
            (ffi::SQLITE_NOTADB, "herald store check"),
            (ffi::SQLITE_CORRUPT_INDEX, "herald store check"),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert!(hint(&error).contains(words), "{code}: {}", hint(&error));
        }
    }
}
