//! The sample App misbehaves to order, and Herald takes it for what it is.
#![allow(clippy::unwrap_used)]

mod support;

use receiver::Receiver;
use server::{
    app::{Faults, router},
    listener::Listener,
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use support::{spawned, tried::*, *};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use wire::platform::Platform;

/// Whom the App took in, as it is told.
type Taken = Arc<Mutex<Vec<String>>>;

async fn sample_app(faults: Faults, tasks: &mut JoinSet<()>) -> (SocketAddr, Taken) {
    let taken = Taken::default();
    let told = Arc::clone(&taken);
    let app = router(
        Receiver::new(),
        faults,
        Box::new(move |event, _| told.lock().unwrap().push(event.user_id.clone())),
    );
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), Duration::from_secs(10));
    let listener = listener.await.unwrap();
    let address = listener.address().unwrap();
    tasks.spawn(listener.serve(app, CancellationToken::new()));
    (address, taken)
}

/// What Herald says of the first attempt to tell an App with such faults, and who was taken.
async fn failure(faults: Faults) -> (String, Vec<String>) {
    let mut tasks = JoinSet::new();
    let (address, taken) = sample_app(faults, &mut tasks).await;
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(format!("http://{address}/callback"));
        config.callbacks.online.timeout = Duration::from_millis(500);
    })
    .await;
    let _client = herald.login("u", Platform::Ios).await;
    let failure = herald.failure_of("u").await;
    let taken = taken.lock().unwrap().clone();
    (failure, taken)
}

#[tokio::test]
async fn an_app_that_hangs_does_not_answer_in_time() {
    let (failure, taken) = failure(Faults { hang: 1.0, ..Faults::default() }).await;
    assert!(failure.contains("time"), "{failure}");
    assert_eq!(taken, [""; 0]);
}

#[tokio::test]
async fn an_app_that_drops_closes_the_connection_without_a_byte() {
    let mut tasks = JoinSet::new();
    let drops = Faults { drop: 1.0, ..Faults::default() };
    let (address, _) = sample_app(drops.clone(), &mut tasks).await;
    let mut line = TcpStream::connect(address).await.unwrap();
    line.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    let mut answer = Vec::new();
    line.read_to_end(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "");
    let (failure, taken) = failure(drops).await;
    assert!(failure.contains("closed"), "{failure}");
    assert_eq!(taken, [""; 0]);
}

#[tokio::test]
async fn garbage_is_an_answer_to_what_was_taken() {
    let (failure, taken) = failure(Faults { garbage: 1.0, ..Faults::default() }).await;
    assert!(failure.contains("JSON"), "{failure}");
    assert_eq!(taken, ["u"]);
}

/// For each of some requests, one after another: the status, or 0 if there was none.
async fn statuses(arguments: &[&str]) -> Vec<u16> {
    let app = Tried::start(|address| {
        let mut command = herald(&["app", "--listen", &address.to_string()]);
        command.args(arguments);
        command
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..40 {
        let answer = server::client::http(app.address, "POST", "/callback", &[], "{}").await;
        statuses.push(answer.map_or(0, |answer| answer.0));
    }
    statuses
}

#[tokio::test]
async fn a_seed_makes_the_faults_the_same_in_each_run() {
    let faults = ["--drop", "30%", "--fail", "30%", "--garbage", "10%", "--seed", "7"];
    let first = statuses(&faults).await;
    assert_eq!(first, statuses(&faults).await);
    for status in [0, 503, 400] {
        assert!(first.contains(&status), "{status}: {first:?}");
    }
    let more = spawned::output(&mut herald(&["app", "--garbage", "--drop", "5%"]));
    let told = String::from_utf8_lossy(&more.stderr).into_owned();
    assert!(!more.status.success() && told.contains("more than 100% together"), "{told}");
}
