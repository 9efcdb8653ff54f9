//! How callbacks tell the loop that a snapshot is due.

use crate::Event;
use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

/// Rung by callbacks, heard by [`sync_loop`](super::sync_loop). One for each Herald; clones are the
/// same bell.
#[derive(Debug, Clone, Default)]
pub struct Bell(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Of the store that was read last.
    epoch: Option<String>,
    rung: bool,
    waker: Option<Waker>,
}

impl Bell {
    /// Call it with every event that your handler gets.
    pub fn heard(&self, event: &Event) {
        let mut state = self.state();
        let other = |epoch| state.epoch.as_ref().is_some_and(|known| known != epoch);
        if event.resync_needed || event.epoch.as_ref().is_some_and(other) {
            state.rung = true;
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }

    pub(super) fn read(&self, epoch: Option<String>) {
        self.state().epoch = epoch;
    }

    pub(super) fn is_other(&self, epoch: &str) -> bool {
        self.state().epoch.as_deref() != Some(epoch)
    }

    pub(super) fn set_rung(&self, rung: bool) {
        self.state().rung = rung;
    }

    /// Waits until it rings, or until that is over.
    pub(super) async fn rings_within(&self, time: impl Future<Output = ()>) -> bool {
        let mut time = pin!(time);
        poll_fn(|context| {
            let mut state = self.state();
            if state.rung {
                return Poll::Ready(true);
            }
            state.waker = Some(context.waker().clone());
            drop(state);
            time.as_mut().poll(context).map(|()| false)
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
