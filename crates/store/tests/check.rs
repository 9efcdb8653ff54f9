//! `check` says what is wrong with a store, and nothing about one that is well.
#![allow(clippy::unwrap_used)]

mod support;

use presence::{End, Event, Timestamp};
use rusqlite::Connection;
use std::{collections::BTreeMap, fs, path::Path};
use store::*;
use support::*;

/// Online, offline, lingering; owed, delivered, dead, replayed.
async fn used(folder: &Path) -> Sqlite {
    let store = Sqlite::open(folder, Sync::Normal).unwrap();
    store.epoch("the-epoch").await.unwrap();
    store.change_endpoint(&main(), EndpointChange::ToldOf("all".into())).await.unwrap();
    for (user, at) in [("here", 1_000), ("gone", 2_000), ("leaves", 3_000)] {
        login(&store, user, at).await;
    }
    logout(&store, "gone", 4_000).await;
    let conn = store.load(&name("leaves")).await.unwrap().value.connections()[0].id;
    let lost = Event::Disconnected { conn, end: End::Lost };
    step(&store, "leaves", lost, 5_000).await.unwrap();
    let claimed = claim(&store).await;
    store.settle(settlement(&claimed[0], Fate::Dead)).await.unwrap();
    for other in &claimed[1..] {
        store.settle(settlement(other, Fate::Delivered)).await.unwrap();
    }
    deliver_all(&store).await;
    let id = CallbackId { endpoint: main(), user: name("here"), seq: 1_000 };
    let replay = Replay { ids: vec![id], scopes: Vec::new(), at: Timestamp(9) };
    store.replay(replay).await.unwrap();
    store
}

fn problems(folder: &Path) -> Vec<String> {
    let checked = check(folder).unwrap();
    let line = |p: Problem| format!("{} {}: {}", p.table, p.key, p.what);
    checked.problems.into_iter().map(line).collect()
}

#[tokio::test]
async fn a_store_that_is_well_is_so_in_use_after_a_stop_and_as_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let store = used(folder.path()).await;
    assert_eq!(problems(folder.path()), [""; 0]);
    store.close().await.unwrap();
    drop(store);
    let checked = check(folder.path()).unwrap();
    assert_eq!(checked.schema.0, checked.schema.1);
    let rows: Vec<_> = checked.rows.iter().map(|(table, rows)| format!("{table} {rows}")).collect();
    let expected = ["users 3", "outbox 1", "history 3", "accounts 0", "endpoints 1", "texts 1"];
    assert_eq!(rows[..6], expected);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "a look leaves nothing behind: {left:?}");
    let copy = tempfile::tempdir().unwrap();
    let copy = copy.path().join("odd name?#%.db");
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    fs::copy(folder.path().join("herald.db"), &copy).unwrap();
    assert_eq!(problems(&copy), [""; 0]);
}

#[tokio::test]
async fn a_crashed_store_is_well_with_what_its_log_holds() {
    let folder = tempfile::tempdir().unwrap();
    let store = used(folder.path()).await;
    let copy = tempfile::tempdir().unwrap();
    for file in ["herald.db", "herald.db-wal"] {
        fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
    }
    drop(store);
    let checked = check(copy.path()).unwrap();
    assert_eq!(checked.problems, []);
    assert!(checked.rows.contains(&("users", 3)), "{checked:?}");
}

