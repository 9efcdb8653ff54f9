//! What every backend must do. Each test runs against all of them.
#![allow(clippy::unwrap_used)]

use presence::*;
use std::{sync::Arc, time::Duration};
use store::*;

const QUEUED: Replayed = Replayed { queued: 1, in_flight: 0, unknown: 0 };
const IN_FLIGHT: Replayed = Replayed { queued: 0, in_flight: 1, unknown: 0 };
const UNKNOWN: Replayed = Replayed { queued: 0, in_flight: 0, unknown: 1 };

/// Declares each test once for every backend.
macro_rules! for_every_backend {
    ($($name:ident)*) => {
        mod memory { $(#[tokio::test] async fn $name() { super::$name(super::World::memory()).await })* }
        mod sqlite { $(#[tokio::test] async fn $name() { super::$name(super::World::sqlite()).await })* }
    };
}

for_every_backend! {
    an_unknown_user_is_offline
    a_commit_is_read_back
    a_commit_on_an_old_version_conflicts_and_writes_nothing
    a_wakeup_stays_listed_until_a_commit_moves_it
    of_each_user_only_the_oldest_is_claimed_and_one_at_a_time
    the_longest_due_go_first_and_no_more_than_asked_for
    what_happens_now_does_not_wait_behind_a_backlog
    endpoints_do_not_wait_for_each_other
    a_lease_that_runs_out_is_given_again_and_the_old_one_is_worth_nothing
    a_retry_keeps_the_place_and_counts_only_when_told_to
    a_dead_callback_lets_the_next_one_go
    a_commit_settles_in_the_same_transaction_or_not_at_all
    a_lease_settles_once
    callbacks_are_listed_newest_first_by_state_user_and_endpoint
    attempts_are_kept_the_first_and_the_latest
    after_a_replay_it_is_told_how_things_are
    a_replay_of_the_last_word_is_enough
    a_replay_waits_for_the_one_in_flight
    what_is_given_up_is_marked_until_something_newer_is_accepted
    a_mark_that_was_made_at_a_finer_scope_is_answered_at_the_present_one
    a_mark_that_was_made_while_the_clock_was_ahead_waits_for_nothing
    it_is_told_again_less_and_less_often
    nothing_is_told_again_for_a_mark_that_is_gone
    what_is_not_wanted_is_told_as_it_is_now
    an_app_is_asked_to_resync_every_ten_minutes_at_most
    what_is_given_up_after_a_resync_asks_for_another
    what_is_told_in_any_case_is_found_behind_what_is_not
    a_given_up_callback_makes_no_mark_due_in_any_case
    a_snapshot_answers_what_came_up_before_it_and_nothing_later
    what_is_purged_is_gone_and_what_is_owed_stays
    callbacks_are_read_in_their_order_until_some_are_forgotten
    a_number_beyond_the_file_fails_its_own_commit_only
    the_backlog_counts_what_is_owed_and_dead
    a_long_line_collapses_to_its_last_word_which_says_for_how_many
    it_is_known_which_arrivals_a_callback_speaks_for
    who_is_told_less_keeps_the_place
    what_was_attempted_or_is_young_does_not_collapse
    users_are_listed_by_name_a_page_at_a_time
    old_history_is_pruned_and_never_what_is_owed
    too_much_history_is_pruned
    what_is_owed_for_too_long_expires
    of_too_much_the_oldest_expires
    what_waits_behind_one_in_flight_does_not_expire
    what_happens_to_an_endpoint_is_remembered
    an_endpoint_that_begins_anew_is_told_how_things_are
    old_users_are_forgotten_but_for_their_seq
    accounts_are_registered_all_or_none
    a_person_is_erased_once_nobody_needs_to_know_them
    a_person_whom_an_app_is_still_to_be_told_about_is_erased_if_insisted_on
    a_probe_succeeds
    the_first_epoch_stays
    a_restart_forgets_nothing_and_everything_owed_is_due
    the_seq_floor_and_the_dead_survive_a_restart
}

async fn an_unknown_user_is_offline(world: World) {
    let user = world.store.load(&name("nobody")).await.unwrap();
    assert_eq!((user.version, user.value), (0, User::default()));
}

async fn a_commit_is_read_back(world: World) {
    let state = world.online("u").await;
    let read = world.store.load(&name("u")).await.unwrap();
    assert_eq!((read.version, read.value), (1, state.clone()));
    assert_eq!(world.store.users_online().await.unwrap(), 1);
    world.offline("u").await;
    let read = world.store.load(&name("u")).await.unwrap();
    assert_eq!(read.version, 2);
    assert!(!read.value.is_online());
    assert_eq!(world.store.users_online().await.unwrap(), 0);
}

async fn a_commit_on_an_old_version_conflicts_and_writes_nothing(world: World) {
    world.online("u").await;
    for based_on in [0, 2, 99] {
        let commit = Commit { based_on, ..world.login("u", "b", 9).await };
        let error = world.store.commit(commit).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict), "{error:?}");
    }
    assert_eq!(world.store.load(&name("u")).await.unwrap().version, 1);
    assert_eq!(world.claim(99).await.len(), 1, "only the first login is owed");
}

async fn a_wakeup_stays_listed_until_a_commit_moves_it(world: World) {
    for (user, at) in [("a", 30), ("b", 10), ("c", 20)] {
        let commit = Commit { wake_at: Some(Instant(at)), ..world.login(user, user, 1).await };
        world.store.commit(commit).await.unwrap();
    }
    let due = |now, limit| {
        let store = world.store.clone();
        async move { store.due_wakeups(Instant(now), limit).await.unwrap() }
    };
    assert_eq!(due(9, 9).await, []);
    assert_eq!(due(20, 9).await, [name("b"), name("c")]);
    assert_eq!(due(99, 1).await, [name("b")]);
    let moved = Commit { wake_at: None, ..world.step("b", Event::Ticked, 2).await };
    world.store.commit(moved).await.unwrap();
    assert_eq!(due(99, 9).await, [name("c"), name("a")]);
}

async fn of_each_user_only_the_oldest_is_claimed_and_one_at_a_time(world: World) {
    world.online("u").await;
    world.offline("u").await;
    world.online("v").await;
    let claimed = world.claim(9).await;
    assert_eq!(told(&claimed), ["u online", "v online"]);
    assert_eq!(world.claim(9).await, [], "both users have one out on lease");
    world.settle(&claimed[0], Fate::Delivered).await.unwrap();
    let next = world.claim(9).await;
    assert_eq!(told(&next), ["u offline"]);
    assert!(next[0].change.seq > claimed[0].change.seq);
}

async fn the_longest_due_go_first_and_no_more_than_asked_for(world: World) {
    for user in ["a", "b", "c"] {
        world.online(user).await;
    }
    let first = world.claim(1).await;
    assert_eq!(told(&first), ["a online"]);
    world.settle(&first[0], Fate::RetryAt { at: Instant(5), counts: false }).await.unwrap();
    assert_eq!(world.store.next_due(&main()).await.unwrap(), Some(Instant(0)));
    assert_eq!(told(&world.claim_at(4, 9).await), ["b online", "c online"]);
    assert_eq!(world.store.next_due(&main()).await.unwrap(), Some(Instant(5)));
    assert_eq!(told(&world.claim_at(5, 9).await), ["a online"]);
}

async fn what_happens_now_does_not_wait_behind_a_backlog(world: World) {
    for n in 0..20 {
        world.online(&format!("old{n:02}")).await;
    }
    world.online("now").await;
    let claimed = world.claim(4).await;
    assert_eq!(told(&claimed), ["old00 online", "old01 online", "old19 online", "now online"]);
    world.deliver(&claimed).await;
    // And the backlog gets its half also where there is always something new.
    world.online("newer").await;
    let claimed = world.claim(2).await;
    assert_eq!(told(&claimed), ["old02 online", "newer online"]);
}

async fn endpoints_do_not_wait_for_each_other(world: World) {
    let mut commit = world.login("u", "a", 1).await;
    let audit = EndpointName::new("audit");
    let other = NewCallback { endpoint: audit.clone(), ..commit.callbacks[0].clone() };
    commit.callbacks.push(other);
    world.store.commit(commit).await.unwrap();
    assert_eq!(world.claim(9).await.len(), 1);
    assert_eq!(world.store.endpoints().await.unwrap(), [audit.clone(), main()]);
    let claim = Claim { endpoint: audit, now: Instant(0), lease: LEASE, limit: 9 };
    let claimed = world.store.claim(claim).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].lease.id.to_string(), "audit:1:u");
}

