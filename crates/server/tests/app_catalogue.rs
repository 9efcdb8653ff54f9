//! What Apps do to those who call them, one row each (T-20 to T-28 of the catalogue), and that the
//! App's view is right all the same. Beyond HTTP: sockets that stall, drip, break and mix things up.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use support::{tls::Tls, *};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wire::platform::Platform;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

async fn herald(url: String) -> Herald {
    Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.online.timeout = Duration::from_secs(1);
        config.callbacks.offline.timeout = Duration::from_secs(1);
    })
    .await
}

/// What an App does with the first request on its socket; then it is well.
#[derive(Clone, Copy, Debug)]
enum Trick {
    /// One byte of the head a moment.
    Drips,
    StallsAfterTheHead,
    StallsInTheBody,
    ClosesWithoutAWord,
    /// Before the body was read.
    AnswersEarly,
    ResetsAfterTheAnswer,
    /// The second could be taken for that of the next request.
    AnswersTwice,
    ClosesAfterAKeptAliveAnswer,
    NoHttp,
    /// Says that it is compressed, which nobody asked for.
    GzipBomb,
    HugeHead,
}

/// An App on a raw socket. Returns where, and the bodies it took.
async fn raw(trick: Trick) -> (SocketAddr, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken: Arc<Mutex<Vec<Value>>> = Arc::default();
    let all = Arc::clone(&taken);
    tokio::spawn(async move {
        let mut tricks = Some(trick);
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(attend(stream, tricks.take(), Arc::clone(&all)));
        }
    });
    (address, taken)
}

async fn attend(mut stream: TcpStream, mut trick: Option<Trick>, taken: Arc<Mutex<Vec<Value>>>) {
    loop {
        let trick = trick.take();
        if let Some(Trick::AnswersEarly) = trick {
            let _ = stream.write_all(OK).await;
        }
        let Some(body) = read_request(&mut stream).await else { return };
        taken.lock().unwrap().push(body);
        let done = match trick {
            None => stream.write_all(OK).await.is_ok(),
            Some(trick) => play(trick, &mut stream).await,
        };
        if !done {
            return;
        }
    }
}

/// Whether the socket is of any use afterwards.
async fn play(trick: Trick, stream: &mut TcpStream) -> bool {
    let forever = Duration::from_secs(600);
    match trick {
        Trick::Drips => {
            for byte in OK {
                tokio::time::sleep(Duration::from_millis(300)).await;
                if stream.write_all(&[*byte]).await.is_err() {
                    return false;
                }
            }
            true
        }
        Trick::StallsAfterTheHead | Trick::StallsInTheBody => {
            let until = if let Trick::StallsInTheBody = trick { 1 } else { 2 };
            let _ = stream.write_all(&OK[..OK.len() - until]).await;
            tokio::time::sleep(forever).await;
            false
        }
        Trick::ClosesWithoutAWord => false,
        Trick::AnswersEarly => true,
        Trick::ResetsAfterTheAnswer => {
            let _ = stream.write_all(OK).await;
            stream.set_zero_linger().unwrap();
            false
        }
        Trick::AnswersTwice => {
            let refuses = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"nextCode\":1}";
            stream.write_all(&[OK, refuses].concat()).await.is_ok()
        }
        Trick::ClosesAfterAKeptAliveAnswer => {
            let _ = stream.write_all(OK).await;
            false
        }
        Trick::NoHttp => {
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
            false
        }
        Trick::GzipBomb => {
            let head =
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10000000000\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            let bomb = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 0xed].repeat(4096);
            while stream.write_all(&bomb).await.is_ok() {}
            false
        }
        Trick::HugeHead => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while stream.write_all(&[&b"X: "[..], &[b'x'; 8192], b"\r\n"].concat()).await.is_ok() {}
            false
        }
    }
}

/// The body of the next request; none when there is none any more.
async fn read_request(stream: &mut TcpStream) -> Option<Value> {
    let mut bytes = Vec::new();
    loop {
        if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
            let length = text.split("content-length: ").nth(1)?.lines().next()?;
            let length: usize = length.parse().ok()?;
            if let Some(body) = bytes.get(head + 4..head + 4 + length) {
                return serde_json::from_slice(body).ok();
            }
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(count @ 1..) => bytes.extend_from_slice(&more[..count]),
            _ => return None,
        }
    }
}

