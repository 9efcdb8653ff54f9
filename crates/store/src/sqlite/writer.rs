//! The one thread that writes: drains what has gathered, one transaction, one sync.
//!
//! A write is answered after the sync, and the [`crate::index::Index`] learns of it after the sync
//! too, so that nothing decides on, or sends, what a crash could take back.

use super::{
    SharedIndex,
    write::{Batch, Done, Numbers, Outcome, Write},
};
use crate::StoreError;
use rusqlite::{Connection, TransactionBehavior};
use std::thread;
use tokio::sync::{mpsc, oneshot};

/// How many writes may wait; beyond that callers wait to be let in.
const WAITING_MAX: usize = 8_192;
/// How many writes share one transaction.
const BATCH_MAX: usize = 1_024;

pub(super) struct Writer {
    writes: mpsc::Sender<Waiting>,
}

struct Waiting {
    write: Write,
    answer: oneshot::Sender<Result<Done, StoreError>>,
}

impl Writer {
    pub(super) fn start(connection: Connection, numbers: Numbers, index: SharedIndex) -> Writer {
        let (writes, waiting) = mpsc::channel(WAITING_MAX);
        let run = move || run(connection, numbers, &index, waiting);
        thread::Builder::new()
            .name("herald-writer".into())
            .spawn(run)
            .expect("a thread can be started at boot");
        Writer { writes }
    }

    pub(super) async fn run(&self, write: Write) -> Result<Done, StoreError> {
        let stopped = || StoreError::Unavailable("the writer has stopped".into());
        let (answer, answered) = oneshot::channel();
        self.writes.send(Waiting { write, answer }).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    /// Waits until its thread is gone.
    pub(super) async fn ended(&self) {
        self.writes.closed().await;
    }
}

fn run(
    mut connection: Connection,
    mut numbers: Numbers,
    index: &SharedIndex,
    mut waiting: mpsc::Receiver<Waiting>,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        let (writes, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|waiting| (waiting.write, waiting.answer)).unzip();
        let before = numbers;
        match write_all(&mut connection, &mut numbers, index, writes) {
            Ok(outcomes) => {
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    // A caller that is gone has nobody to tell.
                    let _ = answer.send(outcome);
                }
            }
            Err(error) => {
                // Rows that failed to sync may still turn up after a crash: never use them again.
                numbers = Numbers { last_row: numbers.last_row, ..before };
                tracing::error!(error = %error, writes = answers.len(), "nothing could be stored");
                for answer in answers {
                    let _ = answer.send(Err(StoreError::Unavailable(error.to_string())));
                }
            }
        }
    }
}

/// All of them, or none on an error of the disk. A write that is refused (a conflict) harms nobody.
fn write_all(
    connection: &mut Connection,
    numbers: &mut Numbers,
    index: &SharedIndex,
    writes: Vec<Write>,
) -> rusqlite::Result<Vec<Result<Done, StoreError>>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut batch = Batch::begin(&transaction, index, numbers);
    let outcomes: Vec<Outcome> =
        writes.into_iter().map(|write| batch.write(write)).collect::<rusqlite::Result<_>>()?;
    batch.end()?;
    transaction.commit()?;
    let mut index = index.lock();
    let told = outcomes.into_iter().map(|outcome| match outcome {
        Outcome::Refused(error) => Err(error),
        Outcome::Written { learn, done } => {
            learn.into_iter().for_each(|fact| fact.teach(&mut index));
            Ok(done)
        }
    });
    Ok(told.collect())
}
