//! The embedded default: one SQLite file, one writer thread with group commit.
//!
//! Writes are sent to the [`writer`], which drains what has gathered into one transaction and one
//! sync. What is read for every event (present users, what is owed) is kept in the [`Index`] and
//! never read from the file; reading connections serve the rest: one for logins, one for each
//! endpoint, one for people.

mod check;
mod disk;
mod facts;
mod faults;
mod files;
mod marks;
mod person;
mod prune;
mod read;
mod replay;
mod rows;
mod schema;
mod set_aside;
mod start;
mod write;
mod writer;

use crate::{
    Account, Anew, Backlog, CallbackId, CallbackQuery, CallbackRecord, CallbacksPage, Claim,
    Claimed, Collapse, Commit, EndpointChange, EndpointName, EndpointState, Erase, Erased, Erasure,
    Mark, Prune, Pruned, Registered, Replay, Replayed, SetAside, Settlement, Store, StoreError,
    UserQuery, Versioned, index::Index,
};
use async_trait::async_trait;
pub use check::{CheckError, Checked, Problem, check};
use files::Files;
pub use files::make_folder;
use presence::{Ages, Instant, Timestamp, User, UserId};
use rows::ReadError;
use rusqlite::Connection;
use schema::Holds;
use start::StartError;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Semaphore;
use write::{Done, Write};
use writer::{Disk, Writer};

const CLOSED: &str = "the store is closed";

/// The backend with a file.
pub struct Sqlite {
    // Dropped in this order: the last connection that is closed empties the log into the file.
    for_logins: Reader,
    for_endpoints: EndpointReaders,
    for_people: Reader,
    writer: Writer,
    index: SharedIndex,
    files: Arc<Files>,
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
    #[error("cannot use {path}{hint}", path = .0.display(), hint = disk::hint(.1))]
    File(PathBuf, #[source] rusqlite::Error),
    #[error("cannot use {0}: {1}")]
    NoStore(PathBuf, String),
    #[error(
        "{0} is damaged: `herald store check` says how; restore the folder from a backup, or move it \
         away to begin with nothing"
    )]
    Damaged(PathBuf, #[source] rusqlite::Error),
    #[error(
        "{1} rows of {0} cannot be read, too many to set them aside: `herald store check` lists \
         them; the first is {2}"
    )]
    Unreadable(PathBuf, usize, String),
}

#[derive(Clone, Default)]
struct SharedIndex(Arc<Mutex<Index>>);

impl SharedIndex {
    fn new(index: Index) -> SharedIndex {
        SharedIndex(Arc::new(Mutex::new(index)))
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many endpoints have a reader of their own; further ones share them.
const ENDPOINT_READERS_MAX: usize = 8;

/// A reader for each endpoint, opened at its first claim: what an endpoint has to read for its backlog
/// keeps neither a login waiting nor another endpoint.
struct EndpointReaders {
    path: PathBuf,
    readers: Mutex<Vec<(EndpointName, Reader)>>,
}

impl EndpointReaders {
    fn new(path: PathBuf) -> EndpointReaders {
        EndpointReaders { path, readers: Mutex::default() }
    }

    fn of(&self, endpoint: &EndpointName) -> Result<Reader, StoreError> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, reader)) = readers.iter().find(|(name, _)| name == endpoint) {
            return Ok(reader.clone());
        }
        let reader = match readers.len().checked_sub(ENDPOINT_READERS_MAX) {
            Some(beyond) => readers[beyond % ENDPOINT_READERS_MAX].1.clone(),
            None => Reader::new(disk::open_to_read(&self.path)?),
        };
        readers.push((endpoint.clone(), reader.clone()));
        Ok(reader)
    }

    async fn close(&self) {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (_, reader) in readers {
            reader.close().await;
        }
    }
}

/// A connection that only reads, used by one call at a time.
#[derive(Clone)]
struct Reader {
    /// None once the store is closed.
    connection: Arc<Mutex<Option<Connection>>>,
    /// Waited for before a thread is taken, so that who waits does not hold one.
    turn: Arc<Semaphore>,
}

