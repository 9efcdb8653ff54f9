//! One row that cannot be read stops nothing but itself: it is set aside and kept, and who may have
//! missed something by it is asked to read anew.
#![allow(clippy::unwrap_used)]

mod support;

use presence::*;
use rusqlite::Connection;
use std::path::Path;
use store::*;
use support::*;

/// A store that was used: `here` is online, `gone` is not, both with history; `owed` is owed a
/// callback. Closed.
async fn used() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.epoch("the-epoch").await.unwrap();
    let paused = EndpointChange::ToldOf("all".into());
    store.change_endpoint(&main(), paused).await.unwrap();
    store.register(vec![account("here"), account("gone")]).await.unwrap();
    login(&store, "here", 1_000).await;
    login(&store, "gone", 2_000).await;
    logout(&store, "gone", 3_000).await;
    deliver_all(&store).await;
    login(&store, "owed", 4_000).await;
    store.close().await.unwrap();
    folder
}

/// What is done to a store, and which rows are set aside by it.
struct Harm {
    sql: &'static str,
    aside: &'static str,
    /// Whether an endpoint may have missed something.
    resync: bool,
}

const AT_START: &[Harm] = &[
    Harm {
        sql: "UPDATE users SET state = '{bad' WHERE name = 'here'",
        aside: "users",
        resync: true,
    },
    Harm {
        sql: "UPDATE users SET state = replace(state, '\"last_seq\"', '\"last_sequence\"')
              WHERE name = 'here'",
        aside: "users",
        resync: true,
    },
    Harm {
        sql: "UPDATE users SET state = replace(state, '\"live\"', '\"alive\"') WHERE name = 'here'",
        aside: "users",
        resync: true,
    },
    Harm { sql: "UPDATE users SET version = -1 WHERE name = 'here'", aside: "users", resync: true },
    Harm { sql: "UPDATE users SET wake_at = -1 WHERE name = 'here'", aside: "users", resync: true },
    Harm {
        sql: "UPDATE users SET name = CAST(x'68ff' AS TEXT) WHERE name = 'here'",
        aside: "users",
        resync: true,
    },
    Harm {
        sql: "UPDATE users SET state = CAST(x'ff7b7d' AS TEXT) WHERE name = 'here'",
        aside: "users",
        resync: true,
    },
    Harm {
        sql: "UPDATE users SET state = '{bad', active = 1 WHERE name = 'gone'",
        aside: "users",
        resync: true,
    },
    Harm {
        sql: "INSERT INTO marks VALUES (1, 'main', 'gone', '\"user\"', 3000, 4000, '{bad')",
        aside: "marks",
        resync: true,
    },
    Harm { sql: "UPDATE outbox SET change = '{bad'", aside: "outbox", resync: true },
    Harm {
        sql: "UPDATE outbox SET change = replace(change, '\"online\"', '\"on_line\"')",
        aside: "outbox",
        resync: true,
    },
    Harm {
        sql: "UPDATE outbox SET change = replace(change, '\"login\"', '\"knock\"')",
        aside: "outbox",
        resync: true,
    },
    Harm { sql: "UPDATE outbox SET attempts = '[{]'", aside: "outbox", resync: true },
    Harm { sql: "UPDATE outbox SET attempts = '7'", aside: "outbox", resync: true },
    Harm { sql: "UPDATE outbox SET seq = -7", aside: "outbox", resync: true },
    Harm {
        sql: "UPDATE outbox SET endpoint = CAST(x'6dff' AS TEXT)",
        aside: "outbox",
        resync: true,
    },
    Harm {
        sql: "UPDATE outbox SET operation_id = CAST(x'6dff' AS TEXT)",
        aside: "outbox",
        resync: true,
    },
    Harm { sql: "UPDATE endpoints SET state = 'x'", aside: "endpoints", resync: true },
    Harm {
        sql: "UPDATE endpoints SET state = replace(state, 'false', '\"no\"')",
        aside: "endpoints",
        resync: true,
    },
    Harm { sql: "UPDATE texts SET value = CAST(x'ff' AS TEXT)", aside: "texts", resync: false },
    Harm {
        sql: "UPDATE numbers SET value = -5 WHERE name = 'seq_floor'",
        aside: "numbers",
        resync: false,
    },
    Harm {
        sql: "UPDATE numbers SET value = -5 WHERE name = 'last_row'",
        aside: "numbers",
        resync: false,
    },
    Harm {
        sql: "UPDATE numbers SET value = 9223372036854775807 WHERE name = 'seq_floor'",
        aside: "numbers",
        resync: false,
    },
    Harm {
        sql: "UPDATE numbers SET value = 9007199254740993 WHERE name = 'seq_floor'",
        aside: "numbers",
        resync: false,
    },
    Harm {
        sql: "UPDATE numbers SET value = 9223372036854775807 WHERE name = 'last_row'",
        aside: "numbers",
        resync: false,
    },
    Harm {
        sql: "UPDATE numbers SET value = 9007199254740993 WHERE name = 'last_row'",
        aside: "numbers",
        resync: false,
    },
    Harm {
        sql: "UPDATE numbers SET value = 9223372036854775807 WHERE name = 'forgotten_row'",
        aside: "numbers",
        resync: false,
    },
    Harm {
        sql: "UPDATE numbers SET value = 9007199254740993 WHERE name = 'forgotten_row'",
        aside: "numbers",
        resync: false,
    },
    Harm {
        sql: "UPDATE numbers SET value = 9223372036854775807 WHERE name = 'probe'",
        aside: "numbers",
        resync: false,
    },
    Harm {
        sql: "UPDATE numbers SET value = 9007199254740993 WHERE name = 'probe'",
        aside: "numbers",
        resync: false,
    },
    Harm {
        sql: "UPDATE numbers SET value = 9223372036854775807 WHERE name = 'history_bytes'",
        aside: "numbers",
        resync: false,
    },
    Harm {
        sql: "UPDATE numbers SET value = 9007199254740993 WHERE name = 'history_bytes'",
        aside: "numbers",
        resync: false,
    },
    Harm {
        sql: "UPDATE users SET version = 9223372036854775807 WHERE name = 'here'",
        aside: "users",
        resync: true,
    },
    Harm {
        sql: "UPDATE users SET version = 9223372036854775806 WHERE name = 'here'",
        aside: "users",
        resync: true,
    },
    Harm {
        sql: "UPDATE users SET last_seq = 9223372036854775807 WHERE name = 'here'",
        aside: "users",
        resync: true,
    },
    Harm {
        sql: "UPDATE users SET state = replace(state, '\"last_seq\":1000', '\"last_seq\":9007199254740993')
              WHERE name = 'here'",
        aside: "users",
        resync: true,
    },
    Harm {
        sql: "UPDATE outbox SET id = 9223372036854775807",
        aside: "outbox",
        resync: true,
    },
    Harm {
        sql: "UPDATE outbox SET seq = 9007199254740993",
        aside: "outbox",
        resync: true,
    },
    Harm {
        sql: "UPDATE outbox SET change = replace(change, '\"seq\":4000', '\"seq\":18446744073709551615')",
        aside: "outbox",
        resync: true,
    },
];

