//! Which signed requests an App takes: the vectors that the sender is tested with, and what is
//! wrong with others.
#![allow(clippy::unwrap_used)]

use expect_test::{Expect, expect};
use herald_receiver::{Receiver, Reply};
use serde::Deserialize;
use std::time::Duration;

const QUERY: &str = "command=callbackUserOnlineCommand&contenttype=json";

/// Of the sender's own tests; `signature` is the whole header.
#[derive(Deserialize, Clone)]
struct Vector {
    name: String,
    secrets: Vec<String>,
    id: String,
    timestamp: u64,
    body: String,
    signature: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../contract/tests/signatures.json")).unwrap()
}

/// A callback that Herald signed with one secret.
fn signed() -> Vector {
    vectors().into_iter().find(|vector| vector.name == "a callback of Herald").unwrap()
}

/// One that it signed with two, the newest first.
fn signed_by_two() -> Vector {
    vectors().into_iter().find(|vector| vector.secrets.len() == 2).unwrap()
}

/// What the App answers; what is taken, or is at least signed well, is "signed well".
fn answer(receiver: &Receiver, vector: &Vector, now_unix_s: u64) -> String {
    let at = vector.timestamp.to_string();
    let headers = [
        ("webhook-id", vector.id.as_str()),
        ("webhook-timestamp", &at),
        ("webhook-signature", &vector.signature),
    ];
    answer_to(receiver, &headers, &vector.body, now_unix_s)
}

fn answer_to(receiver: &Receiver, headers: &[(&str, &str)], body: &str, now: u64) -> String {
    let header = |name: &str| {
        let found = headers.iter().find(|(its, value)| *its == name && !value.is_empty());
        found.map(|(_, value)| *value)
    };
    match receiver.read_request(QUERY, header, body.as_bytes(), now) {
        Ok(_) => "signed well".to_owned(),
        Err(reject) if reject.status() == 400 => "signed well".to_owned(),
        Err(reject) => {
            let text = reject.to_string();
            format!("{} {text}", Reply::from(reject).status())
        }
    }
}

fn check(lines: impl IntoIterator<Item = String>, expected: Expect) {
    expected.assert_eq(&lines.into_iter().fold(String::new(), |all, line| all + &line + "\n"));
}

#[test]
fn each_vector_is_taken_with_any_of_its_secrets_among_others() {
    let other = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXIh";
    for vector in vectors() {
        for secret in &vector.secrets {
            for known in [vec![secret.as_str()], vec![other, secret], vec![secret, other]] {
                let receiver = Receiver::new().secrets(known).unwrap();
                let told = answer(&receiver, &vector, vector.timestamp);
                assert_eq!(told, "signed well", "{}", vector.name);
            }
        }
        let stranger = Receiver::new().secrets([other]).unwrap();
        let told = answer(&stranger, &vector, vector.timestamp);
        assert!(told.starts_with("401 not signed with"), "{}: {told}", vector.name);
    }
}

