//! The rules of presence: who is online where, what that causes, and what an answer of the App means.
//!
//! Start at [`User::apply`]: an [`Event`] goes in, [`Effects`] come out. [`verdict`] and [`Health`]
//! are the same kind of thing for delivery: what one attempt means for its callback, and for the
//! endpoint it went to.
//!
//! **Invariant:** this crate does no IO. It opens nothing, awaits nothing, rolls no dice and never
//! reads a clock: time and chance come in as arguments. `no_std` makes that a compile error, not a
//! habit, and it is what lets a simulator replay any failure from its seed.
//!
//! **Invariant:** nothing in here can fail. Odd input (an unknown connection, a late tick) is an
//! ordinary case with a defined, quiet result, and so is the same event twice.

#![cfg_attr(not(test), no_std)]
#![warn(missing_docs)]

extern crate alloc;

mod ages;
mod change;
mod collapse;
mod connection;
mod event;
mod health;
mod holds;
mod id;
mod login;
mod mass_loss;
mod pace;
mod rate;
mod refusal;
mod refusals;
mod sight;
mod slow_commits;
mod status;
mod step;
mod subject;
mod time;
mod token;
mod user;
mod verdict;

pub use ages::Ages;
pub use change::{Change, Edges, Interest, Kind, Reason, Scope};
pub use collapse::{Waiting, collapse};
pub use connection::{Connection, Session, Switch, Told};
pub use event::{
    Admission, Author, Denied, Effects, End, Event, Kick, Login, Policy, Refused, Retold,
};
pub use health::{Health, Permit};
pub use holds::{HoldReason, Holds};
pub use id::{ConnId, Platform, TokenHash, UserId};
pub use login::LoginPolicy;
pub use mass_loss::{Lost, MassLoss, MassLossPolicy};
pub use pace::Pace;
pub use refusal::Refusal;
pub use refusals::{RefusalLimit, Refusals};
pub use sight::Sight;
pub use slow_commits::{SLOW, SlowCommits};
pub use status::{Availability, Status};
pub use subject::Subject;
pub use time::{Instant, Now, Timestamp};
pub use token::{Issued, Standing};
pub use user::User;
pub use verdict::{Attempt, TRIES_MAX, Verdict, retry_wait, verdict};
