//! Which logins wait for the App's answer. Forgotten with the process: what waits then is not let in.

use presence::{ConnId, Refusal};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// How many dials may share one question.
const SHARED_BY_MAX: usize = 8;

/// What the App had to say about a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// Nothing against it.
    Agreed,
    /// It will not have them.
    Refused(Refusal),
    /// No answer that says anything; it is told again later.
    Failed,
}

/// Where an answer arrives; closed if the question ends without one.
pub type Answer = watch::Receiver<Option<Answered>>;

/// Why a dial cannot share a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotShared {
    /// It is not asked here, or not any more.
    NotAsked,
    /// As many dials share it as may.
    TooMany,
}

/// The questions under way.
pub struct Asked {
    questions: Mutex<HashMap<ConnId, watch::Sender<Option<Answered>>>>,
    most: usize,
}

impl Asked {
    /// Room for so many.
    pub(super) fn new(most: usize) -> Asked {
        Asked { questions: Mutex::default(), most }
    }

    /// Takes a place for a question; none when all are taken.
    pub fn ask(&self, conn: ConnId) -> Option<Answer> {
        let mut questions = self.lock();
        if questions.len() >= self.most {
            return None;
        }
        let (question, answer) = watch::channel(None);
        questions.insert(conn, question);
        Some(answer)
    }

    /// Waits for the answer to the question about another connection.
    pub fn share(&self, question: ConnId) -> Result<Answer, NotShared> {
        let questions = self.lock();
        let question = questions.get(&question).ok_or(NotShared::NotAsked)?;
        if question.receiver_count() > SHARED_BY_MAX {
            return Err(NotShared::TooMany);
        }
        Ok(question.subscribe())
    }

    /// Ends a question and gives its place back.
    pub fn leave(&self, conn: ConnId) {
        self.lock().remove(&conn);
    }

    /// Tells all who wait for the answer about a connection; the first answer stands.
    pub fn answer(&self, conn: ConnId, answered: Answered) {
        if let Some(question) = self.lock().get(&conn) {
            question.send_if_modified(|answer| {
                let is_first = answer.is_none();
                answer.get_or_insert(answered);
                is_first
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnId, watch::Sender<Option<Answered>>>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