/// What is done, and the one line that says so.
const HARMS: &[(&str, &str)] = &[
    (
        "UPDATE users SET state = replace(state, '\"since\"', '\"sinse\"') WHERE name = 'here'",
        "users 1: it cannot be read: state: missing field `since`",
    ),
    ("UPDATE users SET last_seq = 1001 WHERE name = 'here'", "users here: last_seq is 1001"),
    ("UPDATE users SET active = 0 WHERE name = 'here'", "users here: active is false"),
    ("UPDATE users SET active = 1 WHERE name = 'gone'", "users gone: active is true"),
    ("UPDATE users SET wake_at = NULL WHERE name = 'leaves'", "users leaves: a connection ends"),
    ("DELETE FROM users WHERE name = 'here'", "users here: a callback has a higher seq"),
    ("UPDATE outbox SET change = replace(change, '\"online\"', '\"up\"')", "outbox 1: it cannot"),
    ("UPDATE outbox SET seq = 999", "outbox main:999:here: its change has the seq 1000"),
    (
        "INSERT INTO history SELECT id, endpoint, user, seq + 1, operation_id,
         replace(change, '1000', '1001'), 'dead', 0, '[]', 0, 1, 0, 0 FROM outbox",
        "outbox 1: it is in the history as well",
    ),
    (
        "INSERT INTO history SELECT id + 20, endpoint, user, seq, operation_id, change, 'dead', 0,
         '[]', 0, 1, 0, 0 FROM outbox",
        "the same callback is there more than once",
    ),
    ("UPDATE history SET state = 'pending' WHERE id = 2", "history main:2000:gone: it is settled"),
    (
        "UPDATE history SET state = 'sunk' WHERE id = 2",
        "history 2: it cannot be read: state: \"sunk\"",
    ),
    ("UPDATE history SET attempts = '' WHERE id = 2", "history 2: it cannot be read: attempts"),
    ("UPDATE history SET bytes = bytes + 1 WHERE id = 2", "numbers history_bytes: it is"),
    ("UPDATE endpoints SET state = '7'", "endpoints main: it cannot be read"),
    ("UPDATE texts SET value = CAST(x'ff' AS TEXT)", "texts epoch: it cannot be read"),
    ("INSERT INTO accounts VALUES ('u', '{}')", "accounts u: it cannot be read"),
    ("UPDATE numbers SET value = 3 WHERE name = 'last_row'", "numbers last_row: it is 3"),
    ("UPDATE numbers SET value = 99 WHERE name = 'forgotten_row'", "forgotten_row: it is beyond"),
    (
        "UPDATE numbers SET value = -1 WHERE name = 'seq_floor'",
        "numbers seq_floor: it cannot be read",
    ),
    (
        "UPDATE numbers SET value = 9007199254740993 WHERE name = 'seq_floor'",
        "numbers seq_floor: it cannot be read: value: 9007199254740993",
    ),
    (
        "UPDATE users SET version = 9223372036854775807 WHERE name = 'here'",
        "users 1: it cannot be read: version: 9223372036854775807",
    ),
    (
        "UPDATE users SET last_seq = 9223372036854775807 WHERE name = 'gone'",
        "users 2: it cannot be read: last_seq",
    ),
    (
        "UPDATE history SET id = 9223372036854775807 WHERE id = 2",
        "history 9223372036854775807: it cannot be read: id",
    ),
    ("DELETE FROM numbers WHERE name = 'history_bytes'", "numbers history_bytes: it is missing"),
];

#[tokio::test]
async fn whatever_is_wrong_is_told_by_table_and_row() {
    let folder = tempfile::tempdir().unwrap();
    used(folder.path()).await.close().await.unwrap();
    for (sql, expected) in HARMS {
        let copy = tempfile::tempdir().unwrap();
        let file = copy.path().join("herald.db");
        fs::copy(folder.path().join("herald.db"), &file).unwrap();
        assert_eq!(Connection::open(&file).unwrap().execute(sql, []).unwrap(), 1, "{sql}");
        let problems = problems(copy.path());
        assert!(problems.iter().any(|line| line.contains(expected)), "{sql}\n{problems:#?}");
    }
}

#[tokio::test]
async fn damage_to_the_file_is_told_with_what_can_still_be_read() {
    let folder = tempfile::tempdir().unwrap();
    used(folder.path()).await.close().await.unwrap();
    let file = folder.path().join("herald.db");
    let whole = fs::read(&file).unwrap();
    for page in 1..whole.len() / 4096 {
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0xee);
        fs::write(&file, bytes).unwrap();
        assert!(!problems(folder.path()).is_empty(), "page {page}");
    }
    fs::write(&file, "no database".repeat(100)).unwrap();
    assert!(problems(folder.path())[0].contains("not a database"));
}

