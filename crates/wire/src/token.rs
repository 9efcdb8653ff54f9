//! User tokens: JWTs that say who a client is and on which platform.
//!
//! Upstream accepts whatever HMAC algorithm a token names; here only HS256 exists, so a general JWT
//! library with its RSA and elliptic curves is not needed. Whether a token was revoked is not known
//! here. `now_s` is Unix time in seconds.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::code::{Code, WireError};
use crate::limit::TOKEN_BYTES_MAX;
use crate::platform::Platform;

/// How far a token may be issued in the future: the clocks of two servers differ.
const ISSUED_AHEAD_S_MAX: i64 = 60;
/// Tokens are dated back by this much, so that a server whose clock is behind accepts them at once.
pub const ISSUED_BACK_S: i64 = 5;

const ALGORITHM: &str = "HS256";

/// The secret shared with the App's server, ready for use.
#[derive(Clone)]
pub struct Keys(Hmac<Sha256>);

/// What a valid token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    pub user_id: String,
    pub platform_id: i64,
    pub expires_at: i64,
    /// 0 if the token does not say, which makes it older than any revocation.
    pub issued_at: i64,
}

impl Keys {
    /// Takes the secret's bytes as they are, like upstream.
    pub fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes a key of any length"))
    }

    /// Two tokens for the same user and platform within one second are the same text.
    pub fn issue(&self, user_id: &str, platform: Platform, now_s: i64, expiry_s: i64) -> String {
        let payload = Payload {
            user_id: user_id.to_owned(),
            platform_id: platform.id().into(),
            exp: Seconds(now_s.saturating_add(expiry_s)),
            iat: Some(Seconds(now_s.saturating_sub(ISSUED_BACK_S))),
            nbf: None,
        };
        let header = Header { typ: Some("JWT".into()), alg: ALGORITHM.into(), crit: None };
        let message = format!("{}.{}", encode(&header), encode(&payload));
        let signature = self.over(&message).finalize().into_bytes();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Whom the token names, if it was signed with this secret and is valid at `now_s`.
    pub fn read(&self, token: &str, now_s: i64) -> Result<Claims, WireError> {
        self.read_ahead(token, now_s, 0)
    }

    /// The same where the clock may be wrong: by so many seconds later nothing expires yet.
    pub fn read_ahead(&self, token: &str, now_s: i64, ahead_s: i64) -> Result<Claims, WireError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Code::TokenMalformed.with("token is too long"));
        }
        let header = token.split('.').next().unwrap_or_default();
        decode::<Header>(header)?.ok_or_else(malformed)?.check()?;
        let (message, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (_, payload) = message.split_once('.').ok_or_else(malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
        // Compares in a time that does not depend on where the signatures differ.
        let verified = self.over(message).verify_slice(&signature);
        verified.map_err(|_| Code::TokenUnknown.with("token signature is invalid"))?;
        let payload: Option<Payload> = decode(payload)?;
        let wrong = "token lacks a field or has one of another type";
        let payload = payload.ok_or_else(|| Code::TokenMalformed.with(wrong))?;
        payload.check(now_s, now_s.saturating_sub(ahead_s))
    }

    fn over(&self, message: &str) -> Hmac<Sha256> {
        self.0.clone().chain_update(message)
    }
}

impl Claims {
    /// A token is only good for the user and platform that it was issued for.
    pub fn matches(&self, user_id: &str, platform: Platform) -> Result<(), WireError> {
        let (token_user, token_platform) = (&self.user_id, self.platform_id);
        if token_user != user_id {
            let detail = format!("token uid {token_user} != userID {user_id}");
            return Err(Code::TokenInvalid.with(detail));
        }
        if token_platform != i64::from(platform.id()) {
            let detail = format!("token platform {token_platform} != platformID {}", platform.id());
            return Err(Code::TokenInvalid.with(detail));
        }
        Ok(())
    }
}

/// The header as it is written. Members of other names are ignored.
#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    alg: String,
    /// Extensions that a reader must refuse unless it knows them (RFC 7515, 4.1.11).
    #[serde(skip_serializing)]
    crit: Option<IgnoredAny>,
}

impl Header {
    fn check(&self) -> Result<(), WireError> {
        if self.alg != ALGORITHM {
            return Err(Code::TokenUnknown.with("token is not signed with HS256"));
        }
        if self.crit.is_some() {
            return Err(Code::TokenUnknown.with("token needs an extension of JWT"));
        }
        Ok(())
    }
}

/// The claims as they are written. A claim of another type fails the whole token.
#[derive(Serialize, Deserialize)]
struct Payload {
    #[serde(rename = "UserID")]
    user_id: String,
    #[serde(rename = "PlatformID")]
    platform_id: i64,
    exp: Seconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<Seconds>,
}

impl Payload {
    fn check(self, now_s: i64, believed_s: i64) -> Result<Claims, WireError> {
        if self.exp.0 <= believed_s {
            return Err(Code::TokenExpired.with("token is expired"));
        }
        if self.nbf.is_some_and(|nbf| nbf.0 > now_s) {
            return Err(Code::TokenNotValidYet.with("token is not valid yet"));
        }
        let issued_at = self.iat.map_or(0, |iat| iat.0);
        if issued_at > now_s.saturating_add(ISSUED_AHEAD_S_MAX) {
            return Err(Code::TokenUnknown.with("token was issued in the future"));
        }
        Ok(Claims {
            user_id: self.user_id,
            platform_id: self.platform_id,
            expires_at: self.exp.0,
            issued_at,
        })
    }
}

/// A JWT's NumericDate: a number of seconds that may have a fraction, which is dropped.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Number")]
struct Seconds(i64);

impl TryFrom<serde_json::Number> for Seconds {
    type Error = &'static str;

    fn try_from(number: serde_json::Number) -> Result<Self, Self::Error> {
        // Up to here a float still counts in whole seconds.
        const EXACT: f64 = (1_i64 << 53) as f64;
        let whole = number.as_i64();
        let fraction = || number.as_f64().filter(|s| s.abs() <= EXACT).map(|s| s as i64);
        whole.or_else(fraction).map(Self).ok_or("a date that far away is no date")
    }
}

fn encode(part: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).expect("plain fields are JSON"))
}

/// None if it is JSON of another form.
fn decode<T: DeserializeOwned>(part: &str) -> Result<Option<T>, WireError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed())?;
    Ok(serde_json::from_slice(&json).ok())
}

fn malformed() -> WireError {
    Code::TokenMalformed.with("token is not a JWT")
}
