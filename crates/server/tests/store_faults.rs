//! A full disk, which is the log's too, and a failing fsync, under the real program: it does not
//! crash, refuses new logins clearly, keeps those who are there, and is right again by itself.
#![allow(clippy::unwrap_used)]

mod support;

use server::client::{Client, Heard, LoginError};
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use support::{process::Process, *};
use wire::{identifier, platform::Platform};

/// Makes write or fsync of the store's files fail while a file says so.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int ordered(const char *fault) {
    const char *folder = getenv("SHIM_FOLDER");
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, fault);
    return access(path, F_OK) == 0;
}

static int is_of(int fd, const char *name) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return strstr(path, name) != NULL;
}

static int is_store(int fd) { return is_of(fd, "herald.db"); }

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    if (is_store(fd) && ordered("disk-full")) { errno = ENOSPC; return -1; }
    return real(fd, bytes, n, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) { return pwrite64(fd, bytes, n, at); }

ssize_t write(int fd, const void *bytes, size_t n) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    if ((is_store(fd) || is_of(fd, "herald.log")) && ordered("disk-full")) { errno = ENOSPC; return -1; }
    return real(fd, bytes, n);
}

static void wait_while_ordered(int fd) {
    if (!is_store(fd)) return;
    while (ordered("fsync-hangs")) {
        const char *folder = getenv("SHIM_FOLDER");
        char path[4096];
        snprintf(path, sizeof path, "%s/fsync-is-hanging", folder);
        int said = open(path, O_CREAT | O_WRONLY, 0600);
        if (said >= 0) close(said);
        usleep(10000);
    }
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    wait_while_ordered(fd);
    if (is_store(fd) && ordered("fsync-fails")) { errno = EIO; return -1; }
    return real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    wait_while_ordered(fd);
    if (is_store(fd) && ordered("fsync-fails")) { errno = EIO; return -1; }
    return real(fd);
}
"#;

#[tokio::test]
async fn a_full_disk_refuses_logins_and_keeps_who_is_there() {
    survives("disk-full").await;
}

#[tokio::test]
async fn a_failing_fsync_refuses_logins_and_keeps_who_is_there() {
    survives("fsync-fails").await;
}

#[tokio::test]
async fn on_a_full_disk_it_stops_when_told_to_and_what_was_told_stays() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    let mut herald = herald_on_a_bad_disk(folder.path(), &app).await;
    let mut stays = login(&herald, "stays").await.unwrap();
    app.hears(&["online stays"]).await;
    let order = folder.path().join("disk-full");
    std::fs::write(&order, "").unwrap();
    assert!(login(&herald, "late").await.is_err());
    assert_eq!(herald.get("/healthz").await.0, 200);
    let told = tokio::spawn(async move { stays.hear().await });
    assert_eq!(herald.terminate().await, Some(0));
    assert_eq!(told.await.unwrap(), Heard::Closed(Some(1012)));
    std::fs::remove_file(&order).unwrap();
    herald.start().await;
    let _back = login(&herald, "stays").await.unwrap();
    assert_eq!(herald.users_online().await, ["stays"]);
}

/// An attempt that was answered while nothing could be stored: it is noted as soon as the store is
/// back, not when its lease runs out, and not sent again.
#[tokio::test]
async fn what_was_answered_while_the_disk_was_full_is_noted_as_soon_as_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    let herald = herald_on_a_bad_disk(folder.path(), &app).await;
    let order = folder.path().join("disk-full");
    let fills = order.clone();
    // The App's own answer is what fills the disk.
    app.answer(move |_, before| {
        let fills = fills.clone();
        async move {
            if before == 0 {
                std::fs::write(&fills, "").unwrap();
            }
            ok()
        }
    });
    let _client = login(&herald, "u").await.unwrap();
    eventually("it cannot be noted", || async {
        herald.log_text().contains("an attempt waits to be recorded") || !herald.is_ready().await
    })
    .await;
    std::fs::remove_file(&order).unwrap();
    let noted = eventually("it is noted", || async { owed(&herald).await == 0 });
    tokio::time::timeout(std::time::Duration::from_secs(20), noted)
        .await
        .expect("before its lease ends");
    assert_eq!(app.heard(), ["online u"]);
}

