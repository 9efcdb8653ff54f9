//! What is on disk: the words that today's program writes, and that it reads what each version before
//! it wrote. A field or a word that is renamed turns a test red, also one that may be missing.
#![allow(clippy::unwrap_used)]

mod support;

use expect_test::{Expect, expect, expect_file};
use presence::*;
use rusqlite::Connection;
use std::{fmt::Write as _, fs, path::Path, time::Duration};
use store::*;
use support::{main, name};

const FULL: &str = "full";

/// Databases as SQL, one of each version of the tables; those before the newest are never changed.
/// If rows are written in another form and the tables stay, the old file is kept under a new name.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

#[tokio::test]
async fn what_each_version_wrote_is_read() {
    let files = fs::read_dir(GOLDEN).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().unwrap() == "sql").collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("herald.db")).unwrap();
        connection.execute_batch(&fs::read_to_string(&file).unwrap()).unwrap();
        drop(connection);
        assert_eq!(check(folder.path()).unwrap().problems, [], "{}", file.display());
        let store = Sqlite::open(folder.path(), Sync::Normal).unwrap();
        expect_file![file.with_extension("txt")].assert_eq(&everything(&store).await);
        store.close().await.unwrap();
        assert_eq!(check(folder.path()).unwrap().problems, [], "{}", file.display());
    }
}

/// `UPDATE_EXPECT=1` writes the file of a new version.
#[tokio::test]
async fn what_is_written_has_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path(), Sync::Normal).unwrap();
    store.epoch("the-epoch").await.unwrap();
    write_everything(&store).await;
    store.close().await.unwrap();
    let newest = check(folder.path()).unwrap().schema.0;
    let written = as_sql(&folder.path().join("herald.db"));
    expect_file![format!("{GOLDEN}/v{newest}.sql")].assert_eq(&written);
}

/// All that the store gives out, in Rust's words where they are public.
async fn everything(store: &dyn Store) -> String {
    let mut out = String::new();
    let users = UserQuery { online_only: false, after: None, limit: 99 };
    for (user, state) in store.users(users).await.unwrap() {
        let Versioned { version, value } = store.load(&user).await.unwrap();
        assert_eq!(value, state);
        writeln!(out, "user {user} version {version} last_seq {}", state.last_seq()).unwrap();
        writeln!(out, "  since {:?}, status {:?}", state.since(), state.status(Timestamp(0)))
            .unwrap();
        for connection in state.connections() {
            writeln!(out, "  {connection:?}").unwrap();
        }
        let standing = |hash, at| {
            let known_only = Policy { known_tokens_only: true, ..Policy::default() };
            let (hash, at) = (TokenHash([hash; 16]), Timestamp(at));
            (
                state.standing(Platform::Web, hash, at, Timestamp(1 << 40), &Policy::default()),
                state.standing(Platform::Web, hash, at, Timestamp(1 << 40), &known_only),
            )
        };
        writeln!(out, "  token 2 {:?}, token 9 {:?}", standing(2, 500), standing(9, 500)).unwrap();
        writeln!(out, "  written anew {}", serde_json::to_string(&state).unwrap()).unwrap();
    }
    let due = store.due_wakeups(Instant(u64::MAX), 99).await.unwrap();
    writeln!(out, "awaits a deadline {due:?}").unwrap();
    let callbacks = CallbackQuery { limit: 99, ..CallbackQuery::default() };
    for callback in store.callbacks(callbacks).await.unwrap() {
        writeln!(out, "{callback:?}").unwrap();
    }
    for endpoint in store.endpoints().await.unwrap() {
        let state = store.endpoint(&endpoint).await.unwrap();
        writeln!(out, "endpoint {endpoint} {state:?} {:?}", store.backlog(&endpoint).await)
            .unwrap();
        for mark in store.marks_due(&endpoint, Timestamp(u64::MAX), 99, false).await.unwrap() {
            writeln!(out, "{mark:?}").unwrap();
        }
    }
    let accounts = store.accounts(&[name(FULL), name("small")]).await.unwrap();
    writeln!(out, "accounts {accounts:?}").unwrap();
    writeln!(out, "epoch {}", store.epoch("another").await.unwrap()).unwrap();
    let unknown = store.load(&name("unknown")).await.unwrap().value;
    writeln!(out, "a user nobody knows begins above {}", unknown.last_seq()).unwrap();
    for row in store.set_aside(0, 99).await.unwrap() {
        writeln!(out, "set aside {row:?}").unwrap();
    }
    out
}

