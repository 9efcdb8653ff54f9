//! Whether a request was signed by Herald, and lately: Standard Webhooks 1.0.0.
//!
//! It never asks the time.

use crate::Reject;
use contract::signature::{SigningSecret, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use std::time::Duration;

/// What the reference libraries tolerate.
pub(crate) const TOLERANCE: Duration = Duration::from_secs(5 * 60);

pub(crate) fn verify<'h>(
    secrets: &[SigningSecret],
    tolerance: Duration,
    header: impl Fn(&str) -> Option<&'h str>,
    body: &[u8],
    now_unix_s: u64,
) -> Result<(), Reject> {
    let header = |name| header(name).ok_or(Reject::Unsigned(name));
    let (id, at) = (header(WEBHOOK_ID)?, header(WEBHOOK_TIMESTAMP)?);
    let signatures = header(WEBHOOK_SIGNATURE)?;
    let unix_s: u64 = at.parse().map_err(|_| Reject::Timestamp(at.to_owned()))?;
    if now_unix_s.abs_diff(unix_s) > tolerance.as_secs() {
        return Err(match now_unix_s.checked_sub(unix_s) {
            Some(ago) => Reject::TooOld(ago),
            None => Reject::TooNew(unix_s - now_unix_s),
        });
    }
    match secrets.iter().any(|secret| secret.signed(signatures, id, at, body)) {
        true => Ok(()),
        false => Err(Reject::BadSignature),
    }
}