#[tokio::test]
async fn one_row_that_cannot_be_read_does_not_stop_the_start_and_everybody_else_goes_on() {
    for Harm { sql, aside, resync } in AT_START {
        let folder = used().await;
        assert_eq!(harm(folder.path(), sql), 1, "{sql}");
        let store = open(folder.path());
        let kept = store.set_aside(0, 9).await.unwrap();
        let tables: Vec<_> = kept.iter().map(|row| row.table.as_str()).collect();
        assert_eq!(tables, [*aside], "{sql}");
        assert!(!kept[0].why.is_empty() && kept[0].content.starts_with('{'), "{kept:?}");
        let needs = store.endpoint(&main()).await.unwrap().resync.is_some();
        assert_eq!(needs, *resync, "{sql}");

        // Everybody can log in and is told, also the one whose row it was; `seq` never goes back.
        for user in ["here", "gone", "owed", "new"] {
            login(&store, user, 5_000).await;
            let state = store.load(&name(user)).await.unwrap().value;
            assert!(state.last_seq() > 4_000, "{sql}: {user} {}", state.last_seq());
        }
        deliver_all(&store).await;
        let online = online(&store).await;
        assert!(
            ["gone", "here", "new", "owed"].iter().all(|u| online.contains(&(*u).into())),
            "{sql}"
        );
        assert_eq!(store.backlog(&main()).await.unwrap().owed, 0, "{sql}");
        store.prune(everything()).await.unwrap();

        // It is kept once, and all is well at the next start.
        store.close().await.unwrap();
        let store = open(folder.path());
        assert_eq!(store.set_aside(0, 9).await.unwrap(), kept, "{sql}");
        assert_eq!(store.set_aside(kept[0].id, 9).await.unwrap(), []);
        assert_eq!(store.set_aside_count().await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_user_whose_row_is_read_later_is_set_aside_then_and_begins_above_what_was_told() {
    for sql in [
        "UPDATE users SET state = '{bad' WHERE name = 'gone'",
        "UPDATE users SET state = replace(state, 'last_seq', 'seq') WHERE name = 'gone'",
        "UPDATE users SET state = '{bad', last_seq = -3 WHERE name = 'gone'",
        "UPDATE users SET state = '{bad', last_seq = 9e18 WHERE name = 'gone'",
        "UPDATE users SET last_seq = -3 WHERE name = 'gone'",
        "UPDATE users SET last_seq = 9223372036854775807 WHERE name = 'gone'",
        "UPDATE users SET version = 9223372036854775807 WHERE name = 'gone'",
        "UPDATE users SET state = replace(state, '\"last_seq\":3000', '\"last_seq\":9007199254740993')
         WHERE name = 'gone'",
    ] {
        let folder = used().await;
        assert_eq!(harm(folder.path(), sql), 1, "{sql}");
        let store = open(folder.path());
        assert_eq!(store.set_aside_count().await.unwrap(), 0, "it is not read at the start");
        let loaded = store.load(&name("gone")).await.unwrap();
        assert_eq!(loaded.version, 0);
        assert!((3_000..1 << 52).contains(&loaded.value.last_seq()), "{sql}: {loaded:?}");
        assert_eq!(store.set_aside(0, 9).await.unwrap()[0].table, "users");
        assert!(store.endpoint(&main()).await.unwrap().resync.is_some());
        login(&store, "gone", 100).await;
        store.close().await.unwrap();
        let store = open(folder.path());
        assert!(store.load(&name("gone")).await.unwrap().value.last_seq() > 3_000, "{sql}");
    }
}

#[tokio::test]
async fn a_list_goes_on_behind_rows_that_cannot_be_read() {
    let folder = used().await;
    harm(folder.path(), "UPDATE users SET state = '{bad' WHERE name IN ('gone')");
    harm(folder.path(), "UPDATE history SET change = '{bad' WHERE user = 'here'");
    harm(folder.path(), "UPDATE history SET state = 'lost' WHERE user = 'gone' AND seq = 2000");
    harm(folder.path(), "UPDATE accounts SET account = '{}' WHERE name = 'here'");
    let store = open(folder.path());
    let users = store.users(UserQuery { online_only: false, after: None, limit: 9 }).await.unwrap();
    let users: Vec<_> = users.into_iter().map(|(user, _)| user.to_string()).collect();
    assert_eq!(users, ["here", "owed"]);
    let all = CallbackQuery { limit: 9, ..CallbackQuery::default() };
    let callbacks = store.callbacks(all).await.unwrap();
    let callbacks: Vec<_> = callbacks.into_iter().map(|one| one.id.to_string()).collect();
    assert_eq!(callbacks, ["main:4000:owed", "main:3000:gone"]);
    let accounts = store.accounts(&[name("here"), name("gone")]).await.unwrap();
    assert_eq!(accounts, [None, Some(account("gone"))]);
    assert_eq!(store.set_aside_count().await.unwrap(), 4);
    // Who reads the history as a feed is told that something is gone.
    assert_eq!(store.callbacks_after(&main(), 1, 9).await.unwrap(), None);
    // Any cursor can be asked for.
    let beyond = store.callbacks_after(&main(), 1 << 63, 9).await.unwrap();
    assert_eq!(beyond.unwrap().records, []);
    // A registration of somebody whose account was lost works.
    assert_eq!(store.register(vec![account("here")]).await.unwrap(), Registered::All);
}

/// Somebody writes to the file while it is in use.
#[tokio::test]
async fn what_becomes_unreadable_while_it_is_in_use_fails_nothing_else() {
    for sql in [
        "UPDATE outbox SET attempts = '[{]' WHERE user = 'bad'",
        "UPDATE outbox SET change = '{bad' WHERE user = 'bad'",
        "INSERT INTO history SELECT id, endpoint, user, seq, operation_id, change, 'delivered', 0,
         attempts, 0, 1, 100, 0 FROM outbox WHERE user = 'bad'",
    ] {
        for fate in [Fate::Delivered, Fate::Dead, Fate::RetryAt { at: Instant(0), counts: true }] {
            let folder = tempfile::tempdir().unwrap();
            let store = std::sync::Arc::new(open(folder.path()));
            login(&*store, "bad", 10).await;
            login(&*store, "good", 11).await;
            let claimed = claim(&*store).await;
            assert_eq!(claimed.len(), 2);
            assert_eq!(harm(folder.path(), sql), 1);
            let settles = claimed.iter().map(|one| {
                let (store, settlement) = (store.clone(), settlement(one, fate));
                tokio::spawn(async move { store.settle(settlement).await })
            });
            for settle in settles.collect::<Vec<_>>() {
                settle.await.unwrap().unwrap();
            }
            login(&*store, "other", 12).await;
            // What is owed goes on, whichever way the row is met next.
            deliver_all(&*store).await;
            store.prune(everything()).await.unwrap();
            assert_eq!(store.backlog(&main()).await.unwrap().owed, 0, "{sql} {fate:?}");
            let all = CallbackQuery { limit: 9, ..CallbackQuery::default() };
            store.callbacks(all).await.unwrap();
            login(&*store, "bad", 20).await;
            assert_eq!(claim(&*store).await.len(), 1);
        }
    }
}

/// The index has the truth about who is present, and what is on disk is made right from it.
#[tokio::test]
async fn the_row_of_a_present_user_that_is_damaged_in_use_is_written_again() {
    let folder = used().await;
    let store = open(folder.path());
    let before = store.load(&name("here")).await.unwrap();
    assert_eq!(harm(folder.path(), "UPDATE users SET state = '{bad' WHERE name = 'here'"), 1);
    let users = UserQuery { online_only: false, after: None, limit: 9 };
    assert_eq!(store.users(users).await.unwrap().len(), 3);
    assert_eq!(store.set_aside_count().await.unwrap(), 1);
    assert_eq!(store.endpoint(&main()).await.unwrap().resync, None, "nobody missed anything");
    assert_eq!(store.load(&name("here")).await.unwrap(), before);
    store.close().await.unwrap();
    assert_eq!(check(folder.path()).unwrap().problems, []);
    let store = open(folder.path());
    assert_eq!(store.load(&name("here")).await.unwrap(), before);
}

#[tokio::test]
async fn a_replay_skips_what_cannot_be_read_and_an_unknown_kind_is_no_kick_off() {
    let folder = used().await;
    let unknown = "UPDATE history SET change = replace(change, '\"offline\"', '\"gone\"')
                   WHERE user = 'gone' AND seq = 3000";
    assert_eq!(harm(folder.path(), unknown), 1);
    let store = open(folder.path());
    let replayed = |seq| {
        let id = CallbackId { endpoint: main(), user: name("gone"), seq };
        let store = &store;
        let replay = Replay { ids: vec![id], scopes: Vec::new(), at: Timestamp(9) };
        async move { store.replay(replay).await.unwrap() }
    };
    assert_eq!(replayed(2_000).await.queued, 1);
    assert_eq!(replayed(3_000).await.unknown, 1);
    assert_eq!(store.set_aside_count().await.unwrap(), 1);
    let claimed = claim(&store).await;
    let told: Vec<_> = claimed.iter().map(|one| one.lease.id.to_string()).collect();
    assert_eq!(told, ["main:2000:gone", "main:4000:owed"]);
}

#[tokio::test]
async fn old_rows_that_cannot_be_read_hold_up_no_housekeeping() {
    let folder = used().await;
    harm(folder.path(), "UPDATE history SET endpoint = CAST(x'ff' AS TEXT) WHERE user = 'here'");
    harm(folder.path(), "UPDATE users SET last_seq = -1 WHERE name = 'gone'");
    let store = open(folder.path());
    let pruned = store.prune(everything()).await.unwrap();
    assert_eq!((pruned.callbacks, pruned.users), (3, 0));
    assert_eq!(store.set_aside_count().await.unwrap(), 1);
    assert!(store.load(&name("gone")).await.unwrap().value.last_seq() >= 3_000);
}

#[tokio::test]
async fn numbers_that_are_lost_are_made_anew_from_the_rows() {
    let folder = used().await;
    harm(folder.path(), "DELETE FROM numbers");
    let store = open(folder.path());
    let unknown = store.load(&name("new")).await.unwrap().value;
    assert!(unknown.last_seq() > 4_000, "a floor above all that was told");
    login(&store, "new", 5_000).await;
    store.probe().await.unwrap();
    assert_eq!(store.callbacks_after(&main(), 4, 9).await.unwrap(), None, "anything may be gone");
    store.close().await.unwrap();
    let numbers = "SELECT count(*) FROM numbers";
    let connection = Connection::open(folder.path().join("herald.db")).unwrap();
    assert_eq!(connection.query_row(numbers, [], |row| row.get::<_, u32>(0)).unwrap(), 6);
}

#[tokio::test]
async fn a_counter_behind_its_rows_uses_no_row_twice() {
    let folder = used().await;
    assert_eq!(harm(folder.path(), "UPDATE numbers SET value = 1 WHERE name = 'last_row'"), 1);
    let store = open(folder.path());
    login(&store, "new", 5_000).await;
    assert_eq!(claim(&store).await.len(), 2);
}

#[tokio::test]
async fn so_many_rows_are_no_fault_of_single_rows_and_nothing_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(open(folder.path()));
    let logins = (0..1_001).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { login(&*store, &format!("u{n}"), 10).await })
    });
    for login in logins.collect::<Vec<_>>() {
        login.await.unwrap();
    }
    store.close().await.unwrap();
    harm(folder.path(), "UPDATE users SET state = replace(state, 'last_seq', 'seq')");
    let Err(error) = Sqlite::open(folder.path(), Sync::Normal) else { panic!("it starts") };
    assert!(matches!(error, OpenError::Unreadable(_, 1_001, _)), "{error}");
    assert!(error.to_string().contains("herald store check"), "{error}");
    harm(folder.path(), "UPDATE users SET state = replace(state, '\"seq\"', '\"last_seq\"')");
    assert_eq!(open(folder.path()).users_online().await.unwrap(), 1_001);
}

