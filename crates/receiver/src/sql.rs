//! The view in your database: plain SQL, one table and one set of statements for each kind of App.
//!
//! The texts run on SQLite (3.24 or newer) and PostgreSQL as they are; only the schema is one for
//! each. Run them with your own driver, in any language. It never runs them itself, and the table
//! is yours: add columns, or an index that your queries want.
//!
//! ```
//! use herald_receiver::{Event, sql::USERS};
//! # fn at_start(db: &rusqlite::Connection) -> rusqlite::Result<()> {
//! db.execute_batch(USERS.schema_sqlite)?; // once, at start
//! # Ok(()) }
//! fn take(db: &rusqlite::Connection, event: &Event) -> rusqlite::Result<()> {
//!     if let Some(online) = event.online() { // no kick-off: an offline follows it if the user is gone
//!         let background = online && event.is_app_background;
//!         db.execute(USERS.apply, (&event.user_id, event.seq as i64, online, background))?;
//!     }
//!     Ok(())
//! }
//! ```

/// The statements for one kind of App. `$1`, `$2` … are bound in this order; the *subject* is
/// nothing for [`USERS`], `platform_id` for [`PLATFORMS`], and `conn_id` for [`CONNECTIONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sql {
    /// Makes the table, unless it is there.
    pub schema_sqlite: &'static str,
    /// The same for PostgreSQL.
    pub schema_postgres: &'static str,
    /// For each callback but a kick-off: user, subject, seq, whether it is online, whether it is in the
    /// background (false for an offline).
    /// Changes 1 row if it was news, 0 if it was known or something newer is.
    pub apply: &'static str,
    /// Whether a user is online: user. One row with one flag.
    pub is_online: &'static str,
    /// Everyone who is online: user, subject, seq, whether it is in the background.
    pub online: &'static str,
    /// Forgets what is offline with a seq below: seq. As
    /// [`forget_offline_before`](crate::View::forget_offline_before) says, `now - retention`.
    pub forget: &'static str,
    /// Who is online among users by name: after this one, up to this one or NULL. User, subject, seq.
    /// For [`Side::held`](crate::sync::Side::held).
    pub held: &'static str,
    /// The truth about one: user, subject, seq, whether it is online, whether it is in the background,
    /// fence. Its seq never falls, so what
    /// comes late stays older. For [`Side::correct`](crate::sync::Side::correct).
    pub correct: &'static str,
}

/// One flag per user; the settings that Herald begins with.
pub const USERS: Sql = Sql {
    schema_sqlite: "
CREATE TABLE IF NOT EXISTS herald_users (
  user_id TEXT PRIMARY KEY NOT NULL,
  seq BIGINT NOT NULL,
  online BOOLEAN NOT NULL,
  background BOOLEAN NOT NULL
)",
    schema_postgres: r#"
CREATE TABLE IF NOT EXISTS herald_users (
  user_id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  seq BIGINT NOT NULL,
  online BOOLEAN NOT NULL,
  background BOOLEAN NOT NULL
)"#,
    apply: "
INSERT INTO herald_users (user_id, seq, online, background) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id) DO UPDATE
SET seq = excluded.seq, online = excluded.online, background = excluded.background
WHERE excluded.seq > herald_users.seq",
    is_online: "SELECT EXISTS (SELECT 1 FROM herald_users WHERE user_id = $1 AND online)",
    online: "SELECT user_id, seq, background FROM herald_users WHERE online ORDER BY user_id",
    forget: "DELETE FROM herald_users WHERE NOT online AND seq < $1",
    held: "
SELECT user_id, seq FROM herald_users
WHERE online AND user_id > $1 AND (CAST($2 AS TEXT) IS NULL OR user_id <= $2)",
    correct: "
INSERT INTO herald_users (user_id, seq, online, background) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id) DO UPDATE
SET online = excluded.online, background = excluded.background,
  seq = CASE WHEN excluded.seq > herald_users.seq THEN excluded.seq ELSE herald_users.seq END
WHERE herald_users.seq <= excluded.seq OR herald_users.seq <= $5",
};

