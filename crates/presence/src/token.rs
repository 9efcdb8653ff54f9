//! Which tokens of one user are good. A validly signed one is, unless it is denied: by name, or by
//! the time it was issued; or unless only those issued here are good, and it was not.

use crate::{Platform, Timestamp, TokenHash};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// How many denied tokens are remembered one by one; beyond that the oldest stands for all of its
/// platform that are as old.
const DENIED_MAX: usize = 1_024;
/// A watermark that lies further ahead was set by a clock that was wrong.
const AHEAD_MAX_MS: u64 = 60_000;
/// How many issued tokens of one platform are good at once, as in OpenIM (`maxNumOneEnd`); a
/// further one takes the place of the oldest.
const KNOWN_MAX: usize = 30;

/// What a validly signed token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It lets its user in.
    Good,
    /// It was kicked, logged out, or replaced by a newer one.
    Denied,
    /// Only tokens issued here are good, and this one was not, or is too old to be remembered.
    Unknown,
}

/// A token that was made for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Issued {
    pub platform: Platform,
    pub token: TokenHash,
    /// As the token itself says.
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A token that somebody shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) platform: Platform,
    pub(crate) token: TokenHash,
    pub(crate) issued_at: Timestamp,
    /// Whether a connection that counts was let in by it.
    pub(crate) is_present: bool,
}

/// A token that was kicked or logged out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenDenied")]
pub(crate) struct DeniedToken {
    pub(crate) token: TokenHash,
    pub(crate) platform: Platform,
    pub(crate) issued_at: Timestamp,
}

/// As it is stored, now and before.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenDenied {
    Now { token: TokenHash, platform: Platform, issued_at: Timestamp },
    TokenAlone(TokenHash),
}

impl From<WrittenDenied> for DeniedToken {
    fn from(written: WrittenDenied) -> DeniedToken {
        match written {
            WrittenDenied::Now { token, platform, issued_at } => {
                DeniedToken { token, platform, issued_at }
            }
            // It is older than any watermark.
            WrittenDenied::TokenAlone(token) => {
                DeniedToken { token, platform: Platform::Admin, issued_at: Timestamp(0) }
            }
        }
    }
}

/// What is remembered of a user's tokens. Never the tokens, only their hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tokens {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    denied: Vec<DeniedToken>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<OfPlatform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OfPlatform {
    platform: Platform,
    /// Tokens issued until then are denied.
    denied_until: Timestamp,
    /// Those too, unless a connection that counts was let in by it: so old are denied tokens that are
    /// not remembered one by one any more.
    #[serde(default, skip_serializing_if = "is_never")]
    forgotten_until: Timestamp,
    /// When the newest one was issued here.
    newest: Timestamp,
    /// Those issued here, oldest first, each with its expiry; kept if only they are good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    known: Vec<(TokenHash, Timestamp)>,
}

impl Tokens {
    pub(crate) fn standing(&self, shown: Shown, now: Timestamp, known_only: bool) -> Standing {
        let Shown { platform, token, issued_at, is_present } = shown;
        let of = self.platforms.iter().find(|of| of.platform == platform);
        let is_denied = self.denied.iter().any(|denied| denied.token == token);
        let is_before = |until| issued_at <= believed(until, now);
        let is_old = of.is_some_and(|of| {
            is_before(of.denied_until) || (is_before(of.forgotten_until) && !is_present)
        });
        if is_denied || is_old {
            return Standing::Denied;
        }
        let is_known = of.is_some_and(|of| of.known.iter().any(|(known, _)| *known == token));
        if known_only && !is_known { Standing::Unknown } else { Standing::Good }
    }

    /// The earliest time a token of the platform may say it was issued at, and not be denied.
    pub(crate) fn issue_after(&self, platform: Platform, now: Timestamp) -> Timestamp {
        let of = self.platforms.iter().find(|of| of.platform == platform);
        let after = of.map_or(Timestamp(0), |of| of.denied_until.max(of.forgotten_until));
        believed(after, now)
    }

    /// Lowers what a clock that was ahead has set: else whatever is issued now would be denied.
    pub(crate) fn believe(&mut self, now: Timestamp) {
        for of in &mut self.platforms {
            for at in [&mut of.denied_until, &mut of.forgotten_until, &mut of.newest] {
                *at = believed(*at, now);
            }
        }
    }

    pub(crate) fn deny(&mut self, token: DeniedToken) {
        self.denied.retain(|denied| denied.token != token.token);
        if self.denied.len() == DENIED_MAX {
            let oldest = self.denied.remove(0);
            let of = self.of(oldest.platform);
            of.forgotten_until = of.forgotten_until.max(oldest.issued_at);
        }
        self.denied.push(token);
    }

    /// Denies what was issued until then; what was once denied stays so, also when a clock steps
    /// back.
    pub(crate) fn deny_until(&mut self, platform: Platform, until: Timestamp) {
        let of = self.of(platform);
        of.denied_until = of.denied_until.max(until);
    }

    /// Denies all tokens of a platform: those issued until then, and all issued here.
    pub(crate) fn deny_all(&mut self, platform: Platform, until: Timestamp) {
        let newest = self.of(platform).newest;
        self.deny_until(platform, until.max(newest));
    }

    pub(crate) fn issue(&mut self, issued: Issued, now: Timestamp, known_only: bool) {
        let Issued { platform, token, issued_at, expires_at } = issued;
        let of = self.of(platform);
        of.newest = of.newest.max(issued_at);
        if !known_only {
            return;
        }
        of.known.retain(|(known, expires_at)| *known != token && *expires_at > now);
        if of.known.len() == KNOWN_MAX {
            of.known.remove(0);
        }
        of.known.push((token, expires_at));
    }