impl Reader {
    fn new(connection: Connection) -> Reader {
        let connection = Arc::new(Mutex::new(Some(connection)));
        Reader { connection, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Waits for what is being read.
    async fn close(&self) {
        let turn = self.turn.acquire().await;
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = None;
        drop(turn);
    }

    async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<Result<T, ReadError>, StoreError> {
        let unavailable =
            |error: &dyn std::error::Error| StoreError::Unavailable(error.to_string());
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let turn = turn.map_err(|error| unavailable(&error))?;
        let connection = Arc::clone(&self.connection);
        let read = move || {
            let _turn = turn;
            match &*connection.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(connection) => Ok(read(connection)),
                None => Err(StoreError::Unavailable(CLOSED.into())),
            }
        };
        let done = tokio::task::spawn_blocking(read).await;
        done.map_err(|error| unavailable(&error))?
    }
}

impl Sqlite {
    /// Opens the store in a folder, which is made if it is not there, and takes it for this process.
    pub fn open(folder: &Path, sync: Sync) -> Result<Sqlite, OpenError> {
        let path = folder.join(files::DATABASE);
        let lock = files::take_folder(folder)?;
        let sqlite = |error| match disk::is_damaged(&error) {
            true => OpenError::Damaged(path.clone(), error),
            false => OpenError::File(path.clone(), error),
        };
        if disk::lost_to_its_log(&path) {
            return Err(OpenError::NoStore(path, files::EMPTY_BESIDE_LOG.into()));
        }
        let holds = disk::open_to_check(&path, disk::Look::Alone)
            .and_then(|connection| schema::holds(&connection));
        if let Holds::Foreign(why) = holds.map_err(sqlite)? {
            return Err(OpenError::NoStore(path, format!("it holds no store of Herald: {why}")));
        }
        let mut connection = disk::open(&path, sync).map_err(sqlite)?;
        let version = schema::migrate(&mut connection).map_err(sqlite)?;
        if version > schema::VERSION {
            return Err(OpenError::TooNew(path, version, schema::VERSION));
        }
        let begun = start::everything_alive(&mut connection);
        let (index, numbers) = begun.map_err(|error| match error {
            StartError::Sqlite(error) => sqlite(error),
            StartError::Unreadable(count, first) => {
                OpenError::Unreadable(path.clone(), count, first)
            }
        })?;
        let reader = || -> Result<Reader, OpenError> {
            Ok(Reader::new(disk::open_to_read(&path).map_err(sqlite)?))
        };
        let (for_logins, for_people) = (reader()?, reader()?);
        let for_endpoints = EndpointReaders::new(path.clone());
        let unusable = |error| OpenError::Folder(folder.to_owned(), error);
        let files = Arc::new(Files::opened(folder).map_err(unusable)?);
        let disk = Disk { connection, lock, files: Arc::clone(&files) };
        let writer = Writer::start(disk, numbers, index.clone());
        Ok(Sqlite { for_logins, for_endpoints, for_people, writer, index, files })
    }
}

impl Sqlite {
    /// Reads, and sets aside what cannot be read until the rest can.
    async fn read<T: Send + 'static>(
        &self,
        reader: &Reader,
        read: impl Fn(&Connection) -> Result<T, ReadError> + Send + std::marker::Sync + 'static,
    ) -> Result<T, StoreError> {
        let read = Arc::new(read);
        loop {
            let again = Arc::clone(&read);
            match reader.run(move |connection| again(connection)).await? {
                Ok(found) => return Ok(found),
                // There are not so many that this goes on for ever: beyond `SET_ASIDE_MAX` it fails.
                Err(ReadError::Row(row)) => self.writer.run(Write::SetAside(row)).await?,
                Err(ReadError::Sqlite(error)) => return Err(error.into()),
            };
        }
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn load(&self, user: &UserId) -> Result<Versioned<User>, StoreError> {
        if let Some(active) = self.index.lock().user(user) {
            return Ok(active);
        }
        let user = user.clone();
        self.read(&self.for_logins, move |connection| read::user(connection, &user)).await
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
        let claimed = match self.for_endpoints.of(&claim.endpoint) {
            Ok(reader) => {
                self.read(&reader, move |connection| read::claimed(connection, &granted)).await
            }
            Err(error) => Err(error),
        };
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
        let (at, reader) = (wish.at, self.for_endpoints.of(&wish.endpoint)?);
        let read = move |connection: &Connection| read::superseded(connection, &wish, &lines);
        let superseded = self.read(&reader, read).await?;
        match self.writer.run(Write::Collapse(superseded, at)).await? {
            Done::Collapsed(count) => Ok(count),
            other => other.mismatched(),
        }
    }

    async fn next_due(&self, endpoint: &EndpointName) -> Result<Option<Instant>, StoreError> {
        Ok(self.index.lock().next_due(endpoint))
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        self.writer.run(Write::Settle(Box::new(settlement))).await.map(|_| ())
    }

    async fn replay(&self, replay: Replay) -> Result<Replayed, StoreError> {
        match self.writer.run(Write::Replay(replay)).await? {
            Done::Replayed(replayed) => Ok(replayed),
            other => other.mismatched(),
        }
    }

    async fn begin_anew(&self, anew: Anew) -> Result<(), StoreError> {
        match self.writer.run(Write::Anew(anew)).await? {
            Done::Written => Ok(()),
            other => other.mismatched(),
        }
    }

    async fn purge(&self, rows: Vec<u64>) -> Result<u64, StoreError> {
        match self.writer.run(Write::Purge(rows)).await? {
            Done::Purged(count) => Ok(count),
            other => other.mismatched(),
        }
    }

    async fn users(&self, query: UserQuery) -> Result<Vec<(UserId, User)>, StoreError> {
        if query.online_only {
            return Ok(self.index.lock().online_after(query.after.as_ref(), query.limit));
        }
        self.read(&self.for_people, move |connection| read::users(connection, &query)).await
    }

    async fn users_online(&self) -> Result<u64, StoreError> {
        Ok(self.index.lock().users_online())
    }

    async fn callbacks(&self, query: CallbackQuery) -> Result<Vec<CallbackRecord>, StoreError> {
        let owed = query.user.as_ref().map(|user| self.index.lock().rows_owed(user));
        self.read(&self.for_people, move |connection| {
            read::callbacks(connection, &query, owed.as_deref())
        })
        .await
    }

    async fn callbacks_after(
        &self,
        endpoint: &EndpointName,
        row: u64,
        limit: usize,
    ) -> Result<Option<CallbacksPage>, StoreError> {
        let endpoint = endpoint.clone();
        let read = move |connection: &_| read::callbacks_after(connection, &endpoint, row, limit);
        self.read(&self.for_people, read).await
    }

    async fn newest_rows(&self, endpoint: &EndpointName) -> Result<(u64, u64), StoreError> {
        Ok(self.index.lock().newest_rows(endpoint))
    }

    async fn callback(&self, id: &CallbackId) -> Result<Option<CallbackRecord>, StoreError> {
        let (id, owed) = (id.clone(), self.index.lock().row_owed(id));
        self.read(&self.for_people, move |connection| read::callback(connection, &id, owed)).await
    }

    async fn backlog(&self, endpoint: &EndpointName) -> Result<Backlog, StoreError> {
        Ok(self.index.lock().backlog(endpoint))
    }

    async fn marks_due(
        &self,
        endpoint: &EndpointName,
        now: Timestamp,
        limit: usize,
        at_once_only: bool,
    ) -> Result<Vec<Mark>, StoreError> {
        Ok(self.index.lock().marks_due(endpoint, now, limit, at_once_only))
    }

    async fn mark_to_tell(&self, mark: &Mark) -> Result<Option<Mark>, StoreError> {
        Ok(self.index.lock().mark_to_tell(mark))
    }

    async fn is_marked(&self, endpoint: &EndpointName, user: &UserId) -> Result<bool, StoreError> {
        Ok(self.index.lock().is_marked(endpoint, user))
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
            other => other.mismatched(),
        }
    }

