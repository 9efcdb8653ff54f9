//! The files of a store: who may read them, what is in them after a clean stop, and that nothing is
//! promised when they are not where they were.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use store::*;
use support::*;

#[tokio::test]
async fn only_the_owner_reads_the_files_and_the_folders_that_were_made() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("made/too");
    let store = Sqlite::open(&folder, Sync::Full).unwrap();
    login(&store, "u", 1).await;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(folder.parent().unwrap()), 0o700);
    for file in ["herald.db", "herald.db-wal", "herald.db-shm", "herald.lock"] {
        assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_folder_that_was_there_keeps_its_mode_and_files_open_to_all_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let database = folder.path().join("herald.db");
    fs::write(&database, "").unwrap();
    fs::set_permissions(&database, fs::Permissions::from_mode(0o644)).unwrap();
    let store = Sqlite::open(folder.path(), Sync::Full).unwrap();
    login(&store, "u", 1).await;
    assert_eq!(mode(folder.path()), 0o755);
    assert_eq!(mode(&database), 0o600);
    assert_eq!(mode(&folder.path().join("herald.db-wal")), 0o600);
}

#[tokio::test]
async fn after_a_close_everything_lies_in_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path(), Sync::Full).unwrap();
    for n in 0..50 {
        login(&store, &format!("u{n:02}"), 10 + n).await;
    }
    store.close().await.unwrap();
    store.close().await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    fs::copy(folder.path().join("herald.db"), copy.path().join("herald.db")).unwrap();
    let copied = Sqlite::open(copy.path(), Sync::Full).unwrap();
    assert_eq!(online(&copied).await.len(), 50);
    assert_eq!(copied.backlog(&main()).await.unwrap().owed, 50);
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap()).collect();
    left.retain(|entry| entry.file_name() != "herald.lock");
    assert_eq!(left.len(), 1, "{left:?}");

    // And the folder is free, while the closed one says what it is.
    let error = try_login(&store, "late", 99).await.unwrap_err();
    assert!(error.to_string().contains("the store is closed"), "{error}");
    Sqlite::open(folder.path(), Sync::Full).unwrap();
}

#[tokio::test]
async fn what_was_asked_before_a_close_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(Sqlite::open(folder.path(), Sync::Full).unwrap());
    let logins = (0..200).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { try_login(&*store, &format!("u{n}"), 10 + n).await.is_ok() })
    });
    let logins: Vec<_> = logins.collect();
    tokio::task::yield_now().await;
    store.close().await.unwrap();
    let mut stored = 0;
    for login in logins {
        stored += u64::from(login.await.unwrap());
    }
    let store = Sqlite::open(folder.path(), Sync::Full).unwrap();
    assert_eq!(store.users_online().await.unwrap(), stored);
}

type Harm = fn(&Path, &Path);

/// What happens to a store whose path is the first and which may be kept at the second.
const HARMS: [(&str, Harm); 6] = [
    ("the folder is moved", |folder, aside| fs::rename(folder, aside).unwrap()),
    ("the folder is deleted", |folder, _| fs::remove_dir_all(folder).unwrap()),
    ("the database is deleted", |folder, _| fs::remove_file(folder.join("herald.db")).unwrap()),
    ("the log is deleted", |folder, _| fs::remove_file(folder.join("herald.db-wal")).unwrap()),
    ("the folder is replaced", |folder, aside| {
        fs::rename(folder, aside).unwrap();
        copy_all(aside, folder);
    }),
    ("the database is replaced", |folder, aside| {
        copy_all(folder, aside);
        fs::rename(aside.join("herald.db"), folder.join("herald.db")).unwrap();
    }),
];

#[tokio::test]
async fn nothing_is_promised_when_the_files_are_not_where_they_were() {
    for (what, harm) in HARMS {
        let outer = tempfile::tempdir().unwrap();
        let (folder, aside) = (outer.path().join("data"), outer.path().join("aside"));
        let store = Sqlite::open(&folder, Sync::Full).unwrap();
        login(&store, "before", 1).await;
        store.check_files().await.unwrap();
        harm(&folder, &aside);
        let error = try_login(&store, "after", 2).await.expect_err(what);
        assert!(matches!(error, StoreError::Unavailable(_)), "{what}: {error:?}");
        assert!(error.to_string().contains("data"), "{what}: {error}");
        assert!(store.check_files().await.is_err() && store.probe().await.is_err(), "{what}");
        assert!(store.close().await.is_err(), "{what}");
    }
}

#[tokio::test]
async fn a_folder_that_comes_back_is_used_again() {
    let outer = tempfile::tempdir().unwrap();
    let (folder, aside) = (outer.path().join("data"), outer.path().join("aside"));
    let store = Sqlite::open(&folder, Sync::Full).unwrap();
    login(&store, "before", 1).await;
    fs::rename(&folder, &aside).unwrap();
    try_login(&store, "meanwhile", 2).await.unwrap_err();
    fs::rename(&aside, &folder).unwrap();
    login(&store, "after", 3).await;
    store.close().await.unwrap();
    let store = Sqlite::open(&folder, Sync::Full).unwrap();
    assert_eq!(online(&store).await, ["after", "before"]);
}

/// A backup that is put in the place of a store in use, log and all.
#[tokio::test]
async fn closing_a_store_leaves_the_log_of_another_that_took_its_place() {
    let outer = tempfile::tempdir().unwrap();
    let (folder, aside) = (outer.path().join("data"), outer.path().join("aside"));
    let store = Sqlite::open(&folder, Sync::Full).unwrap();
    login(&store, "in-the-log", 1).await;
    fs::rename(&folder, &aside).unwrap();
    copy_all(&aside, &folder);
    store.close().await.unwrap_err();
    drop(store);
    let restored = Sqlite::open(&folder, Sync::Full).unwrap();
    assert_eq!(online(&restored).await, ["in-the-log"]);
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    let files: Vec<PathBuf> =
        fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
    for file in files {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
