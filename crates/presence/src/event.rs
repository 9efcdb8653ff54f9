//! What goes into the core ([`Event`]) and what comes out ([`Effects`]).

use crate::{
    Change, ConnId, Instant, Issued, LoginPolicy, MassLossPolicy, Now, Platform, Refusal, Scope,
    Standing, Status, Subject, Timestamp, TokenHash,
};
use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Something that already happened to one user. Named in the past tense, harmless to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A connection passed its handshake. It may be [`Denied`].
    Connected(Login),
    /// The same, but the App is asked first, if its [`Scope`] makes the login news to it: it is
    /// told, and nobody else notices until [`Event::LetIn`]. [`Effects::admission`] says what came
    /// of it.
    Knocked {
        /// Who wants to log in.
        login: Login,
        /// At which scope the App that is asked is told of logins.
        scope: Scope,
        /// Whether there is a place to wait for an answer. If not, a login that would be asked about
        /// is [`Denied::NoPlace`].
        may_ask: bool,
    },
    /// The App has nothing against one that knocked. It may be [`Denied`] all the same. Quiet for
    /// one that is inside.
    LetIn {
        /// Which connection.
        conn: ConnId,
    },
    /// The socket of a connection is gone.
    Disconnected {
        /// Which connection.
        conn: ConnId,
        /// How it ended.
        end: End,
    },
    /// The client said whether its app is in the background.
    BackgroundSet {
        /// Which connection.
        conn: ConnId,
        /// True: in the background.
        background: bool,
    },
    /// A custom status was set. Online, for a user without a socket, brings the user online. It may
    /// be [`Denied`].
    StatusSet {
        /// Whose platform a virtual connection takes.
        platform: Platform,
        /// The new status.
        status: Status,
        /// Who set it: each has a rate limit of its own.
        by: Author,
    },
    /// The custom status was taken back. Ends virtual connections, never a socket.
    StatusCleared {
        /// Where a virtual connection ends; everywhere when absent.
        platform: Option<Platform>,
    },
    /// Somebody with the right to do so threw connections out.
    Kicked(Kick),
    /// A token was made, which replaces older ones as the login policy says.
    TokenIssued(Issued),
    /// The App refused to continue with what an online callback told.
    Refused(Refused),
    /// The process that held the sockets is gone; told to every present user at boot.
    Restarted,
    /// One App was not told of a change, and will not be: it is told how its subject is now.
    Untold {
        /// What the App keeps a word about.
        subject: Subject,
        /// What it was not told.
        missed: Change,
        /// At which scope it is told of logins: its answer is about what came online at that scope.
        online: Scope,
    },
    /// Nothing but time passed: the answer to [`Effects::wake_at`].
    Ticked,
}

/// How things are, for one App alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retold {
    /// To be told to it. Nothing happened: nobody else hears of it.
    pub change: Change,
    /// The `seq` that told of the connection, at the scope at which this App is told of logins: what it
    /// answers is an answer to that.
    pub speaks_for: Vec<u64>,
}

/// A connection that is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Login {
    pub conn: ConnId,
    pub platform: Platform,
    pub token: TokenHash,
    /// When the token was issued; 0 if it does not say, which is older than any watermark.
    pub issued_at: Timestamp,
    pub background: bool,
    /// Where the client is, if any App is told.
    pub address: Option<Box<str>>,
}

/// Who set a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// The user, with a token of their own.
    User,
    /// A backend, with an administrator's token or over the management API.
    Admin,
}

/// A refused online callback, and what it spoke for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The `seq` of the callback and of those that were collapsed into it.
    pub seqs: Vec<u64>,
    /// At which scope the App is told of logins: a connection that came later than the callback may
    /// not have been told on its own.
    pub scope: Scope,
    /// Carried out only for a connection that waits at the gate: the operator ignores all others.
    pub only_at_gate: bool,
    /// What the App said.
    pub refusal: Refusal,
}

/// Which connections are thrown out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kick {
    Connection(ConnId),
    Platform(Platform),
    Everywhere,
    /// Also tokens of the platform that are not connected: those issued until then, and all that
    /// were issued here.
    Tokens(Platform, Timestamp),
}

