//! The rules as stories: each line is an event, and to its right is what it caused.
//!
//! An online or offline shows its connection (`-` for none), platform, edges (connection, platform,
//! user), reason and `seq`. The wall clock starts at 0, so a `seq` is the time in milliseconds
//! unless several changes share it.
#![allow(clippy::unwrap_used)]

use expect_test::{Expect, expect};
use presence::*;
use std::fmt::Write;

#[test]
fn login_reconnect_and_status_are_told() {
    check(
        "
        1s   connect a ios t
        10s  lost a
        12s  connect b ios t
        20s  status ios busy
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            10s  lost a               -> wake 30s
            12s  connect b ios t      -> offline a ios [c--] lost #12000, online b ios [c--] reconnect #12001
            20s  status ios busy      -> online b ios [c--] status #20000
        "#]],
    );
}

#[test]
fn silence_becomes_offline_once() {
    check(
        "
        1s   connect a ios t
        10s  lost a
        29s  tick
        30s  tick
        31s  tick
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            10s  lost a               -> wake 30s
            29s  tick                 -> wake 30s
            30s  tick                 -> offline a ios [cpu] lost #30000
            31s  tick                 -> quiet
        "#]],
    );
}

#[test]
fn a_return_after_the_grace_is_still_a_reconnect() {
    check(
        "
        1s   connect a ios t
        10s  lost a
        30s  tick
        40s  connect b ios t
        41s  logout b
        42s  connect c ios t
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            10s  lost a               -> wake 30s
            30s  tick                 -> offline a ios [cpu] lost #30000
            40s  connect b ios t      -> online b ios [cpu] reconnect #40000
            41s  logout b             -> offline b ios [cpu] logged_out #41000
            42s  connect c ios t      -> online c ios [cpu] login #42000
        "#]],
    );
}

#[test]
fn another_token_or_a_clean_close_is_a_login() {
    check(
        "
        1s   connect a ios t
        2s   lost a
        3s   connect b ios other
        4s   closed b
        5s   connect c ios other
        22s  tick
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   lost a               -> wake 22s
            3s   connect b ios other  -> online b ios [c--] login #3000, wake 22s
            4s   closed b             -> wake 22s
            5s   connect c ios other  -> offline b ios [c--] closed #5000, online c ios [c--] login #5001, wake 22s
            22s  tick                 -> offline a ios [c--] lost #22000
        "#]],
    );
}

#[test]
fn a_late_tick_does_not_rewrite_history() {
    check(
        "
        1s   connect a ios t
        10s  lost a
        40s  connect b ios t
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            10s  lost a               -> wake 30s
            40s  connect b ios t      -> offline a ios [cpu] lost #40000, online b ios [cpu] reconnect #40001
        "#]],
    );
}

