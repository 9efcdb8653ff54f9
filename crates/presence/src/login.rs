//! Which connections of one user may live side by side, and which tokens are good no more.

use crate::{Platform, Timestamp, TokenHash};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// How many denied tokens are remembered one by one; beyond that the oldest is forgotten.
const DENIED_MAX: usize = 32;

/// What a login does to the user's other connections; the numbers are OpenIM's policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginPolicy {
    /// 0: nothing.
    None,
    /// 1: it kicks those on the same platform.
    SamePlatformKicks,
    /// 4: it kicks those on platforms of the same class.
    SameClassKicks,
    /// 5: a PC kicks nobody; anything else kicks all that are no PC.
    PcAndOther,
}

/// Platforms that count as one kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Mobile,
    Pc,
    Web,
    MiniWeb,
    Pad,
    Admin,
    HarmonyOs,
}

impl LoginPolicy {
    /// Whether a newcomer kicks another connection; one with the same token is always spared.
    pub fn kicks(self, newcomer: Platform, other: Platform) -> bool {
        match self {
            LoginPolicy::None => false,
            LoginPolicy::SamePlatformKicks => newcomer == other,
            LoginPolicy::SameClassKicks => class(newcomer) == class(other),
            LoginPolicy::PcAndOther => class(newcomer) != Class::Pc && class(other) != Class::Pc,
        }
    }
}

fn class(platform: Platform) -> Class {
    match platform {
        Platform::Ios | Platform::Android => Class::Mobile,
        Platform::Windows | Platform::Osx | Platform::Linux => Class::Pc,
        Platform::Web => Class::Web,
        Platform::MiniWeb => Class::MiniWeb,
        Platform::APad | Platform::IPad => Class::Pad,
        Platform::Admin => Class::Admin,
        Platform::HarmonyOs => Class::HarmonyOs,
    }
}

/// A validly signed token is good unless it is denied: by name, or by the time it was issued.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Denials {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<TokenHash>,
    /// Tokens of the platform issued until then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    until: Vec<(Platform, Timestamp)>,
}

impl Denials {
    pub(crate) fn denies(&self, platform: Platform, token: TokenHash, issued: Timestamp) -> bool {
        let late = |(other, until): &(Platform, Timestamp)| *other == platform && issued <= *until;
        self.tokens.contains(&token) || self.until.iter().any(late)
    }

    pub(crate) fn deny(&mut self, token: TokenHash) {
        self.tokens.retain(|denied| *denied != token);
        if self.tokens.len() == DENIED_MAX {
            self.tokens.remove(0);
        }
        self.tokens.push(token);
    }

    pub(crate) fn deny_until(&mut self, platform: Platform, until: Timestamp) {
        self.until.retain(|(other, _)| *other != platform);
        self.until.push((platform, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Platform::*;

    #[test]
    fn policies_are_those_of_openim() {
        #[rustfmt::skip]
        let table = [
            // newcomer  other      none   platform class  pc_and_other
            (Ios,        Ios,       false, true,    true,  true),
            (Ios,        Android,   false, false,   true,  true),
            (Ios,        Web,       false, false,   false, true),
            (Ios,        Windows,   false, false,   false, false),
            (Windows,    Windows,   false, true,    true,  false),
            (Windows,    Osx,       false, false,   true,  false),
            (Osx,        Linux,     false, false,   true,  false),
            (Windows,    Ios,       false, false,   false, false),
            (Web,        Web,       false, true,    true,  true),
            (Web,        MiniWeb,   false, false,   false, true),
            (APad,       IPad,      false, false,   true,  true),
            (IPad,       Ios,       false, false,   false, true),
            (HarmonyOs,  HarmonyOs, false, true,    true,  true),
            (HarmonyOs,  Android,   false, false,   false, true),
            (Admin,      Admin,     false, true,    true,  true),
            (Admin,      Ios,       false, false,   false, true),
        ];
        for (newcomer, other, none, platform, class, pc) in table {
            for (policy, expected) in [
                (LoginPolicy::None, none),
                (LoginPolicy::SamePlatformKicks, platform),
                (LoginPolicy::SameClassKicks, class),
                (LoginPolicy::PcAndOther, pc),
            ] {
                let kicks = policy.kicks(newcomer, other);
                assert_eq!(kicks, expected, "{policy:?}: {newcomer:?} beside {other:?}");
            }
        }
    }

    #[test]
    fn the_oldest_denied_token_is_forgotten_first_and_only_when_there_are_many() {
        let mut denials = Denials::default();
        for n in 0..=DENIED_MAX as u8 {
            denials.deny(TokenHash([n; 16]));
        }
        let denies = |n| denials.denies(Ios, TokenHash([n; 16]), Timestamp(1));
        assert!(!denies(0) && denies(1) && denies(DENIED_MAX as u8));
    }
}