/// A number that can be read and cannot be: every login would get it, or end at its successor.
#[tokio::test]
async fn impossible_numbers_of_settled_rows_and_of_users_to_be_forgotten_become_nobodys() {
    for sql in [
        "UPDATE history SET id = 9223372036854775807 WHERE user = 'here'",
        "UPDATE history SET seq = 9007199254740993 WHERE user = 'here'",
        "UPDATE history SET bytes = 9223372036854775807",
        "UPDATE history SET id = -id",
        "UPDATE users SET last_seq = 9007199254740993 WHERE name = 'gone'",
        "UPDATE users SET id = 9223372036854775807 WHERE name = 'gone'",
    ] {
        for lost in ["", "DELETE FROM numbers"] {
            let folder = used().await;
            assert!(harm(folder.path(), sql) > 0, "{sql}");
            if !lost.is_empty() {
                harm(folder.path(), lost);
            }
            for _ in 0..2 {
                let store = open(folder.path());
                store.prune(everything()).await.unwrap();
                for user in ["here", "gone", "new"] {
                    login(&store, user, 5_000).await;
                    let seq = store.load(&name(user)).await.unwrap().value.last_seq();
                    assert!((4_000..1 << 52).contains(&seq), "{sql} {lost}: {user} {seq}");
                }
                deliver_all(&store).await;
                store.probe().await.unwrap();
                store.close().await.unwrap();
            }
            let checked = check(folder.path()).unwrap();
            let numbers = checked.problems.iter().filter(|problem| problem.table == "numbers");
            assert_eq!(numbers.collect::<Vec<_>>(), Vec::<&Problem>::new(), "{sql} {lost}");
        }
    }
}

