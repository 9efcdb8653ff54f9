//! Panics that stay where they happen, and loops that never end unseen.
//!
//! [`contain`] is for work of one connection, request, attempt or user's step: a panic ends that work
//! alone. [`CoreLoops`] is for what the server cannot do without: when a core loop ends although
//! nobody stopped it, the whole server must end, so that its service manager starts it again.

use futures_util::FutureExt;
use prometheus_client::metrics::{counter::Counter, family::Family};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[cfg(panic = "abort")]
compile_error!("a panic of one user must not end the process: build with panic = \"unwind\"");

/// Panics by the work that they ended, as a label.
pub(crate) type PanicCounters = Family<[(&'static str, &'static str); 1], Counter>;

/// Of the whole process, as panics are.
static PANICS: LazyLock<PanicCounters> = LazyLock::new(Family::default);

/// The work ended in a panic, which is logged and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panicked;

/// Runs work to its end, or to its panic.
///
/// No `async fn`, which would hold the future twice: there is one for each idle connection.
pub fn contain<W: Future>(
    work: &'static str,
    future: W,
) -> impl Future<Output = Result<W::Output, Panicked>> {
    let ended = AssertUnwindSafe(future).catch_unwind();
    ended.map(move |ended| ended.map_err(|payload| note(work, &*payload)))
}

/// The same for work that does not wait.
pub fn contain_sync<T>(work: &'static str, run: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| note(work, &*payload))
}

/// The counters, to be shown among the metrics.
pub(crate) fn panics() -> PanicCounters {
    PANICS.clone()
}

/// A core loop that ended although nobody stopped it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the core loop \"{name}\" {how}; without it the server does not work, so it ends")]
pub struct LoopEnded {
    /// Which.
    pub name: String,
    how: &'static str,
}

/// The loops that the server cannot do without.
#[derive(Default)]
pub struct CoreLoops {
    /// The first that ended.
    ended: watch::Sender<Option<LoopEnded>>,
}

impl CoreLoops {
    /// The loop, to be spawned: if it ends before `stop`, everybody is told.
    pub fn supervise<W: Future<Output = ()>>(
        self: &Arc<Self>,
        name: &str,
        stop: CancellationToken,
        core_loop: W,
    ) -> impl Future<Output = ()> + use<W> {
        let (loops, name) = (Arc::clone(self), name.to_owned());
        async move {
            let ended = contain("core loop", core_loop).await;
            if stop.is_cancelled() {
                return;
            }
            let how = if ended.is_ok() { "ended" } else { "ended in a panic" };
            let ended = LoopEnded { name, how };
            tracing::error!(%ended, "a core loop ended");
            loops.ended.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(ended);
                is_first
            });
        }
    }

    /// The first that ended, if one did.
    pub fn ended(&self) -> Option<LoopEnded> {
        self.ended.borrow().clone()
    }

    /// Waits until one ends: for ever, if all is well.
    pub async fn wait(&self) -> LoopEnded {
        let mut ended = self.ended.subscribe();
        let first = ended.wait_for(Option::is_some).await;
        let first = first.expect("its sender is in self").clone();
        first.expect("that is what was waited for")
    }
}

fn note(work: &'static str, payload: &(dyn Any + Send)) -> Panicked {
    PANICS.get_or_create(&[("where", work)]).inc();
    let panic = words(payload);
    // Where in the code it was, the panic hook has logged.
    tracing::error!(work, panic, "a panic ended this work; everything else goes on");
    Panicked
}

/// What the panic said.
fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&'static str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_own_work_and_is_counted() {
        let before = panics().get_or_create(&[("where", "test")]).get();
        assert_eq!(contain("test", async { 7 }).await, Ok(7));
        assert_eq!(contain("test", async { panic!("on purpose") }).await, Err::<(), _>(Panicked));
        assert_eq!(contain_sync("test", || panic!("{}", 1)), Err::<(), _>(Panicked));
        assert_eq!(panics().get_or_create(&[("where", "test")]).get(), before + 2);
    }

    #[tokio::test]
    async fn the_first_core_loop_that_ends_unasked_is_told_and_those_that_were_stopped_are_not() {
        let loops = Arc::new(CoreLoops::default());
        let stop = CancellationToken::new();
        stop.cancel();
        loops.supervise("stopped", stop, async { panic!("while it stops") }).await;
        assert_eq!(loops.ended(), None);
        let (panics, returns) = (async { panic!("on purpose") }, async {});
        loops.supervise("panics", CancellationToken::new(), panics).await;
        loops.supervise("returns", CancellationToken::new(), returns).await;
        assert_eq!(
            (loops.wait().await.name, loops.ended().unwrap().how),
            ("panics".to_owned(), "ended in a panic")
        );
    }
}
