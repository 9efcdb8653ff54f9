//! Runs many seeds on all cores, each on one thread.

use crate::{Bite, Coverage, Outcome, run};
use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
    thread,
};

/// One seed in so many is run twice, and must leave the same trace.
const TWICE_EVERY: u64 = 50;

/// How many seeds went.
#[derive(Debug, Default)]
pub struct Swept {
    /// How many were run.
    pub seeds: u64,
    /// How many were run a second time.
    pub twice: u64,
    /// What all of them exercised.
    pub coverage: Coverage,
    /// Those that broke a promise, the lowest seed first.
    pub failed: Vec<(u64, Outcome)>,
}

/// Runs these seeds, until so many have failed.
pub fn sweep(seeds: Range<u64>, bite: Option<Bite>, failures_max: usize) -> Swept {
    let shared = Mutex::new((seeds.start, Swept::default()));
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = next(&shared, &seeds, failures_max) {
                    let twice = bite.is_none() && seed % TWICE_EVERY == 0;
                    let outcome = if twice { run_twice(seed) } else { run(seed, bite) };
                    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    let swept = &mut shared.1;
                    swept.seeds += 1;
                    swept.twice += u64::from(twice);
                    swept.coverage.add(&outcome.coverage);
                    if outcome.violation.is_some() {
                        swept.failed.push((seed, outcome));
                    }
                }
            });
        }
    });
    let (_, mut swept) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    swept.failed.sort_by_key(|(seed, _)| *seed);
    swept
}

/// Seeds are given out in order, so every one below a failed one is run.
fn next(shared: &Mutex<(u64, Swept)>, seeds: &Range<u64>, failures_max: usize) -> Option<u64> {
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let (seed, swept) = &mut *shared;
    if swept.failed.len() >= failures_max || *seed >= seeds.end {
        return None;
    }
    *seed += 1;
    Some(*seed - 1)
}

fn run_twice(seed: u64) -> Outcome {
    let mut first = run(seed, None);
    let second = run(seed, None);
    if first.hash != second.hash {
        let lines = first.trace.iter().zip(&second.trace);
        let differing = lines.clone().find(|(one, other)| one != other);
        let text = format!("the same seed ran differently: {differing:?}");
        first.violation.get_or_insert(text);
    }
    first
}
