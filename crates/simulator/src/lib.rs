//! Runs the real core, driver and dispatchers through a storm that one seed decides, and checks the
//! promises P1 to P6 of the design.
//!
//! Start at [`run`]. What is simulated are the seams: clock, chance, store, sockets, and the sender
//! of callbacks; time jumps from one event to the next, on one thread.
//!
//! **Invariant:** a seed decides everything: the same one gives the same trace. Nothing in here asks
//! the time, draws a number or iterates a hash map of its own.

#![warn(missing_docs)]

mod admissions;
mod app;
mod bite;
mod client;
mod coverage;
mod dice;
mod disk;
pub mod figures;
mod ledger;
mod network;
mod node;
mod plan;
mod proxy;
mod sockets;
mod storm;
mod sweep;
mod verdicts;
mod world;

pub use bite::Bite;
pub use coverage::Coverage;
pub use proxy::{Proxied, Proxy, proxied};
pub use sweep::{Swept, sweep};

use std::{
    cell::RefCell,
    future::Future,
    panic,
    sync::{Arc, Once},
};
use world::World;

/// How long a run is, in simulated seconds.
pub const SECONDS: u64 = 600;

/// How a run went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What happened, line by line.
    pub trace: Vec<String>,
    /// Of the whole trace.
    pub hash: u64,
    /// What was exercised.
    pub coverage: Coverage,
    /// The first promise that was broken, and how.
    pub violation: Option<String>,
}

thread_local! {
    /// The last panic of a task of the run on this thread.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs one seed, with a bug put in if asked for.
pub fn run(seed: u64, bite: Option<Bite>) -> Outcome {
    live(|| World::new(seed, bite), storm::play).1
}

/// Lets a world live to the end of a story, or to the first broken promise.
fn live<T, S>(
    world: impl FnOnce() -> World,
    story: impl FnOnce(Arc<World>) -> S,
) -> (Option<T>, Outcome)
where
    T: Send + 'static,
    S: Future<Output = T> + Send + 'static,
{
    remember_panics();
    PANIC.take();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without IO can always be built");
    let (told, world) = runtime.block_on(async {
        let world = Arc::new(world());
        let playing = tokio::spawn(story(Arc::clone(&world)));
        let told = tokio::select! {
            biased;
            () = world.broken.cancelled() => None,
            told = playing => told.ok(),
        };
        (told, world)
    });
    // Ends every task, so that nothing is noted any more.
    drop(runtime);
    let (trace, hash, coverage, violation) = world.take();
    let panicked = PANIC.take().map(|words| format!("panic: {words}"));
    (told, Outcome { trace, hash, coverage, violation: panicked.or(violation) })
}

/// The same; what was told, or what was broken.
fn tell<T, S>(
    world: impl FnOnce() -> World,
    story: impl FnOnce(Arc<World>) -> S,
) -> Result<T, String>
where
    T: Send + 'static,
    S: Future<Output = T> + Send + 'static,
{
    let (told, Outcome { violation, .. }) = live(world, story);
    match (told, violation) {
        (Some(told), None) => Ok(told),
        (_, violation) => Err(violation.unwrap_or_else(|| "the story ended early".to_owned())),
    }
}

/// Tasks swallow panics; a run must not.
fn remember_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if tokio::runtime::Handle::try_current().is_ok() {
                PANIC.set(Some(info.to_string()));
            } else {
                usual(info);
            }
        }));
    });
}