#[test]
fn what_is_not_signed_well_is_rejected_with_what_to_do_and_held_back_by_herald() {
    let Vector { secrets, id, timestamp, body, signature, .. } = signed();
    let receiver = Receiver::new().secrets(secrets).unwrap();
    let at = timestamp.to_string();
    let told = |id: &str, at: &str, signature: &str, body: &str| {
        let headers =
            [("webhook-id", id), ("webhook-timestamp", at), ("webhook-signature", signature)];
        answer_to(&receiver, &headers, body, timestamp)
    };
    check(
        [
            told(&id, &at, &signature, &body),
            told("", &at, &signature, &body),
            told(&id, "", &signature, &body),
            told(&id, &at, "", &body),
            told(&id, "yesterday", &signature, &body),
            told(&id, "-1", &signature, &body),
            told(&id, &format!("{at}.0"), &signature, &body),
            told(&id, "99999999999999999999", &signature, &body),
            told(&id, &format!("0{at}"), &signature, &body),
            told("msg_other", &at, &signature, &body),
            told(&id, &at, &signature, &body.replace("user123", "user124")),
            told(&id, &at, &signature, &format!("{body} ")),
            told(&id, &at, &signature.replace("v1,", "v1a,"), &body),
            told(&id, &at, "v1,AAAA v1 ,", &body),
        ],
        expect![[r#"
            signed well
            401 the header `webhook-id` is missing; give Herald's endpoint `secrets = ["whsec_…"]`, and let proxies keep the header
            401 the header `webhook-timestamp` is missing; give Herald's endpoint `secrets = ["whsec_…"]`, and let proxies keep the header
            401 the header `webhook-signature` is missing; give Herald's endpoint `secrets = ["whsec_…"]`, and let proxies keep the header
            401 webhook-timestamp `yesterday` is not a unix time in seconds; look at what rewrites it
            401 webhook-timestamp `-1` is not a unix time in seconds; look at what rewrites it
            401 webhook-timestamp `1764000000.0` is not a unix time in seconds; look at what rewrites it
            401 webhook-timestamp `99999999999999999999` is not a unix time in seconds; look at what rewrites it
            401 not signed with a secret of this App; give both sides the same one, and let proxies keep the body as it is
            401 not signed with a secret of this App; give both sides the same one, and let proxies keep the body as it is
            401 not signed with a secret of this App; give both sides the same one, and let proxies keep the body as it is
            401 not signed with a secret of this App; give both sides the same one, and let proxies keep the body as it is
            401 not signed with a secret of this App; give both sides the same one, and let proxies keep the body as it is
            401 not signed with a secret of this App; give both sides the same one, and let proxies keep the body as it is
        "#]],
    );
    assert!(receiver.read(QUERY, body.as_bytes()).is_err(), "without headers nothing is taken");
}

#[test]
fn a_signature_is_good_for_five_minutes_either_way_or_as_long_as_the_app_says() {
    let vector = signed();
    let default = Receiver::new().secrets(&vector.secrets).unwrap();
    let strict = default.clone().tolerance(Duration::from_secs(1));
    let at = vector.timestamp;
    check(
        [
            answer(&default, &vector, at + 300),
            answer(&default, &vector, at + 301),
            answer(&default, &vector, at - 300),
            answer(&default, &vector, at - 301),
            answer(&default, &vector, 0),
            answer(&default, &vector, u64::MAX),
            answer(&strict, &vector, at + 1),
            answer(&strict, &vector, at + 2),
        ],
        expect![[r#"
            signed well
            401 signed 301 s ago, which is too long; set the clocks of both machines, and look at what holds requests back
            signed well
            401 signed 301 s ahead of our time; set the clocks of both machines
            401 signed 1764000000 s ahead of our time; set the clocks of both machines
            401 signed 18446744071945551615 s ago, which is too long; set the clocks of both machines, and look at what holds requests back
            signed well
            401 signed 2 s ago, which is too long; set the clocks of both machines, and look at what holds requests back
        "#]],
    );
}

/// Herald's list, newest first: [old], [new, old], [new]; the App's may change at any time between.
#[test]
fn while_secrets_are_changed_every_request_is_taken() {
    let both = signed_by_two();
    let [new, old] = &both.secrets[..] else { panic!("two secrets") };
    for known in [vec![old], vec![old, new], vec![new]] {
        let receiver = Receiver::new().secrets(known).unwrap();
        assert_eq!(answer(&receiver, &both, both.timestamp), "signed well");
    }
}

#[test]
fn a_secret_that_is_none_is_told_when_the_app_starts_and_an_empty_list_takes_nothing() {
    let error = Receiver::new().secrets(["hunter2"]).unwrap_err();
    expect!["must begin with whsec_"].assert_eq(&error.to_string());
    let vector = signed();
    let nobody = Receiver::new().secrets::<&str>([]).unwrap();
    assert!(answer(&nobody, &vector, vector.timestamp).starts_with("401"));
    let anybody = Receiver::new();
    assert!(anybody.read(QUERY, vector.body.as_bytes()).is_ok(), "signatures are not looked at");
}
