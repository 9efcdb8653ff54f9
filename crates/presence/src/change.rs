//! What became different, and who wants to hear of it.

use crate::{ConnId, End, Platform, Status, Timestamp};
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};

/// One line of the story the App is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Rises strictly per user for ever: `max(previous + 1, unix milliseconds)`. Gaps mean nothing.
    pub seq: u64,
    /// What happened.
    pub kind: Kind,
    /// Why.
    pub reason: Reason,
    /// For whom it is news.
    pub edges: Edges,
    /// Of a [`Kind::Background`]: the online scopes of the Apps that believe something else. All three, unless an
    /// online of the same step told some of them what is true, or something else.
    #[serde(default = "Edges::all", skip_serializing_if = "Edges::is_all")]
    pub online_scopes: Edges,
    /// Where it happened.
    pub platform: Platform,
    /// The connection it is about; none for a virtual one.
    pub conn: Option<ConnId>,
    /// Whether that connection's app was in the background when the change was decided.
    pub background: bool,
    /// When it was decided.
    pub at: Timestamp,
    /// The user's custom status then, if they had one. Of a going online only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Box<Status>>,
    /// Where the client of that connection is, if any App is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Box<str>>,
}

/// The user callbacks, in the order in which one step tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Kind {
    KickOff,
    Offline,
    Online,
    /// Who is online and stays so went to the background, or came back: [`Change::background`].
    Background,
}

impl Kind {
    /// Whether an App that missed it may be wrong about its subject.
    pub fn is_about_a_subject(self) -> bool {
        self != Kind::KickOff
    }

    /// Whether it says that its subject came or went, so that an App is right about that after it.
    pub fn says_who_is_online(self) -> bool {
        matches!(self, Kind::Online | Kind::Offline)
    }
}

/// Why a change happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Reason {
    Login,
    Reconnect,
    /// A status was set.
    Status,
    Closed,
    Lost,
    Misbehaved,
    LoggedOut,
    ServerLost,
    Kicked,
    Refused,
    /// A status was taken back and its virtual connection with it.
    StatusCleared,
    /// The lease of a virtual connection ran out.
    LeaseEnded,
    /// Nothing: it is told again how things are, after a callback was given up.
    Resync,
    /// The app of the client, or the connection that speaks for its platform or user, is another than
    /// before: in the background, or in front.
    Background,
    /// An online that is told beside it, to who hears of each login, names another connection than the one
    /// that speaks for its platform or user.
    OtherConnection,
}

impl Reason {
    /// The word for it in logs, answers and extra fields.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Login => "login",
            Reason::Reconnect => "reconnect",
            Reason::Status => "status",
            Reason::Closed => "closed",
            Reason::Lost => "lost",
            Reason::Misbehaved => "misbehaved",
            Reason::LoggedOut => "logged_out",
            Reason::ServerLost => "server_lost",
            Reason::Kicked => "kicked",
            Reason::Refused => "refused",
            Reason::StatusCleared => "status_cleared",
            Reason::LeaseEnded => "lease_ended",
            Reason::Resync => "resync",
            Reason::Background => "background",
            Reason::OtherConnection => "other_connection",
        }
    }
}

impl From<End> for Reason {
    fn from(end: End) -> Reason {
        match end {
            End::Closed => Reason::Closed,
            End::Lost => Reason::Lost,
            End::Misbehaved => Reason::Misbehaved,
            End::LoggedOut => Reason::LoggedOut,
            End::ServerLost => Reason::ServerLost,
        }
    }
}

/// Which counts a change moved from none to one, or from one to none; of a [`Kind::Background`], for whom
/// it is another than before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edges {
    /// This connection came or went.
    pub connection: bool,
    /// The first connection of the platform came, or the last one went.
    pub platform: bool,
    /// The first connection of the user came, or the last one went.
    pub user: bool,
}

impl Edges {
    /// Of every count.
    pub fn all() -> Edges {
        Edges { connection: true, platform: true, user: true }
    }

    fn is_all(&self) -> bool {
        *self == Edges::all()
    }

    /// Of those counts for which `is` holds.
    pub(crate) fn of(is: impl Fn(Scope) -> bool) -> Edges {
        Edges {
            connection: is(Scope::Connection),
            platform: is(Scope::Platform),
            user: is(Scope::User),
        }
    }

    /// Whether it moved what is counted at that scope.
    pub fn at(self, scope: Scope) -> bool {
        match scope {
            Scope::Connection => self.connection,
            Scope::Platform => self.platform,
            Scope::User => self.user,
        }
    }

    pub(crate) fn any(self) -> bool {
        self.connection || self.platform || self.user
    }
}

/// What an endpoint counts, and so which edges are news to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Scope {
    Connection,
    Platform,
    User,
}

/// What one endpoint wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest {
    /// The scope of online callbacks; none when they are switched off.
    pub online: Option<Scope>,
    /// The scope of offline callbacks; none when they are switched off.
    pub offline: Option<Scope>,
    /// Whether kick-offs are told.
    pub kick_off: bool,
    /// Whether background callbacks are told, of what the App keeps a word about.
    pub background: bool,
}

impl Interest {
    /// What its App keeps one word about. One that is not told of departures can only keep a flag.
    pub fn keeps(&self) -> Scope {
        self.offline.unwrap_or(Scope::User)
    }

    /// Whether this endpoint is told of a change.
    pub fn selects(&self, change: &Change) -> bool {
        match change.kind {
            Kind::Online => self.online.is_some_and(|scope| change.is_edge_of(scope)),
            Kind::Offline => self.offline.is_some_and(|scope| change.is_edge_of(scope)),
            Kind::KickOff => self.kick_off,
            Kind::Background => {
                // One that hears of no online believes what it was told of what it keeps.
                let hears = self.online.unwrap_or(self.keeps());
                self.background && change.is_edge_of(self.keeps()) && change.online_scopes.at(hears)
            }
        }
    }
}

impl Change {
    /// Whether a receiver that counts at this scope sees a difference.
    pub fn is_edge_of(&self, scope: Scope) -> bool {
        self.edges.at(scope)
    }
}