async fn a_lease_that_runs_out_is_given_again_and_the_old_one_is_worth_nothing(world: World) {
    world.online("u").await;
    let late = world.claim_at(0, 9).await;
    let ends = Instant(0) + LEASE;
    assert_eq!(world.claim_at(ends.0 - 1, 9).await, []);
    let again = world.claim_at(ends.0, 9).await;
    assert_eq!(told(&again), ["u online"]);
    let error = world.settle(&late[0], Fate::Delivered).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
    world.settle(&again[0], Fate::Delivered).await.unwrap();
}

async fn a_retry_keeps_the_place_and_counts_only_when_told_to(world: World) {
    world.online("u").await;
    world.offline("u").await;
    let mut seen = Vec::new();
    for (at, counts) in [(1, true), (2, false), (3, true)] {
        let claimed = world.claim_at(at, 9).await;
        seen.push((told(&claimed)[0].clone(), claimed[0].tries, claimed[0].attempts));
        world.settle(&claimed[0], Fate::RetryAt { at: Instant(at + 1), counts }).await.unwrap();
    }
    let online = || "u online".to_owned();
    assert_eq!(seen, [(online(), 0, 0), (online(), 1, 1), (online(), 1, 2)]);
    assert_eq!(world.claim_at(3, 9).await, [], "it is not due yet, and the next waits behind it");
}

async fn a_dead_callback_lets_the_next_one_go(world: World) {
    world.online("u").await;
    world.offline("u").await;
    let claimed = world.claim(9).await;
    world.settle(&claimed[0], Fate::Dead).await.unwrap();
    assert_eq!(told(&world.claim(9).await), ["u offline"]);
    let dead = world.list(CallbackQuery { state: Some(CallbackState::Dead), ..all() }).await;
    assert_eq!(dead, ["u online dead"]);
    let record = world.store.callback(&claimed[0].lease.id).await.unwrap().unwrap();
    assert_eq!((record.tries, record.attempts.len()), (1, 1));
}

async fn a_commit_settles_in_the_same_transaction_or_not_at_all(world: World) {
    world.online("u").await;
    let claimed = world.claim(9).await;
    let settles = Some(settlement(&claimed[0], Fate::Delivered));
    let logout = world.logout("u", 5).await;
    let stale = Commit { based_on: 7, settles: settles.clone(), ..logout.clone() };
    assert!(matches!(world.store.commit(stale).await, Err(StoreError::Conflict)));
    assert_eq!(world.list(all()).await, ["u online pending"]);
    world.store.commit(Commit { settles: settles.clone(), ..logout.clone() }).await.unwrap();
    assert_eq!(world.list(all()).await, ["u offline pending", "u online delivered"]);
    let late = Commit { based_on: 2, settles, ..logout };
    assert!(matches!(world.store.commit(late).await, Err(StoreError::LeaseLost)));
    assert_eq!(world.store.load(&name("u")).await.unwrap().version, 2);
}

async fn a_lease_settles_once(world: World) {
    world.online("u").await;
    let claimed = world.claim(9).await;
    let twice = || world.settle(&claimed[0], Fate::Delivered);
    let (first, second) = tokio::join!(twice(), twice());
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    assert_eq!(world.list(all()).await, ["u online delivered"]);
}

async fn callbacks_are_listed_newest_first_by_state_user_and_endpoint(world: World) {
    for user in ["u", "v:w"] {
        world.online(user).await;
        world.offline(user).await;
    }
    let claimed = world.claim(9).await;
    world.settle(&claimed[0], Fate::Delivered).await.unwrap();
    let everything =
        ["v:w offline pending", "v:w online pending", "u offline pending", "u online delivered"];
    assert_eq!(world.list(all()).await, everything);
    assert_eq!(world.list(CallbackQuery { limit: 2, ..all() }).await, everything[..2]);
    let page = world.store.callbacks(CallbackQuery { limit: 2, ..all() }).await.unwrap();
    let before = Some(page[1].row);
    assert_eq!(world.list(CallbackQuery { before, ..all() }).await, everything[2..]);
    let user = Some(name("u"));
    assert_eq!(world.list(CallbackQuery { user, ..all() }).await, everything[2..]);
    let state = Some(CallbackState::Delivered);
    assert_eq!(world.list(CallbackQuery { state, ..all() }).await, everything[3..]);
    let endpoint = Some(EndpointName::new("other"));
    assert_eq!(world.list(CallbackQuery { endpoint, ..all() }).await, [""; 0]);
    for record in world.store.callbacks(all()).await.unwrap() {
        let id: CallbackId = record.id.to_string().parse().unwrap();
        assert_eq!(world.store.callback(&id).await.unwrap().unwrap(), record);
    }
    let nobody = CallbackId { endpoint: main(), user: name("u"), seq: 99 };
    assert_eq!(world.store.callback(&nobody).await.unwrap(), None);
}

async fn attempts_are_kept_the_first_and_the_latest(world: World) {
    world.online("u").await;
    for at in 0..ATTEMPTS_KEPT as u64 + 5 {
        let claimed = world.claim_at(at, 9).await;
        let mut settlement =
            settlement(&claimed[0], Fate::RetryAt { at: Instant(at), counts: false });
        settlement.attempt.as_mut().unwrap().took_ms = at;
        world.store.settle(settlement).await.unwrap();
    }
    let kept = &world.store.callbacks(all()).await.unwrap()[0].attempts;
    assert_eq!(kept.len(), ATTEMPTS_KEPT);
    assert_eq!((kept[0].took_ms, kept[1].took_ms, kept[19].took_ms), (0, 6, 24));
    let expected = AttemptRecord { took_ms: 24, ..attempt() };
    assert_eq!(kept[19], expected);
}

async fn after_a_replay_it_is_told_how_things_are(world: World) {
    world.online("u").await;
    world.offline("u").await;
    world.deliver_all().await;
    let oldest = world.store.callbacks(all()).await.unwrap().pop().unwrap().id;
    assert_eq!(world.replay(std::slice::from_ref(&oldest)).await, QUEUED);
    assert_eq!(world.replay(&[oldest]).await, UNKNOWN, "it is owed already");
    assert_eq!(world.list(all()).await, ["u offline delivered", "u online pending"]);
    assert_eq!(world.marks_due(9).await, [], "not before what is owed about the user");
    let claimed = world.claim(9).await;
    assert_eq!(told(&claimed), ["u online"]);
    assert!(claimed[0].replayed);
    world.deliver(&claimed).await;
    assert_eq!(world.marks_due(9).await, [("u".to_owned(), 3)], "only the truth makes it right");
    let mark = world.store.marks_due(&main(), Timestamp(9), 9, false).await.unwrap().remove(0);
    world.retell(&mark, 9).await;
    assert_eq!(world.marks_due(9).await, []);
    world.deliver_all().await;
    assert_eq!(world.list(all()).await[0], "u offline delivered");
    assert_eq!(world.backlog().await.marks, 0);
    let resync = world.store.endpoint(&main()).await.unwrap().resync;
    assert_eq!(resync, None, "nothing was given up");
}