/// Every kind of row with every part that may be missing, and each of them once without.
async fn write_everything(store: &dyn Store) {
    for (at, event) in full_life() {
        apply(store, FULL, event, at).await;
    }
    apply(store, "small", Event::Connected(login(7, Platform::Ios)), 90_000).await;
    let end = Event::Disconnected { conn: conn(7), end: End::LoggedOut };
    apply(store, "small", end, 91_000).await;
    let again = Fate::RetryAt { at: Instant(5), counts: true };
    let (now, lease) = (Instant(0), Duration::from_secs(10));
    let claim = Claim { endpoint: main(), now, lease, limit: 2 };
    let claimed = store.claim(claim).await.unwrap();
    settle(store, &claimed[0], again, attempt("again", None, Some("timeout"))).await;
    settle(store, &claimed[1], Fate::Delivered, attempt("delivered", Some("{}"), None)).await;
    let claim = Claim { endpoint: main(), now: Instant(9), lease, limit: 1 };
    let claimed = store.claim(claim).await.unwrap();
    settle(store, &claimed[0], Fate::Dead, attempt("dead", Some("no"), None)).await;
    store.change_endpoint(&main(), EndpointChange::ToldOf("all".into())).await.unwrap();
    let resync = Resync { since: Timestamp(8), why: "it is new".into(), heals: false };
    store.change_endpoint(&main(), EndpointChange::NeedsResync(resync)).await.unwrap();
    let other = EndpointName::new("other");
    store.change_endpoint(&other, EndpointChange::Paused(true)).await.unwrap();
    let account = Account {
        user: name(FULL),
        nickname: "Ünï".into(),
        face_url: "https://x.example/f".into(),
        ex: "{}".into(),
        app_manager_level: 1,
        global_recv_msg_opt: 2,
        created_at: Timestamp(7),
    };
    store.register(vec![account]).await.unwrap();
}

/// A life that leaves every part of a user filled.
fn full_life() -> Vec<(u64, Event)> {
    use Platform::{Android, IPad, Ios, Linux, Web, Windows};
    let issued = |token: u8, platform| {
        let (issued_at, expires_at) = (Timestamp(1_000), Timestamp(9_000_000));
        Event::TokenIssued(Issued {
            platform,
            token: TokenHash([token; 16]),
            issued_at,
            expires_at,
        })
    };
    let tokens = [(1, Ios), (2, Web), (3, Android), (4, Windows), (5, IPad), (6, IPad)];
    let mut life: Vec<_> =
        tokens.into_iter().map(|(token, platform)| (2_000, issued(token, platform))).collect();
    let status = |by, availability, text: &str, emoji: &str, expires_at| Event::StatusSet {
        platform: Linux,
        by,
        status: Status { availability, text: text.into(), emoji: emoji.into(), expires_at },
    };
    life.extend([
        (3_000, Event::Connected(login(4, Windows))),
        (4_000, Event::Disconnected { conn: conn(4), end: End::Lost }),
        // Its grace is over: a session that was lost.
        (20_000, Event::Ticked),
        // A virtual connection, and a status that can be undone.
        (20_500, status(Author::Admin, Availability::Online, "", "🌍", Some(Timestamp(800_000)))),
        (21_000, Event::Connected(login(5, IPad))),
        (22_000, Event::Kicked(Kick::Connection(conn(5)))),
        (23_000, Event::Connected(login(1, Ios))),
        (24_000, Event::BackgroundSet { conn: conn(1), background: true }),
        (25_000, status(Author::User, Availability::Busy, "in a call", "", None)),
        (26_000, Event::Connected(login(3, Android))),
        (27_000, Event::Connected(login(6, IPad))),
        (28_000, Event::Knocked { login: login(2, Web), scope: Scope::Connection, may_ask: true }),
        // A return to a session that lingers.
        (28_500, Event::Disconnected { conn: conn(3), end: End::Lost }),
        (28_600, Event::Connected(Login { conn: conn(7), ..login(3, Android) })),
        (29_000, Event::Disconnected { conn: conn(7), end: End::Closed }),
        (30_000, refused(27_000)),
    ]);
    life
}

fn refused(seq: u64) -> Event {
    let refusal = Refusal { msg: "no".into(), detail: "not today".into() };
    let (seqs, scope) = (vec![seq], Scope::Connection);
    Event::Refused(Refused { seqs, scope, only_at_gate: false, refusal })
}

fn conn(n: u8) -> ConnId {
    ConnId([n; 16])
}

fn login(n: u8, platform: Platform) -> Login {
    let (token, issued_at) = (TokenHash([n; 16]), Timestamp(1_000));
    Login { conn: conn(n), platform, token, issued_at, background: false, address: None }
}

async fn apply(store: &dyn Store, user: &str, event: Event, at: u64) {
    let policy = Policy {
        offline_grace: Duration::from_secs(10),
        known_tokens_only: user == FULL,
        login: LoginPolicy::None,
        ..Policy::default()
    };
    let Versioned { version, value: mut state } = store.load(&name(user)).await.unwrap();
    let effects = state.apply(event, Now { mono: Instant(at), wall: Timestamp(at) }, &policy);
    assert_eq!(effects.denied, None, "{user} at {at}");
    let callback = |change| NewCallback {
        endpoint: main(),
        change,
        operation_id: "op".into(),
        due_at: Instant(0),
        asks: false,
        speaks_for: Vec::new(),
    };
    let commit = Commit {
        user: name(user),
        based_on: version,
        state,
        wake_at: effects.wake_at,
        callbacks: effects.changes.into_iter().map(callback).collect(),
        settles: None,
        answers: None,
        at: Timestamp(at),
    };
    store.commit(commit).await.unwrap();
}

