//! What must survive a restart: each user's presence, and the callbacks the App is owed.
//!
//! Backends ([`Memory`], [`Sqlite`]) differ in how, never in what: one conformance suite runs
//! against all of them (`tests/conformance.rs`).
//!
//! **Invariant:** [`Store::commit`] is the only way to write presence, and it writes the state, the
//! callbacks it causes and the wake-up together or not at all. That one sentence is our delivery
//! guarantee. The store decides nothing about presence and never speaks to the App.

#![warn(missing_docs)]

mod account;
mod callback;
mod commit;
mod endpoint;
mod error;
mod index;
mod mark;
mod memory;
mod query;
mod queue;
mod set_aside;
mod sqlite;

pub use account::{Account, Erase, Erased, Erasure, Registered};
pub use callback::{
    ATTEMPTS_KEPT, AttemptRecord, CallbackId, CallbackRecord, CallbackState, EndpointName,
};
pub use commit::{Claim, Claimed, Commit, Fate, Lease, NewCallback, Settlement, Versioned};
pub use endpoint::{EndpointChange, EndpointState, Resync};
pub use error::StoreError;
pub use mark::{Mark, MarkDetail};
pub use memory::Memory;
pub use query::{
    Anew, Backlog, CallbackQuery, CallbacksPage, Collapse, Prune, Pruned, Replay, Replayed,
    UserQuery,
};
pub use set_aside::SetAside;
pub use sqlite::{CheckError, Checked, OpenError, Problem, Sqlite, Sync, check, make_folder};

use async_trait::async_trait;
use presence::{Ages, Instant, Timestamp, User, UserId};

