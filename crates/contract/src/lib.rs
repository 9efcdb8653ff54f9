//! The callback that tells the App what became of a user: its request, signature and answer, in bytes.
//!
//! Both sides use it: Herald writes with [`request`] and reads with [`Answer::read_in`]; the App
//! reads with [`Callback::read`] and writes with [`Answer::to_json`]. What the bytes must be is said
//! in `docs/callback.md`. Start
//! at [`request`]; a dialect is a row in `row.rs`. How a request is signed is in [`signature`].
//!
//! It never does IO, never asks the time and never decides what an answer leads to.

mod answer;
pub mod buckets;

mod body;
mod dialect;
mod request;
mod row;
pub mod signature;

pub use answer::Answer;
pub use body::BodyError;
pub use dialect::{Dialect, Preset, Scope, UnknownDialect};
pub use request::{OPERATION_ID_CHARS_MAX, Request, Target, operation_id, request};

/// What a callback is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The user came online, logged in again, or was set online.
    Online,
    /// The user, or a connection or platform of theirs, is gone.
    Offline,
    /// A client of the user was made to leave.
    KickOff,
    /// Who is online went to the background, or came back.
    Background,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Online, Kind::Offline, Kind::KickOff, Kind::Background];
}

/// One change of one user, as the App is told it. Which fields are sent depends on the kind, the
/// dialect and [`Target::extra_fields`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// What happened.
    pub kind: Kind,
    /// The user; never empty.
    pub user_id: String,
    /// Number of the change: per user strictly increasing, below 2^53. Gaps mean nothing.
    pub seq: u64,
    /// Whether that connection was in the background when the change was committed. Online and
    /// background only.
    pub is_app_background: bool,
    /// The connection, `""` when there is none. Not sent with a kick-off.
    pub conn_id: String,
    /// Traces one operation through all logs; the same at every attempt.
    pub operation_id: String,
    /// OpenIM's number of the platform; 0 when not told.
    pub platform_id: u8,
    /// OpenIM's name of the platform, as `IOS`; `""` when not told.
    pub platform: String,
    /// Why it happened, in a word; `""` when not told.
    pub reason: String,
    /// How many older callbacks of the user this one speaks for; mostly 0.
    pub collapsed: u64,
    /// Names all that the sender has ever known; `""` when not told. Another one than before: it lost
    /// that, and with it who was online.
    pub epoch: String,
    /// The user's custom status, if they have one and it is told. Online only.
    pub status: Option<Status>,
    /// Where the client of that connection is; `""` when not told.
    pub client_address: String,
}

/// A custom status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// `online`, `away`, `busy` or `invisible`.
    pub availability: String,
    /// Free text; may be empty.
    pub text: String,
    /// An emoji, or a short code for one; may be empty.
    pub emoji: String,
}