    async fn register(&self, accounts: Vec<Account>) -> Result<Registered, StoreError> {
        match self.writer.run(Write::Register(accounts)).await? {
            Done::Registered(registered) => Ok(registered),
            other => other.mismatched(),
        }
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        let users = users.to_vec();
        self.read(&self.for_people, move |connection| read::accounts(connection, &users)).await
    }

    async fn erase(&self, erase: &Erase) -> Result<Erasure, StoreError> {
        let mut all = Erased::default();
        loop {
            match self.writer.run(Write::Erase(erase.clone())).await? {
                Done::Erased(Erasure::Done(erased), has_more) => {
                    all.state |= erased.state;
                    all.account |= erased.account;
                    all.callbacks += erased.callbacks;
                    all.owed += erased.owed;
                    all.set_aside += erased.set_aside;
                    if !has_more {
                        return Ok(Erasure::Done(all));
                    }
                }
                Done::Erased(needed, _) => return Ok(needed),
                other => return other.mismatched(),
            }
        }
    }

    async fn epoch(&self, fresh: &str) -> Result<String, StoreError> {
        match self.writer.run(Write::Epoch(fresh.to_owned())).await? {
            Done::Epoch(epoch) => Ok(epoch),
            other => other.mismatched(),
        }
    }

    async fn ended(&self) {
        self.writer.ended().await;
    }

    async fn ages(&self) -> Result<Ages, StoreError> {
        self.read(&self.for_people, read::ages).await
    }

    async fn keep_ages(&self, ages: Ages) -> Result<(), StoreError> {
        self.writer.run(Write::Ages(Box::new(ages))).await.map(|_| ())
    }

    async fn highest_seq(&self) -> Result<u64, StoreError> {
        match self.writer.run(Write::HighestSeq).await? {
            Done::HighestSeq(seq) => Ok(seq),
            other => other.mismatched(),
        }
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.writer.run(Write::Probe).await?;
        self.read(&self.for_logins, |connection| Ok(read::probe(connection)?)).await
    }

    async fn set_aside(&self, after: u64, limit: usize) -> Result<Vec<SetAside>, StoreError> {
        let read = move |connection: &_| Ok(set_aside::list(connection, after, limit)?);
        self.read(&self.for_people, read).await
    }

    async fn set_aside_count(&self) -> Result<u64, StoreError> {
        Ok(self.index.lock().set_aside())
    }

    async fn check_files(&self) -> Result<(), StoreError> {
        self.files.check()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.for_logins.close().await;
        self.for_endpoints.close().await;
        self.for_people.close().await;
        self.writer.close().await
    }
}
