//! What waits to be written, and what of it goes first.
//!
//! A client waits for the commit of its login; nobody waits for the note of what an App answered.
//! While logins come, such notes are kept for a moment, so that many of them are one transaction
//! between two logins, and one that ends as soon as a login comes: draining a backlog slows no login.

use super::Waiting;
use crate::sqlite::write::Write;
use std::time::Duration;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// How many writes share one transaction.
const BATCH_MAX: usize = 1_024;
/// How long a note is kept for others.
const KEPT_FOR: Duration = Duration::from_millis(3);
/// So many are written at once.
const KEPT_MAX: usize = 32;
/// Where logins never pause, notes that are older than this go with them.
const KEPT_FOR_MAX: Duration = Duration::from_millis(20);
/// After so long without a login there is nobody to be kept out of the way of.
const LOGINS_PAUSE: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Gathered {
    /// To be written now.
    pub(super) urgent: Vec<Waiting>,
    /// What became of attempts. To be written when nothing is urgent.
    pub(super) notes: Vec<Waiting>,
    /// When the first of the notes came.
    noted_at: Option<Instant>,
    urgent_at: Option<Instant>,
}

impl Gathered {
    /// Waits until something is to be written now. False when nothing more will come.
    pub(super) async fn more(&mut self, waiting: &mut mpsc::Receiver<Waiting>) -> bool {
        if self.notes.is_empty() {
            self.noted_at = None;
        }
        let mut came = Vec::new();
        loop {
            let room = waiting.recv_many(&mut came, BATCH_MAX);
            let count = match self.notes_due_at() {
                None => room.await,
                Some(due) => match timeout_at(due, room).await {
                    Ok(count) => count,
                    Err(_) => return true,
                },
            };
            if count == 0 {
                return false;
            }
            self.sort(&mut came);
            if !self.urgent.is_empty() || self.notes.len() >= KEPT_MAX {
                return true;
            }
        }
    }

    fn notes_due_at(&self) -> Option<Instant> {
        let noted_at = self.noted_at?;
        let logins_come = self.urgent_at.is_some_and(|at| at.elapsed() < LOGINS_PAUSE);
        Some(if logins_come { noted_at + KEPT_FOR } else { noted_at })
    }

    #[expect(clippy::disallowed_methods, reason = "how long a note is kept decides nothing else")]
    fn sort(&mut self, came: &mut Vec<Waiting>) {
        let now = Instant::now();
        for one in came.drain(..) {
            match one.write {
                Write::Settle(_) => self.notes.push(one),
                _ => self.urgent.push(one),
            }
        }
        if !self.urgent.is_empty() {
            self.urgent_at = Some(now);
        }
        let noted_at = *self.noted_at.get_or_insert(now);
        if self.notes.is_empty() {
            self.noted_at = None;
        } else if now - noted_at > KEPT_FOR_MAX {
            self.urgent.append(&mut self.notes);
        }
    }
}