async fn a_replay_of_the_last_word_is_enough(world: World) {
    world.online("u").await;
    let claimed = world.claim(1).await;
    world.settle(&claimed[0], Fate::Dead).await.unwrap();
    assert_eq!(world.replay(&[claimed[0].lease.id.clone()]).await, QUEUED);
    assert_eq!(world.backlog().await.marks, 1, "it is given up, and was not told yet");
    world.deliver_all().await;
    assert_eq!(world.backlog().await.marks, 0);
}

async fn a_replay_waits_for_the_one_in_flight(world: World) {
    world.online("u").await;
    world.offline("u").await;
    world.deliver(&world.claim(1).await).await;
    let in_flight = world.claim(1).await;
    assert_eq!(told(&in_flight), ["u offline"]);
    let first = [CallbackId { endpoint: main(), user: name("u"), seq: 1 }];
    assert_eq!(world.replay(&first).await, IN_FLIGHT, "it would be told last");
    world.deliver(&in_flight).await;
    assert_eq!(world.replay(&first).await, QUEUED);
    assert_eq!(told(&world.claim(9).await), ["u online"]);
}

async fn what_is_given_up_is_marked_until_something_newer_is_accepted(world: World) {
    world.online("u").await;
    let claimed = world.claim(1).await;
    world.settle(&claimed[0], Fate::Dead).await.unwrap();
    assert_eq!(world.backlog().await.marks, 1);
    assert!(world.store.is_marked(&main(), &name("u")).await.unwrap());
    let resync = async || world.store.endpoint(&main()).await.unwrap().resync;
    assert!(resync().await.unwrap().heals);
    let minute = 60_000;
    assert_eq!(world.marks_due(minute).await, [], "a minute after it was given up, at 9");
    assert_eq!(world.marks_due(minute + 9).await, [("u".to_owned(), 1)]);
    world.offline("u").await;
    assert_eq!(world.marks_due(minute + 9).await, [], "something is owed about this user");
    let claimed = world.claim(1).await;
    world.settle(&claimed[0], Fate::Dead).await.unwrap();
    assert_eq!(world.marks_due(minute + 9).await, [("u".to_owned(), 2)], "one of a subject");
    world.online("u").await;
    world.deliver_all().await;
    assert_eq!((world.backlog().await.marks, resync().await), (0, None), "it is right again");
}

async fn a_mark_that_was_made_at_a_finer_scope_is_answered_at_the_present_one(world: World) {
    for user in ["a", "b"] {
        world.online(user).await;
    }
    for claimed in world.claim(9).await {
        let subject = Subject::of(&claimed.change, Scope::Connection);
        let given_up = Settlement { subject, ..settlement(&claimed, Fate::Dead) };
        world.store.settle(given_up).await.unwrap();
    }
    assert_eq!(world.backlog().await.marks, 2);
    world.offline("a").await;
    world.deliver_all().await;
    assert_eq!(world.marks_due(60_009).await, [("b".to_owned(), 2)], "its App keeps flags now");
}

async fn a_mark_that_was_made_while_the_clock_was_ahead_waits_for_nothing(world: World) {
    const DAY_MS: u64 = 24 * 3_600_000;
    world.online("u").await;
    let claimed = world.claim(1).await;
    let at = Timestamp(92 * DAY_MS);
    let given_up = Settlement { at, ..settlement(&claimed[0], Fate::Dead) };
    world.store.settle(given_up).await.unwrap();
    let mark = world.store.marks_due(&main(), Timestamp(9), 9, false).await.unwrap().remove(0);
    world.retell(&mark, 9).await;
    world.settle(&world.claim(1).await[0], Fate::Dropped).await.unwrap();
    assert_eq!(world.marks_due(300_000 + 8).await, [], "five minutes after it was told");
    assert_eq!(world.marks_due(300_000 + 9).await.len(), 1);
}

async fn it_is_told_again_less_and_less_often(world: World) {
    world.online("u").await;
    let claimed = world.claim(1).await;
    world.settle(&claimed[0], Fate::Dead).await.unwrap();
    for minutes in [1, 5, 15, 60, 120, 180] {
        let due = minutes * 60_000 + 9;
        assert_eq!(world.marks_due(due - 1).await, [], "{minutes} minutes");
        let mark =
            world.store.marks_due(&main(), Timestamp(due), 9, false).await.unwrap().remove(0);
        world.retell(&mark, due).await;
        let claimed = world.claim(1).await;
        assert_eq!(claimed[0].change.reason, Reason::Resync);
        world.settle(&claimed[0], Fate::Dropped).await.unwrap();
        assert_eq!(world.backlog().await, Backlog { dead: 1, marks: 1, ..Backlog::default() });
    }
    let prune = Prune { owed_before: Timestamp(10), ..keep_all() };
    world.store.prune(prune).await.unwrap();
    assert_eq!(world.backlog().await.marks, 0, "too old to be told");
    let resync = world.store.endpoint(&main()).await.unwrap().resync.unwrap();
    assert!(!resync.heals, "only who is online says it now");
}

async fn what_is_not_wanted_is_told_as_it_is_now(world: World) {
    for user in ["a", "b"] {
        world.online(user).await;
    }
    let claimed = world.claim(9).await;
    world.settle(&claimed[0], Fate::Unwanted { retell: true }).await.unwrap();
    world.settle(&claimed[1], Fate::Unwanted { retell: false }).await.unwrap();
    assert_eq!(world.list(all()).await, ["b online superseded", "a online superseded"]);
    assert_eq!(world.marks_due(9).await, [("a".to_owned(), 1)], "at once");
    let mark = world.store.marks_due(&main(), Timestamp(9), 9, false).await.unwrap().remove(0);
    let step = world.step("a", Event::Ticked, 10).await;
    world.store.commit(Commit { answers: Some(mark), ..step }).await.unwrap();
    assert_eq!(world.backlog().await.marks, 0, "it is not told of what is so");
}

async fn an_app_is_asked_to_resync_every_ten_minutes_at_most(world: World) {
    let give_up = async |user: &str, at| {
        world.store.commit(world.login(user, user, 1).await).await.unwrap();
        let claimed = world.claim(1).await;
        let settlement = Settlement { at: Timestamp(at), ..settlement(&claimed[0], Fate::Dead) };
        world.store.settle(settlement).await.unwrap();
    };
    let is_asked = async || world.store.endpoint(&main()).await.unwrap().resync.is_some();
    let minute = 60_000;
    give_up("a", minute).await;
    assert!(is_asked().await);
    let resynced = EndpointChange::Resynced { at: Timestamp(minute), fence: None };
    world.store.change_endpoint(&main(), resynced).await.unwrap();
    give_up("b", 2 * minute).await;
    assert!(!is_asked().await, "a minute after it was asked");
    let prune = async |now| world.store.prune(Prune { now, ..keep_all() }).await.unwrap();
    prune(Timestamp(10 * minute)).await;
    assert!(!is_asked().await);
    prune(Timestamp(11 * minute)).await;
    assert!(is_asked().await);
}

/// The snapshot that the App read knows nothing of what is given up after it, also about a user who is marked.
async fn what_is_given_up_after_a_resync_asks_for_another(world: World) {
    let minute = 60_000;
    let is_asked = async || world.store.endpoint(&main()).await.unwrap().resync.is_some();
    for round in 0..3 {
        let at = 1 + round * 11 * minute;
        for n in 0..2 {
            world.store.commit(world.login("u", &format!("{round}{n}"), at).await).await.unwrap();
            let claimed = world.claim(1).await;
            let dead = settlement(&claimed[0], Fate::Dead);
            world.store.settle(Settlement { at: Timestamp(at), ..dead }).await.unwrap();
        }
        assert!(is_asked().await, "round {round}");
        let resynced = EndpointChange::Resynced { at: Timestamp(at + minute), fence: None };
        world.store.change_endpoint(&main(), resynced).await.unwrap();
        let prune = Prune { now: Timestamp(at + 10 * minute), ..keep_all() };
        world.store.prune(prune).await.unwrap();
        assert!(!is_asked().await, "nothing was given up after it");
    }
}

