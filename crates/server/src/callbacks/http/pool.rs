//! Connections that wait for the next request.
//!
//! The one used last goes first, so that those that are not needed grow old and are dropped. None
//! lives for long: a name that leads elsewhere is followed within minutes.

use super::exchange::Line;
use crate::clock::Clock;
use presence::Instant;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

/// Shorter than the 5 s after which common servers (Node's) close an idle connection.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// How long a connection is used.
const AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// How often those that were idle for too long are closed.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Pool {
    clock: Arc<dyn Clock>,
    kept_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The last one was used last.
    lines: Vec<Idle>,
    is_swept: bool,
}

struct Idle {
    line: Line,
    since: Instant,
}

impl Idle {
    fn is_usable(&self, now: Instant) -> bool {
        let is_fresh = self.since.until(now) < IDLE_MAX && self.line.made_at.until(now) < AGE_MAX;
        is_fresh && self.line.is_open()
    }
}

impl Pool {
    pub(super) fn new(kept_max: usize, clock: Arc<dyn Clock>) -> Arc<Pool> {
        Arc::new(Pool { clock, kept_max, kept: Mutex::default() })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self) -> Option<Line> {
        let now = self.clock.now().mono;
        let mut kept = self.kept();
        while let Some(idle) = kept.lines.pop() {
            if idle.is_usable(now) {
                return Some(idle.line);
            }
        }
        None
    }

    pub(super) fn keep(self: &Arc<Self>, line: Line) {
        let idle = Idle { line, since: self.clock.now().mono };
        let mut kept = self.kept();
        if kept.lines.len() >= self.kept_max || !idle.is_usable(idle.since) {
            return;
        }
        kept.lines.push(idle);
        if !std::mem::replace(&mut kept.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }
}

/// Closes those that nobody needed, until there are none.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = pool.clock.now().mono;
        let mut kept = pool.kept();
        kept.lines.retain(|idle| idle.is_usable(now));
        if kept.lines.is_empty() {
            kept.is_swept = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::tests::Hand;
    use std::sync::atomic::Ordering::Relaxed;
    use tokio::io::DuplexStream;

    /// A connection of that time, and the App's end of it.
    async fn line(made_at: u64) -> (Line, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64);
        let line = Line::over(ours, Instant(made_at)).await.unwrap();
        // Its driver must have had its turn.
        while !line.is_open() {
            tokio::task::yield_now().await;
        }
        (line, theirs)
    }

    #[tokio::test]
    async fn the_freshest_goes_first_and_none_is_kept_that_is_old_or_closed() {
        let clock = Arc::new(Hand::default());
        let pool = Pool::new(2, clock.clone());
        let taken = || pool.take().map(|line| line.made_at.0);
        let (mut ends, mut lines) = (Vec::new(), Vec::new());
        for made_at in [1, 2, 3, 4, 5, 6] {
            let (line, end) = line(made_at).await;
            ends.push(end);
            lines.push(line);
        }
        let mut next = || lines.remove(0);
        [next(), next(), next()].into_iter().for_each(|line| pool.keep(line));
        assert_eq!([taken(), taken(), taken()], [Some(2), Some(1), None], "two are kept");
        pool.keep(next());
        clock.0.store(IDLE_MAX.as_millis() as u64, Relaxed);
        assert_eq!(taken(), None, "it was idle for too long");
        pool.keep(next());
        ends.clear();
        tokio::task::yield_now().await;
        assert_eq!(taken(), None, "the App has closed it");
        clock.0.store(AGE_MAX.as_millis() as u64 + 6, Relaxed);
        pool.keep(next());
        assert_eq!(taken(), None, "it is old, and its name may lead elsewhere");
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_needs_is_closed_without_a_next_request() {
        use tokio::io::AsyncReadExt;
        let clock = Arc::new(Hand::default());
        let pool = Pool::new(2, clock.clone());
        let (line, mut theirs) = line(0).await;
        pool.keep(line);
        clock.0.store(IDLE_MAX.as_millis() as u64, Relaxed);
        assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
        assert!(!pool.kept().is_swept);
    }
}