/// A backend. Object safe, so that a simulator can wrap one and make it fail.
#[async_trait]
pub trait Store: Send + std::marker::Sync + 'static {
    /// Reads a user; one never seen before is offline everywhere.
    async fn load(&self, user: &UserId) -> Result<Versioned<User>, StoreError>;

    /// Replaces a user's state and queues the callbacks it causes, in one transaction. On `Ok` it
    /// is durable as far as the backend promises. [`StoreError::Conflict`] if the user, or the mark that
    /// it answers, is not as it was when it was decided.
    async fn commit(&self, commit: Commit) -> Result<(), StoreError>;

    /// Users whose [`Commit::wake_at`] has come, at most `limit`. They stay listed until a commit
    /// moves it.
    async fn due_wakeups(&self, now: Instant, limit: usize) -> Result<Vec<UserId>, StoreError>;

    /// Leases due callbacks of one endpoint: the oldest of each user, none of a user who has one
    /// out on lease. A lease that is not settled in time is as if it had never been given.
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError>;

    /// Marks callbacks superseded that a later one of the same user says as well, by
    /// [`presence::collapse`]. Returns how many; some of a very long line are left for the next call.
    async fn collapse(&self, wish: Collapse) -> Result<u64, StoreError>;

    /// When [`Store::claim`] may next find something; none while nothing is owed.
    async fn next_due(&self, endpoint: &EndpointName) -> Result<Option<Instant>, StoreError>;

    /// Records what became of a claimed callback. [`StoreError::LeaseLost`] when the lease ran out.
    async fn settle(&self, settlement: Settlement) -> Result<(), StoreError>;

    /// Queues settled callbacks again, in one transaction. Where one is not the last word about its
    /// user, its subject is marked, so that an App that applies naively ends right.
    async fn replay(&self, replay: Replay) -> Result<Replayed, StoreError>;

    /// Marks what an endpoint may be wrong about that is told of something again, in one transaction.
    async fn begin_anew(&self, anew: Anew) -> Result<(), StoreError>;

    /// Deletes settled callbacks, by [`CallbackRecord::row`]; what is owed stays. Returns how many.
    async fn purge(&self, rows: Vec<u64>) -> Result<u64, StoreError>;

    /// Users by name, a page at a time.
    async fn users(&self, query: UserQuery) -> Result<Vec<(UserId, User)>, StoreError>;

    /// How many users are online.
    async fn users_online(&self) -> Result<u64, StoreError>;

    /// Callbacks, newest first, a page at a time.
    async fn callbacks(&self, query: CallbackQuery) -> Result<Vec<CallbackRecord>, StoreError>;

    /// Callbacks of one endpoint in the order of their changes, owed or settled, from the row after
    /// that one on. None if some of them are not kept any more.
    async fn callbacks_after(
        &self,
        endpoint: &EndpointName,
        row: u64,
        limit: usize,
    ) -> Result<Option<CallbacksPage>, StoreError>;

    /// No callback has a higher row: of any endpoint, and of this one. Cheap: nothing is read.
    async fn newest_rows(&self, endpoint: &EndpointName) -> Result<(u64, u64), StoreError>;

    /// One callback with its attempts.
    async fn callback(&self, id: &CallbackId) -> Result<Option<CallbackRecord>, StoreError>;

    /// What one endpoint is owed.
    async fn backlog(&self, endpoint: &EndpointName) -> Result<Backlog, StoreError>;

    /// Marks of an endpoint that are due, of users about whom it is owed nothing; only those that are told in
    /// any case ([`MarkDetail::at_once`]), if wished.
    async fn marks_due(
        &self,
        endpoint: &EndpointName,
        now: Timestamp,
        limit: usize,
        at_once_only: bool,
    ) -> Result<Vec<Mark>, StoreError>;

    /// The mark of that endpoint, user and subject as it is now; none if there is none any more, or if the
    /// endpoint is owed something about the user.
    async fn mark_to_tell(&self, mark: &Mark) -> Result<Option<Mark>, StoreError>;

    /// Whether an endpoint was not told something about a user, and is not right yet.
    async fn is_marked(&self, endpoint: &EndpointName, user: &UserId) -> Result<bool, StoreError>;

    /// Whether an endpoint is owed anything about a user.
    async fn owes(&self, endpoint: &EndpointName, user: &UserId) -> Result<bool, StoreError>;

    /// The names of all endpoints that were ever owed or noted something, also of those that nobody
    /// sends to any more.
    async fn endpoints(&self) -> Result<Vec<EndpointName>, StoreError>;

    /// How an endpoint stands.
    async fn endpoint(&self, endpoint: &EndpointName) -> Result<EndpointState, StoreError>;

    /// Notes what happened to an endpoint.
    async fn change_endpoint(
        &self,
        endpoint: &EndpointName,
        change: EndpointChange,
    ) -> Result<(), StoreError>;

    /// Deletes what is too old or too much to keep; a bounded amount for each call.
    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError>;

    /// Registers accounts, all or none.
    async fn register(&self, accounts: Vec<Account>) -> Result<Registered, StoreError>;

    /// The accounts of these users, in the order asked for.
    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError>;

    /// Erases all that is kept about a person: state, account, history. Their `seq` goes on above all that
    /// they ever had, if they come back.
    async fn erase(&self, erase: &Erase) -> Result<Erasure, StoreError>;

    /// The name of everything that this store has ever held: `fresh`, if it had none.
    async fn epoch(&self, fresh: &str) -> Result<String, StoreError>;

    /// How the wall clock went while processes ran, as it was kept last.
    async fn ages(&self) -> Result<Ages, StoreError>;

    /// Keeps it.
    async fn keep_ages(&self, ages: Ages) -> Result<(), StoreError>;

    /// The highest `seq` that any user ever had.
    async fn highest_seq(&self) -> Result<u64, StoreError>;

    /// Writes and syncs something of no importance: whether the store can be used right now.
    async fn probe(&self) -> Result<(), StoreError>;

    /// Waits until the store has ended for good, as after a panic in its own thread: from then on
    /// nothing can be stored until the process is started again. For ever, if that cannot happen.
    async fn ended(&self) {
        std::future::pending().await
    }

    /// Stored rows that could not be read, the oldest first, after that one. A backend without a
    /// file has none.
    async fn set_aside(&self, _after: u64, _limit: usize) -> Result<Vec<SetAside>, StoreError> {
        Ok(Vec::new())
    }

    /// How many rows could not be read.
    async fn set_aside_count(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// Whether what is stored now will be found after a restart: the files are where they were
    /// opened. Cheap: nothing is written.
    async fn check_files(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Ends the use of the store when what was begun is written, and leaves nothing beside its file.
    /// What is asked of it afterwards is [`StoreError::Unavailable`].
    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