/// Whatever the reason is: an App may read who is online while another one comes up.
async fn a_snapshot_answers_what_came_up_before_it_and_nothing_later(world: World) {
    let needs = |at| {
        let why = "others".to_owned();
        EndpointChange::NeedsResync(Resync { since: Timestamp(at), why, heals: false })
    };
    #[rustfmt::skip]
    let table = [
        // came up              fence      is answered
        (vec![10],              Some(10),  true),
        (vec![10],              Some(9),   false),
        (vec![10, 20],          Some(15),  false),
        (vec![10, 20],          Some(20),  true),
        (vec![20, 10],          Some(15),  false),
        (vec![10, 20],          None,      true),
    ];
    for (came_up, fence, is_answered) in table {
        let note = async |change| world.store.change_endpoint(&main(), change).await.unwrap();
        note(EndpointChange::Resynced { at: Timestamp(1), fence: None }).await;
        for at in &came_up {
            note(needs(*at)).await;
        }
        note(EndpointChange::Resynced { at: Timestamp(30), fence }).await;
        let stands = world.store.endpoint(&main()).await.unwrap();
        assert_eq!(stands.resync.is_none(), is_answered, "{came_up:?}, fence {fence:?}");
    }
    // What is given up while a snapshot is read, about whomever.
    for (user, at) in [("a", 100), ("b", 200)] {
        world.store.commit(world.login(user, user, at).await).await.unwrap();
        let claimed = world.claim(1).await;
        let dead = settlement(&claimed[0], Fate::Dead);
        world.store.settle(Settlement { at: Timestamp(at), ..dead }).await.unwrap();
    }
    for (fence, is_answered) in [(150, false), (200, true)] {
        let resynced = EndpointChange::Resynced { at: Timestamp(201), fence: Some(fence) };
        world.store.change_endpoint(&main(), resynced).await.unwrap();
        let stands = world.store.endpoint(&main()).await.unwrap();
        assert_eq!(stands.resync.is_none(), is_answered, "fence {fence}");
    }
}

async fn what_is_told_in_any_case_is_found_behind_what_is_not(world: World) {
    for n in 0..2_000 {
        world.store.commit(world.login(&format!("dead-{n}"), "c", 1).await).await.unwrap();
    }
    for claimed in world.claim(3_000).await {
        world.settle(&claimed, Fate::Dead).await.unwrap();
    }
    world.store.commit(world.login("replayed", "c", 1 << 30).await).await.unwrap();
    let claimed = world.claim(9).await;
    let unwanted = settlement(&claimed[0], Fate::Unwanted { retell: true });
    world.store.settle(Settlement { at: Timestamp(1 << 30), ..unwanted }).await.unwrap();
    let (now, store) = (Timestamp(1 << 31), &world.store);
    let marks = store.marks_due(&main(), now, 3, true).await.unwrap();
    assert_eq!(marks.iter().map(|mark| mark.user.as_str()).collect::<Vec<_>>(), ["replayed"]);
    assert_eq!(store.marks_due(&main(), now, 3, false).await.unwrap().len(), 3);
    // It is told, and fails: it is still told in any case, later.
    world.retell(&marks[0], 1 << 31).await;
    let claimed = world.claim(9).await;
    world.settle(&claimed[0], Fate::Dropped).await.unwrap();
    assert_eq!(store.marks_due(&main(), Timestamp(1 << 32), 3, true).await.unwrap().len(), 1);
}

async fn a_given_up_callback_makes_no_mark_due_in_any_case(world: World) {
    for at in [9, 90_000] {
        world.store.commit(world.login("u", &at.to_string(), at).await).await.unwrap();
        let claimed = world.claim(1).await;
        let dead = settlement(&claimed[0], Fate::Dead);
        world.store.settle(Settlement { at: Timestamp(at), ..dead }).await.unwrap();
    }
    let (later, store) = (Timestamp(1 << 40), &world.store);
    assert_eq!(store.marks_due(&main(), later, 9, true).await.unwrap(), []);
    assert_eq!(store.marks_due(&main(), later, 9, false).await.unwrap().len(), 1);
}

async fn a_number_beyond_the_file_fails_its_own_commit_only(world: World) {
    let huge = Commit { wake_at: Some(Instant(u64::MAX)), ..world.login("u", "a", 1).await };
    let (_, other) =
        tokio::join!(world.store.commit(huge), world.store.commit(world.login("v", "b", 1).await));
    other.unwrap();
    assert_eq!(world.store.load(&name("v")).await.unwrap().version, 1);
}

async fn the_backlog_counts_what_is_owed_and_dead(world: World) {
    let backlog = || async { world.store.backlog(&main()).await.unwrap() };
    assert_eq!(backlog().await, Backlog::default());
    world.online("u").await;
    world.offline("u").await;
    world.online("v").await;
    let oldest_at = Some(Timestamp(1));
    assert_eq!(backlog().await, Backlog { owed: 3, oldest_at, dead: 0, marks: 0 });
    let claimed = world.claim(1).await;
    world.settle(&claimed[0], Fate::Dead).await.unwrap();
    assert_eq!(
        backlog().await,
        Backlog { owed: 2, oldest_at: Some(Timestamp(2)), dead: 1, marks: 1 }
    );
    world.replay(&[claimed[0].lease.id.clone()]).await;
    assert_eq!(backlog().await.dead, 0);
    assert_eq!(backlog().await.owed, 3);
    world.deliver_all().await;
    assert_eq!(backlog().await, Backlog { marks: 1, ..Backlog::default() });
}

async fn users_are_listed_by_name_a_page_at_a_time(world: World) {
    for user in ["c", "a", "b"] {
        world.online(user).await;
    }
    world.offline("b").await;
    let page = |online_only, after: Option<&str>, limit| {
        let query = UserQuery { online_only, after: after.map(name), limit };
        let store = world.store.clone();
        async move {
            let users = store.users(query).await.unwrap();
            users.into_iter().map(|(user, _)| user.to_string()).collect::<Vec<_>>()
        }
    };
    assert_eq!(page(false, None, 9).await, ["a", "b", "c"]);
    assert_eq!(page(true, None, 9).await, ["a", "c"]);
    assert_eq!(page(true, None, 1).await, ["a"]);
    assert_eq!(page(true, Some("a"), 9).await, ["c"]);
    assert_eq!(page(false, Some("a"), 1).await, ["b"]);
    assert_eq!(page(false, Some("c"), 1).await, [""; 0]);
}

async fn old_history_is_pruned_and_never_what_is_owed(world: World) {
    for user in ["u", "v", "w"] {
        world.online(user).await;
    }
    let claimed = world.claim(9).await;
    world.settle(&claimed[0], Fate::Dead).await.unwrap();
    world.settle(&claimed[1], Fate::Delivered).await.unwrap();
    let prune = |history, failed| {
        let (history_before, failed_before) = (Timestamp(history), Timestamp(failed));
        let prune = Prune { history_before, failed_before, ..keep_all() };
        let store = world.store.clone();
        async move { store.prune(prune).await.unwrap().callbacks }
    };
    assert_eq!(prune(9, 9).await, 0, "they were settled at 9, not before");
    assert_eq!(prune(10, 9).await, 1);
    assert_eq!(world.list(all()).await, ["w online pending", "u online dead"]);
    assert_eq!(prune(10, 10).await, 1);
    assert_eq!(world.list(all()).await, ["w online pending"]);
    assert_eq!(world.store.backlog(&main()).await.unwrap().dead, 0);
}

async fn too_much_history_is_pruned(world: World) {
    for user in ["a", "b", "c"] {
        world.online(user).await;
    }
    world.deliver_all().await;
    let prune = Prune { history_bytes_max: 0, limit: 2, ..keep_all() };
    assert_eq!(world.store.prune(prune).await.unwrap().callbacks, 2);
    assert_eq!(world.list(all()).await, ["c online delivered"]);
    let prune = Prune { history_bytes_max: 100_000, ..keep_all() };
    assert_eq!(world.store.prune(prune).await.unwrap().callbacks, 0);
}

