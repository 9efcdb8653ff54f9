//! Who waits at the door for the App's answer. Forgotten with the process: those who wait then are
//! not let in.

use presence::{ConnId, Refusal};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// What the App had to say about somebody at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// Nothing against it.
    Agreed,
    /// It will not have them.
    Refused(Refusal),
    /// No answer that says anything; it is told again later.
    Failed,
}

/// Everybody who waits.
pub struct Asked {
    waiting: Mutex<HashMap<ConnId, oneshot::Sender<Answered>>>,
    most: usize,
}

impl Asked {
    /// Room for so many.
    pub(super) fn new(most: usize) -> Asked {
        Asked { waiting: Mutex::default(), most }
    }

    /// Takes a place; none when all are taken.
    pub fn wait(&self, conn: ConnId) -> Option<oneshot::Receiver<Answered>> {
        let mut waiting = self.lock();
        if waiting.len() >= self.most {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        waiting.insert(conn, answer);
        Some(answered)
    }

    /// Gives the place back.
    pub fn leave(&self, conn: ConnId) {
        self.lock().remove(&conn);
    }

    /// Whether somebody waits there.
    pub(super) fn waits(&self, conn: ConnId) -> bool {
        self.lock().contains_key(&conn)
    }

    /// Tells the one who waits, if there is one.
    pub(super) fn answer(&self, conn: ConnId, answered: Answered) {
        if let Some(answer) = self.lock().remove(&conn) {
            let _ = answer.send(answered);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnId, oneshot::Sender<Answered>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
