//! Which connections of one user may live side by side.

use crate::Platform;

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
    /// Whether a newcomer kicks another connection; one with the same token is always spared. A
    /// token that is issued denies older ones likewise.
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
}
