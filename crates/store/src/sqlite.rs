//! The embedded default: one SQLite file, one writer thread with group commit.
//!
//! Writes are sent to the [`writer`], which drains what has gathered into one transaction and one
//! sync. What is read for every event (present users, what is owed) is kept in the [`Index`] and
//! never read from the file; two reading connections serve the rest, one for the path of an event,
//! one for people.

mod disk;
mod read;
mod schema;
mod write;
mod writer;

use crate::{
    Account, Backlog, CallbackId, CallbackQuery, CallbackRecord, Claim, Claimed, Collapse, Commit,
    EndpointChange, EndpointName, EndpointState, Prune, Pruned, Registered, Replayed, Settlement,
    Store, StoreError, UserQuery, Versioned, index::Index,
};
use async_trait::async_trait;
use presence::{Instant, Timestamp, User, UserId};
use rusqlite::Connection;
use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Semaphore;
use write::{Done, Write};
use writer::Writer;

const FILE: &str = "herald.db";
const LOCK: &str = "herald.lock";

/// The backend with a file.
pub struct Sqlite {
    writer: Writer,
    index: SharedIndex,
    for_events: Reader,
    for_people: Reader,
    /// Held for as long as the store is open; another process cannot take it.
    _lock: File,
}

/// How much a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Every commit is synced: survives a power cut.
    Full,
    /// Commits survive a killed process, not always a power cut.
    Normal,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum OpenError {
    #[error("cannot use the folder {0}")]
    Folder(PathBuf, #[source] std::io::Error),
    #[error(
        "the folder {0} is in use by another herald; stop it, or give this one its own store.path"
    )]
    InUse(PathBuf),
    #[error("{0} was written by a newer herald (schema {1}, this one knows {2}); upgrade this one")]
    TooNew(PathBuf, u32, u32),
    #[error("cannot use {0}")]
    File(PathBuf, #[source] rusqlite::Error),
    #[error("cannot use what {0} holds")]
    Content(PathBuf, #[source] StoreError),
}

#[derive(Clone, Default)]
struct SharedIndex(Arc<Mutex<Index>>);

impl SharedIndex {
    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that only reads, used by one call at a time.
#[derive(Clone)]
struct Reader {
    connection: Arc<Mutex<Connection>>,
    /// Waited for before a thread is taken, so that who waits does not hold one.
    turn: Arc<Semaphore>,
}

impl Reader {
    fn new(connection: Connection) -> Reader {
        Reader { connection: Arc::new(Mutex::new(connection)), turn: Arc::new(Semaphore::new(1)) }
    }

    async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let unavailable =
            |error: &dyn std::error::Error| StoreError::Unavailable(error.to_string());
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let turn = turn.map_err(|error| unavailable(&error))?;
        let connection = Arc::clone(&self.connection);
        let read = move || {
            let _turn = turn;
            read(&connection.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let done = tokio::task::spawn_blocking(read).await;
        done.map_err(|error| unavailable(&error))?
    }
}

impl Sqlite {
    /// Opens the store in a folder, which is made if it is not there, and takes it for this process.
    pub fn open(folder: &Path, sync: Sync) -> Result<Sqlite, OpenError> {
        let path = folder.join(FILE);
        let lock = take_folder(folder)?;
        let sqlite = |error| OpenError::File(path.clone(), error);
        let mut connection = disk::open(&path, sync).map_err(sqlite)?;
        let version = schema::migrate(&mut connection).map_err(sqlite)?;
        if version > schema::VERSION {
            return Err(OpenError::TooNew(path, version, schema::VERSION));
        }
        let content = |error| OpenError::Content(path.clone(), error);
        let (index, numbers) = read::everything_alive(&connection).map_err(content)?;
        let index = SharedIndex(Arc::new(Mutex::new(index)));
        let reader = || -> Result<Reader, OpenError> {
            Ok(Reader::new(disk::open_to_read(&path).map_err(sqlite)?))
        };
        let (for_events, for_people) = (reader()?, reader()?);
        let writer = Writer::start(connection, numbers, index.clone());
        Ok(Sqlite { writer, index, for_events, for_people, _lock: lock })
    }
}

fn take_folder(folder: &Path) -> Result<File, OpenError> {
    let unusable = |error| OpenError::Folder(folder.to_owned(), error);
    fs::create_dir_all(folder).map_err(unusable)?;
    let lock = File::create(folder.join(LOCK)).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn load(&self, user: &UserId) -> Result<Versioned<User>, StoreError> {
        if let Some(active) = self.index.lock().user(user) {
            return Ok(active);
        }
        let user = user.clone();
        self.for_events.run(move |connection| read::user(connection, &user)).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.writer.run(Write::Commit(Box::new(commit))).await.map(|_| ())
    }

    async fn due_wakeups(&self, now: Instant, limit: usize) -> Result<Vec<UserId>, StoreError> {
        Ok(self.index.lock().due_wakeups(now, limit))
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError> {
        let leases = self.index.lock().claim(&claim);
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let granted = leases.clone();
        let claimed =
            self.for_events.run(move |connection| read::claimed(connection, granted)).await;
        if claimed.is_err() {
            let mut index = self.index.lock();
            leases.iter().for_each(|lease| index.retry(lease, claim.now));
        }
        claimed
    }

    async fn collapse(&self, wish: Collapse) -> Result<u64, StoreError> {
        let lines = self.index.lock().collapsible(&wish);
        if lines.is_empty() {
            return Ok(0);
        }
        let at = wish.at;
        let read = move |connection: &Connection| read::superseded(connection, &wish, lines);
        let superseded = self.for_events.run(read).await?;
        match self.writer.run(Write::Collapse(superseded, at)).await? {
            Done::Collapsed(count) => Ok(count),
            _ => Ok(0),
        }
    }

    async fn next_due(&self, endpoint: &EndpointName) -> Result<Option<Instant>, StoreError> {
        Ok(self.index.lock().next_due(endpoint))
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        self.writer.run(Write::Settle(Box::new(settlement))).await.map(|_| ())
    }

    async fn replay(&self, id: &CallbackId, now: Timestamp) -> Result<Replayed, StoreError> {
        match self.writer.run(Write::Replay(id.clone(), now)).await? {
            Done::Replayed(replayed) => Ok(replayed),
            _ => Ok(Replayed::Unknown),
        }
    }

    async fn purge(&self, rows: Vec<u64>) -> Result<u64, StoreError> {
        match self.writer.run(Write::Purge(rows)).await? {
            Done::Purged(count) => Ok(count),
            _ => Ok(0),
        }
    }

    async fn users(&self, query: UserQuery) -> Result<Vec<(UserId, User)>, StoreError> {
        if query.online_only {
            return Ok(self.index.lock().online_after(query.after.as_ref(), query.limit));
        }
        self.for_people.run(move |connection| read::users(connection, &query)).await
    }

    async fn users_online(&self) -> Result<u64, StoreError> {
        Ok(self.index.lock().users_online())
    }

    async fn callbacks(&self, query: CallbackQuery) -> Result<Vec<CallbackRecord>, StoreError> {
        let owed = query.user.as_ref().map(|user| self.index.lock().rows_owed(user));
        self.for_people.run(move |connection| read::callbacks(connection, &query, owed)).await
    }

    async fn callbacks_after(
        &self,
        endpoint: &EndpointName,
        row: u64,
        limit: usize,
    ) -> Result<Option<Vec<CallbackRecord>>, StoreError> {
        let endpoint = endpoint.clone();
        let read = move |connection: &_| read::callbacks_after(connection, &endpoint, row, limit);
        self.for_people.run(read).await
    }

    async fn callback(&self, id: &CallbackId) -> Result<Option<CallbackRecord>, StoreError> {
        let (id, owed) = (id.clone(), self.index.lock().row_owed(id));
        self.for_people.run(move |connection| read::callback(connection, &id, owed)).await
    }

    async fn backlog(&self, endpoint: &EndpointName) -> Result<Backlog, StoreError> {
        Ok(self.index.lock().backlog(endpoint))
    }

    async fn owes(&self, endpoint: &EndpointName, user: &UserId) -> Result<bool, StoreError> {
        Ok(self.index.lock().owes_to(endpoint, user))
    }

    async fn endpoints(&self) -> Result<Vec<EndpointName>, StoreError> {
        Ok(self.index.lock().endpoints())
    }

    async fn endpoint(&self, endpoint: &EndpointName) -> Result<EndpointState, StoreError> {
        Ok(self.index.lock().endpoint(endpoint))
    }

    async fn change_endpoint(
        &self,
        endpoint: &EndpointName,
        change: EndpointChange,
    ) -> Result<(), StoreError> {
        self.writer.run(Write::ChangeEndpoint(endpoint.clone(), change)).await.map(|_| ())
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        match self.writer.run(Write::Prune(prune)).await? {
            Done::Pruned(pruned) => Ok(pruned),
            _ => Ok(Pruned::default()),
        }
    }

    async fn register(&self, accounts: Vec<Account>) -> Result<Registered, StoreError> {
        match self.writer.run(Write::Register(accounts)).await? {
            Done::Registered(registered) => Ok(registered),
            _ => Ok(Registered::All),
        }
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        let users = users.to_vec();
        self.for_people.run(move |connection| read::accounts(connection, &users)).await
    }

    async fn epoch(&self, fresh: &str) -> Result<String, StoreError> {
        match self.writer.run(Write::Epoch(fresh.to_owned())).await? {
            Done::Epoch(epoch) => Ok(epoch),
            _ => Ok(fresh.to_owned()),
        }
    }

    async fn ended(&self) {
        self.writer.ended().await;
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.writer.run(Write::Probe).await.map(|_| ())
    }
}
