//! What we sign is verified by the reference library of Standard Webhooks, and what it signs by us.
//! Those of other languages: `cargo xtask test`, its step "reference verifiers".
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, and misses their helpers")]
#![allow(clippy::disallowed_methods, reason = "the library asks the real time, so must its test")]

use herald_contract::{
    Callback, Dialect, Kind, Target, request,
    signature::{SigningSecret, sign, webhook_id},
};
use http::{HeaderMap, HeaderValue};
use standardwebhooks::{Webhook, WebhookError};
use std::time::{SystemTime, UNIX_EPOCH};

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn headers(secrets: &[&str], id: &str, at: u64, body: &[u8]) -> HeaderMap {
    let secrets: Vec<SigningSecret> = secrets.iter().map(|text| text.parse().unwrap()).collect();
    let pairs = sign(&secrets, id, at, body).into_iter();
    pairs
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::try_from(value).unwrap()))
        .collect()
}

/// Every kind in every dialect, of users with any name.
fn bodies() -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for user in ["u1", "ü 😀", "a\"b\\c\u{7f}", "\u{2028}<&>", &"é".repeat(128)] {
        for kind in Kind::ALL {
            for dialect in [Dialect::Classic, Dialect::V38, Dialect::V35, Dialect::V2] {
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
                let target = Target { url: "https://a".into(), ..Target::default() };
                bodies.push(request(dialect, &target, &callback).body);
            }
        }
    }
    bodies
}

#[test]
fn the_reference_library_verifies_what_we_sign_with_either_of_two_secrets() {
    for (seq, body) in bodies().iter().enumerate() {
        let id = webhook_id("main", "u", seq as u64);
        let headers = headers(&[NEW, OLD], &id, now(), body);
        for secret in [NEW, OLD] {
            Webhook::new(secret).unwrap().verify(body, &headers).unwrap();
        }
    }
}

#[test]
fn the_reference_library_refuses_another_secret_body_id_or_time() {
    let (old, body) = (Webhook::new(OLD).unwrap(), b"{}");
    let good = headers(&[OLD], "msg_1", now(), body);
    assert!(old.verify(body, &good).is_ok());
    let unlike =
        |result: Result<(), WebhookError>| matches!(result, Err(WebhookError::InvalidSignature));
    assert!(unlike(old.verify(b"{ }", &good)));
    assert!(unlike(Webhook::new(NEW).unwrap().verify(body, &good)));
    let mut other_id = good.clone();
    other_id.insert("webhook-id", HeaderValue::from_static("msg_2"));
    assert!(unlike(old.verify(body, &other_id)));
    let stale = headers(&[OLD], "msg_1", now() - 1000, body);
    let stale = old.verify(body, &stale);
    assert!(matches!(stale, Err(WebhookError::TimestampTooOldError)), "{stale:?}");
}

#[test]
fn we_verify_what_the_reference_library_signs() {
    let ours: SigningSecret = OLD.parse().unwrap();
    for body in bodies() {
        let signature = Webhook::new(OLD).unwrap().sign("msg_1", 1_764_000_000, &body).unwrap();
        assert!(ours.signed(&signature, "msg_1", "1764000000", &body));
        assert!(!ours.signed(&signature, "msg_1", "1764000001", &body));
    }
}
