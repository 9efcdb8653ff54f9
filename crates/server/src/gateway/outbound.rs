//! What waits to be sent to one client: a slot with a waker, because a channel for each connection
//! costs 1.5 KB.

use super::ending::Ending;
use crate::peer::Peer;
use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Mutex, PoisonError},
    task::{Poll, Waker},
};
use tokio_tungstenite::tungstenite::Bytes;
use wire::frame::Codec;

/// Frames for one client, at most `frames_max`; a client that does not read is cut.
pub(super) struct Outbound {
    /// How frames are written for this client.
    pub(super) codec: Codec,
    /// Where the client is.
    pub(super) peer: Peer,
    slot: Mutex<Slot>,
    frames_max: usize,
}

#[derive(Default)]
struct Slot {
    frames: VecDeque<Bytes>,
    closing: Option<Ending>,
    waker: Option<Waker>,
}

/// What the connection has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Send(Bytes),
    Close(Ending),
}

impl Outbound {
    pub(super) fn new(codec: Codec, frames_max: usize, peer: Peer) -> Outbound {
        Outbound { codec, peer, slot: Mutex::default(), frames_max }
    }

    /// Asks for the end. The first reason stands; frames that wait are sent before it, except to a
    /// client that does not read.
    pub(super) fn close(&self, ending: Ending) {
        self.change(|slot| {
            slot.closing.get_or_insert(ending);
        });
    }

    /// Queues a binary frame. False: the client is too slow and is being cut.
    pub(super) fn push(&self, frame: Bytes) -> bool {
        let frames_max = self.frames_max;
        self.change(|slot| {
            if slot.frames.len() >= frames_max {
                slot.frames.clear();
                slot.closing.get_or_insert(Ending::FallsBehind);
            }
            if slot.closing.is_none() {
                slot.frames.push_back(frame);
            }
            slot.closing.is_none()
        })
    }

    /// Waits for something to do. Cancelling loses nothing.
    pub(super) async fn next(&self) -> Next {
        poll_fn(|context| {
            let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(frame) = slot.frames.pop_front() {
                return Poll::Ready(Next::Send(frame));
            }
            if let Some(closing) = slot.closing {
                return Poll::Ready(Next::Close(closing));
            }
            slot.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn change<T>(&self, change: impl FnOnce(&mut Slot) -> T) -> T {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut slot);
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Peer = Peer(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
    use wire::frame::Encoding;

    const JSON: Codec = Codec { encoding: Encoding::Json, gzip: false };

    #[tokio::test]
    async fn what_waits_is_sent_before_the_end() {
        let outbound = Outbound::new(JSON, 2, NOBODY);
        assert!(outbound.push(Bytes::from_static(b"a")));
        outbound.close(Ending::Kicked);
        outbound.close(Ending::ServerStops);
        assert_eq!(outbound.next().await, Next::Send(Bytes::from_static(b"a")));
        assert_eq!(outbound.next().await, Next::Close(Ending::Kicked));
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut() {
        let outbound = Outbound::new(JSON, 1, NOBODY);
        assert!(outbound.push(Bytes::from_static(b"a")));
        assert!(!outbound.push(Bytes::from_static(b"b")));
        assert!(!outbound.push(Bytes::from_static(b"c")));
        assert_eq!(outbound.next().await, Next::Close(Ending::FallsBehind));
    }

    #[tokio::test]
    async fn a_push_wakes_who_waits() {
        let outbound = std::sync::Arc::new(Outbound::new(JSON, 1, NOBODY));
        let waiting = tokio::spawn({
            let outbound = outbound.clone();
            async move { outbound.next().await }
        });
        tokio::task::yield_now().await;
        outbound.push(Bytes::from_static(b"a"));
        assert_eq!(waiting.await.unwrap(), Next::Send(Bytes::from_static(b"a")));
    }
}
