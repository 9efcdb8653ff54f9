//! Herald as an HTTP client: connections that are used again, answers that are packed or long,
//! certificates, and what an App can make it read (`docs/callback.md`, *Connections and answers*).
#![allow(clippy::unwrap_used)]

mod support;

use axum::{body::Body, response::Response};
use flate2::{Compression, write::GzEncoder};
use server::{
    callbacks::http::ANSWER_BYTES_MAX,
    config::{Mode, OnRefusal},
};
use std::{
    io::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use support::{tls::Tls, *};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wire::platform::Platform;

const REFUSES: &str = r#"{"actionCode":0,"errMsg":"banned","nextCode":1}"#;
const FAILS: &str = r#"{"actionCode":7,"errMsg":"no"}"#;

/// An App that answers the first request of each connection and resets it at the second.
async fn resets_what_is_used_again() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let resets = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&resets);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                if read_request(&mut stream).await {
                    let _ =
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
                }
                if read_request(&mut stream).await {
                    count.fetch_add(1, Relaxed);
                    stream.set_zero_linger().unwrap();
                }
            });
        }
    });
    (address, resets)
}

/// Whether one came, whole.
async fn read_request(stream: &mut TcpStream) -> bool {
    let (mut read, mut more) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut more).await {
            Ok(count @ 1..) => read.extend_from_slice(&more[..count]),
            _ => return false,
        }
        if read.windows(4).any(|four| four == b"\r\n\r\n") && read.ends_with(b"}") {
            return true;
        }
    }
}

/// The App or a balancer may reset a connection that was quiet, just when it is used again.
#[tokio::test]
async fn a_connection_that_was_reset_while_it_was_quiet_costs_nothing() {
    let (address, resets) = resets_what_is_used_again().await;
    for mode in [Mode::Notify, Mode::Gate] {
        let herald = Herald::start(|config| {
            config.callbacks.url = Some(format!("http://{address}/cb"));
            config.callbacks.online.mode = mode;
            config.callbacks.online.failed_continue = false;
        })
        .await;
        let before = resets.load(Relaxed);
        for n in 0..10 {
            let _client = herald.login(&format!("u{n}"), Platform::Ios).await;
            herald.all_told().await;
        }
        assert!(resets.load(Relaxed) > before + 3, "{mode:?}: {}", resets.load(Relaxed));
        let (_, page) = herald.admin("GET", "/v1/callbacks?state=delivered", "").await;
        for callback in page["callbacks"].as_array().unwrap() {
            let attempts = callback["attempts"].as_array().unwrap();
            assert_eq!(attempts.len(), 1, "{mode:?}: {callback}");
            assert_eq!(attempts[0]["verdict"], "delivered", "{mode:?}: {callback}");
        }
    }
}

/// On a fresh connection it is the App's failure.
#[tokio::test]
async fn a_fresh_connection_that_is_reset_is_not_dialled_again_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/cb", listener.local_addr().unwrap());
    let herald = Herald::start(|config| config.callbacks.url = Some(url)).await;
    let _client = herald.login("u", Platform::Ios).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(read_request(&mut stream).await);
    stream.set_zero_linger().unwrap();
    drop(stream);
    assert!(herald.failure_of("u").await.contains("the exchange broke off"));
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

fn packed(encoding: &str, body: Vec<u8>) -> Response {
    let mut response = answer(200, body);
    response.headers_mut().insert("content-encoding", encoding.parse().unwrap());
    response
}

/// Byte by byte, with white space before it.
fn in_pieces(text: &str) -> Response {
    let bytes = [vec![b' '; 2_000], text.into()].concat();
    let pieces = bytes.into_iter().map(|byte| Ok::<_, std::io::Error>(vec![byte]));
    Response::new(Body::from_stream(futures_util::stream::iter(pieces)))
}