/// T-21, T-25, T-26: at most a duplicate, never a loss, and the next callback is not touched.
#[tokio::test]
async fn whatever_a_socket_does_costs_at_most_a_duplicate() {
    #[rustfmt::skip]
    let rows = [
        // what                               the first attempt, in words      told
        (Trick::Drips,                       Some("no answer in time"),        2),
        (Trick::StallsAfterTheHead,          Some("no answer in time"),        2),
        (Trick::StallsInTheBody,             Some("no answer in time"),        2),
        (Trick::ClosesWithoutAWord,          Some("the exchange broke off"),   2),
        (Trick::AnswersEarly,                None,                             1),
        (Trick::ResetsAfterTheAnswer,        None,                             1),
        (Trick::AnswersTwice,                None,                             1),
        (Trick::ClosesAfterAKeptAliveAnswer, None,                             1),
        (Trick::NoHttp,                      Some("the exchange broke off"),   2),
        (Trick::GzipBomb,                    Some("longer than 1 MiB"),        2),
        (Trick::HugeHead,                    Some("the exchange broke off"),   2),
    ];
    let checks = rows.into_iter().map(|(trick, words, times)| async move {
        let (address, taken) = raw(trick).await;
        let herald = herald(format!("http://{address}/cb")).await;
        let client = herald.login("u", Platform::Ios).await;
        herald.all_told().await;
        let (_, page) = herald.admin("GET", "/v1/callbacks?user=u", "").await;
        let first = &page["callbacks"][0]["attempts"][0];
        match words {
            Some(words) => assert!(
                first["error"].as_str().is_some_and(|error| error.contains(words)),
                "{trick:?}: {first}"
            ),
            None => assert_eq!(first["verdict"], "delivered", "{trick:?}: {first}"),
        }
        client.close().await;
        eventually("offline is told", || async { taken.lock().unwrap().len() > times }).await;
        herald.all_told().await;
        let taken = taken.lock().unwrap().clone();
        let (onlines, offlines) = taken.split_at(times);
        assert!(onlines.iter().all(|one| one == &onlines[0]), "{trick:?}: {taken:?}");
        assert_eq!(offlines.len(), 1, "{trick:?}: {taken:?}");
        assert_eq!(offlines[0]["callbackCommand"], "callbackUserOfflineCommand");
    });
    futures_util::future::join_all(checks).await;
}

/// T-20: with the reason in words, and never in clear text.
#[tokio::test]
async fn a_line_that_cannot_be_made_is_said_in_words_and_nothing_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let app = App::start().await;
    let (expired, misnamed) = (
        Tls::make(file("expired.pem")).expired(),
        Tls::make(file("misnamed.pem")).named("elsewhere.example"),
    );
    let (stranger, known) = (Tls::make(file("stranger.pem")), Tls::make(file("known.pem")));
    #[rustfmt::skip]
    let rows = [
        // where it is                                    the CA           in words
        (https(expired.serve(&app).await),   Some(expired.ca),  "expired"),
        (https(misnamed.serve(&app).await),  Some(misnamed.ca), "not valid for name"),
        (https(stranger.serve(&app).await),  Some(known.ca),    "invalid peer certificate"),
        (https(app.address),                 None,              "no connection"),
        ("http://no-such-host.invalid/".to_owned(), None,       "no connection"),
        ("http://127.0.0.1:1/".to_owned(),          None,       "refused"),
    ];
    let checks = rows.into_iter().map(|(url, ca, words)| async move {
        let herald = Herald::start(|config| {
            config.callbacks.url = Some(url.clone());
            config.callbacks.ca = ca;
        })
        .await;
        let _client = herald.login("u", Platform::Ios).await;
        let said = herald.failure_of("u").await;
        assert!(said.contains(words), "{url}: {said}");
    });
    futures_util::future::join_all(checks).await;
    assert!(app.received().is_empty());
}

fn https(address: SocketAddr) -> String {
    format!("https://localhost:{}/", address.port())
}

