//! SQLite in memory and a PostgreSQL of our own, behind one face.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use herald_receiver::{Event, Present, Scope, Subject, View, sql};
use postgres::{NoTls, types::ToSql};
use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// What a statement is given.
pub enum Value {
    Text(String),
    /// Bound as 32 bits, as the column is.
    Platform(i32),
    Number(i64),
    Flag(bool),
    NoText,
}

/// Some database, by the words that the tests need.
pub trait Database {
    fn schema(&self, sql: &sql::Sql) -> &'static str;
    fn script(&mut self, statement: &str);
    /// Returns the number of rows that were changed.
    fn execute(&mut self, statement: &str, values: &[Value]) -> usize;
    /// Each row with its cells as text.
    fn query(&mut self, statement: &str, values: &[Value]) -> Vec<Vec<String>>;
}

pub fn statements(scope: Scope) -> sql::Sql {
    match scope {
        Scope::User => sql::USERS,
        Scope::Platform => sql::PLATFORMS,
        Scope::Connection => sql::CONNECTIONS,
    }
}

/// User and subject, as every statement begins.
pub fn key(user_id: &str, subject: &Subject) -> Vec<Value> {
    let user = Value::Text(user_id.to_owned());
    match subject {
        Subject::User => vec![user],
        Subject::Platform(id) => vec![user, Value::Platform((*id).into())],
        Subject::Connection(id) => vec![user, Value::Text(id.clone())],
    }
}

/// An empty table of this kind.
pub fn begin(database: &mut dyn Database, scope: Scope) {
    let sql = statements(scope);
    let schema = database.schema(&sql);
    database.script(schema);
    database.script(schema);
    let table = schema.split_whitespace().nth(5).unwrap();
    database.script(&format!("DELETE FROM {table}"));
}

/// Takes in one callback, as an App does.
pub fn apply(database: &mut dyn Database, scope: Scope, event: &Event) -> usize {
    let Some(online) = event.online() else { return 0 };
    let mut values = key(&event.user_id, &event.subject(scope).unwrap());
    let background = online && event.is_app_background;
    values.push(Value::Number(event.seq.try_into().unwrap()));
    values.extend([Value::Flag(online), Value::Flag(background)]);
    database.execute(statements(scope).apply, &values)
}

/// Who is online by the view, as the statement `online` tells it.
pub fn rows(view: &View) -> Vec<Vec<String>> {
    let row = |present: Present<'_>| {
        let mut cells = row(present.user_id, present.subject, present.seq);
        cells.push(i32::from(present.background).to_string());
        cells
    };
    view.online().map(row).collect()
}

pub fn row(user_id: &str, subject: &Subject, seq: u64) -> Vec<String> {
    let subject = match subject {
        Subject::User => None,
        Subject::Platform(id) => Some(id.to_string()),
        Subject::Connection(id) => Some(id.clone()),
    };
    Some(user_id.to_owned()).into_iter().chain(subject).chain(Some(seq.to_string())).collect()
}

/// SQLite in memory.
pub struct Sqlite(rusqlite::Connection);

impl Sqlite {
    pub fn start() -> Sqlite {
        Sqlite(rusqlite::Connection::open_in_memory().unwrap())
    }
}

fn of_sqlite(values: &[Value]) -> Vec<rusqlite::types::Value> {
    let values = values.iter().map(|value| match value {
        Value::Text(text) => text.clone().into(),
        Value::Platform(id) => i64::from(*id).into(),
        Value::Number(number) => (*number).into(),
        Value::Flag(flag) => (*flag).into(),
        Value::NoText => rusqlite::types::Value::Null,
    });
    values.collect()
}

impl Database for Sqlite {
    fn schema(&self, sql: &sql::Sql) -> &'static str {
        sql.schema_sqlite
    }

    fn script(&mut self, statement: &str) {
        self.0.execute_batch(statement).unwrap();
    }

    fn execute(&mut self, statement: &str, values: &[Value]) -> usize {
        let mut statement = self.0.prepare_cached(statement).unwrap();
        statement.execute(rusqlite::params_from_iter(of_sqlite(values))).unwrap()
    }

    fn query(&mut self, statement: &str, values: &[Value]) -> Vec<Vec<String>> {
        let mut statement = self.0.prepare_cached(statement).unwrap();
        let cells = statement.column_count();
        let rows = statement.query_map(rusqlite::params_from_iter(of_sqlite(values)), |row| {
            let cell = |at| match row.get(at)? {
                rusqlite::types::Value::Integer(number) => Ok(number.to_string()),
                rusqlite::types::Value::Text(text) => Ok(text),
                other => panic!("{other:?}"),
            };
            (0..cells).map(cell).collect()
        });
        rows.unwrap().map(Result::unwrap).collect()
    }
}

