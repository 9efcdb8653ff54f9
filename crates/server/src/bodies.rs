//! Bodies of requests, read with one budget for all, and one for each caller.
//!
//! Who calls is known before anything is read. The first part of each body of a known caller is free, so that
//! whoever fills the budgets keeps nobody's small request out. Of callers who are not known all that one address
//! sends counts, and only for that address.

use crate::peer::Site;
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What all bodies together may hold.
const ALL_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What the bodies of one caller may hold, or one body of the longest kind if that is more.
const CALLER_BYTES_MAX: usize = 2 * 1024 * 1024;
/// What counts for neither.
pub const FREE_BYTES: usize = 16 * 1024;

/// The budgets.
#[derive(Clone, Default)]
pub struct Bodies(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    all: usize,
    of: HashMap<Payer, usize>,
}

/// Why a body is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It is longer than allowed.
    #[error("body: longer than {0} bytes")]
    TooLong(usize),
    /// It broke off.
    #[error("body: {0}")]
    Broken(String),
    /// The others are too long, at this moment.
    #[error("too many long requests at the same time; try again")]
    NoRoom,
}

/// Whose budget a body takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Payer {
    /// That of a user, and that of all.
    User(Box<str>),
    /// That of all.
    All,
    /// That of an address.
    Site(Site),
}

impl Payer {
    fn takes_from_all(&self) -> bool {
        !matches!(self, Payer::Site(_))
    }
}

/// A body, which counts until it is dropped.
pub struct Read {
    bytes: Vec<u8>,
    charge: Charge,
}

impl Read {
    /// How much of the budgets it takes.
    pub fn charged(&self) -> usize {
        self.charge.bytes
    }
}

impl Deref for Read {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What something takes of a budget, until it is dropped.
pub struct Charge {
    bodies: Bodies,
    payer: Payer,
    payer_max: usize,
    bytes: usize,
}

impl Bodies {
    /// Reads a body of at most so many bytes.
    pub async fn read(&self, mut body: Body, most: usize, payer: Payer) -> Result<Read, Unread> {
        if body.size_hint().lower() > most as u64 {
            return Err(Unread::TooLong(most));
        }
        let free = if payer.takes_from_all() { FREE_BYTES } else { 0 };
        let payer_max = CALLER_BYTES_MAX.max(most);
        let mut charge = Charge { bodies: self.clone(), payer, payer_max, bytes: 0 };
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Unread::Broken(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = bytes.len() + data.len();
            if length > most {
                return Err(Unread::TooLong(most));
            }
            charge.grow_to(length.saturating_sub(free))?;
            bytes.extend_from_slice(&data);
        }
        Ok(Read { bytes, charge })
    }

    /// Takes so much of the budgets for something that is not read; one long thing fits where nothing else is.
    pub fn hold(&self, bytes: usize, payer: Payer) -> Result<Charge, Unread> {
        let payer_max = CALLER_BYTES_MAX.max(bytes);
        let mut charge = Charge { bodies: self.clone(), payer, payer_max, bytes: 0 };
        charge.grow_to(bytes)?;
        Ok(charge)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Charge {
    fn grow_to(&mut self, bytes: usize) -> Result<(), Unread> {
        let more = bytes - self.bytes;
        if more == 0 {
            return Ok(());
        }
        let mut held = self.bodies.held();
        let takes_from_all = self.payer.takes_from_all();
        if takes_from_all && held.all + more > ALL_BYTES_MAX {
            return Err(Unread::NoRoom);
        }
        if self.payer != Payer::All {
            let theirs = held.of.entry(self.payer.clone()).or_default();
            if *theirs + more > self.payer_max {
                return Err(Unread::NoRoom);
            }
            *theirs += more;
        }
        if takes_from_all {
            held.all += more;
        }
        drop(held);
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.bodies.held();
        if self.payer.takes_from_all() {
            held.all -= self.bytes;
        }
        let left = held.of.get(&self.payer).map_or(0, |theirs| theirs - self.bytes);
        match left {
            0 => held.of.remove(&self.payer),
            left => held.of.insert(self.payer.clone(), left),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Peer;
    use axum::body::Bytes;
    use futures_util::stream;
    use std::convert::Infallible;

    const MIB: usize = 1024 * 1024;

    fn body(bytes: usize) -> Body {
        let chunks = vec![Bytes::from(vec![b'x'; 64 * 1024]); bytes / (64 * 1024)];
        Body::from_stream(stream::iter(chunks.into_iter().map(Ok::<_, Infallible>)))
    }

    #[tokio::test]
    async fn all_have_one_budget_and_each_caller_another() {
        let bodies = Bodies::default();
        let read = async |bytes, caller: Option<&str>| {
            bodies
                .read(body(bytes), MIB, caller.map_or(Payer::All, |user| Payer::User(user.into())))
                .await
        };
        let mut kept =
            vec![read(MIB, Some("u")).await.unwrap(), read(MIB, Some("u")).await.unwrap()];
        assert_eq!(kept[0].len(), MIB);
        assert_eq!(kept[0].charged(), MIB - FREE_BYTES);
        assert!(matches!(read(MIB, Some("u")).await, Err(Unread::NoRoom)));
        while let Ok(read) = read(MIB, None).await {
            kept.push(read);
        }
        assert_eq!(kept.len(), ALL_BYTES_MAX / MIB, "what is free makes room for no more");
        assert!(matches!(read(MIB, Some("v")).await, Err(Unread::NoRoom)));
        let small =
            bodies.read(Body::from(vec![b'x'; FREE_BYTES]), MIB, Payer::User("u".into())).await;
        assert_eq!(small.unwrap().charged(), 0);
        drop(kept);
        assert_eq!(read(MIB, Some("u")).await.unwrap().len(), MIB);
        let held = bodies.held();
        assert!(held.all == 0 && held.of.is_empty(), "what was charged was given back");
    }

    #[tokio::test]
    async fn all_that_an_address_sends_counts_and_for_that_address_only() {
        let bodies = Bodies::default();
        let site = |address: &str| Payer::Site(Peer(address.parse().unwrap()).site());
        let read =
            async |payer| bodies.read(Body::from(vec![b'x'; FREE_BYTES]), FREE_BYTES, payer).await;
        let mut kept = Vec::new();
        while let Ok(read) = read(site("192.0.2.1")).await {
            kept.push(read);
        }
        assert_eq!(kept.len(), CALLER_BYTES_MAX / FREE_BYTES);
        assert!(read(site("192.0.2.2")).await.is_ok() && read(Payer::All).await.is_ok());
        drop(kept);
        assert!(read(site("192.0.2.1")).await.is_ok());
        assert!(bodies.held().of.is_empty());
    }

    #[tokio::test]
    async fn what_is_too_long_is_not_read() {
        let bodies = Bodies::default();
        let announced = Body::from(vec![b'x'; 11]);
        let unread = bodies.read(announced, 10, Payer::All).await.err().unwrap();
        assert_eq!(unread.to_string(), "body: longer than 10 bytes");
        assert!(matches!(
            bodies.read(body(MIB), MIB - 1, Payer::All).await,
            Err(Unread::TooLong(_))
        ));
        assert_eq!(bodies.held().all, 0);
    }
}