/// Promise P1: the 101, the answer of an API and the callback all come after the sync.
#[tokio::test]
async fn nobody_is_let_in_and_nothing_is_told_before_the_commit_is_synced() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    let herald = herald_on_a_bad_disk(folder.path(), &app).await;
    let _before = login(&herald, "before").await.unwrap();
    app.hears(&["online before"]).await;
    let order = folder.path().join("fsync-hangs");
    std::fs::write(&order, "").unwrap();
    // One is told by the 101 alone, the other by the first text frame.
    let plain = waiting_login(&herald, "plain", "");
    let waits = waiting_login(&herald, "waits", "&isMsgResp=true");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!plain.is_finished() && !waits.is_finished(), "let in before the commit was on disk");
    app.hears(&["online before"]).await;
    std::fs::remove_file(&order).unwrap();
    let _clients = (plain.await.unwrap().unwrap(), waits.await.unwrap().unwrap());
    eventually("both are told", || async { app.heard().len() == 3 }).await;
}

/// Also where the App is asked first. The disk hangs on, so only the time of the handshake ends the wait.
#[tokio::test]
async fn a_login_beside_a_disk_that_hangs_is_answered() {
    for mode in ["notify", "gate"] {
        let folder = tempfile::tempdir().unwrap();
        let app = App::start().await;
        let more = [
            ("HERALD_CALLBACKS__ONLINE__MODE", mode),
            ("HERALD_CALLBACKS__ONLINE__TIMEOUT", "300ms"),
            ("HERALD_GATEWAY__HANDSHAKE_TIMEOUT", "500ms"),
        ];
        let herald = herald_on_a_bad_disk_with(folder.path(), &app, &more).await;
        let order = folder.path().join("fsync-hangs");
        std::fs::write(&order, "").unwrap();
        for text in ["", "&isMsgResp=true"] {
            let Err(LoginError::Refused { code, .. }) =
                waiting_login(&herald, "u", text).await.unwrap()
            else {
                panic!("let in before its commit was on disk");
            };
            assert_eq!(code, 500, "{mode}");
        }
        std::fs::remove_file(&order).unwrap();
    }
}

/// It is written, but nobody will find it: not a promise, and this process promises nothing more.
#[tokio::test]
async fn a_folder_that_vanishes_while_a_login_is_synced_lets_nobody_in_until_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (data, aside) = (folder.path().join("data"), folder.path().join("aside"));
    let app = App::start().await;
    let mut herald = herald_on_a_bad_disk(folder.path(), &app).await;
    let _before = login(&herald, "before").await.unwrap();
    app.hears(&["online before"]).await;
    eventually("all is noted", || async { owed(&herald).await == 0 }).await;
    let (order, hangs) =
        (folder.path().join("fsync-hangs"), folder.path().join("fsync-is-hanging"));
    std::fs::write(&order, "").unwrap();
    let late = waiting_login(&herald, "late", "");
    eventually("its sync hangs", || async { hangs.exists() }).await;
    std::fs::rename(&data, &aside).unwrap();
    std::fs::remove_file(&order).unwrap();
    let Err(LoginError::Refused { code, .. }) = late.await.unwrap() else {
        panic!("let in though its login is in a file that nobody will find");
    };
    assert_eq!(code, 500);
    eventually("it says that it is not ready", || async { !herald.is_ready().await }).await;

    // What it said was not stored may be stored: only a restart knows.
    std::fs::rename(&aside, &data).unwrap();
    assert!(login(&herald, "late").await.is_err(), "let in by a store that was given up");
    assert!(!herald.is_ready().await);
    herald.kill();
    herald.start().await;
    let _late = login(&herald, "late").await.unwrap();
    assert!(herald.users_online().await.contains(&"before".to_owned()));
}

fn waiting_login(
    herald: &Process,
    user: &str,
    more: &str,
) -> tokio::task::JoinHandle<Result<Client, LoginError>> {
    let token = token(user, Platform::Ios);
    let url = format!(
        "ws://{}/?sendID={user}&token={token}&platformID=1&operationID=op&isBackground=false\
         &sdkType=js{more}",
        herald.gateway
    );
    tokio::spawn(async move { Client::dial(&url).await })
}

async fn herald_on_a_bad_disk(folder: &Path, app: &App) -> Process {
    herald_on_a_bad_disk_with(folder, app, &[]).await
}

