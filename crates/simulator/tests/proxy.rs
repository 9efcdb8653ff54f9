//! A proxy between Herald and the Apps loses answers, sends twice and reorders: each App is right in
//! the end. The whole, with 100,000 transitions, is a part of `cargo xtask figures`.
#![allow(clippy::unwrap_used)]

use simulator::{Proxied, Proxy, proxied};

const AS_GIVEN: Proxy = Proxy { lost_percent: 30, twice_percent: 20, reorders: false };

fn check(collapse: bool, proxy: Proxy) -> Proxied {
    let proxied = proxied(1, 60, 5_000, collapse, proxy).unwrap();
    assert!(proxied.transitions >= 5_000, "{proxied:?}");
    let share = |part: u64| part * 100 / proxied.posts;
    assert!((25..35).contains(&share(proxied.answers_lost)), "{proxied:?}");
    assert!((15..25).contains(&share(proxied.arrived_twice)), "{proxied:?}");
    assert!(proxied.sockets > 0, "{proxied:?}");
    assert_eq!(proxied.views.len(), 3);
    assert!(proxied.views.iter().all(|view| view.wrong_by_seq == 0), "{proxied:?}");
    proxied
}

#[test]
fn lost_answers_and_duplicates_leave_every_app_right_by_seq_and_in_arrival_order() {
    for collapse in [false, true] {
        let proxied = check(collapse, AS_GIVEN);
        assert!(proxied.views.iter().all(|view| view.wrong_in_order == 0), "{proxied:?}");
    }
}

#[test]
fn copies_that_come_late_leave_every_app_right_by_seq() {
    for collapse in [false, true] {
        let proxied = check(collapse, Proxy { reorders: true, ..AS_GIVEN });
        assert!(proxied.views.iter().any(|view| view.wrong_in_order > 0), "copies do come late");
    }
}
