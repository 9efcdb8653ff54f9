//! The signatures that others computed (`signatures.json`), to the byte.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, and misses their helpers")]

use herald_contract::signature::{SigningSecret, sign};
use serde::Deserialize;

/// A signed request; `signature` is the whole header.
#[derive(Deserialize)]
struct Vector {
    name: String,
    secrets: Vec<String>,
    id: String,
    timestamp: u64,
    body: String,
    signature: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("signatures.json")).unwrap()
}

fn secrets(texts: &[String]) -> Vec<SigningSecret> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn each_vector_is_signed_to_the_byte() {
    for Vector { name, secrets: texts, id, timestamp, body, signature } in vectors() {
        let headers = sign(&secrets(&texts), &id, timestamp, body.as_bytes());
        let expected = [
            ("webhook-id", id),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signature),
        ];
        assert_eq!(headers, expected, "{name}");
    }
}

#[test]
fn each_secret_of_a_vector_knows_it_and_no_change_of_it() {
    for Vector { name, secrets: texts, id, timestamp, body, signature } in vectors() {
        for secret in secrets(&texts) {
            let at = timestamp.to_string();
            let body = body.as_bytes();
            let (other_body, other_at) = ([body, b" "].concat(), format!("{at}1"));
            assert!(secret.signed(&signature, &id, &at, body), "{name}");
            assert!(!secret.signed(&signature, "msg_other", &at, body), "{name}");
            assert!(!secret.signed(&signature, &id, &other_at, body), "{name}");
            assert!(!secret.signed(&signature, &id, &at, &other_body), "{name}");
        }
    }
}

#[test]
fn of_many_signatures_one_that_is_right_and_v1_is_enough() {
    let Vector { secrets: texts, id, timestamp, body, signature, .. } = vectors().remove(0);
    let secret = &secrets(&texts)[0];
    let right = signature.as_str();
    let encoded = right.strip_prefix("v1,").unwrap();
    let rows = [
        (right.to_owned(), true),
        (format!("v1,AAAA {right}"), true),
        (format!("{right} v1a,AAAA"), true),
        (format!("nonsense  v1 v1,, {right}"), true),
        (String::new(), false),
        (encoded.to_owned(), false),
        (format!("v1a,{encoded}"), false),
        (format!("v2,{encoded}"), false),
        (format!("V1,{encoded}"), false),
        (format!("v1,{}", &encoded[..encoded.len() - 4]), false),
        ("v1,".to_owned(), false),
        (format!("v1,{encoded},v1"), false),
    ];
    for (signatures, expected) in rows {
        let actual = secret.signed(&signatures, &id, &timestamp.to_string(), body.as_bytes());
        assert_eq!(actual, expected, "{signatures}");
    }
}