async fn herald_on_a_bad_disk_with(folder: &Path, app: &App, more: &[(&str, &str)]) -> Process {
    let shim = build_shim(folder);
    let settings = [
        ("HERALD_PRESENCE__OFFLINE_GRACE", "300ms"),
        // Nobody's grace runs out for so long after a login was sent away.
        ("HERALD_PRESENCE__RESTART_GRACE", "8s"),
        ("LD_PRELOAD", shim.to_str().unwrap()),
        ("SHIM_FOLDER", folder.to_str().unwrap()),
    ];
    let mut herald = Process::new(folder, &app.url(), &[&settings[..], more].concat());
    herald.start().await;
    herald
}

async fn survives(fault: &str) {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    let mut herald = herald_on_a_bad_disk(folder.path(), &app).await;
    let mut stays = login(&herald, "stays").await.unwrap();
    let leaves = login(&herald, "leaves").await.unwrap();
    app.hears(&["online stays", "online leaves"]).await;
    // What is answered and not yet noted is told again after the fault: at least once.
    eventually("all is noted", || async { owed(&herald).await == 0 }).await;

    let comes_back = login(&herald, "back").await.unwrap();
    app.hears(&["online stays", "online leaves", "online back"]).await;
    let order = folder.path().join(fault);
    for round in 0..3 {
        std::fs::write(&order, "").unwrap();
        let refused = login(&herald, "late").await;
        let Err(LoginError::Refused { code, detail, .. }) = refused else {
            panic!("let in though nothing can be stored");
        };
        assert_eq!(code, 500);
        assert!(detail.contains("cannot be stored"), "{detail}");
        eventually("it says that it is not ready", || async { !herald.is_ready().await }).await;
        let (_, ready) = herald.get("/readyz").await;
        assert!(ready["reasons"][0].as_str().unwrap().starts_with("the store: "), "{ready}");
        assert!(answers(&mut stays, "stays").await, "who is there stays, round {round}");
        std::fs::remove_file(&order).unwrap();
        eventually("it is ready again by itself", || async { herald.is_ready().await }).await;
    }
    std::fs::write(&order, "").unwrap();
    leaves.close().await;
    comes_back.cut();
    assert!(login(&herald, "back").await.is_err(), "let in though nothing can be stored");
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    std::fs::remove_file(&order).unwrap();
    let _back = back_in(&herald, "back").await;
    let _late = login(&herald, "late").await.unwrap();
    // What was answered and could not be noted is noted now, and not sent again when its lease ends.
    eventually("who left is told", || async { app.heard_of("leaves").len() == 2 }).await;
    eventually("and who is back", || async { app.heard_of("back").len() == 2 }).await;
    assert_eq!(app.heard_of("leaves"), ["online leaves", "offline leaves"]);
    assert_eq!(app.heard_of("back"), ["online back", "online back"], "sent away is not gone");
    assert_eq!(app.heard_of("late"), ["online late"]);
    assert!(answers(&mut stays, "stays").await);
    assert!(herald.is_running(), "{}", std::fs::read_to_string(herald.log()).unwrap());
    assert_eq!(herald.users_online().await, ["back", "late", "stays"]);
}

/// Dials until the store is well again, as an SDK does.
async fn back_in(herald: &Process, user: &str) -> Client {
    loop {
        match login(herald, user).await {
            Ok(client) => return client,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

async fn owed(herald: &Process) -> u64 {
    herald.get("/v1/endpoints").await.1[0]["owed"].as_u64().unwrap()
}

async fn login(herald: &Process, user: &str) -> Result<Client, LoginError> {
    Client::login(herald.gateway, &identity(user, Platform::Ios)).await
}

async fn answers(client: &mut Client, user: &str) -> bool {
    client.request(user, identifier::GET_NEWEST_SEQ, "").await.unwrap();
    matches!(client.hear().await, Heard::Frame(answer) if answer["errCode"] == 0)
}

fn build_shim(folder: &Path) -> PathBuf {
    let (source, shim) = (folder.join("shim.c"), folder.join("shim.so"));
    std::fs::write(&source, SHIM).unwrap();
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(&source).arg("-ldl");
    assert!(compile.status().expect("a C compiler is needed to build Herald, too").success());
    shim
}