/// A long refusal: the words of a page before what counts.
fn long(bytes: usize) -> String {
    format!(r#"{{"errDlt":"{}","actionCode":0,"nextCode":1}}"#, "x".repeat(bytes))
}

/// Whoever cannot read what the App says must not take it for consent.
#[tokio::test]
async fn a_refusal_is_one_however_it_is_packed_and_however_long_it_is() {
    type Says = fn() -> Response;
    let says: [(&str, Says); 5] = [
        ("packed", || packed("gzip", gzip(REFUSES))),
        ("in capitals", || packed("GZIP", gzip(REFUSES))),
        ("packed and long", || packed("gzip", gzip(&long(500_000)))),
        ("long", || answer(200, long(70_000))),
        ("as long as may be", || answer(200, long(ANSWER_BYTES_MAX - 100))),
    ];
    let checks = says.map(async |(what, says)| {
        let app = App::start().await;
        app.answer(move |_, _| async move { says() });
        let herald = Herald::start(|config| {
            config.callbacks.url = Some(app.url());
            config.callbacks.online.on_refusal = OnRefusal::Disconnect;
        })
        .await;
        let mut client = herald.login("u", Platform::Ios).await;
        while client.hear().await != server::client::Heard::Lost {}
        let first = &app.received()[0];
        assert_eq!(first.headers["accept-encoding"], "identity", "{what}");
    });
    futures_util::future::join_all(checks).await;
}

/// It is tried again like one that the App failed at, and kept.
#[tokio::test]
async fn what_cannot_be_read_is_no_success_and_says_why() {
    type Says = fn() -> Response;
    let says: [(Says, &str); 6] = [
        (|| in_pieces(REFUSES), "in more than 1024 pieces"),
        (|| packed("gzip", gzip(FAILS)), "the App failed at it: actionCode 7"),
        (|| packed("br", REFUSES.into()), "is packed (\"br\")"),
        (|| packed("gzip", REFUSES.into()), "cannot be unpacked"),
        (|| packed("gzip", gzip(&long(ANSWER_BYTES_MAX))), "longer than 1 MiB"),
        (|| answer(200, long(ANSWER_BYTES_MAX)), "longer than 1 MiB"),
    ];
    let checks = says.map(async |(says, words)| {
        let app = App::start().await;
        app.answer(move |_, _| async move { says() });
        let herald = Herald::start(|config| config.callbacks.url = Some(app.url())).await;
        let _client = herald.login("u", Platform::Ios).await;
        let said = herald.failure_of("u").await;
        assert!(said.contains(words), "{said}");
        let (_, page) = herald.admin("GET", "/v1/callbacks?user=u", "").await;
        assert_eq!(page["callbacks"][0]["attempts"][0]["verdict"], "again", "{page}");
        assert_eq!(page["callbacks"][0]["attempts"][0]["status"], 200, "{page}");
    });
    futures_util::future::join_all(checks).await;
}

/// Interim answers are read and thrown away: for as long as there is room for a head.
#[tokio::test]
async fn interim_answers_without_end_are_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/cb", listener.local_addr().unwrap());
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(url);
        config.callbacks.online.timeout = Duration::from_secs(60);
    })
    .await;
    let _client = herald.login("u", Platform::Ios).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(read_request(&mut stream).await);
    let interim = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000);
    let mut written = 0;
    while stream.write_all(&interim).await.is_ok() {
        written += interim.len();
        assert!(written < 64 << 20, "it reads on");
    }
    let said = herald.failure_of("u").await;
    assert!(said.contains("the exchange broke off"), "{said}");
}

/// Exactly that one was configured to be trusted.
#[tokio::test]
async fn a_self_signed_certificate_is_trusted_by_its_file_and_no_other_is() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    let make = |name: &str| Tls::make(folder.path().join(name)).self_signed();
    let (own, other) = (make("own.pem"), make("other.pem"));
    let port = own.serve(&app).await.port();
    let start = async |ca: &std::path::Path, host: &str| {
        Herald::start(|config| {
            config.callbacks.url = Some(format!("https://{host}:{port}/"));
            config.callbacks.ca = Some(ca.to_owned());
        })
        .await
    };
    let herald = start(&own.ca, "localhost").await;
    let _client = herald.login("u", Platform::Ios).await;
    herald.all_told().await;
    for (ca, host, words) in [
        (&other.ca, "localhost", "set ca to that certificate"),
        (&own.ca, "127.0.0.1", "must be a name of its certificate"),
    ] {
        let herald = start(ca, host).await;
        let _client = herald.login("u", Platform::Ios).await;
        let said = herald.failure_of("u").await;
        assert!(said.contains(words), "{said}");
    }
    app.hears(&["online u"]).await;
}

/// A certificate that was renewed on disk counts without a restart; one that is broken does not.
#[tokio::test]
async fn certificates_that_change_on_disk_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    let (old, new) =
        (Tls::make(folder.path().join("ca.pem")), Tls::make(folder.path().join("new.pem")));
    let port = new.serve(&app).await.port();
    let herald = Herald::start(|config| {
        config.callbacks.url = Some(format!("https://localhost:{port}/"));
        config.callbacks.ca = Some(old.ca.clone());
    })
    .await;
    let _client = herald.login("u", Platform::Ios).await;
    let said = herald.failure_of("u").await;
    assert!(said.contains("was one of them made anew"), "{said}");
    std::fs::copy(&new.ca, &old.ca).unwrap();
    herald.all_told().await;
    std::fs::write(&old.ca, "no certificate").unwrap();
    let _other = herald.login("v", Platform::Ios).await;
    app.hears(&["online u", "online v"]).await;
}

/// What went wrong, and what to do about it.
#[tokio::test]
async fn a_line_that_cannot_be_secured_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start().await;
    let asks = Tls::make(folder.path().join("asks.pem")).that_asks();
    let expired = Tls::make(folder.path().join("expired.pem")).expired();
    let other = Tls::make(folder.path().join("other.pem"));
    let asks_at = asks.serve(&app).await.port();
    let client = other.client(folder.path());
    let rows = [
        (format!("https://{}", app.address), None, None, "is its URL one of http://"),
        (format!("http://localhost:{asks_at}"), None, None, "is its URL one of https://"),
        (format!("https://localhost:{asks_at}"), Some(&asks.ca), None, "set client_cert"),
        (format!("https://localhost:{asks_at}"), Some(&asks.ca), Some(client), "does not take"),
        (
            format!("https://localhost:{}", expired.serve(&app).await.port()),
            Some(&expired.ca),
            None,
            "must be renewed",
        ),
    ];
    for (url, ca, client, words) in rows {
        let herald = Herald::start(|config| {
            config.callbacks.url = Some(url.clone());
            config.callbacks.ca = Some(ca.unwrap_or(&other.ca).clone());
            (config.callbacks.client_cert, config.callbacks.client_key) = client.unzip();
        })
        .await;
        let _client = herald.login("u", Platform::Ios).await;
        let said = herald.failure_of("u").await;
        assert!(said.contains(words), "{url}: {said}");
    }
    assert!(app.received().is_empty());
}
