//! The Autobahn cases against our sockets: an echo behind the gateway's own upgrade, settings and
//! closing. It needs kosoku, so it is ignored unless `cargo xtask websocket`, which installs that, runs it.

use super::{
    admission::{Socket, accept_key, paced_socket, switching_protocols},
    connection::{broken, say_close, send},
    ending::Ending,
};
use crate::listener::Listener;
use axum::{Router, extract::Request, response::Response};
use futures_util::StreamExt;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{process::Command, time::timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

/// The largest message of the cases below, beyond the default of 50 KiB.
const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Messages beyond that limit, and compression, which we do not offer.
const EXCLUDED: [&str; 16] = [
    "9.1.2", "9.1.3", "9.1.4", "9.1.5", "9.1.6", "9.2.2", "9.2.3", "9.2.4", "9.2.5", "9.2.6",
    "9.3.*", "9.4.*", "9.5.*", "9.6.*", "12.*", "13.*",
];
/// Nobody is to exclude more unnoticed.
const CASES_MIN: usize = 250;
/// Said where the cases are not there.
const INSTALL: &str =
    "KOSOKU must name the program; `cargo xtask websocket` installs it and sets that";
const TIMEOUT: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kosoku: `cargo xtask websocket`"]
async fn every_autobahn_case_within_the_frame_limit_passes() {
    let stop = CancellationToken::new();
    let any_port = ([127, 0, 0, 1], 0).into();
    let listener = Listener::bind(any_port, Duration::from_secs(10)).await.unwrap();
    let address = listener.address().unwrap().to_string();
    let serving = tokio::spawn(listener.serve(Router::new().fallback(upgrade), stop.clone()));

    let reports = tempfile::tempdir().unwrap();
    let program = PathBuf::from(env::var_os("KOSOKU").expect(INSTALL));
    let mut kosoku = Command::new(&program);
    kosoku.arg(&address).arg("--outdir").arg(reports.path());
    kosoku.args(EXCLUDED.iter().flat_map(|case| ["--exclude", case]));
    kosoku.kill_on_drop(true).stdin(Stdio::null());
    let output = timeout(TIMEOUT, kosoku.output()).await.expect("it ends in time").unwrap();
    stop.cancel();
    serving.await.unwrap();

    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    let index = fs::read(reports.path().join("index.json")).unwrap();
    let index: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_slice(&index).unwrap();
    let mut verdicts = BTreeMap::<_, usize>::new();
    for case in index.values().flat_map(BTreeMap::values) {
        *verdicts.entry(case["behavior"].as_str().unwrap()).or_default() += 1;
    }
    let passed: usize = verdicts.values().sum();
    let excluded = cases(&program).await - passed;
    println!("{passed} cases passed {verdicts:?}, 0 failed, {excluded} excluded {EXCLUDED:?}");
    assert!(passed >= CASES_MIN);
}

/// How many there are.
async fn cases(program: &Path) -> usize {
    let mut python = Command::new(program.with_file_name("python"));
    python.args(["-c", "from kosoku.cases import CASES; print(len(CASES))"]);
    let output = python.kill_on_drop(true).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

async fn upgrade(mut request: Request) -> Response {
    let on_upgrade = hyper::upgrade::on(&mut request);
    let accept = accept_key(request.headers()).expect("kosoku sends upgrades only");
    tokio::spawn(async move {
        let upgraded = on_upgrade.await.unwrap();
        echo(paced_socket(upgraded, FRAME_BYTES_MAX, usize::MAX).await).await;
    });
    switching_protocols(accept)
}

/// Hears and ends as [`super::connection::Newcomer`] does, and answers each message with itself.
async fn echo(mut socket: Socket) {
    loop {
        let done = match socket.next().await {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                send(&mut socket, message).await
            }
            Some(Ok(Message::Close(_))) => Err(Ending::ClientCloses.into()),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(broken(&error)),
            None => Err(Ending::LineBreaks.into()),
        };
        if let Err(ended) = done {
            return say_close(&mut socket, &ended).await;
        }
    }
}