/// T-23.
#[tokio::test]
async fn no_redirect_is_followed_wherever_it_goes() {
    let trap = App::start().await;
    let targets = ["http://169.254.169.254/latest/meta-data", &trap.url(), "/other", ""];
    let statuses = [301, 302, 303, 307, 308].into_iter();
    let cases = statuses.flat_map(|status| targets.map(|target| (status, target)));
    // Each waits for its retry.
    let played = cases.map(async |(status, target)| {
        let app = App::start().await;
        let to = target.to_owned();
        app.answer(move |_, before| {
            let mut response = if before == 0 { answer(status, "") } else { ok() };
            response.headers_mut().insert("location", to.parse().unwrap());
            async { response }
        });
        let herald = herald(app.url()).await;
        let _client = herald.login("u", Platform::Ios).await;
        let said = herald.failure_of("u").await;
        assert!(said.contains("redirects are not followed"), "{said}");
        assert!(said.contains(target), "{said}");
        app.hears(&["online u", "online u"]).await;
        assert!(app.received().iter().all(|told| told.target.starts_with("/cb?")));
    });
    futures_util::future::join_all(played).await;
    assert!(trap.received().is_empty());
}

/// A request that was on its way before the App asked for time says nothing about that.
#[tokio::test]
async fn who_asks_for_time_is_given_it_though_an_earlier_request_succeeds_later() {
    let app = App::start().await;
    let asked = Arc::new(tokio::sync::Notify::new());
    let asks = Arc::clone(&asked);
    app.answer(move |received, _| {
        let (first, asks) = (received.what() == "online first", Arc::clone(&asks));
        async move {
            if first {
                asks.notified().await;
                return ok();
            }
            let mut response = answer(429, "");
            response.headers_mut().insert("retry-after", "600".parse().unwrap());
            response
        }
    });
    let url = app.url();
    let herald = Herald::start(|config| config.callbacks.url = Some(url)).await;
    let endpoint = async || herald.admin("GET", "/v1/endpoints", "").await.1[0].clone();
    let _first = herald.login("first", Platform::Ios).await;
    eventually("the first is on its way", || async { app.received().len() == 1 }).await;
    let _second = herald.login("second", Platform::Ios).await;
    herald.failure_of("second").await;
    assert_eq!(endpoint().await["state"], "backing_off");
    asked.notify_one();
    eventually("the first is delivered", || async { endpoint().await["owed"] == 1 }).await;
    assert_eq!(endpoint().await["state"], "backing_off");
    let _third = herald.login("third", Platform::Ios).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(app.heard(), ["online first", "online second"]);
}

/// T-22: the wait that the App asks for holds for the endpoint, and is shown.
#[tokio::test]
async fn who_asks_for_time_is_given_it() {
    let app = App::start().await;
    app.answer(|_, before| async move {
        let mut response = if before == 0 { answer(429, "") } else { ok() };
        response.headers_mut().insert("retry-after", "600".parse().unwrap());
        response
    });
    let herald = herald(app.url()).await;
    let _first = herald.login("u", Platform::Ios).await;
    herald.failure_of("u").await;
    // Before that it could be on its way already.
    let _second = herald.login("v", Platform::Ios).await;
    let (_, endpoints) = herald.admin("GET", "/v1/endpoints", "").await;
    assert_eq!(endpoints[0]["state"], "backing_off");
    tokio::time::sleep(Duration::from_millis(1900)).await;
    assert_eq!(app.heard().len(), 1, "well after the second it waits unless asked");
    assert_eq!(herald.admin("POST", "/v1/endpoints/main/resume", "").await.0, 204);
    herald.all_told().await;
}

/// T-28: an App that fails half of the time is not called twice as often for it.
#[tokio::test]
async fn an_app_that_flips_is_retried_no_more_often_than_it_fails() {
    let app = App::start().await;
    app.answer(|_, before| async move { if before % 2 == 0 { answer(500, "") } else { ok() } });
    let herald = herald(app.url()).await;
    for n in 0..10 {
        herald.set_status(&format!("u{n}"), Platform::Web, json!({ "status": 1 })).await;
    }
    herald.all_told().await;
    let (asked, taken) =
        (app.received().len(), app.received().iter().filter(|r| r.taken()).count());
    assert_eq!(taken, 10);
    assert!(asked <= 2 * taken, "{asked} requests for {taken} callbacks");
}
