//! Which tokens of one user are good. A validly signed one is, unless it is denied: by name, or by
//! the time it was issued; or unless only those issued here are good, and it was not.

use crate::{Platform, Timestamp, TokenHash};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// How many denied tokens are remembered one by one; beyond that the oldest is forgotten.
const DENIED_MAX: usize = 32;
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

/// What is remembered of a user's tokens. Never the tokens, only their hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tokens {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    denied: Vec<TokenHash>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<OfPlatform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OfPlatform {
    platform: Platform,
    /// Tokens issued until then are denied.
    denied_until: Timestamp,
    /// When the newest one was issued here.
    newest: Timestamp,
    /// Those issued here, oldest first, each with its expiry; kept if only they are good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    known: Vec<(TokenHash, Timestamp)>,
}

impl Tokens {
    pub(crate) fn standing(
        &self,
        platform: Platform,
        token: TokenHash,
        issued_at: Timestamp,
        known_only: bool,
    ) -> Standing {
        let of = self.platforms.iter().find(|of| of.platform == platform);
        if self.denied.contains(&token) || of.is_some_and(|of| issued_at <= of.denied_until) {
            return Standing::Denied;
        }
        let is_known = of.is_some_and(|of| of.known.iter().any(|(known, _)| *known == token));
        if known_only && !is_known { Standing::Unknown } else { Standing::Good }
    }

    /// The earliest time a token of the platform may say it was issued at, and not be denied.
    pub(crate) fn issue_after(&self, platform: Platform) -> Timestamp {
        let of = self.platforms.iter().find(|of| of.platform == platform);
        of.map_or(Timestamp(0), |of| of.denied_until)
    }

    pub(crate) fn deny(&mut self, token: TokenHash) {
        self.denied.retain(|denied| *denied != token);
        if self.denied.len() == DENIED_MAX {
            self.denied.remove(0);
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
            let (denied_until, newest) = Default::default();
            self.platforms.push(OfPlatform { platform, denied_until, newest, known: Vec::new() });
            self.platforms.len() - 1
        });
        &mut self.platforms[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Platform::*;

    fn hash(n: u8) -> TokenHash {
        TokenHash([n; 16])
    }

    #[test]
    fn the_oldest_denied_token_is_forgotten_first_and_only_when_there_are_many() {
        let mut tokens = Tokens::default();
        for n in 0..=DENIED_MAX as u8 {
            tokens.deny(hash(n));
        }
        let standing = |n| tokens.standing(Ios, hash(n), Timestamp(1), false);
        assert_eq!(standing(0), Standing::Good);
        assert_eq!(standing(1), Standing::Denied);
        assert_eq!(standing(DENIED_MAX as u8), Standing::Denied);
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
            |tokens: &Tokens, n: u8| tokens.standing(Ios, hash(n), Timestamp(u64::from(n)), true);
        for n in 1..=KNOWN_MAX as u8 + 1 {
            issue(&mut tokens, n, Timestamp(50));
        }
        assert_eq!(standing(&tokens, 1), Standing::Unknown);
        assert_eq!(standing(&tokens, 2), Standing::Good);
        assert_eq!(tokens.standing(Web, hash(2), Timestamp(2), true), Standing::Unknown);
        assert_eq!(tokens.standing(Ios, hash(1), Timestamp(1), false), Standing::Good);
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
        assert_eq!(tokens.standing(Ios, hash(1), Timestamp(9), false), Standing::Denied);
        assert_eq!(tokens.issue_after(Ios), Timestamp(9));
        assert_eq!(tokens.standing(Ios, hash(2), Timestamp(10), false), Standing::Good);
        assert_eq!(tokens.standing(Web, hash(1), Timestamp(9), false), Standing::Good);
    }
}
