//! The view in memory, for each kind of App.
#![allow(clippy::unwrap_used)]

mod told;

use expect_test::{Expect, expect};
use herald_receiver::{Applied, Event, Kind, Scope, Subject, View, sync::Correction};
use std::fmt::Write as _;
use told::{Lcg, SCOPES, USERS, collapsed, delivery, event, history};

/// `kind user seq [connID or platform]` per line in, what it did and who is online afterwards out.
fn check(scope: Scope, story: &str, expected: Expect) {
    let mut view = View::new(scope);
    let mut actual = String::new();
    for line in story.trim().lines() {
        let told = line.trim();
        let words: Vec<_> = told.split_whitespace().collect();
        let kind = match words[0] {
            "online" => Kind::Online,
            "offline" => Kind::Offline,
            "kick-off" => Kind::KickOff,
            "background" => Kind::Background,
            other => panic!("{other}?"),
        };
        let place = words.get(3).copied().unwrap_or_default();
        let platform = place.parse().unwrap_or_default();
        let applied =
            view.apply(&event(kind, words[1], words[2].parse().unwrap(), platform, place));
        let online: Vec<_> = view
            .online()
            .map(|p| {
                let place = match p.subject {
                    Subject::User => String::new(),
                    Subject::Platform(id) => format!("@{id}"),
                    Subject::Connection(id) => format!("@{id:?}"),
                };
                let background = if p.background { "~" } else { "" };
                format!("{}{place}#{}{background}", p.user_id, p.seq)
            })
            .collect();
        writeln!(actual, "{told:<16} -> {applied:?} {}", online.join(" ")).unwrap();
    }
    expected.assert_eq(&actual.replace(" \n", "\n"));
}

