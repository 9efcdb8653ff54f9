//! Each figure at a small scale: the command cannot rot, and what must hold does.
#![allow(clippy::unwrap_used)]

use simulator::figures::{
    Losses, Posts, RightAfter, Scale, Trouble, after_app_outage, after_restart, losses, posts,
    report,
};
use std::time::Duration;

#[test]
fn nobody_who_redials_as_real_sdks_do_is_told_offline() {
    let Losses { lost, back_in_time, false_offlines, due_offlines, .. } =
        losses(1, 100, 10, Trouble::Lines { away_ms: 0 }).unwrap();
    assert_eq!((lost, back_in_time, false_offlines, due_offlines), (1_000, 1_000, 0, 0));

    let away = losses(1, 100, 20, Trouble::Lines { away_ms: 15_000 }).unwrap();
    assert_eq!((away.lost, away.false_offlines), (2_000, 0));
    assert!(away.back_in_time > away.back_later, "{away:?}");
    assert!(away.back_later > 0, "some dials are late: {away:?}");
    assert_eq!(away.due_offlines, away.back_later, "and each of those is told");

    let restarts = losses(1, 100, 4, Trouble::Restarts).unwrap();
    let Losses { lost, back_in_time, false_offlines, .. } = restarts;
    assert_eq!((lost, back_in_time, false_offlines), (400, 400, 0));
}

#[test]
fn views_are_right_again_after_an_outage_of_the_app_and_after_a_restart() {
    let outage = after_app_outage(1, 100, Duration::from_secs(600)).unwrap();
    // A probe every 30 s, and little to tell.
    check_within(&outage, 60.0);
    assert!(outage.iter().all(|right| right.by_seq > Some(0.0)), "it was wrong: {outage:?}");

    check_within(&after_restart(1, 100, 0).unwrap(), 59.9);
    let some_stay_away = after_restart(1, 100, 20).unwrap();
    check_within(&some_stay_away, 62.0);
    assert!(some_stay_away.iter().all(|right| right.by_seq >= Some(59.9)), "{some_stay_away:?}");
}

fn check_within(right: &[RightAfter], seconds: f64) {
    assert_eq!(right.len(), 3);
    for right in right {
        assert!(right.by_seq.is_some_and(|after| after <= seconds), "{right:?}");
        assert!(right.in_order.is_some_and(|after| after <= seconds), "{right:?}");
    }
}

#[test]
fn a_line_that_is_lost_for_a_moment_costs_what_the_scope_says() {
    let per_user_hour = |away_ms| {
        let posts = posts(1, 20, 2, away_ms).unwrap();
        posts
            .into_iter()
            .map(|Posts { app, per_user_hour, .. }| (app, per_user_hour))
            .collect::<Vec<_>>()
    };
    let short = [("flag", 20.0), ("quiet-flag", 0.0), ("connections", 40.0), ("platforms", 0.0)];
    let long = [("flag", 40.0), ("quiet-flag", 40.0), ("connections", 40.0), ("platforms", 40.0)];
    assert_eq!(per_user_hour(0), short);
    assert_eq!(per_user_hour(60_000), long);
}

#[test]
fn the_report_has_all_of_them() {
    let scale = Scale {
        proxied: (10, 200),
        lines: (2, 10, 2),
        restarts: (2, 10, 2),
        views: (2, 20),
        outage: Duration::from_secs(60),
        posts: (5, 1),
    };
    let mut lines = Vec::new();
    report(&scale, &mut |line| lines.push(line.to_owned())).unwrap();
    let text = lines.join("\n");
    for part in ["0 by seq, 0 in arrival order", "per million", "right view", "per user-hour"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert!(text.contains("(40 disconnects"), "{text}");
}
