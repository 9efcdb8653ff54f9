//! One connection of a user, as far as presence cares.

use crate::{ConnId, End, Instant, Platform, Scope, Timestamp, TokenHash};
use alloc::boxed::Box;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// A connection that counts: it is open, or it is gone so recently that it may still come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Told to the App, except for a virtual one.
    pub id: ConnId,
    /// Where the client runs.
    pub platform: Platform,
    /// Which token let it in; all zero for a virtual one.
    pub token: TokenHash,
    /// When that token was issued, as it says; 0 if it does not.
    #[serde(default)]
    pub issued_at: Timestamp,
    /// Whether the client said that its app is in the background.
    pub background: bool,
    /// What the App was told of that, where it is not told at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch: Option<Switch>,
    /// Where the client is, if any App is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Box<str>>,
    /// When it was let in.
    pub since: Timestamp,
    /// How it is doing.
    pub session: Session,
    /// Which changes told the App of it.
    #[serde(default)]
    pub told: Told,
}

/// A switch between front and background that was told: what follows it within a second is told after that,
/// as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// What was told: true is the background.
    pub told: bool,
    /// When the next may be told.
    pub next_at: Instant,
}

/// How often the App is told of one connection.
const SWITCH_EVERY: Duration = Duration::from_secs(1);

/// The `seq` of the online change that told of a connection, for an App that is told of logins at
/// each scope: its own, or that of an earlier one which made the platform or the user come online.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Told {
    pub connection: u64,
    pub platform: u64,
    pub user: u64,
}

impl Told {
    /// The one for an App that is told at this scope; 0: none is known.
    pub fn at(self, scope: Scope) -> u64 {
        match scope {
            Scope::Connection => self.connection,
            Scope::Platform => self.platform,
            Scope::User => self.user,
        }
    }
}

/// How a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Session {
    /// The App is being asked whether it may come in. It counts for the App, which has been told,
    /// and for nobody else.
    AtGate,
    /// Its socket is open.
    Live,
    /// Its socket is gone; it counts as present until then, so that a quick return is no news.
    Lingering {
        /// When its departure becomes news.
        until: Instant,
        /// How the socket ended.
        end: End,
    },
    /// It never had a socket: a status set to online over the API holds this place. A lease.
    Virtual {
        /// When the lease runs out, unless the status is set again.
        until: Instant,
    },
}

impl Connection {
    /// The name the App knows it by; none for a virtual one.
    pub fn told_id(&self) -> Option<ConnId> {
        (!self.is_virtual()).then_some(self.id)
    }

    /// Whether the App is told that it is in the background.
    pub(crate) fn background_told(&self) -> bool {
        self.switch.map_or(self.background, |switch| switch.told)
    }

    /// The client said it. Where the App hears of it, it does so once a second at most.
    pub(crate) fn set_background(&mut self, background: bool, is_told: bool, now: Instant) {
        if is_told && background != self.background {
            self.switch = Some(
                self.switch
                    .filter(|switch| now < switch.next_at)
                    .unwrap_or(Switch { told: background, next_at: now + SWITCH_EVERY }),
            );
        }
        self.background = background;
    }

    /// When the App must be told what it was not told at once.
    pub(crate) fn switches_at(&self) -> Option<Instant> {
        let switch = self.switch.filter(|switch| switch.told != self.background)?;
        Some(switch.next_at)
    }

    /// A switch that had to wait is told.
    pub(crate) fn switch_if_due(&mut self, now: Instant) {
        if self.switches_at().is_some_and(|at| at <= now) {
            self.switch = Some(Switch { told: self.background, next_at: now + SWITCH_EVERY });
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.session == Session::Live
    }

    pub(crate) fn is_at_gate(&self) -> bool {
        self.session == Session::AtGate
    }

    pub(crate) fn is_lingering(&self) -> bool {
        matches!(self.session, Session::Lingering { .. })
    }

    /// Whether a login with that platform and token is a return to this one, or a twin of it.
    pub(crate) fn is_session_of(&self, platform: Platform, token: TokenHash) -> bool {
        !self.is_virtual() && self.platform == platform && self.token == token
    }

    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self.session, Session::Virtual { .. })
    }

    pub(crate) fn session_key(&self) -> (Platform, TokenHash) {
        (self.platform, self.token)
    }

    /// When this connection stops counting by itself, if no grace runs out before.
    pub(crate) fn ends_at(&self, held_until: Instant) -> Option<Instant> {
        match self.session {
            Session::AtGate | Session::Live => None,
            Session::Lingering { until, .. } => Some(until.max(held_until)),
            Session::Virtual { until } => Some(until),
        }
    }
}
