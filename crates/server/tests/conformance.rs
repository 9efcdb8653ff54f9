//! `herald conformance` against Apps that are right and Apps that are wrong.
#![allow(clippy::unwrap_used)]

mod support;

use axum::response::Response;
use server::{
    clock::SystemClock,
    conformance::{Row, Tested, USER_PREFIX, play},
};
use std::{future::Future, time::Duration};
use support::{tried::*, *};

fn failures(rows: &[Row]) -> Vec<&str> {
    rows.iter().filter(|row| !row.passed).map(|row| row.name).collect()
}

async fn rows(app: &App, secret: Option<&str>, sdk_name: &str) -> Vec<Row> {
    let secret = secret.map(|secret| secret.parse().unwrap());
    let tested = Tested {
        url: app.url(),
        tls: None,
        secret,
        sdk_name: sdk_name.into(),
        view: None,
        background: true,
    };
    play(&tested, &SystemClock::start(), |_| {}).await.unwrap()
}

/// Which cases an App fails that is not asked for a signature and answers by this script.
async fn failed<F: Future<Output = Response> + Send + 'static>(
    script: impl Fn(&Received, usize) -> F + Send + Sync + 'static,
) -> Vec<Row> {
    let app = App::start().await;
    app.answer(script);
    let mut rows = rows(&app, None, "").await;
    rows.retain(|row| !row.passed);
    rows
}

#[tokio::test]
async fn the_sample_app_passes_with_and_without_a_secret() {
    let plain = Tried::start(|at| herald(&["app", "--listen", &at.to_string()])).await;
    for path in ["", "/", "/callback", "/a/b?tenant=7&command=mine#part"] {
        passes(&[&format!("http://{}{path}", plain.address)], 35);
    }
    let signed = Tried::start(|at| {
        let at = at.to_string();
        herald(&["app", "--listen", &at, "--secret", SIGNING, "--sdk-name", "eu"])
    })
    .await;
    passes(&[&signed.url(), "--secret", SIGNING, "--sdk-name", "eu"], 50);
    // Again: its users are known by now, and one of them has the largest seq.
    passes(&[&signed.url(), "--secret", SIGNING, "--sdk-name", "eu"], 50);
    let unsigned = conformance(&[&signed.url(), "--sdk-name", "eu"]);
    let table = String::from_utf8(unsigned.stdout).unwrap();
    assert_eq!(unsigned.status.code(), Some(1), "{table}");
    assert!(table.contains("FAIL 401 actionCode 1 the header `webhook-id` is missing"), "{table}");
}

#[tokio::test]
async fn an_app_that_takes_everything_fails_each_case_that_must_not_be_taken() {
    let app = App::start().await;
    let rows = rows(&app, Some(SIGNING), "eu").await;
    assert_eq!(
        failures(&rows),
        [
            "URL and body differ in the command",
            "no command in the URL",
            "an unknown command",
            "another sdkName",
            "no sdkName",
            "GET instead of POST",
            "an empty body",
            "a body that is no JSON",
            "a body that is no object",
            "a body cut short",
            "no userID",
            "an empty userID",
            "no callbackCommand",
            "no seq",
            "seq as text",
            "not signed",
            "no webhook-signature",
            "no webhook-timestamp",
            "no webhook-id",
            "signed with another secret",
            "the signature of another body",
            "the signature of another id",
            "signed 10 minutes ago",
            "signed 10 minutes ahead",
        ]
    );
    let must_not = rows.iter().filter(|row| row.expected.starts_with("not taken"));
    assert_eq!(must_not.count(), failures(&rows).len());
}