fn attempt(verdict: &str, answer: Option<&str>, error: Option<&str>) -> AttemptRecord {
    AttemptRecord {
        at: Timestamp(95_000),
        took_ms: 12,
        status: answer.map(|_| 200),
        answer: answer.map(str::to_owned),
        error: error.map(str::to_owned),
        verdict: verdict.to_owned(),
    }
}

async fn settle(store: &dyn Store, claimed: &Claimed, fate: Fate, attempt: AttemptRecord) {
    let settlement = Settlement {
        lease: claimed.lease.clone(),
        subject: Subject::of(&claimed.change, Scope::User),
        change: claimed.change.clone(),
        attempt: Some(attempt),
        fate,
        at: Timestamp(96_000),
    };
    store.settle(settlement).await.unwrap();
}

/// A database as the statements that make it.
fn as_sql(file: &Path) -> String {
    let connection = Connection::open(file).unwrap();
    let texts = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let texts = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap);
        texts.collect()
    };
    let mut out = String::new();
    let made = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid";
    texts(made).iter().for_each(|sql| writeln!(out, "{sql};").unwrap());
    for table in texts("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid") {
        let columns =
            texts(&format!("SELECT 'quote(' || name || ')' FROM pragma_table_info('{table}')"));
        let columns = columns.join(" || ', ' || ");
        for row in texts(&format!("SELECT {columns} FROM {table} ORDER BY 1")) {
            writeln!(out, "INSERT INTO {table} VALUES ({row});").unwrap();
        }
    }
    writeln!(out, "PRAGMA user_version = {};", check(file).unwrap().schema.0).unwrap();
    out
}

/// Words that the rows above may not hold.
#[test]
fn each_word_is_spelled_as_before() {
    fn words<T: serde::Serialize>(all: &[T]) -> String {
        let words: Vec<_> = all.iter().map(|one| serde_json::to_string(one).unwrap()).collect();
        words.join(" ")
    }
    let check = |found: String, expected: Expect| expected.assert_eq(&found);
    check(
        words(&[Kind::KickOff, Kind::Offline, Kind::Online, Kind::Background]),
        expect![[r#""kick_off" "offline" "online" "background""#]],
    );
    let reasons = [
        Reason::Login,
        Reason::Reconnect,
        Reason::Status,
        Reason::Closed,
        Reason::Lost,
        Reason::Misbehaved,
        Reason::LoggedOut,
        Reason::ServerLost,
        Reason::Kicked,
        Reason::Refused,
        Reason::StatusCleared,
        Reason::LeaseEnded,
        Reason::Resync,
        Reason::Background,
        Reason::OtherConnection,
    ];
    check(
        words(&reasons),
        expect![[
            r#""login" "reconnect" "status" "closed" "lost" "misbehaved" "logged_out" "server_lost" "kicked" "refused" "status_cleared" "lease_ended" "resync" "background" "other_connection""#
        ]],
    );
    let ends = [End::Closed, End::Lost, End::Misbehaved, End::LoggedOut, End::ServerLost];
    check(words(&ends), expect![[r#""closed" "lost" "misbehaved" "logged_out" "server_lost""#]]);
    let until = Instant(1);
    let sessions = [
        Session::AtGate,
        Session::Live,
        Session::Lingering { until, end: End::Lost },
        Session::Virtual { until },
    ];
    check(
        words(&sessions),
        expect![[
            r#""at_gate" "live" {"lingering":{"until":1,"end":"lost"}} {"virtual":{"until":1}}"#
        ]],
    );
    let subjects = [
        Subject::User,
        Subject::Platform(Platform::Ios),
        Subject::Connection(Some(ConnId([7; 16]))),
        Subject::Connection(None),
    ];
    check(
        words(&subjects),
        expect![[
            r#""user" {"platform":1} {"connection":"07070707070707070707070707070707"} {"connection":null}"#
        ]],
    );
    use Availability::{Away, Busy, Invisible, Online};
    check(
        words(&[Online, Away, Busy, Invisible]),
        expect![[r#""online" "away" "busy" "invisible""#]],
    );
    check(words(&Platform::ALL), expect!["1 2 3 4 5 6 7 8 9 10 11"]);
    use CallbackState::{Dead, Delivered, Expired, Pending, Superseded};
    let states = [Pending, Delivered, Dead, Expired, Superseded];
    check(
        states.map(CallbackState::name).join(" "),
        expect!["pending delivered dead expired superseded"],
    );
}
