//! Whether the server should be sent clients.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why not, if not.
#[derive(Default)]
pub struct Readiness(Mutex<Reasons>);

#[derive(Default)]
struct Reasons {
    stopping: bool,
    store: Option<String>,
}

impl Readiness {
    /// The server goes away.
    pub fn stopping(&self) {
        self.lock().stopping = true;
    }

    /// Whether the server goes away.
    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// What the last look at the store found. What clients' own reads and commits meet is the
    /// [driver](crate::driver::Driver::store_failing)'s to say.
    pub fn store(&self, problem: Option<String>) {
        self.lock().store = problem;
    }

    /// Why nothing can be stored, if so.
    pub fn store_problem(&self) -> Option<String> {
        self.lock().store.clone()
    }

    /// Empty: ready.
    pub fn reasons(&self, store_problem: Option<String>) -> Vec<String> {
        let stopping = self.is_stopping().then(|| "the server is stopping".to_owned());
        let store = store_problem.map(|problem| format!("the store: {problem}"));
        stopping.into_iter().chain(store).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Reasons> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