/// OpenIM D2 and D5: there a second tab is told twice, and closing one says offline.
#[test]
fn two_tabs_one_closed_is_no_offline() {
    check(
        "
        1s   connect a web t
        2s   connect b web t
        3s   closed a
        23s  tick
        30s  logout b
        ",
        expect![[r#"
            1s   connect a web t      -> online a web [cpu] login #1000
            2s   connect b web t      -> online b web [c--] login #2000
            3s   closed a             -> wake 23s
            23s  tick                 -> offline a web [c--] closed #23000
            30s  logout b             -> offline b web [cpu] logged_out #30000
        "#]],
    );
}

/// OpenIM D5: the new connection comes first, the half-open old one times out later.
#[test]
fn the_death_of_the_half_open_connection_takes_nobody_offline() {
    check(
        "
        1s   connect a ios t
        5s   connect b ios t
        31s  lost a
        51s  tick
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            5s   connect b ios t      -> online b ios [c--] login #5000
            31s  lost a               -> wake 51s
            51s  tick                 -> offline a ios [c--] lost #51000
        "#]],
    );
}

/// OpenIM D6.
#[test]
fn the_kick_of_one_of_two_is_no_offline_of_the_user() {
    check(
        "
        1s   connect a ios t
        2s   connect b web u
        3s   kick ios
        3s   lost a
        4s   kick all
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   connect b web u      -> online b web [cp-] login #2000
            3s   kick ios             -> kickoff a ios [c--] kicked #3000, offline a ios [cp-] kicked #3001, close a
            3s   lost a               -> quiet
            4s   kick all             -> kickoff b web [c--] kicked #4000, offline b web [cpu] kicked #4001, close b
        "#]],
    );
}

/// OpenIM D12: there nobody is told; here those who come back in time are not told either.
#[test]
fn a_restart_starts_every_grace_anew() {
    check(
        "
        1s   connect a ios t
        2s   connect b web u
        3s   lost b
        90s  restart
        121s connect c ios t
        150s tick
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   connect b web u      -> online b web [cp-] login #2000
            3s   lost b               -> wake 23s
            90s  restart              -> wake 150s
            121s connect c ios t      -> offline a ios [c--] server_lost #121000, online c ios [c--] reconnect #121001, wake 150s
            150s tick                 -> offline b web [cp-] lost #150000
        "#]],
    );
}

#[test]
fn a_logout_is_told_at_once() {
    check(
        "
        1s   connect a ios t
        2s   connect b ios t
        3s   logout a
        4s   logout b
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   connect b ios t      -> online b ios [c--] login #2000
            3s   logout a             -> offline a ios [c--] logged_out #3000
            4s   logout b             -> offline b ios [cpu] logged_out #4000
        "#]],
    );
}

#[test]
fn a_background_switch_is_no_news_of_its_own() {
    check(
        "
        1s   connect a ios t background
        2s   background a off
        3s   status ios away
        4s   background a on
        5s   logout a
        ",
        expect![[r#"
            1s   connect a ios t background -> online a ios [cpu] login background #1000
            2s   background a off     -> quiet
            3s   status ios away      -> online a ios [c--] status #3000
            4s   background a on      -> quiet
            5s   logout a             -> offline a ios [cpu] logged_out background #5000
        "#]],
    );
}

fn background_told() -> Policy {
    Policy { tells_background: true, ..policy() }
}

#[test]
fn a_background_switch_is_told_where_somebody_wants_it_once_a_second() {
    check_under(
        background_told(),
        "
        1s   connect a ios t
        2s   background a on
        2s   background a off
        2s   background a on
        3s   tick
        4s   background a off
        4s   background a on
        4s   background a off
        5s   tick
        6s   background a off
        6s   background a on
        6s   background a off
        7s   tick
        8s   tick
        9s   background a on
        9s   background a off
        9s   logout a
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   background a on      -> background a ios [cpu] background background #2000
            2s   background a off     -> wake 3s
            2s   background a on      -> quiet
            3s   tick                 -> quiet
            4s   background a off     -> background a ios [cpu] background #4000
            4s   background a on      -> wake 5s
            4s   background a off     -> quiet
            5s   tick                 -> quiet
            6s   background a off     -> quiet
            6s   background a on      -> background a ios [cpu] background background #6000
            6s   background a off     -> wake 7s
            7s   tick                 -> background a ios [cpu] background #7000
            8s   tick                 -> quiet
            9s   background a on      -> background a ios [cpu] background background #9000
            9s   background a off     -> wake 10s
            9s   logout a             -> offline a ios [cpu] logged_out #9001
        "#]],
    );
}

#[test]
fn of_a_platform_and_a_user_it_is_told_what_holds_for_their_newest_connection() {
    check_under(
        background_told(),
        "
        1s   connect a ios t background
        2s   connect b ios t2
        3s   background a off
        4s   background b on
        5s   connect c web t3 background
        6s   logout b
        7s   logout c
        8s   background a on
        9s   lost a
        10s  connect d ios t
        11s  restart
        12s  connect e ios t background
        ",
        expect![[r#"
            1s   connect a ios t background -> online a ios [cpu] login background #1000
            2s   connect b ios t2     -> online b ios [c--] login #2000, background b ios [-pu] login #2001
            3s   background a off     -> background a ios [c--] background #3000
            4s   background b on      -> background b ios [cpu] background background #4000
            5s   connect c web t3 background -> online c web [cp-] login background #5000
            6s   logout b             -> offline b ios [c--] logged_out background #6000, background a ios [-p-] background #6001
            7s   logout c             -> offline c web [cp-] logged_out background #7000, background a ios [--u] background #7001
            8s   background a on      -> background a ios [cpu] background background #8000
            9s   lost a               -> wake 29s
            10s  connect d ios t      -> offline a ios [c--] lost background #10000, online d ios [c--] reconnect #10001, background d ios [-pu] reconnect #10002
            11s  restart              -> wake 71s
            12s  connect e ios t background -> offline d ios [c--] server_lost #12000, online e ios [c--] reconnect background #12001, background e ios [-pu] reconnect background #12002
        "#]],
    );
}

#[test]
fn a_status_says_what_was_told_and_what_waits_comes_after_it() {
    check_under(
        background_told(),
        "
        1s   connect a ios t
        2s   background a on
        2s   background a off
        2s   status ios away
        3s   tick
        4s   knock b ios t2
        5s   background a on
        6s   status ios busy
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   background a on      -> background a ios [cpu] background background #2000
            2s   background a off     -> wake 3s
            2s   status ios away      -> online a ios [c--] status background #2001, wake 3s
            3s   tick                 -> background a ios [cpu] background #3000
            4s   knock b ios t2       -> asked, online b ios [c--] login #4000
            5s   background a on      -> background a ios [c--] background background #5000
            6s   status ios busy      -> online a ios [c--] status background #6000, background b ios [-pu] other_connection #6001
        "#]],
    );
}

#[test]
fn a_status_brings_a_user_without_a_connection_online_until_its_lease_ends() {
    check(
        "
        1s    status web online
        100s  status web online
        300s  status web online
        2100s tick
        ",
        expect![[r#"
            1s    status web online   -> online - web [cpu] status #1000, wake 1801s
            100s  status web online   -> wake 1801s
            300s  status web online   -> wake 2100s
            2100s tick                -> offline - web [cpu] lease_ended #2100000
        "#]],
    );
}

#[test]
fn another_status_of_an_offline_user_is_stored_and_told_to_nobody() {
    check(
        "
        1s   status web busy
        2s   clear
        3s   connect a ios t
        4s   clear
        ",
        expect![[r#"
            1s   status web busy      -> quiet
            2s   clear                -> quiet
            3s   connect a ios t      -> online a ios [cpu] login #3000
            4s   clear                -> quiet
        "#]],
    );
}

#[test]
fn clearing_ends_virtual_connections_and_never_a_socket() {
    check(
        "
        1s   status web online
        2s   status ios online
        3s   connect a ios t
        4s   clear ios
        5s   clear
        ",
        expect![[r#"
            1s   status web online    -> online - web [cpu] status #1000, wake 1801s
            2s   status ios online    -> online - ios [cp-] status #2000, wake 1801s
            3s   connect a ios t      -> online a ios [c--] login #3000, wake 1801s
            4s   clear ios            -> wake 1801s
            5s   clear                -> offline - web [cp-] status_cleared #5000
        "#]],
    );
}

#[test]
fn a_status_that_expires_is_no_news_but_takes_its_place_with_it() {
    check(
        "
        1s   connect a ios t
        2s   status ios busy until 10s
        10s  tick
        11s  logout a
        12s  status ios online until 20s
        20s  tick
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   status ios busy until 10s -> online a ios [c--] status #2000, wake 10s
            10s  tick                 -> quiet
            11s  logout a             -> offline a ios [cpu] logged_out #11000
            12s  status ios online until 20s -> online - ios [cpu] status #12000, wake 20s
            20s  tick                 -> offline - ios [cpu] lease_ended #20000
        "#]],
    );
}

#[test]
fn a_status_set_during_the_grace_holds_the_place() {
    check(
        "
        1s   connect a ios t
        2s   lost a
        3s   status web online
        22s  tick
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   lost a               -> wake 22s
            3s   status web online    -> online - web [cp-] status #3000, wake 22s
            22s  tick                 -> offline a ios [cp-] lost #22000, wake 1803s
        "#]],
    );
}

#[test]
fn a_refused_login_is_closed_once() {
    check(
        "
        1s   connect a ios t
        2s   refuse #1000
        3s   refuse #1000
        4s   connect b ios t
        5s   refuse #1000
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   refuse #1000         -> offline a ios [cpu] refused #2000, close a
            3s   refuse #1000         -> quiet
            4s   connect b ios t      -> denied: the App said no
            5s   refuse #1000         -> quiet
        "#]],
    );
}

#[test]
fn a_refused_status_is_undone_and_nothing_is_closed() {
    check(
        "
        1s   connect a ios t
        2s   status ios away
        3s   status ios busy
        4s   refuse #3000
        5s   refuse #3000
        6s   refuse #2000
        7s   status ios away
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   status ios away      -> online a ios [c--] status #2000
            3s   status ios busy      -> online a ios [c--] status #3000
            4s   refuse #3000         -> quiet
            5s   refuse #3000         -> quiet
            6s   refuse #2000         -> quiet
            7s   status ios away      -> quiet
        "#]],
    );
}

#[test]
fn a_refused_status_takes_its_virtual_connection_with_it() {
    check(
        "
        1s   status ios online
        2s   refuse #1000
        ",
        expect![[r#"
            1s   status ios online    -> online - ios [cpu] status #1000, wake 1801s
            2s   refuse #1000         -> offline - ios [cpu] refused #2000
        "#]],
    );
}

/// One callback of a user is in flight at a time, so answers come in order, but late.
#[test]
fn a_refusal_that_comes_after_another_status_was_set_is_not_lost() {
    check(
        "
        1s   status ios online
        2s   status ios away
        3s   refuse #1000
        4s   refuse #2000
        ",
        expect![[r#"
            1s   status ios online    -> online - ios [cpu] status #1000, wake 1801s
            2s   status ios away      -> online - ios [c--] status #2000, wake 1801s
            3s   refuse #1000         -> wake 1801s
            4s   refuse #2000         -> offline - ios [cpu] refused #4000
        "#]],
    );
}

#[test]
fn a_refused_second_status_leaves_what_the_first_brought() {
    check(
        "
        1s   status ios online
        2s   status ios away
        3s   refuse #2000
        4s   status ios online
        ",
        expect![[r#"
            1s   status ios online    -> online - ios [cpu] status #1000, wake 1801s
            2s   status ios away      -> online - ios [c--] status #2000, wake 1801s
            3s   refuse #2000         -> wake 1801s
            4s   status ios online    -> wake 1801s
        "#]],
    );
}

#[test]
fn a_status_that_expires_in_a_thousand_years_is_looked_at_tomorrow() {
    check(
        "
        1s   connect a ios t
        2s   status ios busy until 99999999999s
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   status ios busy until 99999999999s -> online a ios [c--] status #2000, wake 86402s
        "#]],
    );
}

#[test]
fn one_connection_too_many_takes_the_place_of_the_oldest() {
    let mut user = User::default();
    let mut last = Effects::default();
    let policy = Policy { user_budget: 0, ..policy() };
    for n in 0..65_u8 {
        let (conn, token) = (ConnId([n; 16]), TokenHash([n; 16]));
        let login = Login {
            conn,
            platform: Platform::Ios,
            token,
            issued_at: Timestamp(1),
            background: false,
            address: None,
        };
        last = user.apply(Event::Connected(login), now(1), &policy);
    }
    assert_eq!(user.connections().len(), 64);
    assert_eq!(last.kicked, [ConnId([0; 16])]);
    let kinds: Vec<_> = last.changes.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [Kind::KickOff, Kind::Offline, Kind::Online]);
    assert!(last.changes.iter().all(|change| !change.edges.user && !change.edges.platform));
}

#[test]
fn the_same_event_twice_is_told_once() {
    check(
        "
        1s   connect a ios t
        1s   connect a ios t
        2s   status ios busy
        2s   status ios busy
        10s  lost a
        10s  lost a
        11s  kick ios
        11s  kick ios
        12s  logout a
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            1s   connect a ios t      -> quiet
            2s   status ios busy      -> online a ios [c--] status #2000
            2s   status ios busy      -> quiet
            10s  lost a               -> wake 30s
            10s  lost a               -> wake 30s
            11s  kick ios             -> kickoff a ios [c--] kicked #11000, offline a ios [cpu] kicked #11001
            11s  kick ios             -> quiet
            12s  logout a             -> quiet
        "#]],
    );
}

/// OpenIM D6: there a kick and login tells the new connection offline, and twice online.
#[test]
fn a_second_login_kicks_the_first_in_one_step_and_its_token_is_denied() {
    check_under(
        same_platform_kicks(),
        "
        1s   connect a ios t
        2s   connect w web x
        3s   connect b ios u
        4s   lost a
        5s   connect c ios t
        6s   connect d ios u
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   connect w web x      -> online w web [cp-] login #2000
            3s   connect b ios u      -> kickoff a ios [c--] kicked #3000, offline a ios [c--] kicked #3001, online b ios [c--] login #3002, close a
            4s   lost a               -> quiet
            5s   connect c ios t      -> denied: token
            6s   connect d ios u      -> online d ios [c--] login #6000
        "#]],
    );
}

#[test]
fn a_token_that_comes_back_kicks_nobody_and_its_half_open_twin_takes_nobody_offline() {
    check_under(
        same_platform_kicks(),
        "
        1s   connect a ios t
        2s   connect b ios t
        3s   lost a
        4s   connect c ios t
        24s  tick
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   connect b ios t      -> online b ios [c--] login #2000
            3s   lost a               -> wake 23s
            4s   connect c ios t      -> offline a ios [c--] lost #4000, online c ios [c--] login #4001
            24s  tick                 -> quiet
        "#]],
    );
}

#[test]
fn a_lingering_connection_with_another_token_gives_way_at_once() {
    check_under(
        same_platform_kicks(),
        "
        1s   connect a ios t
        2s   lost a
        3s   connect b ios u
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   lost a               -> wake 22s
            3s   connect b ios u      -> kickoff a ios [c--] kicked #3000, offline a ios [c--] kicked #3001, online b ios [c--] login #3002
        "#]],
    );
}

#[test]
fn the_kick_of_one_of_two_tabs_leaves_their_token_good() {
    check(
        "
        1s   connect a web t
        2s   connect b web t
        3s   kick a
        4s   connect c web t
        5s   kick all
        6s   connect d web t
        ",
        expect![[r#"
            1s   connect a web t      -> online a web [cpu] login #1000
            2s   connect b web t      -> online b web [c--] login #2000
            3s   kick a               -> kickoff a web [c--] kicked #3000, offline a web [c--] kicked #3001, close a
            4s   connect c web t      -> online c web [c--] login #4000
            5s   kick all             -> kickoff b web [c--] kicked #5000, kickoff c web [c--] kicked #5001, offline b web [c--] kicked #5002, offline c web [cpu] kicked #5003, close b, close c
            6s   connect d web t      -> denied: token
        "#]],
    );
}

/// Every login that is quiet was refused.
#[test]
fn a_forced_logout_denies_tokens_that_are_not_connected() {
    check(
        "
        9s   issue ios a
        10s  force ios
        11s  connect a ios x issued 5s
        12s  connect b ios a issued 9s
        13s  connect c ios y issued 10s
        14s  connect d web z issued 1s
        ",
        expect![[r#"
            9s   issue ios a          -> quiet
            10s  force ios            -> quiet
            11s  connect a ios x issued 5s -> denied: token
            12s  connect b ios a issued 9s -> denied: token
            13s  connect c ios y issued 10s -> online c ios [cpu] login #13000
            14s  connect d web z issued 1s -> online d web [cp-] login #14000
        "#]],
    );
}

/// OpenIM D25: there an arbitrary token of every other platform is kicked as well.
#[test]
fn a_token_replaces_the_older_ones_that_its_login_would_kick() {
    check_under(
        same_platform_kicks(),
        "
        1s   connect a ios t issued 1s
        2s   connect w web x issued 1s
        3s   issue ios u
        4s   connect b ios t issued 1s
        5s   connect c web x issued 1s
        6s   connect d ios v issued 2s
        7s   connect e ios u issued 3s
        ",
        expect![[r#"
            1s   connect a ios t issued 1s -> online a ios [cpu] login #1000
            2s   connect w web x issued 1s -> online w web [cp-] login #2000
            3s   issue ios u          -> quiet
            4s   connect b ios t issued 1s -> denied: token
            5s   connect c web x issued 1s -> online c web [c--] login #5000
            6s   connect d ios v issued 2s -> denied: token
            7s   connect e ios u issued 3s -> kickoff a ios [c--] kicked #7000, offline a ios [c--] kicked #7001, online e ios [c--] login #7002, close a
        "#]],
    );
    check(
        "
        3s   issue ios u
        4s   connect a ios t issued 1s
        ",
        expect![[r#"
            3s   issue ios u          -> quiet
            4s   connect a ios t issued 1s -> online a ios [cpu] login #4000
        "#]],
    );
    check_under(
        Policy { login: LoginPolicy::PcAndOther, ..policy() },
        "
        3s   issue ios u
        4s   connect a web t issued 1s
        ",
        expect![[r#"
            3s   issue ios u          -> quiet
            4s   connect a web t issued 1s -> denied: token
        "#]],
    );
}

#[test]
fn of_known_tokens_only_those_issued_here_let_in() {
    check_under(
        Policy { known_tokens_only: true, ..policy() },
        "
        1s   connect a ios t issued 1s
        2s   issue ios u
        3s   connect b ios u issued 2s
        4s   kick b
        5s   connect c ios u issued 2s
        ",
        expect![[r#"
            1s   connect a ios t issued 1s -> denied: token
            2s   issue ios u          -> quiet
            3s   connect b ios u issued 2s -> online b ios [cpu] login #3000
            4s   kick b               -> kickoff b ios [c--] kicked #4000, offline b ios [cpu] kicked #4001, close b
            5s   connect c ios u issued 2s -> denied: token
        "#]],
    );
}

/// OpenIM D30: there a token outlives its logout; here that is a choice.
#[test]
fn a_logout_ends_its_token_if_wished_unless_another_tab_holds_it() {
    check_under(
        Policy { logout_denies_token: true, ..policy() },
        "
        1s   connect a web t
        2s   connect b web t
        3s   logout a
        4s   connect c web t
        5s   logout b
        6s   logout c
        7s   connect d web t
        ",
        expect![[r#"
            1s   connect a web t      -> online a web [cpu] login #1000
            2s   connect b web t      -> online b web [c--] login #2000
            3s   logout a             -> offline a web [c--] logged_out #3000
            4s   connect c web t      -> online c web [c--] login #4000
            5s   logout b             -> offline b web [c--] logged_out #5000
            6s   logout c             -> offline c web [cpu] logged_out #6000
            7s   connect d web t      -> denied: token
        "#]],
    );
}

#[test]
fn events_of_unknown_connections_are_quiet() {
    check(
        "
        1s   lost x
        2s   logout x
        3s   background x on
        4s   kick x
        5s   refuse #7
        6s   restart
        7s   tick
        ",
        expect![[r#"
            1s   lost x               -> quiet
            2s   logout x             -> quiet
            3s   background x on      -> quiet
            4s   kick x               -> quiet
            5s   refuse #7            -> quiet
            6s   restart              -> quiet
            7s   tick                 -> quiet
        "#]],
    );
}

#[test]
fn seq_rises_though_the_clock_steps_back_and_the_user_was_forgotten() {
    let mut user = User::unknown(5_000);
    let mut seqs = vec![];
    for (wall, id) in [(9_000, 1), (2_000, 2), (9_000, 3)] {
        let now = Now { mono: Instant(id), wall: Timestamp(wall) };
        let effects = user.apply(
            Event::Connected(login(&id.to_string(), Platform::Ios, "t")),
            now,
            &policy(),
        );
        seqs.extend(effects.changes.iter().map(|change| change.seq));
    }
    assert_eq!(seqs, [9_000, 9_001, 9_002]);
    let mut forgotten = User::unknown(9_002);
    let now = Now { mono: Instant(9), wall: Timestamp(3) };
    let effects = forgotten.apply(Event::Connected(login("a", Platform::Ios, "t")), now, &policy());
    assert_eq!(effects.changes[0].seq, 9_003);
}

#[test]
fn a_scope_selects_its_edges() {
    let mut user = User::default();
    let mut told = vec![];
    for (id, platform) in [("a", Platform::Ios), ("b", Platform::Ios), ("c", Platform::Web)] {
        let event = Event::Connected(login(id, platform, id));
        told.extend(user.apply(event, now(1), &policy()).changes);
    }
    let count = |scope| {
        let interest =
            Interest { online: Some(scope), offline: None, kick_off: false, background: false };
        told.iter().filter(|change| interest.selects(change)).count()
    };
    assert_eq!((count(Scope::Connection), count(Scope::Platform), count(Scope::User)), (3, 2, 1));
    let deaf = Interest {
        online: None,
        offline: Some(Scope::Connection),
        kick_off: true,
        background: false,
    };
    assert!(told.iter().all(|change| !deaf.selects(change)));
}

#[test]
fn a_stored_user_reads_back_the_same() {
    let mut user = User::default();
    for event in [
        Event::Connected(login("a", Platform::Ios, "t")),
        status_set("web", status("busy", None), Author::User),
        Event::Disconnected { conn: conn("a"), end: End::Lost },
    ] {
        let _ = user.apply(event, now(1), &policy());
    }
    let stored = serde_json::to_string(&user).unwrap();
    assert_eq!(serde_json::from_str::<User>(&stored).unwrap(), user);
}

/// The App is told when somebody knocks, and nobody is pushed out before it has agreed.
#[test]
fn who_knocks_pushes_nobody_out_until_let_in() {
    check_under(
        same_platform_kicks(),
        "
        1s   connect a ios t
        5s   knock b ios u
        6s   let-in b
        7s   lost b
        8s   knock c ios u
        9s   refuse #8000
        10s  knock d ios u
        11s  let-in c
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            5s   knock b ios u        -> asked, online b ios [c--] login #5000
            6s   let-in b             -> kickoff a ios [c--] kicked #6000, offline a ios [c--] kicked #6001, close a
            7s   lost b               -> wake 27s
            8s   knock c ios u        -> asked, online c ios [c--] reconnect #8000
            9s   refuse #8000         -> offline b ios [c--] refused #9000, offline c ios [cpu] refused #9001
            10s  knock d ios u        -> denied: the App said no
            11s  let-in c             -> denied: kicked
        "#]],
    );
}

#[test]
fn who_knocks_and_goes_away_is_gone_at_once_whatever_the_reason() {
    check(
        "
        1s   knock a ios t
        2s   lost a
        3s   knock b ios u
        4s   kick all
        5s   let-in b
        6s   knock c ios v
        7s   restart
        8s   knock d ios v
        9s   let-in d
        9s   let-in d
        10s  lost d
        ",
        expect![[r#"
            1s   knock a ios t        -> asked, online a ios [cpu] login #1000
            2s   lost a               -> offline a ios [cpu] lost #2000
            3s   knock b ios u        -> asked, online b ios [cpu] login #3000
            4s   kick all             -> kickoff b ios [c--] kicked #4000, offline b ios [cpu] kicked #4001, close b
            5s   let-in b             -> denied: kicked
            6s   knock c ios v        -> asked, online c ios [cpu] login #6000
            7s   restart              -> offline c ios [cpu] server_lost #7000
            8s   knock d ios v        -> asked, online d ios [cpu] login #8000
            9s   let-in d             -> quiet
            9s   let-in d             -> quiet
            10s  lost d               -> wake 30s
        "#]],
    );
}

/// A question about one platform and token is asked once, and its answer is shared.
#[test]
fn dials_of_one_platform_and_token_share_one_question() {
    check(
        "
        1s   knock a ios t
        2s   knock b ios t
        3s   knock c web t
        4s   knock d ios u
        5s   let-in a
        6s   connect b ios t
        7s   knock e ios t
        ",
        expect![[r#"
            1s   knock a ios t        -> asked, online a ios [cpu] login #1000
            2s   knock b ios t        -> shares the question about a
            3s   knock c web t        -> asked, online c web [cp-] login #3000
            4s   knock d ios u        -> asked, online d ios [c--] login #4000
            5s   let-in a             -> quiet
            6s   connect b ios t      -> online b ios [c--] login #6000
            7s   knock e ios t        -> asked, online e ios [c--] login #7000
        "#]],
    );
}

#[test]
fn the_app_is_asked_about_four_logins_of_a_user_at_most() {
    check(
        "
        1s   knock a ios t
        2s   knock b ios u
        3s   knock c web v
        4s   knock d web w
        5s   knock e web x
        6s   knock f web w
        7s   lost b
        8s   knock g web x
        ",
        expect![[r#"
            1s   knock a ios t        -> asked, online a ios [cpu] login #1000
            2s   knock b ios u        -> asked, online b ios [c--] login #2000
            3s   knock c web v        -> asked, online c web [cp-] login #3000
            4s   knock d web w        -> asked, online d web [c--] login #4000
            5s   knock e web x        -> denied: too many questions
            6s   knock f web w        -> shares the question about d
            7s   lost b               -> offline b ios [c--] lost #7000
            8s   knock g web x        -> asked, online g web [c--] login #8000
        "#]],
    );
}

/// Where the App is told of the user only, a second device waits for the answer about the first.
#[test]
fn a_login_that_is_no_news_waits_for_the_question_that_covers_it() {
    check(
        "
        1s   knock a ios t by user
        2s   knock b web u by user
        3s   let-in a
        4s   knock c web u by user
        5s   knock d web v by user
        6s   lost d
        ",
        expect![[r#"
            1s   knock a ios t by user -> asked, online a ios [cpu] login #1000
            2s   knock b web u by user -> shares the question about a
            3s   let-in a             -> quiet
            4s   knock c web u by user -> online c web [cp-] login #4000
            5s   knock d web v by user -> online d web [c--] login #5000
            6s   lost d               -> wake 26s
        "#]],
    );
    check(
        "
        1s   knock a ios t by platform
        2s   knock b web u by platform
        3s   knock c ios v by platform
        4s   refuse #1000 by platform
        5s   knock d ios v by platform
        ",
        expect![[r#"
            1s   knock a ios t by platform -> asked, online a ios [cpu] login #1000
            2s   knock b web u by platform -> asked, online b web [cp-] login #2000
            3s   knock c ios v by platform -> shares the question about a
            4s   refuse #1000 by platform -> offline a ios [cp-] refused #4000
            5s   knock d ios v by platform -> asked, online d ios [cp-] login #5000
        "#]],
    );
}

/// What a newcomer replaces lingers until it is let in, and its grace does not end meanwhile.
#[test]
fn a_question_without_an_answer_falls_back_to_what_lingers() {
    check(
        "
        1s   connect a ios t
        10s  lost a
        12s  knock b ios t
        40s  tick
        41s  lost b
        50s  knock c ios t
        51s  let-in c
        52s  tick
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            10s  lost a               -> wake 30s
            12s  knock b ios t        -> asked, online b ios [c--] reconnect #12000
            40s  tick                 -> quiet
            41s  lost b               -> offline b ios [c--] lost #41000, wake 61s
            50s  knock c ios t        -> asked, online c ios [c--] reconnect #50000
            51s  let-in c             -> offline a ios [c--] lost #51000
            52s  tick                 -> quiet
        "#]],
    );
    check(
        "
        1s   connect a ios t
        10s  lost a
        12s  knock b ios t
        13s  restart
        14s  connect c ios t
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            10s  lost a               -> wake 30s
            12s  knock b ios t        -> asked, online b ios [c--] reconnect #12000
            13s  restart              -> offline b ios [c--] server_lost #13000, wake 73s
            14s  connect c ios t      -> offline a ios [c--] lost #14000, online c ios [c--] reconnect #14001
        "#]],
    );
}

#[test]
fn a_kick_or_a_refusal_ends_a_question_and_what_it_would_replace() {
    check(
        "
        1s   connect a ios t
        10s  lost a
        12s  knock b ios t
        13s  refuse #12000
        14s  knock c ios t
        14s  knock d web t
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            10s  lost a               -> wake 30s
            12s  knock b ios t        -> asked, online b ios [c--] reconnect #12000
            13s  refuse #12000        -> offline a ios [c--] refused #13000, offline b ios [cpu] refused #13001
            14s  knock c ios t        -> denied: the App said no
            14s  knock d web t        -> asked, online d web [cpu] login #14000
        "#]],
    );
    check(
        "
        1s   connect a ios t
        10s  lost a
        12s  knock b ios t
        13s  kick b
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            10s  lost a               -> wake 30s
            12s  knock b ios t        -> asked, online b ios [c--] reconnect #12000
            13s  kick b               -> kickoff a ios [c--] kicked #13000, kickoff b ios [c--] kicked #13001, offline a ios [c--] kicked #13002, offline b ios [cpu] kicked #13003, close b
        "#]],
    );
}

/// The newer login kicks the older one when it is let in, also if both waited at the gate.
#[test]
fn of_two_at_the_gate_the_newer_one_stays() {
    check_under(
        same_platform_kicks(),
        "
        1s   knock a ios t
        2s   knock b ios u
        3s   let-in a
        4s   let-in b
        5s   knock c ios u
        ",
        expect![[r#"
            1s   knock a ios t        -> asked, online a ios [cpu] login #1000
            2s   knock b ios u        -> asked, online b ios [c--] login #2000
            3s   let-in a             -> quiet
            4s   let-in b             -> kickoff a ios [c--] kicked #4000, offline a ios [c--] kicked #4001, close a
            5s   knock c ios u        -> asked, online c ios [c--] login #5000
        "#]],
    );
    check_under(
        same_platform_kicks(),
        "
        1s   knock a ios t
        2s   knock b ios u
        3s   let-in b
        4s   let-in a
        ",
        expect![[r#"
            1s   knock a ios t        -> asked, online a ios [cpu] login #1000
            2s   knock b ios u        -> asked, online b ios [c--] login #2000
            3s   let-in b             -> kickoff a ios [c--] kicked #3000, offline a ios [c--] kicked #3001, close a
            4s   let-in a             -> denied: kicked
        "#]],
    );
}

/// Tabs of one session share the question; none is told offline because its answer came late.
#[test]
fn tabs_that_shared_a_question_have_time_to_return() {
    check(
        "
        1s   connect a web t
        1s   connect b web t
        2s   lost a
        2s   lost b
        21s  knock c web t
        22s  knock d web t
        25s  let-in c
        26s  connect d web t
        ",
        expect![[r#"
            1s   connect a web t      -> online a web [cpu] login #1000
            1s   connect b web t      -> online b web [c--] login #1001
            2s   lost a               -> wake 22s
            2s   lost b               -> wake 22s
            21s  knock c web t        -> asked, online c web [c--] reconnect #21000
            22s  knock d web t        -> shares the question about c
            25s  let-in c             -> offline a web [c--] lost #25000, wake 45s
            26s  connect d web t      -> offline b web [c--] lost #26000, online d web [c--] login #26001
        "#]],
    );
}

/// A return waits for its turn at the gate, and its session lingers meanwhile.
#[test]
fn a_return_is_not_refused_because_the_app_is_asked_about_others() {
    check(
        "
        1s   connect a ios t
        2s   lost a
        3s   knock b web u
        4s   knock c web v
        5s   knock d web w
        6s   knock e web x
        21s  knock f ios t
        30s  tick
        31s  lost b
        32s  knock f ios t
        33s  let-in f
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   lost a               -> wake 22s
            3s   knock b web u        -> asked, online b web [cp-] login #3000, wake 22s
            4s   knock c web v        -> asked, online c web [c--] login #4000, wake 22s
            5s   knock d web w        -> asked, online d web [c--] login #5000, wake 22s
            6s   knock e web x        -> asked, online e web [c--] login #6000, wake 22s
            21s  knock f ios t        -> denied: not before 21s, wake 41s
            30s  tick                 -> wake 41s
            31s  lost b               -> offline b web [c--] lost #31000, wake 41s
            32s  knock f ios t        -> asked, online f ios [c--] reconnect #32000
            33s  let-in f             -> offline a ios [c--] lost #33000
        "#]],
    );
}

/// A status that was set while the App was asked about the user was told by the same callback.
#[test]
fn a_status_does_not_outlive_the_refusal_of_what_told_of_it() {
    check(
        "
        1s   knock a ios t by user
        2s   status web online
        3s   refuse #1000 by user
        ",
        expect![[r#"
            1s   knock a ios t by user -> asked, online a ios [cpu] login #1000
            2s   status web online    -> online - web [cp-] status #2000, wake 1802s
            3s   refuse #1000 by user -> offline a ios [cp-] refused #3000, offline - web [cpu] refused #3001
        "#]],
    );
}

/// Where refusals are ignored, only who waits at the gate is refused.
#[test]
fn a_refusal_that_is_ignored_ends_questions_only() {
    check(
        "
        1s   connect a ios t
        2s   refuse #1000 only-at-gate
        3s   knock b web u
        4s   status web busy
        5s   refuse #4000 only-at-gate
        6s   refuse #3000 only-at-gate
        7s   knock c web u
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   refuse #1000 only-at-gate -> quiet
            3s   knock b web u        -> asked, online b web [cp-] login #3000
            4s   status web busy      -> online a ios [c--] status #4000
            5s   refuse #4000 only-at-gate -> quiet
            6s   refuse #3000 only-at-gate -> offline b web [cp-] refused #6000
            7s   knock c web u        -> denied: the App said no
        "#]],
    );
}

/// The phone was accepted, the browser is refused: that says nothing about the phone.
#[test]
fn a_refusal_holds_for_its_platform_and_token_and_never_against_what_lingers() {
    check(
        "
        1s   connect a ios t
        2s   connect b web u
        3s   refuse #2000
        4s   lost a
        5s   connect c ios t
        6s   connect d web u
        7s   connect e web v
        8s   connect f web v
        9s   refuse #8000
        10s  lost e
        11s  connect g web v
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   connect b web u      -> online b web [cp-] login #2000
            3s   refuse #2000         -> offline b web [cp-] refused #3000, close b
            4s   lost a               -> wake 24s
            5s   connect c ios t      -> offline a ios [c--] lost #5000, online c ios [c--] reconnect #5001
            6s   connect d web u      -> denied: the App said no
            7s   connect e web v      -> online e web [cp-] login #7000
            8s   connect f web v      -> online f web [c--] login #8000
            9s   refuse #8000         -> offline f web [c--] refused #9000, close f
            10s  lost e               -> wake 30s
            11s  connect g web v      -> offline e web [c--] lost #11000, online g web [c--] reconnect #11001
        "#]],
    );
}

/// Two logins that were collapsed into one callback; a login and a status; two devices where the App
/// is told of the user.
#[test]
fn a_refusal_concerns_all_that_the_callback_spoke_for() {
    check(
        "
        1s   connect a ios t
        2s   connect b web u
        3s   refuse #2000+#1000
        4s   connect b web u
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   connect b web u      -> online b web [cp-] login #2000
            3s   refuse #2000+#1000   -> offline a ios [cp-] refused #3000, offline b web [cpu] refused #3001, close a, close b
            4s   connect b web u      -> denied: the App said no
        "#]],
    );
    check(
        "
        1s   connect a ios t
        2s   status ios busy
        3s   refuse #2000+#1000
        4s   status ios busy
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   status ios busy      -> online a ios [c--] status #2000
            3s   refuse #2000+#1000   -> offline a ios [cpu] refused #3000, close a
            4s   status ios busy      -> quiet
        "#]],
    );
    check(
        "
        1s   connect a ios t
        2s   connect b web u
        3s   connect c ios t
        4s   lost c
        5s   refuse #1000 by user
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   connect b web u      -> online b web [cp-] login #2000
            3s   connect c ios t      -> online c ios [c--] login #3000
            4s   lost c               -> wake 24s
            5s   refuse #1000 by user -> offline a ios [c--] refused #5000, offline b web [cp-] refused #5001, close a, close b, wake 24s
        "#]],
    );
    check(
        "
        1s   connect a ios t
        2s   logout a
        3s   connect b web u
        4s   refuse #1000 by user
        5s   refuse #3000 by user
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   logout a             -> offline a ios [cpu] logged_out #2000
            3s   connect b web u      -> online b web [cpu] login #3000
            4s   refuse #1000 by user -> quiet
            5s   refuse #3000 by user -> offline b web [cpu] refused #5000, close b
        "#]],
    );
    check(
        "
        1s   status web busy
        2s   status web online
        3s   status web away
        4s   refuse #3000+#2000
        ",
        expect![[r#"
            1s   status web busy      -> quiet
            2s   status web online    -> online - web [cpu] status #2000, wake 1802s
            3s   status web away      -> online - web [c--] status #3000, wake 1802s
            4s   refuse #3000+#2000   -> offline - web [cpu] refused #4000
        "#]],
    );
}

/// Neither a backend's statuses nor the user's own use up logins, nor does a return.
#[test]
fn each_kind_of_event_has_a_rate_limit_of_its_own() {
    check_under(
        Policy { user_budget: 1, ..policy() },
        "
        1s   connect a ios t
        2s   status ios busy
        3s   status ios away
        3s   backend ios away
        3s   backend ios busy
        4s   lost a
        5s   connect b ios t
        5s   connect c web u
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   status ios busy      -> online a ios [c--] status #2000
            3s   status ios away      -> denied: too often
            3s   backend ios away     -> online a ios [c--] status #3000
            3s   backend ios busy     -> online a ios [c--] status #3001
            4s   lost a               -> wake 24s
            5s   connect b ios t      -> offline a ios [c--] lost #5000, online b ios [c--] reconnect #5001
            5s   connect c web u      -> denied: too often
        "#]],
    );
}

#[test]
fn a_refused_login_holds_for_a_minute() {
    check(
        "
        1s   connect a ios t
        2s   refuse #1000
        2s   refuse #1000
        3s   connect b ios t
        50s  connect c web u
        50s  status ios online
        62s  connect d ios t
        70s  refuse #50000
        71s  connect e ios t
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   refuse #1000         -> offline a ios [cpu] refused #2000, close a
            2s   refuse #1000         -> quiet
            3s   connect b ios t      -> denied: the App said no
            50s  connect c web u      -> online c web [cpu] login #50000
            50s  status ios online    -> online c web [c--] status #50001
            62s  connect d ios t      -> online d ios [cp-] login #62000
            70s  refuse #50000        -> offline c web [cp-] refused #70000, close c
            71s  connect e ios t      -> online e ios [c--] login #71000
        "#]],
    );
}

/// Those who come back are never told offline, the rest afterwards; who logs out is told at once.
#[test]
fn while_graces_are_held_nobody_is_told_offline_by_time() {
    check_under(
        Policy { held_until: Instant(60_000), ..policy() },
        "
        1s   connect a ios t
        2s   connect b web u
        3s   lost a
        3s   lost b
        30s  tick
        31s  connect c ios t
        32s  status web busy until 40s
        40s  tick
        41s  logout c
        60s  tick
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            2s   connect b web u      -> online b web [cp-] login #2000
            3s   lost a               -> wake 60s
            3s   lost b               -> wake 60s
            30s  tick                 -> wake 60s
            31s  connect c ios t      -> offline a ios [c--] lost #31000, online c ios [c--] reconnect #31001, wake 60s
            32s  status web busy until 40s -> online c ios [c--] status #32000, wake 40s
            40s  tick                 -> wake 60s
            41s  logout c             -> offline c ios [cp-] logged_out #41000, wake 60s
            60s  tick                 -> offline b web [cpu] lost #60000
        "#]],
    );
}

/// A client that logs out and in again every second.
#[test]
fn who_comes_and_goes_too_often_is_not_let_in() {
    check_under(
        Policy { user_budget: 2, ..policy() },
        "
        1s   connect a ios t
        1s   logout a
        2s   connect b ios t
        2s   logout b
        3s   connect c ios t
        32s  connect d ios t
        33s  status ios busy
        34s  status ios away
        35s  status ios busy
        36s  status ios away
        64s  status ios busy
        ",
        expect![[r#"
            1s   connect a ios t      -> online a ios [cpu] login #1000
            1s   logout a             -> offline a ios [cpu] logged_out #1001
            2s   connect b ios t      -> online b ios [cpu] login #2000
            2s   logout b             -> offline b ios [cpu] logged_out #2001
            3s   connect c ios t      -> denied: too often
            32s  connect d ios t      -> online d ios [cpu] login #32000
            33s  status ios busy      -> online d ios [c--] status #33000
            34s  status ios away      -> online d ios [c--] status #34000
            35s  status ios busy      -> denied: too often
            36s  status ios away      -> quiet
            64s  status ios busy      -> online d ios [c--] status #64000
        "#]],
    );
}

/// A 65th connection takes the place of one that lingers, before that of a live one; one that merely
/// knocks takes nobody's.
#[test]
fn what_lingers_makes_room_first_and_what_is_live_last() {
    let mut user = User::default();
    let login = |n: u8, on| Login { conn: ConnId([n; 16]), ..login("a", on, "t") };
    let policy = Policy { user_budget: 0, ..policy() };
    let mut apply = |secs, event| user.apply(event, now(secs), &policy);
    for n in 1..=64 {
        let _ = apply(1, Event::Connected(login(n, Platform::Ios)));
    }
    let _ = apply(2, Event::Disconnected { conn: ConnId([40; 16]), end: End::Lost });
    let other = |n| Login { token: TokenHash([n; 16]), ..login(n, Platform::Web) };
    let knocked = apply(3, knock(other(70), Scope::Connection));
    assert_eq!((knocked.admission, knocked.changes.len()), (Admission::Asked, 1));
    assert_eq!(
        render(&apply(4, Event::LetIn { conn: ConnId([70; 16]) })),
        "offline ( ios [c--] lost #4000"
    );
    let last = apply(5, Event::Connected(other(71)));
    assert_eq!(last.kicked, [ConnId([1; 16])]);
}

/// After a restart all sockets of a user come back at once; a tab that flaps is slowed down, and is
/// not told offline for it.
#[test]
fn who_returns_too_often_is_delayed_and_goes_on_to_count_as_present() {
    let mut user = User::default();
    let login = |n: u8| Login { conn: ConnId([n; 16]), ..login("a", Platform::Ios, "t") };
    let mut apply = |secs, event| render(&user.apply(event, now(secs), &policy()));
    apply(1, Event::Connected(login(1)));
    for n in 1..=64 {
        apply(2, Event::Disconnected { conn: ConnId([n; 16]), end: End::Lost });
        apply(2, Event::Connected(login(n + 1)));
    }
    apply(2, Event::Disconnected { conn: ConnId([65; 16]), end: End::Lost });
    assert_eq!(apply(2, Event::Connected(login(66))), "denied: not before 3s, wake 23s");
    assert!(apply(3, Event::Connected(login(66))).contains("reconnect"));
}

/// Runs a transcript and appends to each line what it caused. The only caller of the API.
#[track_caller]
fn check(transcript: &str, expected: Expect) {
    check_under(policy(), transcript, expected);
}

#[track_caller]
fn check_under(policy: Policy, transcript: &str, expected: Expect) {
    let mut user = User::default();
    let mut out = String::new();
    for line in transcript.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (secs, event) = parse(line);
        let effects = user.apply(event, now(secs), &policy);
        writeln!(out, "{line:<25} -> {}", render(&effects)).unwrap();
    }
    expected.assert_eq(&out);
}

fn policy() -> Policy {
    Policy { login: LoginPolicy::None, ..Policy::default() }
}

fn same_platform_kicks() -> Policy {
    Policy { login: LoginPolicy::SamePlatformKicks, ..policy() }
}

fn now(secs: u64) -> Now {
    Now { mono: Instant(secs * 1000), wall: Timestamp(secs * 1000) }
}

fn parse(line: &str) -> (u64, Event) {
    let words: Vec<_> = line.split_whitespace().collect();
    let event = match words[1..] {
        ["connect", id, on, token] => Event::Connected(login(id, platform(on), token)),
        ["connect", id, on, token, "background"] => {
            Event::Connected(Login { background: true, ..login(id, platform(on), token) })
        }
        ["connect", id, on, token, "issued", at] => {
            let issued_at = Timestamp(seconds(at) * 1000);
            Event::Connected(Login { issued_at, ..login(id, platform(on), token) })
        }
        ["issue", on, token] => Event::TokenIssued(Issued {
            platform: platform(on),
            token: token_hash(token),
            issued_at: Timestamp(seconds(words[0]) * 1000),
            expires_at: Timestamp(1_000_000),
        }),
        ["force", on] => {
            let until = Timestamp(seconds(words[0]) * 1000 - 5_000);
            Event::Kicked(Kick::Tokens(platform(on), until))
        }
        ["knock", id, on, token] => knock(login(id, platform(on), token), Scope::Connection),
        ["knock", id, on, token, "by", scope] => {
            knock(login(id, platform(on), token), parse_scope(scope))
        }
        ["let-in", id] => Event::LetIn { conn: conn(id) },
        ["lost", id] => Event::Disconnected { conn: conn(id), end: End::Lost },
        ["closed", id] => Event::Disconnected { conn: conn(id), end: End::Closed },
        ["logout", id] => Event::Disconnected { conn: conn(id), end: End::LoggedOut },
        ["background", id, on] => Event::BackgroundSet { conn: conn(id), background: on == "on" },
        ["status", on, word] => status_set(on, status(word, None), Author::User),
        ["backend", on, word] => status_set(on, status(word, None), Author::Admin),
        ["status", on, word, "until", at] => {
            status_set(on, status(word, Some(seconds(at))), Author::User)
        }
        ["clear"] => Event::StatusCleared { platform: None },
        ["clear", on] => Event::StatusCleared { platform: Some(platform(on)) },
        ["kick", "all"] => Event::Kicked(Kick::Everywhere),
        ["kick", on @ ("ios" | "web")] => Event::Kicked(Kick::Platform(platform(on))),
        ["kick", id] => Event::Kicked(Kick::Connection(conn(id))),
        ["refuse", seqs] => Event::Refused(refused(seqs, Scope::Connection)),
        ["refuse", seqs, "by", scope] => Event::Refused(refused(seqs, parse_scope(scope))),
        ["refuse", seqs, "only-at-gate"] => {
            Event::Refused(Refused { only_at_gate: true, ..refused(seqs, Scope::Connection) })
        }
        ["restart"] => Event::Restarted,
        ["tick"] => Event::Ticked,
        _ => panic!("cannot read {line:?}"),
    };
    (seconds(words[0]), event)
}

fn knock(login: Login, scope: Scope) -> Event {
    Event::Knocked { login, scope, may_ask: true }
}

fn status_set(on: &str, status: Status, by: Author) -> Event {
    Event::StatusSet { platform: platform(on), status, by }
}

/// `#2000+#1000`: the callback 2000, into which 1000 was collapsed.
fn refused(seqs: &str, scope: Scope) -> Refused {
    let refusal = Refusal { msg: "no".into(), detail: "".into() };
    Refused { seqs: seqs.split('+').map(number).collect(), scope, only_at_gate: false, refusal }
}

fn parse_scope(word: &str) -> Scope {
    match word {
        "connection" => Scope::Connection,
        "platform" => Scope::Platform,
        "user" => Scope::User,
        _ => panic!("no such scope: {word}"),
    }
}

fn seconds(word: &str) -> u64 {
    word.trim_end_matches('s').parse().unwrap()
}

fn number(word: &str) -> u64 {
    word.trim_start_matches('#').parse().unwrap()
}

fn platform(word: &str) -> Platform {
    if word == "ios" { Platform::Ios } else { Platform::Web }
}

fn conn(name: &str) -> ConnId {
    ConnId([name.as_bytes()[0]; 16])
}

fn token_hash(name: &str) -> TokenHash {
    TokenHash([name.as_bytes()[0]; 16])
}

fn login(id: &str, platform: Platform, token: &str) -> Login {
    let token = token_hash(token);
    Login {
        conn: conn(id),
        platform,
        token,
        issued_at: Timestamp(1),
        background: false,
        address: None,
    }
}

fn status(word: &str, until: Option<u64>) -> Status {
    let availability = match word {
        "online" => Availability::Online,
        "away" => Availability::Away,
        "busy" => Availability::Busy,
        _ => panic!("no such availability: {word}"),
    };
    let expires_at = until.map(|secs| Timestamp(secs * 1000));
    Status { availability, expires_at, ..Status::default() }
}

fn render(effects: &Effects) -> String {
    let name = |id: ConnId| char::from(id.0[0]).to_string();
    let changes = effects.changes.iter().map(|change| {
        let conn = change.conn.map_or("-".into(), name);
        let platform = change.platform.name().to_lowercase();
        let bit = |set, letter| if set { letter } else { '-' };
        let Edges { connection, platform: on, user } = change.edges;
        let edges: String = [bit(connection, 'c'), bit(on, 'p'), bit(user, 'u')].iter().collect();
        let background = if change.background { " background" } else { "" };
        let kind = format!("{:?}", change.kind).to_lowercase();
        let (reason, seq) = (change.reason.name(), change.seq);
        format!("{kind} {conn} {platform} [{edges}] {reason}{background} #{seq}")
    });
    let closed = effects.kicked.iter().map(|conn| format!("close {}", name(*conn)));
    let wake = effects.wake_at.iter().map(|at| format!("wake {}s", at.0 / 1000));
    let all = changes.chain(closed).chain(wake);
    let denied = effects.denied.iter().map(|denied| match denied {
        Denied::Token(_) => "denied: token".to_owned(),
        Denied::Refused(Refusal { msg, .. }) => format!("denied: the App said {msg}"),
        Denied::Kicked => "denied: kicked".to_owned(),
        Denied::TooOften => "denied: too often".to_owned(),
        Denied::TooManyQuestions => "denied: too many questions".to_owned(),
        Denied::NoPlace => "denied: no place".to_owned(),
        Denied::NotBefore(at) => format!("denied: not before {}s", at.0 / 1000),
    });
    let admission = match effects.admission {
        Admission::Inside => None,
        Admission::Asked => Some("asked".to_owned()),
        Admission::Shares(question) => {
            Some(format!("shares the question about {}", name(question)))
        }
    };
    let all: Vec<_> = denied.chain(admission).chain(all).collect();
    if all.is_empty() { "quiet".into() } else { all.join(", ") }
}
