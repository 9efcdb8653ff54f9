//! Which tokens are good, and with which code each bad one is refused.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use expect_test::{Expect, expect};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Sha256, Sha512};
use wire::platform::Platform;
use wire::token::Keys;

const SECRET: &[u8] = b"openIM123";
const NOW_S: i64 = 1_795_374_105;

#[test]
fn an_issued_token_reads_back_as_what_it_was_issued_for() {
    let keys = Keys::new(SECRET);
    let token = keys.issue("u1", Platform::Web, NOW_S, 600);
    assert_eq!(token, keys.issue("u1", Platform::Web, NOW_S, 600));
    let claims = keys.read(&token, NOW_S + 599).unwrap();
    assert_eq!((claims.user_id.as_str(), claims.platform_id), ("u1", 5));
    assert_eq!((claims.expires_at, claims.issued_at), (NOW_S + 600, NOW_S - 5));
}

#[test]
fn a_token_that_upstream_issued_is_good() {
    // From `fixtures/js.handshake.json`; the mock that issued it used the default secret.
    let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJVc2VySUQiOiJhY2NfMTc5NTM3NDEwNV9qc19hIiwi\
        UGxhdGZvcm1JRCI6NSwiZXhwIjoxODAzMTUwMTA1LCJpYXQiOjE3OTUzNzQxMDB9.\
        PMWg4OH4jJNBSpnh8ZmHf2HFP1M_2iOdGjDBR2vZ8ys";
    let claims = Keys::new(SECRET).read(token, NOW_S).unwrap();
    assert_eq!(claims.user_id, "acc_1795374105_js_a");
}

/// The example of RFC 7515, A.1: its signature verifies, its claims are not ours.
#[test]
fn the_signature_is_the_one_of_the_standard() {
    let key =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let keys = Keys::new(&URL_SAFE_NO_PAD.decode(key).unwrap());
    let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkz\
        ODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let outcome = |signature: &str| {
        keys.read(&format!("{message}.{signature}"), NOW_S).unwrap_err().to_string()
    };
    let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert!(outcome(signature).contains("lacks a field"), "{}", outcome(signature));
    let other = signature.replace('d', "e");
    assert!(outcome(&other).contains("signature is invalid"), "{}", outcome(&other));
}

/// Each bit of a signature, and each length of it, counts.
#[test]
fn a_signature_with_any_bit_changed_or_cut_short_is_refused() {
    let keys = Keys::new(SECRET);
    let good = keys.issue("u1", Platform::Web, NOW_S, 600);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let flipped = (0..8 * signature.len()).map(|bit| {
        let mut changed = signature.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    });
    let cut = (0..signature.len()).map(|length| signature[..length].to_vec());
    let longer = [signature.clone(), vec![0]].concat();
    for changed in flipped.chain(cut).chain([longer]) {
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&changed));
        let refused = keys.read(&token, NOW_S).unwrap_err();
        assert!(refused.to_string().contains("signature is invalid"), "{token}: {refused}");
    }
}