    fn of(&mut self, platform: Platform) -> &mut OfPlatform {
        let at = self.platforms.iter().position(|of| of.platform == platform);
        let at = at.unwrap_or_else(|| {
            let (denied_until, forgotten_until, newest, known) = Default::default();
            self.platforms.push(OfPlatform {
                platform,
                denied_until,
                forgotten_until,
                newest,
                known,
            });
            self.platforms.len() - 1
        });
        &mut self.platforms[at]
    }
}

fn believed(until: Timestamp, now: Timestamp) -> Timestamp {
    if until.0 > now.0.saturating_add(AHEAD_MAX_MS) { now } else { until }
}

fn is_never(at: &Timestamp) -> bool {
    at.0 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use Platform::*;

    fn hash(n: u8) -> TokenHash {
        TokenHash([n; 16])
    }

    const NOW: Timestamp = Timestamp(1_000_000);

    fn shown(platform: Platform, token: TokenHash, issued_at: u64) -> Shown {
        Shown { platform, token, issued_at: Timestamp(issued_at), is_present: false }
    }

    #[test]
    fn of_very_many_denied_tokens_the_oldest_stand_for_all_as_old() {
        let mut tokens = Tokens::default();
        let hash = |n: u64| TokenHash(u128::from(n + 1).to_be_bytes());
        for n in 0..DENIED_MAX as u64 + 8 {
            let issued_at = Timestamp(100 + n);
            tokens.deny(DeniedToken { token: hash(n), platform: Ios, issued_at });
        }
        let standing = |platform, n| tokens.standing(shown(platform, hash(n), 100 + n), NOW, false);
        for n in 0..DENIED_MAX as u64 + 8 {
            assert_eq!(standing(Ios, n), Standing::Denied, "{n}");
        }
        let other = |platform, issued_at, is_present| {
            let shown = Shown { is_present, ..shown(platform, hash(1 << 40), issued_at) };
            tokens.standing(shown, NOW, false)
        };
        assert_eq!(other(Ios, 107, false), Standing::Denied, "as old as one that is forgotten");
        assert_eq!(other(Ios, 107, true), Standing::Good, "but somebody is here by it");
        assert_eq!(other(Ios, 108, false), Standing::Good);
        assert_eq!(other(Web, 107, false), Standing::Good);
    }

    #[test]
    fn what_a_clock_set_that_was_ahead_is_lowered_to_now() {
        let ahead = 5 * 60_000;
        let mut tokens = Tokens::default();
        tokens.deny_all(Ios, Timestamp(NOW.0 + ahead));
        let fresh = shown(Ios, hash(1), NOW.0 + 1);
        assert_eq!(tokens.standing(fresh, NOW, false), Standing::Good);
        assert_eq!(tokens.issue_after(Ios, NOW), NOW);
        tokens.believe(NOW);
        let later = Timestamp(NOW.0 + ahead);
        assert_eq!(tokens.standing(fresh, later, false), Standing::Good, "for good");
        let before = shown(Ios, hash(2), NOW.0);
        assert_eq!(tokens.standing(before, later, false), Standing::Denied);
    }

    #[test]
    fn of_the_known_tokens_of_a_platform_the_newest_are_good_until_they_expire() {
        let mut tokens = Tokens::default();
        let issue = |tokens: &mut Tokens, n: u8, now| {
            let (issued_at, expires_at) = (Timestamp(u64::from(n)), Timestamp(100));
            tokens.issue(
                Issued { platform: Ios, token: hash(n), issued_at, expires_at },
                now,
                true,
            );
        };
        let standing =
            |tokens: &Tokens, n: u8| tokens.standing(shown(Ios, hash(n), n.into()), NOW, true);
        for n in 1..=KNOWN_MAX as u8 + 1 {
            issue(&mut tokens, n, Timestamp(50));
        }
        assert_eq!(standing(&tokens, 1), Standing::Unknown);
        assert_eq!(standing(&tokens, 2), Standing::Good);
        assert_eq!(tokens.standing(shown(Web, hash(2), 2), NOW, true), Standing::Unknown);
        assert_eq!(tokens.standing(shown(Ios, hash(1), 1), NOW, false), Standing::Good);
        issue(&mut tokens, 60, Timestamp(100));
        assert_eq!(tokens.of(Ios).known.len(), 1, "the expired ones are forgotten");
    }

    #[test]
    fn what_is_denied_stays_so_and_all_means_also_those_dated_ahead() {
        let mut tokens = Tokens::default();
        let (issued_at, expires_at) = (Timestamp(9), Timestamp(100));
        let ahead = Issued { platform: Ios, token: hash(1), issued_at, expires_at };
        tokens.issue(ahead, Timestamp(5), false);
        tokens.deny_all(Ios, Timestamp(7));
        tokens.deny_until(Ios, Timestamp(3));
        assert_eq!(tokens.standing(shown(Ios, hash(1), 9), NOW, false), Standing::Denied);
        assert_eq!(tokens.issue_after(Ios, NOW), Timestamp(9));
        assert_eq!(tokens.standing(shown(Ios, hash(2), 10), NOW, false), Standing::Good);
        assert_eq!(tokens.standing(shown(Web, hash(1), 9), NOW, false), Standing::Good);
    }
}
