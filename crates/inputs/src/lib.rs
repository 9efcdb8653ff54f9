//! What holds of every untrusted input: each kind that a stranger, an App or an operator writes is
//! read without a panic and within a cap on memory, and most are read again from what was written of
//! them.
//!
//! Start at [`TARGETS`]. `tests/corpus.rs` runs each over `fuzz/corpus`; the programs of `fuzz/`
//! search for inputs that fail. Development only.
#![allow(clippy::unwrap_used, reason = "a failed check panics")]

pub mod answer;
pub mod callback;
pub mod config;
pub mod frame;
pub mod handshake;
pub mod heartbeat;
pub mod protobuf;
pub mod token;

use peak_alloc::PeakAlloc;

/// Counts what lives. The fuzzer itself does not allocate here, and a check has one thread.
#[global_allocator]
static COUNTING: PeakAlloc = PeakAlloc;

/// Panics if what must hold of an input does not.
pub type Check = fn(&[u8]);

/// Each kind of input, by the name of its folder in `fuzz/corpus` and of its program in `fuzz/`.
pub const TARGETS: [(&str, Check); 11] = [
    ("answer", answer::check),
    ("callback", callback::check),
    ("config", config::check),
    ("gob", frame::check_gob),
    ("gzip", frame::check_gzip),
    ("handshake", handshake::check_query),
    ("heartbeat", heartbeat::check),
    ("json", frame::check_json),
    ("packed", handshake::check_packed),
    ("protobuf", protobuf::check),
    ("token", token::check),
];

/// Runs `call` and panics if more than `bytes_max` of what it allocated lived at one time.
fn within<T>(bytes_max: usize, call: impl FnOnce() -> T) -> T {
    let before = COUNTING.current_usage();
    COUNTING.reset_peak_usage();
    let result = call();
    let peak = COUNTING.peak_usage() - before;
    assert!(peak <= bytes_max, "{peak} bytes allocated, {bytes_max} allowed");
    result
}
