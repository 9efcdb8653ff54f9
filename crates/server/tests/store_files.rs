//! The files of the store under the real program: who may read them, what a stop leaves, what happens
//! when they vanish, and when a row in them cannot be read.
#![allow(clippy::unwrap_used)]

mod support;

use rusqlite::Connection;
use server::client::{Client, LoginError};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};
use support::{process::Process, *};
use wire::platform::Platform;

/// Nobody's grace runs out during a test.
const QUIET: [(&str, &str); 1] = [("HERALD_PRESENCE__RESTART_GRACE", "60s")];

#[tokio::test]
async fn a_umask_that_lets_all_in_opens_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    let mut herald = Process::new(folder.path(), &app.url(), &[("HERALD_ADMIN__TOKEN", "")]);
    herald.start_with_umask(0).await;
    login(&herald, "u").await.unwrap();
    let data = folder.path().join("data");
    assert_eq!(mode(&data), 0o700);
    let files = ["herald.db", "herald.db-wal", "herald.db-shm", "herald.lock", "admin-token"];
    for file in files {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
}

/// A pipe would be waited for, and a device lose the mode that others need.
#[tokio::test]
async fn what_is_no_file_is_refused_at_once_and_keeps_its_mode() {
    for name in ["herald.db", "herald.lock", "herald.db-wal", "admin-token"] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let made = Command::new("mkfifo").args(["-m", "666"]).arg(data.join(name)).status();
        assert!(made.unwrap().success());
        let settings = [("HERALD_ADMIN__TOKEN", "")];
        let herald = Process::new(folder.path(), "http://127.0.0.1:1/", &settings);
        let output = herald.command().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("is no file"), "{name}: {said}");
        assert_eq!(mode(&data.join(name)), 0o666, "{name}");
    }
}

/// A token that was put there must be a good one, as that of the configuration.
#[tokio::test]
async fn a_token_file_that_holds_no_good_token_is_refused() {
    for bytes in [&b"x"[..], b"two\nlines-of-a-token", b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("admin-token"), bytes).unwrap();
        let settings = [("HERALD_ADMIN__TOKEN", "")];
        let herald = Process::new(folder.path(), "http://127.0.0.1:1/", &settings);
        let output = herald.command().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("admin-token"), "{bytes:?}: {said}");
    }
}

#[tokio::test]
async fn after_a_stop_the_database_alone_holds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    app.stop();
    let mut herald = Process::new(folder.path(), &app.url(), &QUIET);
    herald.start().await;
    let _clients = (login(&herald, "a").await.unwrap(), login(&herald, "b").await.unwrap());
    assert_eq!(herald.terminate().await, Some(0));
    let copied = tempfile::tempdir().unwrap();
    fs::create_dir(copied.path().join("data")).unwrap();
    let file = "data/herald.db";
    fs::copy(folder.path().join(file), copied.path().join(file)).unwrap();
    let mut other = Process::new(copied.path(), &app.url(), &QUIET);
    other.start().await;
    assert_eq!(other.users_online().await, ["a", "b"]);
    assert_eq!(other.owed().await, 2);
}

#[tokio::test]
async fn a_folder_that_vanishes_refuses_logins_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (data, aside) = (folder.path().join("data"), folder.path().join("aside"));
    let app = App::start().await;
    let mut herald = Process::new(folder.path(), &app.url(), &QUIET);
    herald.start().await;
    let _early = login(&herald, "early").await.unwrap();
    // A folder that vanishes in the middle of a commit is another case: that store stays lost.
    eventually("nothing is being written", || async { is_quiet(&data) }).await;
    fs::rename(&data, &aside).unwrap();
    for _ in 0..3 {
        let Err(LoginError::Refused { code, .. }) = login(&herald, "late").await else {
            panic!("let in though nothing is stored");
        };
        assert_eq!(code, 500);
    }
    eventually("it says that it is not ready", || async { !herald.is_ready().await }).await;
    let (_, ready) = herald.get("/readyz").await;
    let reason = ready["reasons"][0].as_str().unwrap();
    assert!(reason.contains("data was deleted or moved"), "{reason}");
    let log = fs::read_to_string(herald.log()).unwrap();
    assert_eq!(log.matches("logins are refused").count(), 1, "said once:\n{log}");

    fs::rename(&aside, &data).unwrap();
    eventually("it is ready again", || async { herald.is_ready().await }).await;
    let _late = login(&herald, "late").await.unwrap();
    herald.kill();
    herald.start().await;
    assert_eq!(herald.users_online().await, ["early", "late"]);
}