async fn what_is_owed_for_too_long_expires(world: World) {
    for user in ["a", "b", "c"] {
        world.online(user).await;
    }
    let leased = world.claim(1).await;
    let recent = Timestamp(9);
    let prune = Prune {
        owed_before: Timestamp(3),
        history_before: recent,
        failed_before: recent,
        ..keep_all()
    };
    let expired = world.store.prune(prune).await.unwrap().expired;
    assert_eq!(expired, 1, "the first is under way, the third is young");
    let states = ["c online pending", "b online expired", "a online pending"];
    assert_eq!(world.list(all()).await, states);
    world.deliver(&leased).await;
    assert_eq!(told(&world.claim(9).await), ["c online"]);
    let resync = world.store.endpoint(&main()).await.unwrap().resync.unwrap();
    assert_eq!(resync.since, Timestamp(9), "its App must read who is online");
}

async fn of_too_much_the_oldest_expires(world: World) {
    for user in ["a", "b", "c", "d"] {
        world.online(user).await;
    }
    let prune = Prune { owed_max: 4, ..keep_all() };
    assert_eq!(world.store.prune(prune.clone()).await.unwrap().expired, 0);
    assert_eq!(world.store.endpoint(&main()).await.unwrap(), EndpointState::default());
    let prune = Prune { owed_max: 2, ..prune };
    assert_eq!(world.store.prune(prune).await.unwrap().expired, 2);
    let states = ["d online pending", "c online pending", "b online expired", "a online expired"];
    assert_eq!(world.list(all()).await, states);
    assert!(world.store.endpoint(&main()).await.unwrap().resync.is_some());
}

/// Or its online would be told after the App has read a snapshot, and its offline never.
async fn what_waits_behind_one_in_flight_does_not_expire(world: World) {
    world.online("u").await;
    let claimed = world.claim(1).await;
    world.offline("u").await;
    let prune = Prune { owed_max: 1, owed_before: Timestamp(99), ..keep_all() };
    assert_eq!(world.store.prune(prune.clone()).await.unwrap().expired, 0);
    world.settle(&claimed[0], Fate::Delivered).await.unwrap();
    assert_eq!(world.store.prune(prune).await.unwrap().expired, 1);
    assert_eq!(world.list(all()).await, ["u offline expired", "u online delivered"]);
}

async fn what_happens_to_an_endpoint_is_remembered(world: World) {
    let state = async || world.store.endpoint(&main()).await.unwrap();
    let note = async |change| world.store.change_endpoint(&main(), change).await.unwrap();
    let resync =
        |since, why: &str| Resync { since: Timestamp(since), why: why.into(), heals: false };
    note(EndpointChange::Paused(true)).await;
    note(EndpointChange::NeedsResync(resync(1, "first"))).await;
    note(EndpointChange::NeedsResync(resync(2, "second"))).await;
    note(EndpointChange::ToldOf("everything".into())).await;
    let expected = EndpointState {
        paused: true,
        resync: Some(resync(1, "first")),
        resync_seq: 2,
        told_of: Some("everything".into()),
        ..EndpointState::default()
    };
    assert_eq!(state().await, expected);
    note(EndpointChange::Paused(false)).await;
    note(EndpointChange::Resynced { at: Timestamp(9), fence: None }).await;
    let resynced_at = Some(Timestamp(9));
    let expected =
        EndpointState { paused: false, resync: None, resync_seq: 0, resynced_at, ..expected };
    assert_eq!(state().await, expected);
    let other = EndpointName::new("other");
    assert_eq!(world.store.endpoints().await.unwrap(), [main()]);
    assert_eq!(world.store.endpoint(&other).await.unwrap(), EndpointState::default());
}

/// Up to a row of its own everything counts as from before, for dispatchers and for readers of the feed.
async fn an_endpoint_that_begins_anew_is_told_how_things_are(mut world: World) {
    for user in ["a", "b"] {
        world.online(user).await;
    }
    world.deliver_all().await;
    let callbacks = world.store.callbacks(all()).await.unwrap();
    let missed = callbacks.into_iter().map(|record| (record.id.user, record.change)).collect();
    let (newest, _) = world.store.newest_rows(&main()).await.unwrap();
    let (endpoint, scope, at) = (main(), Scope::User, Timestamp(9));
    let anew = Anew { endpoint, scope, missed, begins: false, at };
    world.store.begin_anew(anew.clone()).await.unwrap();
    assert_eq!(world.store.endpoint(&main()).await.unwrap(), EndpointState::default());
    world.store.begin_anew(Anew { begins: true, ..anew }).await.unwrap();
    let marks = [("a".to_owned(), 2), ("b".to_owned(), 3)];
    for _ in 0..2 {
        assert_eq!(world.marks_due(9).await, marks, "only what comes after makes it right");
        let stands = world.store.endpoint(&main()).await.unwrap();
        assert_eq!((stands.anew_row, stands.forgotten_row), (newest + 1, newest + 1));
        assert_eq!(stands.resync, None, "it was not asked for, and heals by itself");
        let after = async |row| world.store.callbacks_after(&main(), row, 9).await.unwrap();
        assert_eq!(after(newest).await, None);
        let (row, _) = world.store.newest_rows(&main()).await.unwrap();
        assert_eq!(after(row).await.map(|page| page.records), Some(Vec::new()));
        world.reopen();
    }
    world.online("c").await;
    let claimed = world.claim(9).await;
    assert!(claimed[0].lease.row() > newest + 1);
}

async fn old_users_are_forgotten_but_for_their_seq(world: World) {
    for user in ["here", "owed", "gone"] {
        world.online(user).await;
    }
    world.offline("gone").await;
    world.deliver_all().await;
    world.offline("owed").await;
    let prune = Prune { users_before: Timestamp(999), ..keep_all() };
    assert_eq!(world.store.prune(prune).await.unwrap().users, 1);
    let forgotten = world.store.load(&name("gone")).await.unwrap();
    assert_eq!((forgotten.version, forgotten.value.last_seq()), (0, 4));
    let stranger = world.store.load(&name("stranger")).await.unwrap();
    assert_eq!(stranger.value.last_seq(), 4, "it may have been a forgotten one");
    assert_eq!(world.store.load(&name("owed")).await.unwrap().version, 2);
    world.store.commit(world.login("gone", "z", 1).await).await.unwrap();
    assert!(world.store.load(&name("gone")).await.unwrap().value.last_seq() > 4);
}

async fn a_long_line_collapses_to_its_last_word_which_says_for_how_many(world: World) {
    world.online("alone").await;
    for _ in 0..3 {
        world.online("u").await;
        world.offline("u").await;
    }
    assert_eq!(world.collapse(99, Scope::User).await, 5);
    assert_eq!(world.backlog().await.owed, 2);
    let claimed = world.claim(99).await;
    let said: Vec<_> =
        told(&claimed).into_iter().zip(claimed.iter().map(|c| c.collapsed)).collect();
    assert_eq!(said, [("alone online".into(), 0), ("u offline".into(), 5)]);
    world.deliver(&claimed).await;
    let of_u = CallbackQuery { user: Some(name("u")), ..all() };
    let listed = world.list(of_u).await;
    assert_eq!(listed.len(), 6, "all stay readable");
    assert_eq!(listed[..2], ["u offline delivered", "u online superseded"]);

    // One that speaks for others passes that on.
    for _ in 0..2 {
        world.online("v").await;
    }
    assert_eq!(world.collapse(99, Scope::User).await, 1);
    world.online("v").await;
    assert_eq!(world.collapse(99, Scope::User).await, 1);
    assert_eq!(world.claim(99).await[0].collapsed, 2);
}

