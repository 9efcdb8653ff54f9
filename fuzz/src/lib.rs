//! What all targets share: an allocator that counts, and caps on what one input may cost.
//!
//! A target calls [`within`] around what it tests. Start at `fuzz_targets/`, one file each.

pub mod frame;
pub mod handshake;

#[path = "../../crates/server/src/address.rs"]
pub mod address;

/// The server's configuration by itself; all of the server would take minutes to build.
#[path = "../../crates/server/src"]
pub mod server {
    pub mod config;
}

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

#[global_allocator]
static COUNTING: Counting = Counting;

/// Bytes that live now, and the most there were since [`within`] began. The fuzzer itself does not
/// allocate here, and a target has one thread.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Runs `call` and panics if more than `bytes_max` of what it allocated lived at one time.
pub fn within<T>(bytes_max: usize, call: impl FnOnce() -> T) -> T {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = call();
    let peak = PEAK.load(Relaxed) - before;
    assert!(peak <= bytes_max, "{peak} bytes allocated, {bytes_max} allowed");
    result
}

struct Counting;

impl Counting {
    fn grown(bytes: usize) {
        PEAK.fetch_max(LIVE.fetch_add(bytes, Relaxed) + bytes, Relaxed);
    }
}

// SAFETY: hands every call on to the system's allocator as it is, and counts beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::grown(layout.size());
        // SAFETY: the caller keeps the promises that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counting::grown(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    /// Counted as if it always moved, so that the old and the new block live at once.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counting::grown(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