/// What was promised to a client is never in a file that nobody finds.
#[tokio::test]
async fn nobody_is_let_in_whose_login_went_into_a_deleted_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let app = App::start().await;
    app.stop();
    let mut herald = Process::new(folder.path(), &app.url(), &QUIET);
    herald.start().await;
    let gateway = herald.gateway;
    let logins = (0..400).map(|n| async move {
        let user = format!("u{n:03}");
        Client::login(gateway, &identity(&user, Platform::Ios)).await.map(|client| (user, client))
    });
    let logins: Vec<_> = logins.map(tokio::spawn).collect();
    let backup = folder.path().join("backup");
    eventually("some are in", || async { !herald.users_online().await.is_empty() }).await;
    // What anybody was told by now is in here, with the log.
    fs::rename(&data, &backup).unwrap();
    let mut told = Vec::new();
    for login in logins {
        told.extend(login.await.unwrap().ok());
    }
    herald.kill();
    fs::rename(&backup, &data).unwrap();
    herald.start().await;
    let online = herald.users_online().await;
    for (user, _) in &told {
        assert!(online.contains(user), "{user} was let in, and is forgotten");
    }
    assert!(told.len() < 400, "the folder was moved too late to see anything");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_listed_counted_and_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let app = App::start().await;
    let mut herald = Process::new(folder.path(), &app.url(), &QUIET);
    herald.start().await;
    drop((login(&herald, "bad").await.unwrap(), login(&herald, "good").await.unwrap()));
    eventually("all is told", || async { herald.owed().await == 0 }).await;
    herald.terminate().await;
    let seq = |app: &App| {
        let received = app.received();
        let of_bad = received.iter().filter(|one| one.json()["userID"] == "bad");
        of_bad.map(|one| one.json()["seq"].as_u64().unwrap()).max().unwrap()
    };
    let before = seq(&app);
    let harm = "UPDATE users SET state = '{bad' WHERE name = 'bad'";
    Connection::open(data.join("herald.db")).unwrap().execute(harm, []).unwrap();
    let (code, out) = text(&check(&data));
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("users") && out.contains("it cannot be read"), "{out}");

    herald.start().await;
    let _clients = (login(&herald, "good").await.unwrap(), login(&herald, "bad").await.unwrap());
    eventually("it is told", || async { seq(&app) > before }).await;
    let (_, page) = herald.get("/v1/set-aside").await;
    assert_eq!(page["rows"][0]["table"], "users", "{page}");
    assert_eq!(page["rows"][0]["content"]["state"], "{bad", "{page}");
    let (_, endpoints) = herald.get("/v1/endpoints").await;
    assert!(endpoints[0]["needsResync"].is_object(), "{endpoints}");
    let metrics = server::client::http(herald.admin, "GET", "/metrics", &[], "").await.unwrap().1;
    assert!(metrics.contains("herald_store_rows_set_aside 1"), "{metrics}");
    assert!(metrics.contains("herald_store_unavailable 0"), "{metrics}");
    let log = fs::read_to_string(herald.log()).unwrap();
    assert!(log.contains("set aside"), "{log}");

    // Beside the running server.
    let (code, out) = text(&check(&data));
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("the store is well") && out.contains("set aside earlier"), "{out}");
}

/// Whoever copies `herald.db` after a stop must know if it is not all.
#[tokio::test]
async fn a_stop_beside_a_reader_says_what_is_left_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    let mut herald = Process::new(folder.path(), &app.url(), &QUIET);
    herald.start().await;
    let _early = login(&herald, "early").await.unwrap();
    let reader = Connection::open(folder.path().join("data/herald.db")).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let users = "SELECT count(*) FROM users";
    assert_eq!(reader.query_row(users, [], |row| row.get::<_, u32>(0)).unwrap(), 1);
    let _late = login(&herald, "late").await.unwrap();
    assert_eq!(herald.terminate().await, Some(0));
    let log = herald.log_text();
    let line = log.lines().find(|line| line.contains("herald.db-wal")).unwrap_or(&log);
    assert!(line.contains("WARN") && line.contains("copied as well"), "{line}");

    // It is all there, and after a stop without a reader in one file.
    drop(reader);
    herald.start().await;
    assert_eq!(herald.users_online().await, ["early", "late"]);
    assert_eq!(herald.terminate().await, Some(0));
    let lines = herald.log_text().lines().filter(|line| line.contains("-wal")).count();
    assert_eq!(lines, 1);
    let (code, out) = text(&check(&folder.path().join("data/herald.db")));
    assert_eq!(code, Some(0), "{out}");
}

#[test]
fn a_check_of_what_holds_no_store_exits_1_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let other = Connection::open(folder.path().join("herald.db")).unwrap();
    other.execute_batch("CREATE TABLE users(a)").unwrap();
    let (code, out) = text(&check(folder.path()));
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("holds no store of Herald") && !out.contains("well"), "{out}");
}

#[test]
fn a_check_of_what_is_not_there_exits_2_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let output = check(folder.path());
    assert_eq!(output.status.code(), Some(2));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("herald.db") && err.contains("store.path"), "{err}");
}

fn check(folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
    command.args(["store", "check"]).arg(folder).output().unwrap()
}

fn text(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn login(herald: &Process, user: &str) -> Result<Client, LoginError> {
    Client::login(herald.gateway, &identity(user, Platform::Ios)).await
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Whether the last write is over and the next probe, which writes every 5 s, is not near.
fn is_quiet(data: &Path) -> bool {
    let written = fs::metadata(data.join("herald.db-wal")).unwrap().modified().unwrap();
    (1_000..3_000).contains(&written.elapsed().unwrap_or_default().as_millis())
}