#[tokio::test]
async fn what_was_set_aside_is_listed_and_is_no_problem_any_more() {
    let folder = tempfile::tempdir().unwrap();
    used(folder.path()).await.close().await.unwrap();
    let harm = "UPDATE users SET state = '{bad' WHERE name = 'here'";
    Connection::open(folder.path().join("herald.db")).unwrap().execute(harm, []).unwrap();
    Sqlite::open(folder.path(), Sync::Normal).unwrap().close().await.unwrap();
    let checked = check(folder.path()).unwrap();
    assert_eq!(checked.problems, []);
    assert_eq!(checked.set_aside.len(), 1);
    assert!(checked.set_aside[0].content.contains("{bad"), "{checked:?}");
}

/// Every file there, with its content.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    files
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect()
}

/// A store whose process was killed: a file, a log, and what SQLite shares.
async fn crashed(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = used(folder.path()).await;
    let copy = tempfile::tempdir().unwrap();
    for file in files {
        fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
    }
    drop(store);
    copy
}

#[tokio::test]
async fn a_look_changes_no_file_and_makes_none_and_says_what_holds_no_store() {
    const ALL: &[&str] = &["herald.db", "herald.db-wal", "herald.db-shm", "herald.lock"];
    let sql = |sql: &'static str| {
        move |folder: &Path| {
            let connection = Connection::open(folder.join("herald.db")).unwrap();
            connection.execute_batch(sql).unwrap();
        }
    };
    let empty = |folder: &Path| fs::write(folder.join("herald.db"), "").unwrap();
    let nothing = |_: &Path| {};
    type Harm<'a> = &'a dyn Fn(&Path);
    let cases: [(&[&str], Harm, &str); 9] = [
        (ALL, &nothing, ""),
        (&ALL[..2], &nothing, ""),
        (ALL, &empty, "is empty, and herald.db-wal beside it is not"),
        (&ALL[..2], &empty, "is empty, and herald.db-wal beside it is not"),
        (&ALL[..1], &empty, "holds no store of Herald: it is empty"),
        (&ALL[..1], &nothing, "holds no store of Herald: it has no tables; if it was copied"),
        (&[], &sql("CREATE TABLE users(a)"), "holds no store of Herald: it is of another program"),
        (
            &[],
            &sql("CREATE TABLE a(b); PRAGMA user_version = 99"),
            "holds no store of Herald: it is of another program",
        ),
        (
            ALL,
            &sql("DROP TABLE history; PRAGMA wal_checkpoint(TRUNCATE)"),
            "the table history is missing",
        ),
    ];
    for (at, (files, harm, expected)) in cases.into_iter().enumerate() {
        let folder = crashed(files).await;
        harm(folder.path());
        let before = content(folder.path());
        let problems = problems(folder.path());
        assert!(content(folder.path()) == before, "{at}: {:?}", content(folder.path()).keys());
        match expected {
            "" => assert_eq!(problems, [""; 0], "{at}"),
            expected => assert!(problems[0].contains(expected), "{at}: {problems:?}"),
        }
        if !expected.is_empty() && at != 4 && at != 5 {
            let Err(error) = Sqlite::open(folder.path(), Sync::Normal) else { panic!("{at}") };
            let error = error.to_string();
            assert!(error.contains("herald.db"), "{error}");
            let after = content(folder.path());
            for name in before.keys().filter(|name| !name.ends_with("-shm")) {
                assert!(after[name] == before[name], "{at}: a start changed {name}");
            }
        }
    }
}

#[tokio::test]
async fn beside_a_server_a_look_sees_what_is_in_its_log_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = used(folder.path()).await;
    let before: Vec<_> = content(folder.path()).into_keys().collect();
    let checked = check(folder.path()).unwrap();
    assert!(checked.rows.contains(&("users", 3)) && checked.problems.is_empty(), "{checked:?}");
    assert_eq!(content(folder.path()).into_keys().collect::<Vec<_>>(), before);
    login(&store, "after", 9_000).await;
    store.close().await.unwrap();
    assert_eq!(
        content(folder.path()).into_keys().collect::<Vec<_>>(),
        ["herald.db", "herald.lock"]
    );
}

#[tokio::test]
async fn what_is_not_there_or_too_new_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(check(folder.path()), Err(CheckError::Missing(_))));
    used(folder.path()).await.close().await.unwrap();
    let connection = Connection::open(folder.path().join("herald.db")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(check(folder.path()), Err(CheckError::TooNew(..))));
}