/// What the App refuses with one callback is every arrival that it spoke for.
async fn it_is_known_which_arrivals_a_callback_speaks_for(world: World) {
    world.online("u").await;
    world.online("u").await;
    assert_eq!(world.collapse(99, Scope::User).await, 1);
    world.offline("u").await;
    world.online("u").await;
    assert_eq!(world.collapse(99, Scope::User).await, 2);
    let claimed = world.claim(99).await;
    assert_eq!((claimed[0].change.seq, &claimed[0].spoken_for[..]), (4, &[1, 2][..]));
    world.deliver(&claimed).await;
    world.online("v").await;
    assert!(world.claim(99).await[0].spoken_for.is_empty());
}

/// Or collapsing a little before each claim would go through everybody before the first one.
async fn who_is_told_less_keeps_the_place(world: World) {
    for user in ["a", "b", "c", "a", "b", "c"] {
        world.online(user).await;
        world.offline(user).await;
    }
    assert_eq!(world.collapse_of(1, 99, Scope::User).await, 6, "those of the first and the last");
    assert_eq!(world.collapse_of(1, 99, Scope::User).await, 0);
    let next: Vec<_> = [world.claim(1).await, world.claim(1).await].concat();
    let mut next: Vec<_> = next
        .iter()
        .map(|claimed| (claimed.collapsed, told(std::slice::from_ref(claimed))))
        .collect();
    next.sort();
    assert_eq!(next, [(3, vec!["a offline".to_owned()]), (3, vec!["c offline".to_owned()])]);
}

async fn what_was_attempted_or_is_young_does_not_collapse(world: World) {
    for _ in 0..2 {
        world.online("u").await;
    }
    let young = world.next_time().await - 2;
    assert_eq!(world.collapse(young, Scope::User).await, 0);
    assert_eq!(world.collapse(99, Scope::Connection).await, 0, "each is about another");
    let claimed = world.claim(99).await;
    assert_eq!(world.collapse(99, Scope::User).await, 0, "it is on its way");
    let again = Fate::RetryAt { at: Instant(0), counts: false };
    world.settle(&claimed[0], again).await.unwrap();
    world.online("u").await;
    assert_eq!(world.collapse(99, Scope::User).await, 1, "the second gives way to the third");
    assert_eq!(world.claim(99).await[0].change.seq, claimed[0].change.seq, "the first stays");
}

async fn what_is_purged_is_gone_and_what_is_owed_stays(world: World) {
    for user in ["dead", "delivered", "owed"] {
        world.online(user).await;
    }
    let claimed = world.claim(9).await;
    world.settle(&claimed[0], Fate::Dead).await.unwrap();
    world.settle(&claimed[1], Fate::Delivered).await.unwrap();
    let rows =
        world.store.callbacks(all()).await.unwrap().iter().map(|record| record.row).collect();
    assert_eq!(world.backlog().await.dead, 1);
    assert_eq!(world.store.purge(rows).await.unwrap(), 2);
    assert_eq!(world.list(all()).await, ["owed online pending"]);
    assert_eq!((world.backlog().await.dead, world.backlog().await.owed), (0, 1));
}

async fn callbacks_are_read_in_their_order_until_some_are_forgotten(world: World) {
    let after = async |row, limit| {
        let read = world.store.callbacks_after(&main(), row, limit).await.unwrap()?;
        let words =
            read.records.iter().map(|record| format!("{} {}", record.id.user, record.state.name()));
        Some((words.collect::<Vec<_>>().join(", "), read.cursor))
    };
    assert_eq!(after(0, 9).await, Some((String::new(), 0)));
    for user in ["a", "b", "c", "d"] {
        world.online(user).await;
    }
    let claimed = world.claim(9).await;
    world.settle(&claimed[0], Fate::Delivered).await.unwrap();
    world.settle(&claimed[2], Fate::Dead).await.unwrap();
    let (two, cursor) = after(0, 2).await.unwrap();
    assert_eq!(two, "a delivered, b pending");
    let (rest, end) = after(cursor, 9).await.unwrap();
    assert_eq!(rest, "c dead, d pending");
    assert_eq!(after(end, 9).await, Some((String::new(), end)));
    let other = EndpointName::new("other");
    let nothing = Some(CallbacksPage { records: Vec::new(), cursor: end });
    let of_other = async || world.store.callbacks_after(&other, 0, 9).await.unwrap();
    assert_eq!(of_other().await, nothing, "past the rows of others");
    assert_eq!(world.store.newest_rows(&main()).await.unwrap(), (end, end));
    assert_eq!(world.store.newest_rows(&other).await.unwrap().0, end);
    // The first is forgotten: who has not read it must know.
    let prune = Prune { history_before: Timestamp(999), ..keep_all() };
    assert_eq!(world.store.prune(prune).await.unwrap().callbacks, 1);
    assert_eq!(after(0, 9).await, None);
    assert_eq!(of_other().await, nothing, "nothing of its own is forgotten");
    assert_eq!(after(cursor, 9).await.unwrap().0, "c dead, d pending");
}

async fn accounts_are_registered_all_or_none(world: World) {
    let store = &world.store;
    assert_eq!(store.register(vec![account("a")]).await.unwrap(), Registered::All);
    let again = store.register(vec![account("b"), account("a")]).await.unwrap();
    assert_eq!(again, Registered::Already(name("a")));
    let found = store.accounts(&[name("b"), name("a")]).await.unwrap();
    assert_eq!(found, [None, Some(account("a"))]);
}

async fn a_person_is_erased_once_nobody_needs_to_know_them(world: World) {
    let store = &world.store;
    for user in ["u", "other"] {
        store.register(vec![account(user)]).await.unwrap();
        world.online(user).await;
    }
    let erase = || async { store.erase(&erase("u", false)).await.unwrap() };
    assert_eq!(erase().await, Erasure::StillNeeded, "online, and told to nobody yet");
    world.deliver_all().await;
    assert_eq!(erase().await, Erasure::StillNeeded, "online");
    world.offline("u").await;
    assert_eq!(erase().await, Erasure::StillNeeded, "the App does not know");
    assert_eq!(store.accounts(&[name("u")]).await.unwrap(), [Some(account("u"))]);
    world.deliver_all().await;
    let last_seq = store.load(&name("u")).await.unwrap().value.last_seq();
    let erased = Erased { state: true, account: true, callbacks: 2, owed: 0, set_aside: 0 };
    assert_eq!(erase().await, Erasure::Done(erased));
    assert_eq!(erase().await, Erasure::Done(Erased::default()), "nothing is left");

    assert_eq!(
        store.accounts(&[name("u"), name("other")]).await.unwrap(),
        [None, Some(account("other"))]
    );
    assert_eq!(world.list(all()).await, ["other online delivered"]);
    let stranger = store.load(&name("u")).await.unwrap();
    assert_eq!((stranger.version, stranger.value.last_seq() >= last_seq), (0, true));
    world.online("u").await;
    assert!(store.load(&name("u")).await.unwrap().value.last_seq() > last_seq);
}

async fn a_person_whom_an_app_is_still_to_be_told_about_is_erased_if_insisted_on(world: World) {
    let store = &world.store;
    world.online("u").await;
    assert_eq!(store.erase(&erase("u", true)).await.unwrap(), Erasure::StillNeeded, "online");
    let claimed = world.claim(9).await;
    world.settle(&claimed[0], Fate::Dead).await.unwrap();
    world.offline("u").await;
    let in_flight = world.claim(9).await;
    assert_eq!(store.erase(&erase("u", true)).await.unwrap(), Erasure::StillNeeded, "in flight");
    world.settle(&in_flight[0], Fate::RetryAt { at: Instant(99), counts: true }).await.unwrap();
    world.online("u").await;
    world.offline("u").await;
    assert_eq!(store.erase(&erase("u", false)).await.unwrap(), Erasure::StillNeeded);
    let all = Erased { state: true, account: false, callbacks: 4, owed: 3, set_aside: 0 };
    assert_eq!(store.erase(&erase("u", true)).await.unwrap(), Erasure::Done(all));
    assert!(world.list(self::all()).await.is_empty());
    assert_eq!(world.backlog().await.owed, 0);
    assert!(!store.is_marked(&main(), &name("u")).await.unwrap());
    let resync = store.endpoint(&main()).await.unwrap().resync.unwrap();
    assert!(!resync.heals, "only a snapshot tells now: {resync:?}");
}