#[test]
fn a_token_is_refused_with_the_code_that_fits() {
    let good = Keys::new(SECRET).issue("u1", Platform::Web, NOW_S, 600);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    check(
        &[
            ("good", good.clone()),
            ("good to the last second", exp(&(NOW_S + 1).to_string())),
            ("expired now", exp(&NOW_S.to_string())),
            ("expired long ago", exp("-9223372036854775808")),
            ("exp for ever", exp("9223372036854775807")),
            ("exp with a fraction", exp("1795374200.75")),
            ("exp beyond 64 bits", exp("18446744073709551615")),
            ("exp 1e308", exp("1e308")),
            ("exp 1e400", exp("1e400")),
            ("exp text", exp(r#""1795374200""#)),
            ("exp null", exp("null")),
            ("exp twice", more(r#""exp":1"#)),
            ("no exp", claims(r#"{"UserID":"u1","PlatformID":5}"#)),
            ("no iat", claims(r#"{"UserID":"u1","PlatformID":5,"exp":1795374200}"#)),
            ("no user", claims(r#"{"PlatformID":5,"exp":1795374200}"#)),
            ("no platform", claims(r#"{"UserID":"u1","exp":1795374200}"#)),
            ("user a number", claims(r#"{"UserID":1,"PlatformID":5,"exp":1795374200}"#)),
            ("platform a text", claims(r#"{"UserID":"u1","PlatformID":"5","exp":1795374200}"#)),
            ("platform a float", claims(r#"{"UserID":"u1","PlatformID":5.5,"exp":1795374200}"#)),
            ("claims a list", claims("[]")),
            ("claims not JSON", claims("{")),
            ("claims of others", more(r#""aud":"x","iss":["y"],"sub":7,"jti":null"#)),
            ("iat a minute ahead", more(&format!(r#""iat":{}"#, NOW_S + 60))),
            ("iat further ahead", more(&format!(r#""iat":{}"#, NOW_S + 61))),
            ("iat text", more(r#""iat":"0""#)),
            ("nbf now", more(&format!(r#""nbf":{NOW_S}"#))),
            ("nbf ahead", more(&format!(r#""nbf":{}"#, NOW_S + 1))),
            ("nbf text", more(r#""nbf":"0""#)),
            ("another secret", Keys::new(b"other").issue("u1", Platform::Web, NOW_S, 600)),
            ("another secret, expired", Keys::new(b"other").issue("u1", Platform::Web, 0, 600)),
            ("edited claims", format!("{header}.{}.{signature}", encode(r#"{"exp":1}"#))),
            ("edited signature", format!("{message}.A{}", &signature[1..])),
            ("short signature", format!("{message}.{}", &signature[..20])),
            ("no signature", format!("{message}.")),
            ("signature not base64", format!("{message}.{}=", &signature[1..])),
            ("cut short", good[..good.len() / 2].to_owned()),
            ("alg none", format!("{}.{payload}.", encode(r#"{"alg":"none"}"#))),
            ("alg None, signed", header_of(r#"{"alg":"None"}"#)),
            ("alg HS512, same secret", hs512(payload)),
            ("alg HS512, HS256 signature", header_of(r#"{"alg":"HS512"}"#)),
            ("alg RS256", header_of(r#"{"alg":"RS256"}"#)),
            ("alg unknown", header_of(r#"{"alg":"XX999"}"#)),
            ("alg a number", header_of(r#"{"alg":256}"#)),
            ("alg twice", header_of(r#"{"alg":"none","alg":"HS256"}"#)),
            ("no alg", header_of("{}")),
            ("typ a number", header_of(r#"{"alg":"HS256","typ":1}"#)),
            ("other members", header_of(r#"{"kid":"1","alg":"HS256","x5c":[],"typ":"at+jwt"}"#)),
            ("crit", header_of(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#)),
            ("crit a text", header_of(r#"{"alg":"HS256","crit":""}"#)),
            ("header not JSON", header_of("x")),
            ("empty", String::new()),
            ("one dot", ".".into()),
            ("two dots", "..".into()),
            ("three letters", "a.b.c".into()),
            ("four parts", format!("{good}.x")),
            ("dot in front", format!(".{good}")),
            ("dots", ".".repeat(4000)),
            ("spaces around", format!(" {good} ")),
            ("unicode", "令牌.令牌.令牌".into()),
            ("NUL", "\0".into()),
            ("10 MB", "a".repeat(10 << 20)),
            ("10 MB, signed", more(&format!(r#""x":"{}""#, "a".repeat(10 << 20)))),
            ("2,000 deep", more(&format!(r#""x":{}{}"#, "[".repeat(1000), "]".repeat(1000)))),
        ],
        expect![[r#"
            good: good until 1795374705, from 1795374100
            good to the last second: good until 1795374106, from 1795374100
            expired now: 1501 TokenExpiredError: token is expired
            expired long ago: 1501 TokenExpiredError: token is expired
            exp for ever: good until 9223372036854775807, from 1795374100
            exp with a fraction: good until 1795374200, from 1795374100
            exp beyond 64 bits: 1503 TokenMalformedError: token lacks a field or has one of another type
            exp 1e308: 1503 TokenMalformedError: token lacks a field or has one of another type
            exp 1e400: 1503 TokenMalformedError: token lacks a field or has one of another type
            exp text: 1503 TokenMalformedError: token lacks a field or has one of another type
            exp null: 1503 TokenMalformedError: token lacks a field or has one of another type
            exp twice: 1503 TokenMalformedError: token lacks a field or has one of another type
            no exp: 1503 TokenMalformedError: token lacks a field or has one of another type
            no iat: good until 1795374200, from 0
            no user: 1503 TokenMalformedError: token lacks a field or has one of another type
            no platform: 1503 TokenMalformedError: token lacks a field or has one of another type
            user a number: 1503 TokenMalformedError: token lacks a field or has one of another type
            platform a text: 1503 TokenMalformedError: token lacks a field or has one of another type
            platform a float: 1503 TokenMalformedError: token lacks a field or has one of another type
            claims a list: 1503 TokenMalformedError: token lacks a field or has one of another type
            claims not JSON: 1503 TokenMalformedError: token lacks a field or has one of another type
            claims of others: good until 1795374200, from 0
            iat a minute ahead: good until 1795374200, from 1795374165
            iat further ahead: 1505 TokenUnknownError: token was issued in the future
            iat text: 1503 TokenMalformedError: token lacks a field or has one of another type
            nbf now: good until 1795374200, from 0
            nbf ahead: 1504 TokenNotValidYetError: token is not valid yet
            nbf text: 1503 TokenMalformedError: token lacks a field or has one of another type
            another secret: 1505 TokenUnknownError: token signature is invalid
            another secret, expired: 1505 TokenUnknownError: token signature is invalid
            edited claims: 1505 TokenUnknownError: token signature is invalid
            edited signature: 1505 TokenUnknownError: token signature is invalid
            short signature: 1505 TokenUnknownError: token signature is invalid
            no signature: 1505 TokenUnknownError: token signature is invalid
            signature not base64: 1503 TokenMalformedError: token is not a JWT
            cut short: 1503 TokenMalformedError: token is not a JWT
            alg none: 1505 TokenUnknownError: token is not signed with HS256
            alg None, signed: 1505 TokenUnknownError: token is not signed with HS256
            alg HS512, same secret: 1505 TokenUnknownError: token is not signed with HS256
            alg HS512, HS256 signature: 1505 TokenUnknownError: token is not signed with HS256
            alg RS256: 1505 TokenUnknownError: token is not signed with HS256
            alg unknown: 1505 TokenUnknownError: token is not signed with HS256
            alg a number: 1503 TokenMalformedError: token is not a JWT
            alg twice: 1503 TokenMalformedError: token is not a JWT
            no alg: 1503 TokenMalformedError: token is not a JWT
            typ a number: 1503 TokenMalformedError: token is not a JWT
            other members: good until 1795374200, from 0
            crit: 1505 TokenUnknownError: token needs an extension of JWT
            crit a text: 1505 TokenUnknownError: token needs an extension of JWT
            header not JSON: 1503 TokenMalformedError: token is not a JWT
            empty: 1503 TokenMalformedError: token is not a JWT
            one dot: 1503 TokenMalformedError: token is not a JWT
            two dots: 1503 TokenMalformedError: token is not a JWT
            three letters: 1503 TokenMalformedError: token is not a JWT
            four parts: 1503 TokenMalformedError: token is not a JWT
            dot in front: 1503 TokenMalformedError: token is not a JWT
            dots: 1503 TokenMalformedError: token is not a JWT
            spaces around: 1503 TokenMalformedError: token is not a JWT
            unicode: 1503 TokenMalformedError: token is not a JWT
            NUL: 1503 TokenMalformedError: token is not a JWT
            10 MB: 1503 TokenMalformedError: token is too long
            10 MB, signed: 1503 TokenMalformedError: token is too long
            2,000 deep: good until 1795374200, from 0"#]],
    );
}

#[test]
fn a_token_is_good_for_its_own_user_and_platform_only() {
    let keys = Keys::new(SECRET);
    let claims = keys.read(&keys.issue("u1", Platform::Web, NOW_S, 600), NOW_S).unwrap();
    let outcome = |user: &str, platform| match claims.matches(user, platform) {
        Ok(()) => "good".to_owned(),
        Err(refused) => refused.to_string(),
    };
    expect![[r#"
        good
        1502 TokenInvalidError: token uid u1 != userID u2
        1502 TokenInvalidError: token uid u1 != userID U1
        1502 TokenInvalidError: token platform 5 != platformID 1"#]]
    .assert_eq(
        &[
            outcome("u1", Platform::Web),
            outcome("u2", Platform::Web),
            outcome("U1", Platform::Web),
            outcome("u1", Platform::Ios),
        ]
        .join("\n"),
    );
}

fn check(tokens: &[(&str, String)], expected: Expect) {
    let keys = Keys::new(SECRET);
    let outcome = |token| match keys.read(token, NOW_S) {
        Ok(claims) => format!("good until {}, from {}", claims.expires_at, claims.issued_at),
        Err(refused) => refused.to_string(),
    };
    let rows: Vec<_> =
        tokens.iter().map(|(name, token)| format!("{name}: {}", outcome(token))).collect();
    expected.assert_eq(&rows.join("\n"));
}

/// A good token but for its `exp`.
fn exp(exp: &str) -> String {
    claims(&format!(r#"{{"UserID":"u1","PlatformID":5,"exp":{exp},"iat":1795374100}}"#))
}

/// A good token with claims that others do not have.
fn more(members: &str) -> String {
    claims(&format!(r#"{{"UserID":"u1","PlatformID":5,"exp":1795374200,{members}}}"#))
}

fn claims(json: &str) -> String {
    hs256(&format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(json)))
}

/// A good token but for its header: signed with the right secret by HS256.
fn header_of(json: &str) -> String {
    let payload = encode(r#"{"UserID":"u1","PlatformID":5,"exp":1795374200}"#);
    hs256(&format!("{}.{payload}", encode(json)))
}

fn hs256(message: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap().chain_update(message);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn hs512(payload: &str) -> String {
    let message = format!("{}.{payload}", encode(r#"{"alg":"HS512"}"#));
    let mac = Hmac::<Sha512>::new_from_slice(SECRET).unwrap().chain_update(&message);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn encode(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}
