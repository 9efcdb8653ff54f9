//! Which logins wait for the App's answer. Forgotten with the process: what waits then is not let in.

use presence::{ConnId, Refusal};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

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
pub type Answer = oneshot::Receiver<Answered>;

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
    questions: Mutex<HashMap<ConnId, Question>>,
    most: usize,
}

/// One question. Its waiters are told in the order in which they came.
#[derive(Default)]
struct Question {
    answered: Option<Answered>,
    waiters: Vec<oneshot::Sender<Answered>>,
}

impl Question {
    fn wait(&mut self) -> Answer {
        let (waiter, answer) = oneshot::channel();
        match &self.answered {
            // Nobody can have hung up on it yet.
            Some(answered) => _ = waiter.send(answered.clone()),
            None => self.waiters.push(waiter),
        }
        answer
    }
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
        let mut question = Question::default();
        let answer = question.wait();
        questions.insert(conn, question);
        Some(answer)
    }

    /// Waits for the answer to the question about another connection.
    pub fn share(&self, question: ConnId) -> Result<Answer, NotShared> {
        let mut questions = self.lock();
        let question = questions.get_mut(&question).ok_or(NotShared::NotAsked)?;
        question.waiters.retain(|waiter| !waiter.is_closed());
        if question.waiters.len() > SHARED_BY_MAX {
            return Err(NotShared::TooMany);
        }
        Ok(question.wait())
    }

    /// Ends a question and gives its place back.
    pub fn leave(&self, conn: ConnId) {
        self.lock().remove(&conn);
    }

    /// Tells all who wait for the answer about a connection; the first answer stands.
    pub fn answer(&self, conn: ConnId, answered: Answered) {
        if let Some(question) = self.lock().get_mut(&conn) {
            let answered = question.answered.get_or_insert(answered);
            for waiter in question.waiters.drain(..) {
                // One that has hung up waits no more.
                let _ = waiter.send(answered.clone());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnId, Question>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
