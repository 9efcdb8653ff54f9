//! Which logins wait for the App's answer. Forgotten with the process: what waits then is not let in.

use presence::{ConnId, Refusal, UserId};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// How many dials may share one question: as many as a user may have connections.
const SHARED_BY_MAX: usize = 64;
/// How many places one user may have: for each question that the core allows, and one for a login that
/// finds out whether it needs one.
const OF_USER_MAX: usize = 5;

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

/// Why there is no place for a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// All are taken.
    Full,
    /// The user has as many as one user may: soon one is free.
    OfUser,
}

/// The questions under way.
pub struct Asked {
    places: Mutex<Places>,
    most: usize,
}

#[derive(Default)]
struct Places {
    questions: HashMap<ConnId, Question>,
    /// How many each user has.
    of_users: HashMap<UserId, usize>,
}

/// One question. Its waiters are told in the order in which they came.
struct Question {
    user: UserId,
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
        Asked { places: Mutex::default(), most }
    }

    /// Takes a place for a question.
    pub fn ask(&self, user: &UserId, conn: ConnId) -> Result<Answer, NoPlace> {
        let places = &mut *self.lock();
        let of_user = places.of_users.entry(user.clone()).or_default();
        if *of_user >= OF_USER_MAX {
            return Err(NoPlace::OfUser);
        }
        if places.questions.len() >= self.most {
            if *of_user == 0 {
                places.of_users.remove(user);
            }
            return Err(NoPlace::Full);
        }
        *of_user += 1;
        let mut question =
            Question { user: user.clone(), answered: None, waiters: Vec::with_capacity(1) };
        let answer = question.wait();
        places.questions.insert(conn, question);
        Ok(answer)
    }

    /// Waits for the answer to the question about another connection.
    pub fn share(&self, question: ConnId) -> Result<Answer, NotShared> {
        let mut places = self.lock();
        let question = places.questions.get_mut(&question).ok_or(NotShared::NotAsked)?;
        question.waiters.retain(|waiter| !waiter.is_closed());
        if question.waiters.len() > SHARED_BY_MAX {
            return Err(NotShared::TooMany);
        }
        Ok(question.wait())
    }

    /// Ends a question and gives its place back.
    pub fn leave(&self, conn: ConnId) {
        let places = &mut *self.lock();
        let Some(question) = places.questions.remove(&conn) else { return };
        if let Entry::Occupied(mut of_user) = places.of_users.entry(question.user) {
            *of_user.get_mut() -= 1;
            if *of_user.get() == 0 {
                of_user.remove();
            }
        }
    }

    /// Tells all who wait for the answer about a connection; the first answer stands.
    pub fn answer(&self, conn: ConnId, answered: Answered) {
        if let Some(question) = self.lock().questions.get_mut(&conn) {
            let answered = question.answered.get_or_insert(answered);
            for waiter in question.waiters.drain(..) {
                // One that has hung up waits no more.
                let _ = waiter.send(answered.clone());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
