//! Past failures, bugs put in on purpose, and a seed that runs twice.
#![allow(clippy::unwrap_used)]

use simulator::{Bite, run, sweep};

#[test]
fn seeds_that_once_failed_pass() {
    let lines = include_str!("seeds.txt").lines();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let seed = line.split(' ').next().unwrap().parse().unwrap();
        let outcome = run(seed, None);
        assert_eq!(outcome.violation, None, "herald-sim --seed {line}");
    }
}

#[test]
fn each_bug_that_is_put_in_is_found_within_a_thousand_seeds() {
    for bite in Bite::ALL {
        let swept = sweep(0..1_000, Some(bite), 1);
        assert!(!swept.failed.is_empty(), "{bite:?} is not found");
    }
}

#[test]
fn the_same_seed_leaves_the_same_trace_and_another_one_another() {
    let (one, again, other) = (run(7, None), run(7, None), run(8, None));
    assert!(one.trace.len() > 100, "something happens: {:?}", one.trace);
    assert_eq!(one, again);
    assert_ne!(one.hash, other.hash);
}

/// A simulator that exercises nothing finds nothing.
#[test]
fn every_kind_of_fault_is_exercised() {
    let swept = sweep(0..100, None, usize::MAX);
    assert!(swept.failed.is_empty(), "{:?}", swept.failed.first());
    let faults = "app: 410, app: 429, app: actionCode 1, app: answer lost, app: applied late, \
        app: error status, app: refusal, \
        app: refusal by code, app: an answer that is no consent, app: restart with rollback, app: resync from a snapshot, \
        backend: forced logout, backend: kick, backend: status cleared, backend: status set, \
        backend: registers, operator: purge, \
        callback delivered, callback expired, callback superseded, change: kick-off, \
        client: closes, client: cut off, client: second dial, \
        client: reads that it is refused, gate: question, gate: consent, gate: shared consent, \
        gate: covered, gate: admitted after a failure, gate: admitted while the App is away, \
        refusal: ends one, refusal: nothing to end, socket: to dial again, socket: bad token, \
        store: slow for one user, client: half-open line, client: line breaks, \
        client: logs out, client: redial, clock: step, clock: jump, node: freeze, operator: new settings, \
        operator: replay, callback dead at the end, crash: unanswered write kept, \
        crash: unsynced write lost, network: duplicate, network: no answer in time, \
        network: no connection, node: crash, node: failed start, node: stop, operator: resume, \
        operator: replay of a dead callback, socket: kicked, store: failed commit, store: failed claim, store: failed load, store: failed settle, \
        store: slow commit, store: slow claim, store: slow load, store: slow settle, store: superseded, store: users forgotten, \
        verdict: view in arrival order";
    let missing: Vec<_> =
        faults.split(", ").filter(|fault| swept.coverage.times(fault) == 0).collect();
    assert_eq!(missing, [""; 0]);
}
