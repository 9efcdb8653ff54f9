//! A port's places for connections, and who loses theirs when all are taken.
//!
//! A connection that has asked for nothing yet, or rests between two requests, may be closed at any
//! time. So when all places are taken the one that rests longest is closed for one that comes, and
//! clients that connect and say nothing cannot keep others out.

use crate::peer::Site;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
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
    connections: BTreeMap<u64, Rests>,
    sites: HashMap<Site, Theirs>,
}

struct Rests {
    close: CancellationToken,
    site: Option<Site>,
}

/// What one address has.
#[derive(Default)]
struct Theirs {
    places: usize,
    resting: BTreeSet<u64>,
}

impl Resting {
    fn remove(&mut self, at: u64) -> Option<CancellationToken> {
        let Rests { close, site } = self.connections.remove(&at)?;
        if let Some(theirs) = site.and_then(|site| self.sites.get_mut(&site)) {
            theirs.resting.remove(&at);
        }
        Some(close)
    }
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
        let mut resting = self.lock();
        let longest = resting.connections.first_key_value().map(|(at, _)| *at);
        let close = longest.and_then(|at| resting.remove(at));
        close.is_some_and(|close| {
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
    /// Whose it is, once that is known.
    site: OnceLock<Site>,
    is_upgraded: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(places: Arc<Places>, permit: OwnedSemaphorePermit) -> Place {
        let place = Place {
            places,
            since: Mutex::default(),
            close: CancellationToken::new(),
            site: OnceLock::new(),
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
        let site = self.site.get().copied();
        resting.connections.insert(at, Rests { close: self.close.clone(), site });
        if let Some(theirs) = site.and_then(|site| resting.sites.get_mut(&site)) {
            theirs.resting.insert(at);
        }
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
        drop(resting);
        self.places.rests.notify_one();
    }

    fn stop_resting(&self) {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(since) = since {
            self.places.lock().remove(since);
        }
    }

    /// It is that address's. If all of its places are taken, the one of them that rests longest is closed;
    /// false: none rests, so this one is to be closed.
    pub(super) fn belongs_to(&self, site: Site, most: usize) -> bool {
        let mut resting = self.places.lock();
        if self.site.set(site).is_err() {
            return true;
        }
        let theirs = resting.sites.entry(site).or_default();
        theirs.places += 1;
        let is_crowded = theirs.places > most;
        let longest = theirs.resting.first().copied();
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = since {
            theirs.resting.insert(since);
            if let Some(rests) = resting.connections.get_mut(&since) {
                rests.site = Some(site);
            }
        }
        if !is_crowded {
            return true;
        }
        let Some(close) = longest.and_then(|at| resting.remove(at)) else { return false };
        close.cancel();
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop_resting();
        let Some(site) = self.site.get() else { return };
        let mut resting = self.places.lock();
        let Some(theirs) = resting.sites.get_mut(site) else { return };
        theirs.places -= 1;
        if theirs.places == 0 {
            resting.sites.remove(site);
        }
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
    async fn an_address_that_has_all_of_its_places_gives_one_of_its_own() {
        use crate::peer::Peer;
        let site = |n: u8| Peer([192, 0, 2, n].into()).site();
        let places = Places::new(9);
        let mut theirs = Vec::new();
        for _ in 0..2 {
            theirs.push(Arc::new(places.take().await));
            assert!(theirs.last().unwrap().belongs_to(site(1), 2));
        }
        let other = places.take().await;
        assert!(other.belongs_to(site(2), 2));
        let busy = theirs[0].busy();
        let third = places.take().await;
        assert!(third.belongs_to(site(1), 2));
        assert!(is_closed(&theirs[1]) && !is_closed(&theirs[0]) && !is_closed(&other));
        drop(theirs.pop());
        let fourth = places.take().await;
        assert!(fourth.belongs_to(site(1), 2) && is_closed(&third));
        let busy_too = (Arc::new(fourth), third);
        let _busy = busy_too.0.busy();
        let fifth = places.take().await;
        assert!(!fifth.belongs_to(site(1), 2), "none of its own rests");
        drop((busy, theirs, busy_too.1, fifth, other));
        drop((_busy, busy_too.0));
        assert!(places.lock().sites.is_empty() && places.lock().connections.is_empty());
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
