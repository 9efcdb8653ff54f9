//! A port's places for connections, and who loses theirs when all are taken.
//!
//! A connection that has asked for nothing yet, or rests between two requests, may be closed at any
//! time. So when all places are taken the one that rests longest is closed for one that comes, and
//! clients that connect and say nothing cannot keep others out.

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The places of one port.
pub(super) struct Places {
    free: Arc<Semaphore>,
    most: usize,
    resting: Mutex<Resting>,
    /// Rung when a connection begins to rest.
    rests: Notify,
}

#[derive(Default)]
struct Resting {
    next: u64,
    /// The one that rests longest is the first.
    connections: BTreeMap<u64, CancellationToken>,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Places> {
        let (resting, rests) = Default::default();
        Arc::new(Places { free: Arc::new(Semaphore::new(most)), most, resting, rests })
    }

    /// A place for a connection that has come, as soon as there is one.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            // Asked before looking, so that none in between is missed.
            let rests = self.rests.notified();
            let taken = Arc::clone(&self.free).try_acquire_owned();
            if let Ok(permit) = taken {
                return Place::new(Arc::clone(self), permit);
            }
            let closes = self.close_longest_resting();
            tokio::select! {
                biased;
                permit = Arc::clone(&self.free).acquire_owned() => {
                    let permit = permit.expect("nobody closes it");
                    return Place::new(Arc::clone(self), permit);
                }
                () = rests, if !closes => {}
            }
        }
    }

    /// Waits until all are free again.
    pub(super) async fn all_free(&self) {
        let _ = self.free.acquire_many(self.most as u32).await;
    }

    /// Whether there was one.
    pub(super) fn close_longest_resting(&self) -> bool {
        let longest = self.lock().connections.pop_first();
        longest.is_some_and(|(_, close)| {
            close.cancel();
            true
        })
    }

    fn lock(&self) -> MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place. It rests, but for while it is [busy](Place::busy).
pub(super) struct Place {
    places: Arc<Places>,
    /// Since when it rests, in the order of all.
    since: Mutex<Option<u64>>,
    close: CancellationToken,
    is_upgraded: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(places: Arc<Places>, permit: OwnedSemaphorePermit) -> Place {
        let place = Place {
            places,
            since: Mutex::default(),
            close: CancellationToken::new(),
            is_upgraded: AtomicBool::new(false),
            _permit: permit,
        };
        place.rest();
        place
    }

    /// Waits until somebody else needs it.
    pub(super) async fn is_needed(&self) {
        self.close.cancelled().await;
    }

    /// A request has come: the connection is not to be closed until this is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.stop_resting();
        Busy(Arc::clone(self))
    }

    fn rest(&self) {
        if self.is_upgraded.load(Relaxed) {
            return;
        }
        let mut resting = self.places.lock();
        let at = resting.next;
        resting.next += 1;
        resting.connections.insert(at, self.close.clone());
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
        drop(resting);
        self.places.rests.notify_one();
    }

    fn stop_resting(&self) {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(since) = since {
            self.places.lock().connections.remove(&since);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop_resting();
    }
}

/// While a request is under way.
pub(super) struct Busy(Arc<Place>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.rest();
    }
}

impl Busy {
    /// Busy until all of the body is sent.
    pub(super) fn until_sent(self, body: Body) -> Body {
        Body::new(Tracked { body, _busy: self })
    }

    /// Busy for as long as the connection is ours: it goes its own way.
    pub(super) fn until_upgraded(self) {
        self.0.is_upgraded.store(true, Relaxed);
    }
}

struct Tracked {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn is_closed(place: &Place) -> bool {
        place.is_needed().now_or_never().is_some()
    }

    #[tokio::test]
    async fn who_comes_takes_the_place_of_the_one_that_rests_longest() {
        let places = Places::new(2);
        let first = Arc::new(places.take().await);
        let second = Arc::new(places.take().await);
        drop(first.busy());
        let third = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take().await }
        });
        second.is_needed().await;
        assert!(!is_closed(&first), "it had a request since");
        drop(second);
        drop((third.await.unwrap(), first));
        places.all_free().await;
        assert!(places.lock().connections.is_empty());
    }

    #[tokio::test]
    async fn who_is_busy_keeps_the_place_until_it_rests() {
        let places = Places::new(1);
        let first = Arc::new(places.take().await);
        let busy = first.busy();
        let mut second = Box::pin(places.take());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(!is_closed(&first));
        drop(busy);
        assert!(second.as_mut().now_or_never().is_none(), "the first is still there");
        assert!(is_closed(&first));
        drop(first);
        second.await;
    }
}