/// A state per platform; Herald with both scopes `"platform"` and `extra_fields = true`.
pub const PLATFORMS: Sql = Sql {
    schema_sqlite: "
CREATE TABLE IF NOT EXISTS herald_platforms (
  user_id TEXT NOT NULL,
  platform_id INTEGER NOT NULL,
  seq BIGINT NOT NULL,
  online BOOLEAN NOT NULL,
  background BOOLEAN NOT NULL,
  PRIMARY KEY (user_id, platform_id)
)",
    schema_postgres: r#"
CREATE TABLE IF NOT EXISTS herald_platforms (
  user_id TEXT COLLATE "C" NOT NULL,
  platform_id INTEGER NOT NULL,
  seq BIGINT NOT NULL,
  online BOOLEAN NOT NULL,
  background BOOLEAN NOT NULL,
  PRIMARY KEY (user_id, platform_id)
)"#,
    apply: "
INSERT INTO herald_platforms (user_id, platform_id, seq, online, background)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (user_id, platform_id) DO UPDATE
SET seq = excluded.seq, online = excluded.online, background = excluded.background
WHERE excluded.seq > herald_platforms.seq",
    is_online: "SELECT EXISTS (SELECT 1 FROM herald_platforms WHERE user_id = $1 AND online)",
    online: "
SELECT user_id, platform_id, seq, background FROM herald_platforms WHERE online
ORDER BY user_id, platform_id",
    forget: "DELETE FROM herald_platforms WHERE NOT online AND seq < $1",
    held: "
SELECT user_id, platform_id, seq FROM herald_platforms
WHERE online AND user_id > $1 AND (CAST($2 AS TEXT) IS NULL OR user_id <= $2)",
    correct: "
INSERT INTO herald_platforms (user_id, platform_id, seq, online, background)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (user_id, platform_id) DO UPDATE
SET online = excluded.online, background = excluded.background,
  seq = CASE WHEN excluded.seq > herald_platforms.seq THEN excluded.seq ELSE herald_platforms.seq END
WHERE herald_platforms.seq <= excluded.seq OR herald_platforms.seq <= $6",
};

/// A set of connections; Herald with both scopes `"connection"`. `conn_id` is `''` for what a status
/// holds without a connection.
pub const CONNECTIONS: Sql = Sql {
    schema_sqlite: "
CREATE TABLE IF NOT EXISTS herald_connections (
  user_id TEXT NOT NULL,
  conn_id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  online BOOLEAN NOT NULL,
  background BOOLEAN NOT NULL,
  PRIMARY KEY (user_id, conn_id)
)",
    schema_postgres: r#"
CREATE TABLE IF NOT EXISTS herald_connections (
  user_id TEXT COLLATE "C" NOT NULL,
  conn_id TEXT COLLATE "C" NOT NULL,
  seq BIGINT NOT NULL,
  online BOOLEAN NOT NULL,
  background BOOLEAN NOT NULL,
  PRIMARY KEY (user_id, conn_id)
)"#,
    apply: "
INSERT INTO herald_connections (user_id, conn_id, seq, online, background)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (user_id, conn_id) DO UPDATE
SET seq = excluded.seq, online = excluded.online, background = excluded.background
WHERE excluded.seq > herald_connections.seq",
    is_online: "SELECT EXISTS (SELECT 1 FROM herald_connections WHERE user_id = $1 AND online)",
    online: "
SELECT user_id, conn_id, seq, background FROM herald_connections WHERE online
ORDER BY user_id, conn_id",
    forget: "DELETE FROM herald_connections WHERE NOT online AND seq < $1",
    held: "
SELECT user_id, conn_id, seq FROM herald_connections
WHERE online AND user_id > $1 AND (CAST($2 AS TEXT) IS NULL OR user_id <= $2)",
    correct: "
INSERT INTO herald_connections (user_id, conn_id, seq, online, background)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (user_id, conn_id) DO UPDATE
SET online = excluded.online, background = excluded.background,
  seq = CASE WHEN excluded.seq > herald_connections.seq THEN excluded.seq ELSE herald_connections.seq END
WHERE herald_connections.seq <= excluded.seq OR herald_connections.seq <= $6",
};
