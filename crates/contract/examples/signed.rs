//! Prints signed requests as JSON lines, for the verifiers in `tests/reference/`: some that must be
//! taken and some that must not. The argument is the unix time of now, in seconds.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use herald_contract::{
    Callback, Dialect, Kind, Target, request,
    signature::{SigningSecret, sign, webhook_id},
};
use serde_json::json;

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER: &str = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXIh";
/// More than the five minutes that the libraries tolerate.
const TOO_LONG_S: u64 = 3600;

fn main() {
    let argument = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let now: u64 = argument.expect("the unix time of now, in seconds");
    for user in ["u1", "ü 😀", "a\"b\\c\u{7f}", "\u{2028}<&>", &"é".repeat(128)] {
        for kind in Kind::ALL {
            for dialect in [Dialect::Classic, Dialect::V38, Dialect::V35, Dialect::V2] {
                let body = body(dialect, kind, user);
                let id = webhook_id("main", user, 7);
                let changed = [&body[..], b" "].concat();
                row("the newest of two secrets", true, &[NEW, OLD], NEW, &id, now, &body, &body);
                row("the oldest of two secrets", true, &[NEW, OLD], OLD, &id, now, &body, &body);
                row("one secret", true, &[OLD], OLD, &id, now, &body, &body);
                row("another secret", false, &[NEW, OLD], OTHER, &id, now, &body, &body);
                row("a changed body", false, &[OLD], OLD, &id, now, &body, &changed);
                row("too old", false, &[OLD], OLD, &id, now - TOO_LONG_S, &body, &body);
                row("too new", false, &[OLD], OLD, &id, now + TOO_LONG_S, &body, &body);
            }
        }
    }
}

/// One line: signed with some secrets, to be verified with one.
#[expect(clippy::too_many_arguments, reason = "a table has columns")]
fn row(
    name: &str,
    good: bool,
    signed_with: &[&str],
    secret: &str,
    id: &str,
    at: u64,
    signed: &[u8],
    body: &[u8],
) {
    let parse = |text: &&str| -> SigningSecret { text.parse().expect("ours are secrets") };
    let secrets: Vec<_> = signed_with.iter().map(parse).collect();
    let headers: serde_json::Map<_, _> =
        sign(&secrets, id, at, signed).into_iter().map(|(n, v)| (n.to_owned(), v.into())).collect();
    let body = STANDARD.encode(body);
    println!(
        "{}",
        json!({ "name": name, "good": good, "secret": secret, "headers": headers, "body": body })
    );
}

fn body(dialect: Dialect, kind: Kind, user: &str) -> Vec<u8> {
    let callback = Callback {
        kind,
        user_id: user.to_owned(),
        seq: 1_764_000_000_000,
        is_app_background: true,
        conn_id: "c1".into(),
        operation_id: "op".into(),
        platform_id: 1,
        platform: "IOS".into(),
        reason: "login".into(),
        collapsed: 0,
        epoch: String::new(),
        status: None,
        client_address: String::new(),
    };
    let target = Target { url: "https://app.example".into(), ..Target::default() };
    request(dialect, &target, &callback).body
}
