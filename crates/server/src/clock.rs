//! The one place that reads the real time.

use presence::{Instant, Now, Timestamp};

/// Tells the time. The real one is [`SystemClock`]; tests and simulations bring their own.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks, read at once.
    fn now(&self) -> Now;
}

/// The clocks of the machine.
pub struct SystemClock {
    started: std::time::Instant,
    /// The monotonic timeline begins here, so that a deadline read back after a restart is
    /// roughly right.
    started_at: u64,
}

impl SystemClock {
    /// Starts the monotonic timeline at the wall time of now.
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn start() -> SystemClock {
        SystemClock { started: std::time::Instant::now(), started_at: unix_ms() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let elapsed = self.started.elapsed().as_millis() as u64;
        Now { mono: Instant(self.started_at + elapsed), wall: Timestamp(unix_ms()) }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