/// Only the disk fails a whole transaction.
#[tokio::test]
async fn a_write_that_fails_by_what_it_meets_fails_alone() {
    let folder = used().await;
    let store = std::sync::Arc::new(open(folder.path()));
    // In use: rows where no row can be, and one that bars the next callback of anybody.
    harm(folder.path(), "UPDATE history SET id = -id WHERE user = 'here'");
    let last = "INSERT INTO outbox(id, endpoint, user, seq, operation_id, change, queued_at)
                SELECT id + 3, endpoint, user, seq + 1, operation_id, change, 1 FROM outbox";
    assert_eq!(harm(folder.path(), last), 1);
    let logins = (0..40).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { try_login(&*store, &format!("u{n}"), 10).await })
    });
    let pruned = {
        let store = store.clone();
        tokio::spawn(async move { store.prune(everything()).await })
    };
    let purged = {
        let store = store.clone();
        tokio::spawn(async move { store.purge(vec![u64::MAX, 2]).await })
    };
    let mut refused = Vec::new();
    for login in logins.collect::<Vec<_>>() {
        refused.extend(login.await.unwrap().err());
    }
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(matches!(refused[0], StoreError::Corrupt { .. }), "{refused:?}");
    pruned.await.unwrap().unwrap();
    assert!(matches!(purged.await.unwrap(), Err(StoreError::Corrupt { .. })));
    assert_eq!(store.users_online().await.unwrap(), 2 + 39);
}

