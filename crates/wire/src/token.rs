//! User tokens: JWTs that say who a client is and on which platform.
//!
//! Upstream accepts whatever HMAC algorithm a token names; here only HS256 exists. Whether a token
//! was revoked is not known here. `now_s` is Unix time in seconds.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::code::{Code, WireError};
use crate::limit::TOKEN_BYTES_MAX;
use crate::platform::Platform;

/// How far a token may be issued in the future: the clocks of two servers differ.
const ISSUED_AHEAD_S_MAX: i64 = 60;
/// Tokens are dated back by this much, so that a server whose clock is behind accepts them at once.
pub const ISSUED_BACK_S: i64 = 5;

/// The secret shared with the App's server, ready for use.
#[derive(Clone)]
pub struct Keys {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
}

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
        Self {
            signing: EncodingKey::from_secret(secret),
            verifying: DecodingKey::from_secret(secret),
            validation: signature_only(),
        }
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
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &payload, &self.signing)
            .expect("an HMAC key of any length signs any text")
    }

    /// Whom the token names, if it was signed with this secret and is valid at `now_s`.
    pub fn read(&self, token: &str, now_s: i64) -> Result<Claims, WireError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Code::TokenMalformed.with("token is too long"));
        }
        check_algorithm(token)?;
        let data = jsonwebtoken::decode::<Payload>(token, &self.verifying, &self.validation)
            .map_err(|error| refusal(error.kind()))?;
        data.claims.check(now_s)
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
    fn check(self, now_s: i64) -> Result<Claims, WireError> {
        if self.exp.0 <= now_s {
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

/// The library would ask the system's clock, so it checks nothing but the signature. Who else a
/// token is for (`aud`, `iss`, `sub`) has no meaning in this protocol.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

/// Refuses every algorithm but one before the library sees the token: it cannot tell a token of an
/// unknown algorithm (1505) from garbage (1503).
fn check_algorithm(token: &str) -> Result<(), WireError> {
    #[derive(Deserialize)]
    struct Named {
        alg: String,
    }
    let encoded = token.split('.').next().unwrap_or_default();
    let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| malformed())?;
    let named: Named = serde_json::from_slice(&json).map_err(|_| malformed())?;
    if named.alg == "HS256" {
        return Ok(());
    }
    Err(Code::TokenUnknown.with("token is not signed with HS256"))
}

fn refusal(kind: &ErrorKind) -> WireError {
    match kind {
        ErrorKind::InvalidSignature => Code::TokenUnknown.with("token signature is invalid"),
        ErrorKind::InvalidAlgorithm => Code::TokenUnknown.with("token is not signed with HS256"),
        ErrorKind::Json(_) => {
            Code::TokenMalformed.with("token lacks a field or has one of another type")
        }
        _ => malformed(),
    }
}

fn malformed() -> WireError {
    Code::TokenMalformed.with("token is not a JWT")
}