/// Between the moment a mark is read and the commit that answers it, the person may be erased, or the App be
/// told something newer.
async fn nothing_is_told_again_for_a_mark_that_is_gone(world: World) {
    let store = &world.store;
    for user in ["erased", "told"] {
        world.online(user).await;
        let claimed = world.claim(9).await;
        world.settle(&claimed[0], Fate::Dead).await.unwrap();
        world.offline(user).await;
        let claimed = world.claim(9).await;
        world.settle(&claimed[0], Fate::Dead).await.unwrap();
    }
    let marks = store.marks_due(&main(), Timestamp(1 << 40), 9, false).await.unwrap();
    let [erased, told] = <[Mark; 2]>::try_from(marks).unwrap();
    assert_eq!((erased.user.as_str(), told.user.as_str()), ("erased", "told"));
    assert_eq!(store.mark_to_tell(&erased).await.unwrap(), Some(erased.clone()));
    let all_of_it = Erased { state: true, account: false, callbacks: 2, owed: 0, set_aside: 0 };
    let done = store.erase(&self::erase("erased", true)).await.unwrap();
    assert_eq!(done, Erasure::Done(all_of_it));
    world.online("told").await;
    assert_eq!(store.mark_to_tell(&told).await.unwrap(), None, "something is owed");
    world.deliver_all().await;
    for (mark, callbacks) in [(&erased, 0), (&told, 3)] {
        assert_eq!(store.mark_to_tell(mark).await.unwrap(), None);
        let before = store.load(&mark.user).await.unwrap();
        let done = store.commit(world.retelling(mark, 99).await).await;
        assert!(matches!(done, Err(StoreError::Conflict)), "{done:?}");
        assert_eq!(store.load(&mark.user).await.unwrap(), before);
        let user = Some(mark.user.clone());
        assert_eq!(world.list(CallbackQuery { user, ..all() }).await.len(), callbacks);
    }
}

fn erase(user: &str, force: bool) -> Erase {
    Erase { user: name(user), force, at: Timestamp(9) }
}

async fn a_probe_succeeds(world: World) {
    world.store.probe().await.unwrap();
}

async fn the_first_epoch_stays(world: World) {
    assert_eq!(world.store.epoch("first").await.unwrap(), "first");
    assert_eq!(world.store.epoch("second").await.unwrap(), "first");
}

async fn a_restart_forgets_nothing_and_everything_owed_is_due(mut world: World) {
    world.online("a").await;
    world.online("b").await;
    world.offline("b").await;
    let claimed = world.claim(1).await;
    world.settle(&claimed[0], Fate::RetryAt { at: Instant(1 << 40), counts: true }).await.unwrap();
    world.store.change_endpoint(&main(), EndpointChange::Paused(true)).await.unwrap();
    world.store.epoch("an epoch").await.unwrap();
    let before = world.store.callbacks(all()).await.unwrap();
    let commit = Commit { wake_at: Some(Instant(7)), ..world.login("a", "x", 9).await };
    world.store.commit(commit).await.unwrap();

    world.reopen();
    assert_eq!(world.store.callbacks(all()).await.unwrap()[1..], before);
    assert!(world.store.endpoint(&main()).await.unwrap().paused);
    assert_eq!(world.store.epoch("another").await.unwrap(), "an epoch");
    assert_eq!(world.store.users_online().await.unwrap(), 1);
    assert_eq!(world.store.load(&name("a")).await.unwrap().version, 2);
    assert_eq!(world.store.due_wakeups(Instant(7), 9).await.unwrap(), [name("a")]);
    let claimed = world.claim(9).await;
    assert_eq!(told(&claimed), ["a online", "b online"]);
    assert_eq!((claimed[0].tries, claimed[1].tries), (1, 0));
    assert_eq!(world.store.backlog(&main()).await.unwrap().owed, 4);
}

async fn the_seq_floor_and_the_dead_survive_a_restart(mut world: World) {
    world.online("gone").await;
    world.offline("gone").await;
    let claimed = world.claim(1).await;
    world.settle(&claimed[0], Fate::Dead).await.unwrap();
    world.deliver_all().await;
    world.store.prune(Prune { users_before: Timestamp(99), ..keep_all() }).await.unwrap();
    world.reopen();
    assert_eq!(world.store.load(&name("gone")).await.unwrap().value.last_seq(), 2);
    assert_eq!(world.store.backlog(&main()).await.unwrap().dead, 1);
}

const LEASE: Duration = Duration::from_secs(10);

/// One store, and users who live in it.
struct World {
    store: Arc<dyn Store>,
    memory: Option<Arc<Memory>>,
    folder: Option<tempfile::TempDir>,
}

impl World {
    fn memory() -> World {
        let memory = Arc::new(Memory::default());
        World { store: Arc::clone(&memory) as _, memory: Some(memory), folder: None }
    }

