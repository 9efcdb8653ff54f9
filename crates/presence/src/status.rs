//! What a user says about themselves.

use crate::{Platform, Timestamp};
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};

/// A custom status. It belongs to the user, not to a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The one-word part.
    pub availability: Availability,
    /// Free text.
    pub text: Box<str>,
    /// One emoji or a short code for it.
    pub emoji: Box<str>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// The one-word part of a status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Availability {
    #[default]
    Online,
    Away,
    Busy,
    /// Others see offline; the user, administrators and the App see the truth.
    Invisible,
}

impl Availability {
    /// As it is written everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Availability::Online => "online",
            Availability::Away => "away",
            Availability::Busy => "busy",
            Availability::Invisible => "invisible",
        }
    }
}

/// A status with what it takes to undo it, should the App refuse it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetStatus {
    pub(crate) status: Status,
    /// The change that told it; 0 when it was no change of its own.
    pub(crate) seq: u64,
    /// Where it, or a refused one before it, made a virtual connection.
    pub(crate) brought_online: Option<Platform>,
    /// What is restored when this one is refused; it has none of its own.
    pub(crate) previous: Option<Box<SetStatus>>,
}
