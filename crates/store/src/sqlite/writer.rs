//! The one thread that writes: drains what has gathered, one transaction, one sync.
//!
//! A write is answered after the sync, and the [`crate::index::Index`] learns of it after the sync
//! too, so that nothing decides on, or sends, what a crash could take back.

mod gathered;

use super::{
    CLOSED, SharedIndex, disk,
    files::{self, Files},
    write::{Batch, Done, Numbers, Outcome, Write},
};
use crate::{CallbackId, StoreError};
use gathered::Gathered;
use rusqlite::{Connection, TransactionBehavior};
use std::{
    fs::File,
    mem::take,
    sync::{Arc, Mutex, PoisonError, mpsc::RecvTimeoutError},
    thread,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot, watch};

/// How many writes may wait; beyond that callers wait to be let in.
const WAITING_MAX: usize = 8_192;
/// How long a store that is dropped without [`Writer::close`] waits for its thread. A disk that does
/// not answer must not keep the process from ending.
const DROP_WAIT_MAX: Duration = Duration::from_secs(1);

/// After so many transactions the size of the log is looked at.
const LOOK_AT_LOG_EVERY: u64 = 64;

const BROKEN: &str = "its thread ended in a panic, which is a fault in Herald";

pub(super) struct Writer {
    /// None once it is closed.
    writes: Mutex<Option<mpsc::Sender<Waiting>>>,
    /// How the thread ended; its sender is gone without a word if it panicked.
    ended: watch::Receiver<Option<Result<(), StoreError>>>,
    thread: Option<thread::JoinHandle<()>>,
    /// Disconnected when the thread ends.
    alive: Mutex<std::sync::mpsc::Receiver<()>>,
}

/// What the thread owns.
pub(super) struct Disk {
    pub(super) connection: Connection,
    /// Held until the last write is done; another process cannot take it.
    pub(super) lock: File,
    pub(super) files: Arc<Files>,
}

struct Waiting {
    write: Write,
    answer: oneshot::Sender<Result<Done, StoreError>>,
}

impl Writer {
    pub(super) fn start(mut disk: Disk, mut numbers: Numbers, index: SharedIndex) -> Writer {
        let (writes, mut waiting) = mpsc::channel(WAITING_MAX);
        let (end, ended) = watch::channel(None);
        let (lives, alive) = std::sync::mpsc::channel();
        let run = move || {
            let _lives = lives;
            disk.run(&mut numbers, &index, &mut waiting);
            end.send_replace(Some(disk.close()));
        };
        let thread = thread::Builder::new()
            .name("herald-writer".into())
            .spawn(run)
            .expect("a thread can be started at boot");
        let (writes, alive) = (Mutex::new(Some(writes)), Mutex::new(alive));
        Writer { writes, ended, thread: Some(thread), alive }
    }

    pub(super) async fn run(&self, write: Write) -> Result<Done, StoreError> {
        let closed = || StoreError::Unavailable(CLOSED.into());
        let writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (answer, answered) = oneshot::channel();
        writes.ok_or_else(closed)?.send(Waiting { write, answer }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Lets nothing in any more and waits until what was let in is written and the file is closed.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        self.take_no_more();
        self.ended().await.unwrap_or_else(|| Err(StoreError::Unavailable(BROKEN.into())))
    }

    /// Waits until its thread is gone; none if it panicked.
    pub(super) async fn ended(&self) -> Option<Result<(), StoreError>> {
        let mut ended = self.ended.clone();
        ended.wait_for(Option::is_some).await.ok()?.clone()
    }

    fn take_no_more(&self) {
        *self.writes.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.take_no_more();
        let alive = self.alive.get_mut().unwrap_or_else(PoisonError::into_inner);
        let is_gone = alive.recv_timeout(DROP_WAIT_MAX) == Err(RecvTimeoutError::Disconnected);
        if let Some(thread) = self.thread.take().filter(|_| is_gone) {
            let _ = thread.join();
        }
    }
}

impl Disk {
    /// Until nobody can write any more.
    fn run(
        &mut self,
        numbers: &mut Numbers,
        index: &SharedIndex,
        waiting: &mut mpsc::Receiver<Waiting>,
    ) {
        let timer = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let timer = timer.expect("a timer asks nothing of the system");
        let mut gathered = Gathered::default();
        for transaction in 1_u64.. {
            if !timer.block_on(gathered.more(waiting)) {
                break;
            }
            if transaction.is_multiple_of(LOOK_AT_LOG_EVERY)
                && let Err(error) = disk::bound_log(&self.connection)
            {
                tracing::warn!(%error, "the log of the store could not be emptied");
            }
            if gathered.urgent.is_empty() {
                let notes = take(&mut gathered.notes);
                gathered.notes = self.write_all(numbers, index, notes, || !waiting.is_empty());
            } else {
                self.write_all(numbers, index, take(&mut gathered.urgent), || false);
            }
        }
        self.write_all(numbers, index, gathered.notes, || false);
    }

