//! Where a user is seen: by others, and by themselves.

use crate::Platform;

/// What watchers see of a user; small, to be compared before and after each step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sight {
    /// A bit for each platform, at its number.
    pub(crate) platforms: u16,
    pub(crate) invisible: bool,
}

impl Sight {
    /// The platforms in order of their numbers, as the user and administrators see them.
    pub fn to_self(self) -> impl Iterator<Item = Platform> + Clone {
        Platform::ALL.into_iter().filter(move |platform| self.platforms & (1 << platform.id()) != 0)
    }

    /// The same as others see it: an invisible user is offline.
    pub fn to_others(self) -> impl Iterator<Item = Platform> + Clone {
        let seen = Sight { platforms: if self.invisible { 0 } else { self.platforms }, ..self };
        seen.to_self()
    }
}
