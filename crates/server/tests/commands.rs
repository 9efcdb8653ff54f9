//! The program from outside: each command as a newcomer would type it.
#![allow(clippy::unwrap_used)]

mod support;

use server::config::Secret;
use std::{
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use support::{
    process::Process,
    spawned::{Spawned, output},
    *,
};
use wire::{platform::Platform, token::Keys};

fn herald(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
    command.args(arguments).current_dir(std::env::temp_dir());
    command
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), utf8(&output.stdout), utf8(&output.stderr))
}

/// The ports of the defaults are taken: by this test, or by whoever had them first.
#[test]
fn the_demo_explains_itself_and_ends_also_where_the_default_ports_are_taken() {
    let taken = [10001, 10002, 10003].map(|port| std::net::TcpListener::bind(("127.0.0.1", port)));
    let (code, out, err) = text(&output(&mut herald(&["demo", "--for", "20s"])));
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    for piece in [
        "Herald tells your backend who comes online and who leaves.",
        "alice logs in on her phone",
        "=> App: alice is online",
        "=> App: answers 503, it is down",
        "=> App: dora is online",
        "=> App: carol is online",
        "=> App: bob is offline",
        "callbacks were delivered",
        ": the same.",
    ] {
        assert!(out.contains(piece), "{piece:?} is missing in:\n{out}");
    }
    if taken[0].is_ok() {
        assert!(!out.contains("ws://127.0.0.1:10001"), "that port is taken:\n{out}");
    }
}

/// A server that a failed test leaves behind holds its ports and files against the next run.
#[test]
fn a_program_that_a_failed_test_started_is_gone() {
    use rustix::process::{Pid, test_kill_process};
    let id = Arc::new(AtomicU32::new(0));
    let failed = std::thread::spawn({
        let id = Arc::clone(&id);
        move || {
            let app =
                Spawned::start(herald(&["app", "--listen", "127.0.0.1:0"]).stdout(Stdio::null()));
            id.store(app.id(), Relaxed);
            panic!("as an assertion that does not hold");
        }
    });
    assert!(failed.join().is_err());
    let id = Pid::from_raw(id.load(Relaxed).try_into().unwrap()).unwrap();
    assert!(test_kill_process(id).is_err(), "{id:?} still runs");
}

#[test]
fn the_default_configuration_is_good_once_it_has_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("herald.toml");
    let (code, defaults, _) = text(&output(&mut herald(&["config", "default"])));
    assert_eq!(code, Some(0));
    std::fs::write(&file, &defaults).unwrap();
    let path = file.to_str().unwrap();
    let (code, _, err) = text(&output(&mut herald(&["config", "check", path])));
    assert_eq!(code, Some(78));
    assert!(err.contains("auth.secret"), "{err}");
    let mut check = herald(&["config", "check", path]);
    let (code, out, _) = text(&output(check.env("HERALD_AUTH__SECRET", SECRET)));
    assert_eq!(code, Some(0));
    assert!(out.contains("the configuration is good"), "{out}");
    let mut dump = herald(&["config", "dump", path]);
    let (_, out, _) = text(&output(dump.env("HERALD_AUTH__SECRET", SECRET)));
    assert!(out.contains("HERALD_AUTH__SECRET") && !out.contains(SECRET), "{out}");
}

#[test]
fn serve_without_a_secret_exits_78_and_says_what_to_do() {
    let (code, _, err) = text(&output(&mut herald(&["serve"])));
    assert_eq!(code, Some(78));
    assert!(err.contains("auth.secret") && err.contains("--dev"), "{err}");
}

/// `herald config default | head -1`, and a file on a full disk.
#[test]
fn output_that_nobody_reads_is_no_failure_and_a_full_disk_is_one() {
    let nobody = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    for arguments in [["config", "default", ""], ["config", "dump", "--dev"]] {
        let arguments: Vec<_> = arguments.into_iter().filter(|word| !word.is_empty()).collect();
        let (code, _, err) = text(&herald(&arguments).stdout(nobody()).output().unwrap());
        assert_eq!((code, err.as_str()), (Some(0), ""), "{arguments:?}");
        let (code, _, err) = text(&herald(&arguments).stdout(full()).output().unwrap());
        assert_eq!(code, Some(1));
        assert!(err.starts_with("herald: cannot write to stdout: No space"), "{err}");
    }
    let check = ["config", "check", "/nowhere"];
    for stderr in [Stdio::from(nobody()), full().into()] {
        assert_eq!(herald(&check).stderr(stderr).output().unwrap().status.code(), Some(78));
    }
}

#[tokio::test]
async fn the_sample_app_answers_though_nobody_reads_what_it_prints() {
    use server::client::http;
    let [address] = places::of_our_own();
    // A reader that never reads, and one that is gone.
    let (_reader, stalled) = std::io::pipe().unwrap();
    let (gone, broken) = std::io::pipe().unwrap();
    drop(gone);
    let mut app = herald(&["app", "--listen", &address.to_string()]);
    let _app = Spawned::start(app.stdout(stalled).stderr(broken));
    eventually("the App answers", || async { http(address, "GET", "/", &[], "").await.is_ok() })
        .await;
    // More than a pipe holds.
    for seq in 0..600 {
        let path = "/cb?command=callbackUserOnlineCommand&contenttype=json";
        let body = format!(
            r#"{{"userID":"u","callbackCommand":"callbackUserOnlineCommand","seq":{seq},"isAppBackground":false,"connID":"c"}}"#
        );
        let operation_id = "o".repeat(100);
        let answer = http(address, "POST", path, &[("operationID", &operation_id)], &body).await;
        assert_eq!(answer.unwrap().0, 200);
    }
}