#[test]
fn the_newest_seq_of_a_user_counts() {
    check(
        Scope::User,
        "
        online ann 10
        online ann 10
        online bob 11
        online ann 14
        offline ann 13
        offline ann 15
        online ann 14
        offline ann 15
        offline cy 5
        online cy 4
        online cy 6
        offline bob 0
        ",
        expect![[r#"
            online ann 10    -> Changed ann#10
            online ann 10    -> Repeated ann#10
            online bob 11    -> Changed ann#10 bob#11
            online ann 14    -> Unchanged ann#14 bob#11
            offline ann 13   -> Older ann#14 bob#11
            offline ann 15   -> Changed bob#11
            online ann 14    -> Older bob#11
            offline ann 15   -> Repeated bob#11
            offline cy 5     -> Unchanged bob#11
            online cy 4      -> Older bob#11
            online cy 6      -> Changed bob#11 cy#6~
            offline bob 0    -> Older bob#11 cy#6~
        "#]],
    );
}

#[test]
fn a_kick_off_neither_clears_nor_outdates() {
    check(
        Scope::User,
        "
        online ann 10
        kick-off ann 11
        kick-off ann 13
        online ann 12
        kick-off ann 13
        kick-off ann 5
        kick-off bob 7
        online bob 6
        ",
        expect![[r#"
            online ann 10    -> Changed ann#10
            kick-off ann 11  -> Unchanged ann#10
            kick-off ann 13  -> Unchanged ann#10
            online ann 12    -> Changed ann#12~
            kick-off ann 13  -> Unchanged ann#12~
            kick-off ann 5   -> Older ann#12~
            kick-off bob 7   -> Unchanged ann#12~
            online bob 6     -> Changed ann#12~ bob#6~
        "#]],
    );
}

#[test]
fn each_connection_has_its_own_newest_seq() {
    check(
        Scope::Connection,
        "
        online ann 10 a
        online ann 11 b
        kick-off ann 12
        offline ann 13 a
        online ann 14
        offline ann 16 c
        online ann 15 c
        offline ann 17 b
        offline ann 18
        ",
        expect![[r##"
            online ann 10 a  -> Changed ann@"a"#10
            online ann 11 b  -> Changed ann@"a"#10 ann@"b"#11
            kick-off ann 12  -> Unchanged ann@"a"#10 ann@"b"#11
            offline ann 13 a -> Changed ann@"b"#11
            online ann 14    -> Changed ann@""#14 ann@"b"#11
            offline ann 16 c -> Unchanged ann@""#14 ann@"b"#11
            online ann 15 c  -> Older ann@""#14 ann@"b"#11
            offline ann 17 b -> Changed ann@""#14
            offline ann 18   -> Changed
        "##]],
    );
}

#[test]
fn each_platform_has_its_own_newest_seq() {
    check(
        Scope::Platform,
        "
        online ann 10 1
        online ann 11 5
        offline ann 14 1
        online ann 13 1
        online ann 15
        offline ann 16 5
        ",
        expect![[r#"
            online ann 10 1  -> Changed ann@1#10
            online ann 11 5  -> Changed ann@1#10 ann@5#11
            offline ann 14 1 -> Changed ann@5#11
            online ann 13 1  -> Older ann@5#11
            online ann 15    -> NoPlatform ann@5#11
            offline ann 16 5 -> Changed
        "#]],
    );
}

/// `~`: in the background, of every third seq.
#[test]
fn what_is_said_of_the_background_is_said_of_who_is_online() {
    check(
        Scope::User,
        "
        online ann 10
        background ann 12
        background ann 11
        online ann 13
        background ann 14
        background ann 15
        offline ann 16
        background ann 15
        background ann 18
        online ann 17
        background bob 6
        online bob 5
        ",
        expect![[r#"
            online ann 10    -> Changed ann#10
            background ann 12 -> Changed ann#12~
            background ann 11 -> Older ann#12~
            online ann 13    -> Changed ann#13
            background ann 14 -> Unchanged ann#14
            background ann 15 -> Changed ann#15~
            offline ann 16   -> Changed
            background ann 15 -> Older
            background ann 18 -> Changed ann#18~
            online ann 17    -> Older ann#18~
            background bob 6 -> Changed ann#18~ bob#6~
            online bob 5     -> Older ann#18~ bob#6~
        "#]],
    );
}

#[test]
fn the_smallest_seq_is_news_too() {
    let mut view = View::default();
    let online = event(Kind::Online, "ann", 0, 0, "");
    assert_eq!((view.apply(&online), view.apply(&online)), (Applied::Changed, Applied::Repeated));
    assert!(view.is_online("ann") && !view.is_online("an") && !view.is_online("bob"));
}

#[test]
fn only_what_is_offline_below_the_seq_is_forgotten() {
    let mut view = View::default();
    for (kind, user, seq) in [
        (Kind::Online, "here", 1),
        (Kind::Offline, "old", 9),
        (Kind::Offline, "at", 10),
        (Kind::Offline, "new", 11),
    ] {
        view.apply(&event(kind, user, seq, 0, ""));
    }
    assert_eq!(view.forget_offline_before(10), 1);
    let late = ["old", "at", "new"].map(|user| view.apply(&event(Kind::Online, user, 2, 0, "")));
    assert_eq!(late, [Applied::Changed, Applied::Older, Applied::Older]);
    assert!(view.is_online("here"));
}

fn view_of(scope: Scope, events: &[Event]) -> View {
    let mut view = View::new(scope);
    for event in events {
        view.apply(event);
    }
    view
}

#[test]
fn any_delivery_of_a_history_gives_the_same_view() {
    for (seed, scope) in (0..2_000).flat_map(|seed| SCOPES.map(|scope| (seed, scope))) {
        let random = &mut Lcg(seed);
        let history = history(random);
        let in_order = view_of(scope, &history);
        for _ in 0..5 {
            let told = delivery(&history, random);
            assert_eq!(view_of(scope, &told), in_order, "seed {seed}: {told:#?}");
        }
        let told = delivery(&collapsed(&history, scope), random);
        assert_eq!(view_of(scope, &told), in_order, "seed {seed}, collapsed: {told:#?}");
    }
}

#[test]
fn the_view_in_order_is_each_subjects_last_word() {
    for (seed, scope) in (0..2_000).flat_map(|seed| SCOPES.map(|scope| (seed, scope))) {
        let history = history(&mut Lcg(seed));
        let view = view_of(scope, &history);
        let words: Vec<_> = history.iter().filter(|e| e.kind != Kind::KickOff).collect();
        for user in USERS {
            let is_last = |at: usize| {
                let same = |e: &&Event| {
                    (&e.user_id, e.subject(scope)) == (&words[at].user_id, words[at].subject(scope))
                };
                !words[at + 1..].iter().any(same)
            };
            let expected = (0..words.len()).any(|at| {
                words[at].user_id == user && words[at].kind != Kind::Offline && is_last(at)
            });
            assert_eq!(view.is_online(user), expected, "seed {seed}, {scope:?}, {user}");
        }
    }
}

/// A correction says what is true, not that nothing was told before it.
#[test]
fn what_comes_late_stays_older_after_a_correction() {
    let mut view = View::default();
    view.apply(&event(Kind::Offline, "u", 9, 1, ""));
    let subject = Subject::User;
    let correction =
        Correction { user_id: "u".to_owned(), subject, seq: 5, online: true, background: false };
    view.correct(&[correction], 10);
    assert!(view.is_online("u"), "the fence is above what was known");
    assert_eq!(view.apply(&event(Kind::Offline, "u", 7, 1, "")), Applied::Older);
    assert_eq!(view.apply(&event(Kind::Offline, "u", 9, 1, "")), Applied::Repeated);
    assert!(view.is_online("u"));
}