#[tokio::test]
async fn every_user_of_a_run_can_be_recognised_and_is_offline_in_the_end() {
    let app = App::start().await;
    rows(&app, None, "").await;
    let mut view = std::collections::BTreeMap::new();
    for received in app.received() {
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(&received.body) else {
            continue;
        };
        let Some(user) = body["userID"].as_str().filter(|user| !user.is_empty()) else {
            continue;
        };
        assert!(user.starts_with(USER_PREFIX), "{user}");
        let seq = body["seq"].as_u64().unwrap_or_default();
        let online = body["callbackCommand"] == "callbackUserOnlineCommand";
        let newest = view.entry(user.to_owned()).or_insert((seq, online));
        *newest = (*newest).max((seq, online));
    }
    let online: Vec<_> = view.iter().filter(|(_, (_, online))| *online).collect();
    assert!(view.len() > 10 && online.is_empty(), "{online:?}");
    assert!(view.keys().any(|user| user.len() == 256), "{view:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_the_contracts_fails_the_good_cases() {
    for (body, problem) in [
        ("", "the body must be a JSON object"),
        ("ok", "the body must be a JSON object"),
        ("{}", "actionCode must be a number"),
        (r#"{"actionCode":"0","errCode":0}"#, "actionCode must be a number"),
        (r#"{"actionCode":0}"#, "errCode must be a number"),
        (r#"{"actionCode":0,"errCode":0,"errMsg":null}"#, "errMsg must be text"),
        (r#"{"actionCode":1,"errCode":0}"#, "actionCode must be 0"),
    ] {
        let failed = failed(move |_, _| async move { answer(200, body) }).await;
        assert_eq!(failed[0].name, "a user comes online");
        assert!(failed[0].got.ends_with(problem), "{:?}", failed[0]);
    }
}

#[tokio::test]
async fn an_app_that_calls_repeated_and_older_ones_errors_fails_those_cases() {
    let seqs = std::sync::Mutex::new(std::collections::BTreeMap::new());
    let failed = failed(move |received, _| {
        let body: serde_json::Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let seq = body["seq"].as_u64().unwrap_or_default();
        let mut seqs = seqs.lock().unwrap();
        let known = seqs.entry(body["userID"].to_string()).or_insert(0);
        let news = seq > *known;
        *known = seq.max(*known);
        async move { if news { ok() } else { answer(409, "known already") } }
    })
    .await;
    let names: Vec<_> = failed.iter().map(|row| row.name).collect();
    for name in [
        "the same request again",
        "the same offline again",
        "an older online after it",
        "an older offline after it",
    ] {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
    assert!(!names.contains(&"a user comes online") && !names.contains(&"no seq"), "{names:?}");
}

#[tokio::test]
async fn a_repeated_request_that_is_answered_otherwise_fails() {
    for (second, fails) in [
        (r#"{"actionCode":0,"errCode":0,"errMsg":"known already"}"#, false),
        (r#"{"actionCode":0,"errCode":7}"#, true),
        (r#"{"actionCode":0,"errCode":0,"nextCode":1}"#, true),
    ] {
        let answered = move |_: &Received, before| async move {
            if before == 1 { answer(200, second) } else { ok() }
        };
        let failed = failed(answered).await;
        let repeated = failed.iter().find(|row| row.name == "the same request again");
        let got = repeated.map(|row| row.got.as_str()).unwrap_or_default();
        assert_eq!(got.ends_with("the first was answered otherwise"), fails, "{second}: {got}");
    }
}

#[tokio::test]
async fn an_app_that_hangs_up_fails_all_but_the_huge_body() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let hangs_up = tokio::spawn(async move {
        loop {
            drop(listener.accept().await);
        }
    });
    let tested = Tested {
        url,
        tls: None,
        secret: None,
        sdk_name: String::new(),
        view: None,
        background: true,
    };
    let rows = play(&tested, &SystemClock::start(), |_| {}).await.unwrap();
    hangs_up.abort();
    let passed: Vec<_> = rows.iter().filter(|row| row.passed).map(|row| row.name).collect();
    assert_eq!(passed, ["a body of 1 MB"]);
}

#[tokio::test]
async fn an_answer_after_the_timeout_is_none() {
    let failed = failed(|_, before| async move {
        if before == 2 {
            tokio::time::sleep(Duration::from_secs(7)).await;
        }
        ok()
    })
    .await;
    assert_eq!(failed[0].name, "another login, a newer seq");
    assert_eq!(failed[0].got, "nothing within 5 s: an answer must come");
}

#[test]
fn an_app_that_is_not_there_is_exit_2_and_no_table() {
    for (arguments, why) in [
        (vec!["http://127.0.0.1:1/"], "the App cannot be reached: 127.0.0.1:1: "),
        (vec!["https://127.0.0.1:1/", "--ca", "none.pem"], "--ca"),
        (vec!["127.0.0.1:1/callback"], "the URL: \"127.0.0.1:1/callback\" is not a URL"),
        (
            vec!["ftp://127.0.0.1/"],
            "the URL: \"ftp://127.0.0.1/\" must begin with http:// or https://",
        ),
        (vec!["http://127.0.0.1:1/", "--view", "nourl"], "--view: \"nourl\" must begin with http"),
        (vec!["http://127.0.0.1:1/", "--view", ""], "--view: \"\" is not a URL"),
        (vec!["http://127.0.0.1:1/", "--secret", "hunter2"], "--secret: must begin with whsec_"),
    ] {
        let output = conformance(&arguments);
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{err}");
        assert!(err.starts_with(&format!("herald: {why}")) && !err.contains("hunter2"), "{err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_behind_https_is_tried_by_who_trusts_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let tls = support::tls::Tls::make(folder.path().join("ca.pem"));
    let app = App::start().await;
    let url = format!("https://localhost:{}/cb", tls.serve(&app).await.port());
    let stranger = conformance(&[&url]);
    assert_eq!(stranger.status.code(), Some(2));
    let told = String::from_utf8(stranger.stderr).unwrap();
    assert!(told.contains("certificate"), "{told}");
    assert!(app.received().is_empty());
    let known = conformance(&[&url, "--ca", tls.ca.to_str().unwrap()]);
    // It takes everything, also what it must not.
    assert_eq!(known.status.code(), Some(1));
    assert!(app.received().len() > 30);
}

/// Two Apps whose answers are right and whose views are not.
#[tokio::test]
async fn with_a_view_an_app_that_ignores_seq_or_takes_a_kick_off_for_an_offline_fails() {
    for (compares_seq, kick_off_leaves, wrong) in [
        (true, true, vec![]),
        (false, true, vec!["an older online after it", "an older offline after it"]),
        (true, false, vec!["a kick-off"]),
    ] {
        let (at, _app) = app_with_a_view(compares_seq, kick_off_leaves).await;
        let view = server::conformance::View::Url(format!("http://{at}/online"));
        let tested = Tested {
            background: false,
            url: format!("http://{at}/callback"),
            tls: None,
            secret: None,
            sdk_name: String::new(),
            view: Some(view),
        };
        let rows = play(&tested, &SystemClock::start(), |_| {}).await.unwrap();
        let looked = |row: &&Row| !row.passed && row.section == "what Herald sends";
        let failed: Vec<_> = rows.iter().filter(looked).map(|row| row.name).collect();
        assert_eq!(failed, wrong, "{rows:#?}");
    }
}

/// Takes everything; at `/online` it names who is online.
async fn app_with_a_view(
    compares_seq: bool,
    kick_off_leaves: bool,
) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
    use axum::{Router, body::Bytes, routing::get};
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex},
    };
    type View = Arc<Mutex<BTreeMap<String, (u64, bool)>>>;
    let view = View::default();
    let shown = Arc::clone(&view);
    let take = async move |body: Bytes| {
        let Ok(told) = serde_json::from_slice::<serde_json::Value>(&body) else { return ok() };
        let (user, seq) = (told["userID"].as_str().unwrap_or_default(), told["seq"].as_u64());
        let is_online = match told["callbackCommand"].as_str() {
            Some("callbackUserOnlineCommand") => true,
            Some("callbackUserKickOffCommand") if kick_off_leaves => return ok(),
            _ => false,
        };
        let mut view = view.lock().unwrap();
        let known = view.entry(user.to_owned()).or_default();
        if !compares_seq || seq.unwrap_or_default() > known.0 {
            *known = (seq.unwrap_or_default(), is_online);
        }
        ok()
    };
    let show = async move || {
        let view = shown.lock().unwrap();
        view.iter()
            .filter(|(_, (_, online))| *online)
            .map(|(user, _)| user.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    };
    let router = Router::new().route("/online", get(show)).fallback(take);
    let any_port = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let listener =
        server::listener::Listener::bind(any_port, Duration::from_secs(9)).await.unwrap();
    let at = listener.address().unwrap();
    (at, tokio::spawn(listener.serve(router, Default::default())))
}

/// A page, or what a command prints.
#[tokio::test]
async fn the_view_of_the_sample_app_is_looked_at_by_url_and_by_command() {
    let app = Tried::start(|at| herald(&["app", "--listen", &at.to_string()])).await;
    let view = format!("http://{}/online", app.address);
    // A run right after another one begins above all that was sent there.
    for _ in 0..2 {
        let table = conformance(&[&app.url(), "--view", &view, "--background"]);
        let text = String::from_utf8(table.stdout).unwrap();
        assert!(table.status.success() && text.contains("front and background"), "{text}");
    }
    let table = conformance(&[&app.url(), "--view", &view]);
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(table.status.success() && text.contains("shown offline"), "{text}");
    assert!(
        !text.contains("was not looked at") && text.contains("what Herald never sends"),
        "{text}"
    );
    let command = conformance(&[&app.url(), "--view-command", "echo nobody"]);
    let text = String::from_utf8(command.stdout).unwrap();
    assert!(text.contains("the view shows the user offline, and must online"), "{text}");
    let none = conformance(&[&app.url()]);
    assert!(String::from_utf8(none.stdout).unwrap().contains("was not looked at"));
}