/// Slow headers: a client that sends them a byte a minute must not stay.
#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let herald =
        Herald::start(|config| config.gateway.handshake_timeout = Duration::from_millis(200)).await;
    for address in [herald.running.gateway, herald.running.api, herald.running.admin] {
        let mut line = tokio::net::TcpStream::connect(address).await.unwrap();
        line.write_all(b"GET /?sendID=u HTTP/1.1\r\nHost: x\r\nX-Slow:").await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(30), line.read_to_end(&mut rest));
        assert!(ended.await.is_ok(), "{address} waits for ever");
    }
}

#[test]
fn a_token_is_printed_that_the_server_takes() {
    let mut token = herald(&["token", "--user", "u1", "--platform", "web"]);
    let (code, out, err) = text(&output(token.env("HERALD_AUTH__SECRET", SECRET)));
    assert_eq!(code, Some(0), "{err}");
    let claims = Keys::new(SECRET.as_bytes()).read(out.trim(), now_s()).unwrap();
    assert_eq!(claims.matches("u1", Platform::Web), Ok(()));
    let (code, _, err) = text(&output(&mut herald(&["token", "--user", "u", "--platform", "x"])));
    assert_eq!(code, Some(2));
    assert!(err.contains("try web, ios or android"), "{err}");
}

#[tokio::test]
async fn a_second_herald_on_one_folder_does_not_start_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    let mut first = Process::new(folder.path(), &app.url(), &[]);
    first.start().await;
    let second = Process::new(folder.path(), &app.url(), &[]);
    let (code, _, err) = text(&output(&mut second.command()));
    assert_eq!(code, Some(1));
    assert!(err.contains("in use by another herald"), "{err}");
}

#[tokio::test]
async fn sigterm_ends_it_with_exit_0_and_nobody_is_told_offline() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    // No proxy of the environment is ever used: through this one nothing would be told.
    let proxy = [("HTTP_PROXY", "http://127.0.0.1:9"), ("http_proxy", "http://127.0.0.1:9")];
    let mut herald = Process::new(folder.path(), &app.url(), &proxy);
    herald.start().await;
    let identity = identity("u", Platform::Ios);
    let mut client = server::client::Client::login(herald.gateway, &identity).await.unwrap();
    app.hears(&["online u"]).await;
    let told = tokio::spawn(async move { client.hear().await });
    assert_eq!(herald.terminate().await, Some(0));
    assert_eq!(told.await.unwrap(), server::client::Heard::Closed(Some(1012)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    app.hears(&["online u"]).await;
}

#[tokio::test]
async fn the_sample_app_takes_only_what_is_signed_if_it_has_a_secret() {
    const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let (code, _, err) = text(&output(&mut herald(&["app", "--secret", "hunter2"])));
    assert_eq!((code, err.as_str()), (Some(1), "herald: --secret: must begin with whsec_\n"));
    let [address] = places::of_our_own();
    let mut app = herald(&["app", "--listen", &address.to_string(), "--secret", SIGNING]);
    let _app = Spawned::start(app.stdout(Stdio::null()).stderr(Stdio::null()));
    for (secrets, verdict) in [(vec![], "back_off"), (vec![SIGNING], "delivered")] {
        let herald = Herald::start(|config| {
            config.callbacks.url = Some(format!("http://{address}/callback"));
            config.callbacks.secrets = secrets.into_iter().map(Secret::new).collect();
        })
        .await;
        let _client = herald.login("u", Platform::Ios).await;
        eventually(verdict, || async {
            let (_, page) = herald.admin("GET", "/v1/callbacks?user=u", "").await;
            let attempts = page["callbacks"][0]["attempts"].as_array().cloned().unwrap_or_default();
            let answered = attempts.iter().find(|attempt| attempt["status"].is_number());
            answered.is_some_and(|attempt| attempt["verdict"] == verdict)
        })
        .await;
    }
}

#[tokio::test]
async fn the_sample_app_shows_who_is_online_and_misbehaves_to_order() {
    use server::client::http;
    use std::io::{BufRead, BufReader};
    let [address] = places::of_our_own();
    let listen = address.to_string();
    let mut app = herald(&["app", "--listen", &listen, "--refuse", "bad", "--delay", "10ms"]);
    let mut app = Spawned::start(app.stdout(Stdio::piped()).stderr(Stdio::null()));
    eventually("the App answers", || async {
        http(address, "GET", "/", &[], "")
            .await
            .is_ok_and(|(status, page)| status == 200 && page.contains("Who is online"))
    })
    .await;
    let tell = |user: &'static str| async move {
        let path = "/any/path?command=callbackUserOnlineCommand&contenttype=json";
        let body = format!(
            r#"{{"userID":"{user}","callbackCommand":"callbackUserOnlineCommand","seq":7,"isAppBackground":false,"connID":"c"}}"#
        );
        http(address, "POST", path, &[("operationID", "op")], &body).await.unwrap()
    };
    let ok = r#"{"actionCode":0,"errCode":0,"errMsg":"","errDlt":"","nextCode":""}"#;
    assert_eq!(tell("good").await, (200, ok.to_owned()));
    let (status, refused) = tell("bad").await;
    assert_eq!((status, refused.contains(r#""nextCode":1"#)), (200, true));
    let (_, online) = http(address, "GET", "/online", &[], "").await.unwrap();
    assert_eq!(online, r#"{"online":[{"isAppBackground":false,"seq":7,"userID":"good"}]}"#);
    let mut line = String::new();
    BufReader::new(app.stdout()).read_line(&mut line).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["userID"], &line["view"]), (&"good".into(), &"changed".into()));
}