/// A PostgreSQL that ends with this.
pub struct Postgres {
    client: Option<postgres::Client>,
    server: Child,
    _folder: TempDir,
}

impl Postgres {
    /// On a socket in a folder of its own, as a user who is not root.
    #[expect(clippy::disallowed_methods, reason = "`Drop` ends it, also when a test fails")]
    pub fn start() -> Postgres {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        if is_root() {
            let mut own = Command::new("chown");
            run(own.args(["-R", "postgres"]).arg(folder.path()));
        }
        let mut initdb = unprivileged("initdb");
        run(initdb.arg("-D").arg(&data).args(["-U", "herald", "-A", "trust", "-E", "UTF8", "-N"]));
        let mut server = unprivileged("postgres");
        server.arg("-D").arg(&data).arg("-k").arg(&data);
        server.args(["-c", "listen_addresses=", "-c", "fsync=off"]);
        let server = server.current_dir(folder.path()).stdin(Stdio::null()).stderr(Stdio::null());
        let server = server.spawn().unwrap();
        let mut started = Postgres { client: None, server, _folder: folder };
        let address = format!("host={} user=herald dbname=postgres", data.display());
        let began = Instant::now();
        while started.client.is_none() {
            started.client = postgres::Client::connect(&address, NoTls).ok();
            assert!(began.elapsed() < Duration::from_secs(60), "PostgreSQL does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        started
    }

    fn client(&mut self) -> &mut postgres::Client {
        self.client.as_mut().unwrap()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.client = None;
        // At once: a client that goes on would be waited for otherwise.
        let pid = rustix::process::Pid::from_child(&self.server);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.server.wait();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program of PostgreSQL, which does not run as root.
fn unprivileged(program: &str) -> Command {
    let program = installed(program);
    if !is_root() {
        return Command::new(program);
    }
    // Programs and folders may lie where only root gets to, as in a chroot that is closed to others.
    let mut probe = as_postgres();
    probe.args(GETS_EVERYWHERE).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
    let mut command = as_postgres();
    if probe.status().is_ok_and(|status| status.success()) {
        command.args(GETS_EVERYWHERE);
    }
    command.arg(program);
    command
}

/// A capability that PostgreSQL does not mind, unlike being root. The last lets `access` count it.
const GETS_EVERYWHERE: [&str; 3] = [
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
    "--securebits=+no_setuid_fixup",
];

fn as_postgres() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command
}

/// Debian keeps them out of the path, in a folder of the version.
fn installed(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(program));
    found.filter(|path| path.exists()).max().unwrap_or_else(|| program.into())
}

fn run(command: &mut Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("is postgresql installed? {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn of_postgres(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    let values = values.iter().map(|value| match value {
        Value::Text(text) => text as &(dyn ToSql + Sync),
        Value::Platform(id) => id,
        Value::Number(number) => number,
        Value::Flag(flag) => flag,
        Value::NoText => &None::<String>,
    });
    values.collect()
}

impl Database for Postgres {
    fn schema(&self, sql: &sql::Sql) -> &'static str {
        sql.schema_postgres
    }

    fn script(&mut self, statement: &str) {
        self.client().batch_execute(statement).unwrap();
    }

    fn execute(&mut self, statement: &str, values: &[Value]) -> usize {
        let changed = self.client().execute(statement, &of_postgres(values)).unwrap();
        changed.try_into().unwrap()
    }

    fn query(&mut self, statement: &str, values: &[Value]) -> Vec<Vec<String>> {
        let rows = self.client().query(statement, &of_postgres(values)).unwrap();
        rows.iter().map(|row| (0..row.len()).map(|at| cell(row, at)).collect()).collect()
    }
}

fn cell(row: &postgres::Row, at: usize) -> String {
    match row.columns()[at].type_().name() {
        "int4" => row.get::<_, i32>(at).to_string(),
        "int8" => row.get::<_, i64>(at).to_string(),
        "bool" => i32::from(row.get::<_, bool>(at)).to_string(),
        _ => row.get(at),
    }
}