/// How a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The client closed it properly; a reloaded page does that too, hence the grace.
    Closed,
    /// The line broke, or nothing was heard for the read timeout.
    Lost,
    /// The client broke the protocol and was cut off.
    Misbehaved,
    /// The client logged out: at once, no grace.
    LoggedOut,
    /// The process that held it ended.
    ServerLost,
}

impl End {
    /// Whether a return with the same token is a reconnect and not a login.
    pub(crate) fn is_loss(self) -> bool {
        matches!(self, End::Lost | End::ServerLost)
    }
}

/// Everything the shell must do about an event, in the order it must do it.
#[must_use = "effects describe work; dropping them loses callbacks"]
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// To be stored with the new state in one transaction, then told to the App.
    pub changes: Vec<Change>,
    /// Sockets to be closed with a kick, once the changes are stored.
    pub kicked: Vec<ConnId>,
    /// When to send [`Event::Ticked`], if nothing happens before.
    pub wake_at: Option<Instant>,
    /// Why the event was not taken, if it was not.
    pub denied: Option<Denied>,
    /// What came of [`Event::Knocked`], unless it was denied.
    pub admission: Admission,
    /// What came of [`Event::Untold`].
    pub retold: Option<Retold>,
}

/// What a login at the gate has to wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Admission {
    /// Nothing: it is inside. What the App was told before covers it.
    #[default]
    Inside,
    /// The App's answer to the online callback that this login caused.
    Asked,
    /// The App's answer to the question about this connection, which covers it as well. Nothing was
    /// changed; when the answer is there, it logs in.
    Shares(ConnId),
}

/// Why somebody may not log in or set a status; nothing changed by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// The token is not good.
    Token(Standing),
    /// The App refused this user a moment ago.
    Refused(Refusal),
    /// It was thrown out before it was let in.
    Kicked,
    /// This user logged in, or set statuses, as often as a user may.
    TooOften,
    /// The App is being asked about as many logins of this user as it may.
    TooManyQuestions,
    /// The App would have to be asked, and that is not possible now.
    NoPlace,
    /// It returns to a session that lingers, but too often: to be tried again then. Until a while
    /// after that the session goes on to linger.
    NotBefore(Instant),
}

/// What holds for all users: the operator's choices (the default is that of the configuration), and
/// whether graces run.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How long a lost or closed connection counts as present.
    pub offline_grace: Duration,
    /// The same after a restart of the server, when all clients redial at once.
    pub restart_grace: Duration,
    /// How long a virtual connection lives unless its status is set again.
    pub virtual_lease: Duration,
    /// What a login does to the user's other connections.
    pub login: LoginPolicy,
    /// Whether a token is good only if it was issued here.
    pub known_tokens_only: bool,
    /// Whether a logout ends its token, unless another connection holds it.
    pub logout_denies_token: bool,
    /// How long the App's refusal of a login holds for those that follow.
    pub refused_for: Duration,
    /// How many logins a user may have in a minute, and how many statuses they may set; 0: no limit.
    pub user_budget: u32,
    /// Whether any App is told who goes to the background.
    pub tells_background: bool,
    /// When losses are too many to be believed.
    pub mass_loss: MassLossPolicy,
    /// Nobody's grace runs out before: see [`crate::MassLoss`].
    pub held_until: Instant,
    /// By so much the wall clock has just jumped ahead: no status expires by that yet.
    pub wall_ahead: Duration,
}

impl Policy {
    /// The wall time at which what people have set expires.
    pub(crate) fn believed(&self, now: Now) -> Timestamp {
        let ahead = u64::try_from(self.wall_ahead.as_millis()).unwrap_or(u64::MAX);
        Timestamp(now.wall.0.saturating_sub(ahead))
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            offline_grace: Duration::from_secs(20),
            restart_grace: Duration::from_secs(60),
            virtual_lease: Duration::from_secs(30 * 60),
            login: LoginPolicy::SamePlatformKicks,
            known_tokens_only: false,
            logout_denies_token: false,
            refused_for: Duration::from_secs(60),
            user_budget: 30,
            tells_background: false,
            mass_loss: MassLossPolicy::default(),
            held_until: Instant(0),
            wall_ahead: Duration::ZERO,
        }
    }
}