    /// Writes all of them; or, when it `must_stop`, some, and returns the rest.
    fn write_all(
        &mut self,
        numbers: &mut Numbers,
        index: &SharedIndex,
        batch: Vec<Waiting>,
        must_stop: impl Fn() -> bool,
    ) -> Vec<Waiting> {
        let batch = batch.into_iter().map(|waiting| (waiting.write, waiting.answer));
        let (writes, answers): (Vec<_>, Vec<_>) = batch.unzip();
        let (mut writes, mut answers) = (writes.into_iter(), answers.into_iter());
        while !writes.as_slice().is_empty() {
            match self.write_some(numbers, index, &mut writes, &must_stop) {
                Ok(outcomes) => {
                    for (outcome, answer) in outcomes.into_iter().zip(answers.by_ref()) {
                        // A caller that is gone has nobody to tell.
                        let _ = answer.send(outcome);
                    }
                }
                Err(error) => {
                    for answer in answers {
                        let _ = answer.send(Err(error.clone()));
                    }
                    return Vec::new();
                }
            }
            if must_stop() {
                break;
            }
        }
        writes.zip(answers).map(|(write, answer)| Waiting { write, answer }).collect()
    }

    /// As many of them as go into one transaction; on an error none of what is left.
    fn write_some(
        &mut self,
        numbers: &mut Numbers,
        index: &SharedIndex,
        writes: &mut std::vec::IntoIter<Write>,
        must_stop: &impl Fn() -> bool,
    ) -> Result<Vec<Result<Done, StoreError>>, StoreError> {
        // What is missing is said by `Files`, once.
        self.files.check()?;
        let (before, count) = (*numbers, writes.len());
        let mut held = Vec::new();
        let written = self.commit(numbers, index, writes, &mut held, must_stop).map_err(|error| {
            // Rows that failed to sync may still turn up after a crash: never use them again.
            *numbers = Numbers { last_row: numbers.last_row, ..before };
            tracing::error!(%error, writes = count, "nothing could be stored");
            StoreError::from(error)
        });
        let written = written.and_then(|written| self.files.check_written().map(|()| written));
        let mut index = index.lock();
        let told = written.map(|written| {
            let told = written.into_iter().map(|outcome| match outcome {
                Outcome::Refused(error) => Err(error),
                Outcome::Written { learn, done } => {
                    learn.into_iter().for_each(|fact| fact.teach(&mut index));
                    Ok(done)
                }
            });
            told.collect()
        });
        held.iter().for_each(|id| index.release(id));
        told
    }

    /// One transaction. A write that is refused (a conflict) harms nobody. One that had to be taken
    /// back is the last of its transaction.
    fn commit(
        &mut self,
        numbers: &mut Numbers,
        index: &SharedIndex,
        writes: &mut std::vec::IntoIter<Write>,
        held: &mut Vec<CallbackId>,
        must_stop: &impl Fn() -> bool,
    ) -> rusqlite::Result<Vec<Outcome>> {
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        let mut batch = Batch::begin(&transaction, index, numbers, held);
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in writes {
            outcomes.push(batch.write(write)?);
            if batch.is_spent() || must_stop() {
                break;
            }
        }
        batch.end()?;
        transaction.commit()?;
        Ok(outcomes)
    }

    /// Leaves everything in the database. If that is not where it was any more, its log is left as
    /// it is: by its name it may be another's.
    fn close(self) -> Result<(), StoreError> {
        let Disk { connection, lock, files } = self;
        files.check()?;
        let path = connection.path().unwrap_or(files::DATABASE).to_owned();
        if !disk::close(connection)? {
            tracing::warn!(
                "another program reads {path}, so a part of the store is left in {path}-wal: it must \
                 be copied as well; or end that program, then start and stop herald again"
            );
        }
        drop(lock);
        Ok(())
    }
}
