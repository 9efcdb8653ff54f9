//! What callers of both APIs say about users, checked at the border: names and custom statuses.

use presence::{Availability, Status, Timestamp};
use wire::limit::USER_ID_BYTES_MAX;

const TEXT_BYTES_MAX: usize = 512;
const EMOJI_BYTES_MAX: usize = 64;
/// Why a status is not taken.
pub const TOO_OFTEN: &str =
    "this user logged in or set a status too often (presence.user_budget): try again in a minute";
/// Below this an expiry is in seconds, by mistake: it would be in 1973.
const PLAUSIBLE_MS: u64 = 100_000_000_000;
/// Ten years: nobody means more.
const EXPIRY_MAX_MS: u64 = 10 * 366 * 24 * 3600 * 1000;

/// A name that a handshake would let in. The error continues a sentence that names the field.
pub fn check_user(user: &str) -> Result<(), String> {
    match user {
        "" => Err("is empty".into()),
        _ if user.len() > USER_ID_BYTES_MAX => {
            Err(format!("is longer than {USER_ID_BYTES_MAX} bytes"))
        }
        _ if user.chars().any(char::is_control) => Err("holds a control character".into()),
        _ => Ok(()),
    }
}

/// A custom status within its limits; `expire_at` is in unix milliseconds.
pub fn status(
    availability: Availability,
    text: String,
    emoji: String,
    expire_at: Option<u64>,
    now: Timestamp,
) -> Result<Status, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("text is longer than {TEXT_BYTES_MAX} bytes"));
    }
    if emoji.len() > EMOJI_BYTES_MAX {
        return Err(format!("emoji is longer than {EMOJI_BYTES_MAX} bytes"));
    }
    match expire_at {
        Some(at) if at < PLAUSIBLE_MS => Err(format!("expireAt {at} is not in milliseconds")),
        Some(at) if at <= now.0 => Err(format!("expireAt {at} has passed")),
        Some(at) if at - now.0 > EXPIRY_MAX_MS => {
            Err(format!("expireAt {at} is more than ten years away"))
        }
        _ => Ok(Status {
            availability,
            text: text.into(),
            emoji: emoji.into(),
            expires_at: expire_at.map(Timestamp),
        }),
    }
}