    fn sqlite() -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(folder.path(), Sync::Normal).unwrap();
        World { store: Arc::new(store), memory: None, folder: Some(folder) }
    }

    /// Closes the store as a crash would leave it, and opens it again.
    fn reopen(&mut self) {
        if let Some(memory) = &mut self.memory {
            *memory = Arc::new(memory.reopened());
            self.store = Arc::clone(memory) as _;
            return;
        }
        let folder = self.folder.as_ref().expect("it is in memory or on disk");
        self.store = Arc::new(Memory::default());
        let opened = (0..100).find_map(|_| match Sqlite::open(folder.path(), Sync::Normal) {
            Ok(store) => Some(store),
            Err(OpenError::InUse(_)) => {
                std::thread::sleep(Duration::from_millis(20));
                None
            }
            Err(error) => panic!("{error}"),
        });
        self.store = Arc::new(opened.expect("the old store lets go of the folder"));
    }

    /// The `seq` of what it causes is one more than the highest so far, as is its time.
    async fn online(&self, user: &str) -> User {
        let at = self.next_time().await;
        let commit = self.login(user, &format!("{at}"), at).await;
        let state = commit.state.clone();
        self.store.commit(commit).await.unwrap();
        state
    }

    async fn offline(&self, user: &str) {
        let at = self.next_time().await;
        self.store.commit(self.logout(user, at).await).await.unwrap();
    }

    async fn logout(&self, user: &str, at: u64) -> Commit {
        let state = self.store.load(&name(user)).await.unwrap().value;
        let conn = state.connections()[0].id;
        self.step(user, Event::Disconnected { conn, end: End::LoggedOut }, at).await
    }

    async fn next_time(&self) -> u64 {
        let all = self.store.callbacks(all()).await.unwrap();
        all.iter().map(|record| record.id.seq).max().unwrap_or(0) + 1
    }

    async fn login(&self, user: &str, conn: &str, at: u64) -> Commit {
        let mut id = [0; 16];
        id[..conn.len()].copy_from_slice(conn.as_bytes());
        let (conn, token) = (ConnId(id), TokenHash(id));
        let login = Login {
            conn,
            platform: Platform::Ios,
            token,
            issued_at: Timestamp(1),
            background: false,
            address: None,
        };
        self.step(user, Event::Connected(login), at).await
    }

    async fn step(&self, user: &str, event: Event, at: u64) -> Commit {
        let policy = Policy {
            offline_grace: LEASE,
            restart_grace: LEASE,
            virtual_lease: LEASE,
            login: LoginPolicy::None,
            ..Policy::default()
        };
        let Versioned { version, value: mut state } = self.store.load(&name(user)).await.unwrap();
        let now = Now { mono: Instant(at), wall: Timestamp(at) };
        let effects = state.apply(event, now, &policy);
        let retold = effects.retold.map(|retold| retold.change);
        let callback = |change| NewCallback {
            endpoint: main(),
            change,
            operation_id: "op".into(),
            due_at: Instant(0),
            asks: false,
            speaks_for: Vec::new(),
        };
        Commit {
            user: name(user),
            based_on: version,
            state,
            wake_at: effects.wake_at,
            callbacks: effects.changes.into_iter().chain(retold).map(callback).collect(),
            settles: None,
            answers: None,
            at: Timestamp(at),
        }
    }

    async fn claim(&self, limit: usize) -> Vec<Claimed> {
        self.claim_at(0, limit).await
    }

    async fn claim_at(&self, now: u64, limit: usize) -> Vec<Claimed> {
        let claim = Claim { endpoint: main(), now: Instant(now), lease: LEASE, limit };
        self.store.claim(claim).await.unwrap()
    }

    async fn collapse(&self, queued_before: u64, scope: Scope) -> u64 {
        self.collapse_of(99, queued_before, scope).await
    }

    /// Of the next so many users, from both ends.
    async fn collapse_of(&self, users_max: usize, queued_before: u64, scope: Scope) -> u64 {
        let wish = Collapse {
            endpoint: main(),
            due: Instant(0),
            queued_before: Timestamp(queued_before),
            scope,
            users_max,
            at: Timestamp(99),
        };
        self.store.collapse(wish).await.unwrap()
    }

    async fn backlog(&self) -> Backlog {
        self.store.backlog(&main()).await.unwrap()
    }

    async fn settle(&self, claimed: &Claimed, fate: Fate) -> Result<(), StoreError> {
        self.store.settle(settlement(claimed, fate)).await
    }

    async fn deliver(&self, claimed: &[Claimed]) {
        for claimed in claimed {
            self.settle(claimed, Fate::Delivered).await.unwrap();
        }
    }

    async fn deliver_all(&self) {
        loop {
            let claimed = self.claim(99).await;
            if claimed.is_empty() {
                return;
            }
            self.deliver(&claimed).await;
        }
    }

    async fn replay(&self, ids: &[CallbackId]) -> Replayed {
        let replay = Replay { ids: ids.to_vec(), scopes: Vec::new(), at: Timestamp(9) };
        self.store.replay(replay).await.unwrap()
    }

    /// Marks that are due then: of whom, and from which `seq` on a callback makes them right.
    async fn marks_due(&self, now: u64) -> Vec<(String, u64)> {
        let due = self.store.marks_due(&main(), Timestamp(now), 9, false).await.unwrap();
        due.into_iter().map(|mark| (mark.user.to_string(), mark.seq)).collect()
    }

    /// The App is told how a user is, as the server does it for a mark.
    async fn retell(&self, mark: &Mark, at: u64) {
        self.store.commit(self.retelling(mark, at).await).await.unwrap();
    }

    async fn retelling(&self, mark: &Mark, at: u64) -> Commit {
        let subject = mark.subject;
        let missed = mark.detail.missed.clone();
        let event = Event::Untold { subject, missed, online: Scope::Connection };
        let mut commit = self.step(mark.user.as_str(), event, at).await;
        commit.answers = Some(mark.clone());
        commit
    }

    async fn list(&self, query: CallbackQuery) -> Vec<String> {
        let records = self.store.callbacks(query).await.unwrap();
        let line = |record: &CallbackRecord| {
            format!("{} {} {}", record.id.user, kind(&record.change), record.state.name())
        };
        records.iter().map(line).collect()
    }
}

fn told(claimed: &[Claimed]) -> Vec<String> {
    claimed.iter().map(|c| format!("{} {}", c.lease.id.user, kind(&c.change))).collect()
}

fn kind(change: &Change) -> String {
    format!("{:?}", change.kind).to_lowercase()
}

fn settlement(claimed: &Claimed, fate: Fate) -> Settlement {
    Settlement {
        lease: claimed.lease.clone(),
        subject: Subject::of(&claimed.change, Scope::User),
        change: claimed.change.clone(),
        attempt: Some(attempt()),
        fate,
        at: Timestamp(9),
    }
}

fn attempt() -> AttemptRecord {
    AttemptRecord {
        at: Timestamp(8),
        took_ms: 1,
        status: Some(200),
        answer: Some("{\"actionCode\":0}".into()),
        error: None,
        verdict: "delivered".into(),
    }
}

fn all() -> CallbackQuery {
    CallbackQuery { limit: 99, ..CallbackQuery::default() }
}

fn keep_all() -> Prune {
    Prune {
        now: Timestamp(9),
        history_before: Timestamp(0),
        failed_before: Timestamp(0),
        history_bytes_max: u64::MAX >> 1,
        owed_before: Timestamp(0),
        owed_max: u64::MAX,
        scopes: Vec::new(),
        users_before: Timestamp(0),
        limit: 100,
    }
}

fn account(user: &str) -> Account {
    Account {
        user: name(user),
        nickname: user.to_uppercase(),
        face_url: String::new(),
        ex: String::new(),
        app_manager_level: 0,
        global_recv_msg_opt: 0,
        created_at: Timestamp(1),
    }
}

fn name(user: &str) -> UserId {
    UserId::new(user)
}

fn main() -> EndpointName {
    EndpointName::new("main")
}

/// What only a backend with a file can do.
mod on_disk {
    use super::*;

    #[tokio::test]
    async fn a_folder_is_used_by_one_store_at_a_time() {
        let world = World::sqlite();
        let folder = world.folder.as_ref().unwrap().path();
        let Err(error) = Sqlite::open(folder, Sync::Full) else { panic!("opened twice") };
        assert!(matches!(error, OpenError::InUse(_)), "{error}");
    }

    #[tokio::test]
    async fn the_file_stays_bounded_while_the_history_is_pruned() {
        let world = World::sqlite();
        let file = world.folder.as_ref().unwrap().path().join("herald.db");
        let mut sizes = Vec::new();
        for round in 0..6 {
            for user in 0..300 {
                let user = format!("user-{round}-{user}");
                world.store.commit(world.login(&user, "c", 1 + round).await).await.unwrap();
                world.store.commit(world.logout(&user, 1 + round).await).await.unwrap();
            }
            world.deliver_all().await;
            let all = Timestamp(100);
            let prune =
                Prune { history_before: all, users_before: all, limit: 10_000, ..keep_all() };
            world.store.prune(prune).await.unwrap();
            checkpoint(&file);
            sizes.push(std::fs::metadata(&file).unwrap().len());
        }
        assert!(sizes[5] <= sizes[1], "the file grows although it is pruned: {sizes:?}");
    }

    /// Each commit takes more than 10 pages, and somebody reads all the time.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_log_stays_bounded_while_sixty_four_read_the_feed() {
        let world = World::sqlite();
        let log = world.folder.as_ref().unwrap().path().join("herald.db-wal");
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let store = Arc::clone(&world.store);
            readers.spawn(async move {
                // Of an endpoint that is told nothing all is looked through each time.
                let quiet = EndpointName::new("quiet");
                loop {
                    let page = store.callbacks_after(&quiet, 0, 1_000).await.unwrap();
                    assert!(page.is_some());
                }
            });
        }
        let mut largest = 0;
        for n in 0..8_000_u64 {
            let user = format!("{}-{n}", "u".repeat(2_000));
            world.store.commit(world.login(&user, "c", 1 + n).await).await.unwrap();
            if n % 100 == 0 {
                largest = largest.max(std::fs::metadata(&log).unwrap().len());
            }
        }
        readers.abort_all();
        assert!(largest < 56 << 20, "the log grew to {} MiB", largest >> 20);
    }

    fn checkpoint(file: &std::path::Path) {
        let connection = rusqlite::Connection::open(file).unwrap();
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        connection.query_row(checkpoint, [], |_| Ok(())).unwrap();
    }
}