#[tokio::test]
async fn a_damaged_file_is_said_to_be_damaged() {
    let folder = used().await;
    let file = folder.path().join("herald.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let pages = bytes.len() / 4096;
    (1..pages).for_each(|page| bytes[page * 4096..page * 4096 + 64].fill(0xee));
    std::fs::write(&file, bytes).unwrap();
    let Err(error) = Sqlite::open(folder.path(), Sync::Normal) else { panic!("it starts") };
    assert!(matches!(error, OpenError::Damaged(..)), "{error}");
    std::fs::write(&file, "this is no database, and never was one; not at all, not a page")
        .unwrap();
    let Err(error) = Sqlite::open(folder.path(), Sync::Normal) else { panic!("it starts") };
    assert!(error.to_string().contains("herald store check"), "{error}");
}

fn open(folder: &Path) -> Sqlite {
    Sqlite::open(folder, Sync::Normal).unwrap()
}

fn harm(folder: &Path, sql: &str) -> usize {
    Connection::open(folder.join("herald.db")).unwrap().execute(sql, []).unwrap()
}

fn everything() -> Prune {
    let end = Timestamp(1 << 50);
    Prune {
        now: end,
        history_before: end,
        failed_before: end,
        history_bytes_max: u64::MAX,
        owed_before: Timestamp(0),
        owed_max: u64::MAX,
        scopes: Vec::new(),
        users_before: end,
        limit: 100,
    }
}

fn account(user: &str) -> Account {
    Account {
        user: name(user),
        nickname: "n".into(),
        face_url: String::new(),
        ex: String::new(),
        app_manager_level: 1,
        global_recv_msg_opt: 0,
        created_at: Timestamp(1),
    }
}
