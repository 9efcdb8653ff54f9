//! Signatures of requests, by Standard Webhooks 1.0.0: HMAC-SHA256, its `v1`.
//!
//! Herald writes them with [`sign`] at each attempt; the App's side checks them with
//! [`SigningSecret::signed`] and its own clock. It never asks the time and never draws a secret.

use base64::{
    Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};

/// Names the request; the same at every attempt.
pub const WEBHOOK_ID: &str = "webhook-id";
/// When this attempt was made, in unix seconds.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// `v1,` and a signature in Base64, one for each live secret, with spaces between.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

const PREFIX: &str = "whsec_";
/// The one version of signatures that is written and read here.
const VERSION: &str = "v1,";
const KEY_BYTES_MIN: usize = 24;
const KEY_BYTES_MAX: usize = 64;

/// A secret that Herald and an App share, written `whsec_` and 24 to 64 bytes in Base64.
#[derive(Clone)]
pub struct SigningSecret(Hmac<Sha256>);

/// Why a text is no secret to sign with. It never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It does not say what it is.
    #[error("must begin with whsec_")]
    Prefix,
    /// The rest is not what `base64` writes.
    #[error("must be whsec_ and Base64 with its padding, as \"whsec_$(openssl rand -base64 32)\"")]
    Base64,
    /// Short enough to be guessed, or longer than the standard allows.
    #[error("must hold {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes in Base64, and holds {0}")]
    Length(usize),
}

impl FromStr for SigningSecret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<SigningSecret, SecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError::Prefix)?;
        let key = STANDARD.decode(encoded).map_err(|_| SecretError::Base64)?;
        if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key.len()) {
            return Err(SecretError::Length(key.len()));
        }
        Ok(SigningSecret(Hmac::new_from_slice(&key).expect("HMAC takes a key of any length")))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(***)")
    }
}

impl SigningSecret {
    /// Whether one of the `v1` signatures in a `webhook-signature` header was made with this secret.
    /// Of other versions it takes no notice. The time it takes tells nothing about the right one.
    pub fn signed(&self, signatures: &str, id: &str, timestamp: &str, body: &[u8]) -> bool {
        let expected = self.over(id, timestamp, body);
        let versions = signatures.split(' ').filter_map(|one| one.strip_prefix(VERSION));
        let mut decoded = versions.filter_map(|one| STANDARD.decode(one).ok());
        decoded.any(|actual| expected.clone().verify_slice(&actual).is_ok())
    }

    fn over(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

/// The headers that sign one attempt; none without secrets.
///
/// Each secret signs, in the order given: while an App changes over, it may know either of two.
pub fn sign(
    secrets: &[SigningSecret],
    id: &str,
    unix_s: u64,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    if secrets.is_empty() {
        return Vec::new();
    }
    let timestamp = unix_s.to_string();
    let signature = |secret: &SigningSecret| {
        let mac = secret.over(id, &timestamp, body).finalize().into_bytes();
        format!("{VERSION}{}", STANDARD.encode(mac))
    };
    let signatures = secrets.iter().map(signature).collect::<Vec<_>>().join(" ");
    vec![
        (WEBHOOK_ID, id.to_owned()),
        (WEBHOOK_TIMESTAMP, timestamp),
        (WEBHOOK_SIGNATURE, signatures),
    ]
}

/// The `webhook-id` of a callback: what an endpoint is told of a user under a number.
///
/// A hash, because a user may be any text: always 47 visible characters, without the dot that
/// separates what is signed, and different for different callbacks.
pub fn webhook_id(endpoint: &str, user: &str, seq: u64) -> String {
    let mut hash = Sha256::new();
    // Lengths first: where one name ends and the next begins must not be guessed.
    for part in [endpoint.as_bytes(), user.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(seq.to_be_bytes());
    format!("msg_{}", URL_SAFE_NO_PAD.encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::collections::BTreeSet;

    fn secret(bytes: usize) -> String {
        format!("{PREFIX}{}", STANDARD.encode(vec![7; bytes]))
    }

    #[test]
    fn what_is_no_secret_is_told_with_what_to_write_and_never_repeated() {
        let texts = [
            String::new(),
            "hunter2".into(),
            "WHSEC_AAAA".into(),
            PREFIX.into(),
            format!("{PREFIX}hunter2!"),
            secret(23),
            secret(24),
            secret(25),
            secret(25).trim_end_matches('=').into(),
            format!(" {}", secret(24)),
            format!("{} ", secret(24)),
            secret(64),
            secret(65),
        ];
        let told = texts.map(|text| match SigningSecret::from_str(&text) {
            Ok(secret) => format!("{secret:?}"),
            Err(error) => error.to_string(),
        });
        expect![[r#"
            must begin with whsec_
            must begin with whsec_
            must begin with whsec_
            must hold 24 to 64 bytes in Base64, and holds 0
            must be whsec_ and Base64 with its padding, as "whsec_$(openssl rand -base64 32)"
            must hold 24 to 64 bytes in Base64, and holds 23
            SigningSecret(***)
            SigningSecret(***)
            must be whsec_ and Base64 with its padding, as "whsec_$(openssl rand -base64 32)"
            must begin with whsec_
            must be whsec_ and Base64 with its padding, as "whsec_$(openssl rand -base64 32)"
            SigningSecret(***)
            must hold 24 to 64 bytes in Base64, and holds 65
        "#]]
        .assert_eq(&(told.join("\n") + "\n"));
    }

    #[test]
    fn without_a_secret_nothing_is_said() {
        assert!(sign(&[], "msg_1", 1, b"{}").is_empty());
    }

    #[test]
    fn no_two_callbacks_share_an_id() {
        let long = "é".repeat(128);
        let mut ids = BTreeSet::new();
        let mut count = 0;
        for endpoint in ["", "main", "main1", "1", "a"] {
            for user in ["", "u", "u1", "1", "main", "a:1:b", "a.b", "a\0b", " ", "é", &long] {
                for seq in [0, 1, 11, (1 << 53) - 1] {
                    let id = webhook_id(endpoint, user, seq);
                    assert!(id.len() == 47 && id.bytes().all(|b| b.is_ascii_graphic()), "{id}");
                    assert!(!id.contains('.'), "{id}");
                    ids.insert(id);
                    count += 1;
                }
            }
        }
        assert_eq!(ids.len(), count);
    }

    /// An App may have stored them: they must not change from one Herald to the next.
    #[test]
    fn an_id_is_the_same_for_ever() {
        let id = webhook_id("main", "user123", 123456);
        expect!["msg_vwWKsjWzgaMqhcQ7hRmaCY9_Bhugubzxw7Ouxt_zr4I"].assert_eq(&id);
    }
}
