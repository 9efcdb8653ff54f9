//! The log cannot be written: everything else goes on as if it could.
#![allow(clippy::unwrap_used)]

mod support;

use server::client::Client;
use std::{
    fs::File,
    io::{BufRead, BufReader, PipeReader, Read, Write, pipe},
    path::Path,
    process::Stdio,
};
use support::{process::*, *};
use wire::platform::Platform;

/// As much as a pipe holds.
const PIPE_BYTES: usize = 64 * 1024;

/// Logs all there is, so that a log that cannot be written is noticed at once.
fn herald(folder: &Path, app: &App) -> Process {
    let settings = [
        ("HERALD_PRESENCE__OFFLINE_GRACE", "300ms"),
        ("HERALD_PRESENCE__MASS_LOSS__SHARE", "0.0"),
        ("HERALD_LOG__LEVEL", "debug"),
    ];
    Process::new(folder, &app.url(), &settings)
}

async fn login(herald: &Process, user: &str) -> Client {
    Client::login(herald.gateway, &identity(user, Platform::Ios)).await.unwrap()
}

/// Many come, are told, leave, and are told again; health is well; it stops when told to.
async fn works(herald: &mut Process, app: &App) {
    let users: Vec<_> = (0..40).map(|n| format!("u{n}")).collect();
    for user in &users {
        login(herald, user).await.cut();
    }
    for user in &users {
        let (online, offline) = (format!("online {user}"), format!("offline {user}"));
        eventually(&offline, || async { app.heard_of(user).contains(&offline) }).await;
        assert_eq!(app.heard_of(user), [online, offline]);
    }
    eventually("all is settled", || async { herald.owed().await == 0 }).await;
    assert_eq!(herald.get("/healthz").await.0, 200);
    assert_eq!(herald.get("/readyz").await.0, 200);
    assert_eq!(herald.terminate().await, Some(0));
}

#[tokio::test]
async fn the_disk_of_the_log_is_full() {
    let (folder, app) = (tempfile::tempdir().unwrap(), App::start().await);
    let mut herald = herald(folder.path(), &app);
    let full = File::options().write(true).open("/dev/full").unwrap();
    herald.start_logging_to(full.into()).await;
    works(&mut herald, &app).await;
}

#[tokio::test]
async fn the_reader_of_the_log_is_gone() {
    let (folder, app) = (tempfile::tempdir().unwrap(), App::start().await);
    let mut herald = herald(folder.path(), &app);
    let (reader, log) = pipe().unwrap();
    drop(reader);
    herald.start_logging_to(log.into()).await;
    works(&mut herald, &app).await;
}

#[tokio::test]
async fn the_reader_of_the_log_does_not_read() {
    let (folder, app) = (tempfile::tempdir().unwrap(), App::start().await);
    let mut herald = herald(folder.path(), &app);
    let (_reader, log) = full_pipe();
    herald.start_logging_to(log).await;
    works(&mut herald, &app).await;
}

#[tokio::test]
async fn a_reader_that_reads_again_is_told_how_many_lines_it_missed() {
    let (folder, app) = (tempfile::tempdir().unwrap(), App::start().await);
    let mut herald = herald(folder.path(), &app);
    let (reader, log) = full_pipe();
    herald.start_logging_to(log).await;
    let dropped = async || herald.metric("herald_log_lines_dropped_total").await.unwrap();
    // A request's own words come back in the log: two MiB of them do not fit.
    let mut n = 0;
    while dropped().await == 0.0 {
        let user = format!("u{n}-{}", "x".repeat(60));
        login(&herald, &user).await.cut();
        n += 1;
    }
    let lines = tokio::task::spawn_blocking(move || {
        let mut reader = BufReader::new(reader);
        reader.read_exact(&mut [0; PIPE_BYTES]).unwrap();
        reader
            .lines()
            .map(Result::unwrap)
            .find(|line| line.contains("lines of the log were dropped"))
    });
    let line = lines.await.unwrap().expect("it is said");
    assert!(line.contains("ERROR") && line.contains("lines="), "{line}");
    assert_eq!(herald.terminate().await, Some(0));
}

/// A pipe that nothing more fits into.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut log) = pipe().unwrap();
    log.write_all(&[b'.'; PIPE_BYTES]).unwrap();
    (reader, log.into())
}

#[tokio::test]
async fn sighup_is_logged_and_ignored_and_sigquit_stops_in_good_order() {
    let (folder, app) = (tempfile::tempdir().unwrap(), App::start().await);
    let mut herald = Process::new(folder.path(), &app.url(), &[]);
    herald.start().await;
    herald.signal(Signal::HUP);
    let said = || async { herald.log_text().contains("SIGHUP is ignored") };
    eventually("it is logged", said).await;
    let mut client = login(&herald, "u").await;
    app.hears(&["online u"]).await;
    herald.signal(Signal::QUIT);
    assert_eq!(client.hear().await, server::client::Heard::Closed(Some(1012)));
    assert_eq!(herald.ends().await, Some(0));
    app.hears(&["online u"]).await;
}

/// The disk is full for who logs in, too, and a thousand times the same is said once.
#[tokio::test]
async fn lines_that_repeat_are_folded() {
    let (folder, app) = (tempfile::tempdir().unwrap(), App::start().await);
    let mut herald = Process::new(folder.path(), &app.url(), &[("HERALD_LOG__LEVEL", "info")]);
    herald.start().await;
    for _ in 0..200 {
        let url = format!("ws://{}/?sendID=u&platformID=1&operationID=op", herald.gateway);
        assert!(Client::dial(&url).await.is_err());
    }
    assert_eq!(herald.terminate().await, Some(0));
    let log = herald.log_text();
    let refused: Vec<_> = log.lines().filter(|line| line.contains("refused")).collect();
    let counts = refused.iter().filter_map(|line| line.split("repeated=").nth(1));
    let counted: usize = counts.map(|count| count.parse::<usize>().unwrap()).sum();
    let written = refused.iter().filter(|line| !line.contains("repeated=")).count();
    assert_eq!(written + counted, 200, "{log}");
    assert!(refused.len() < 20, "{log}");
}
