//! What the App is told again, and what its answer to that is about.
#![allow(clippy::unwrap_used)]

use presence::{
    Author, Availability, Change, ConnId, Connection, Event, Instant, Kind, Login, LoginPolicy,
    Now, Platform, Policy, Reason, Refusal, Refused, Retold, Scope, Status, Subject, Timestamp,
    TokenHash, User,
};
use proptest::prelude::*;

const SCOPES: [Scope; 3] = [Scope::Connection, Scope::Platform, Scope::User];

fn now(at: u64) -> Now {
    Now { mono: Instant(at), wall: Timestamp(at) }
}

fn policy() -> Policy {
    Policy { login: LoginPolicy::None, user_budget: 0, ..Policy::default() }
}

fn arrival() -> impl Strategy<Value = Event> {
    let platform =
        || prop_oneof![Just(Platform::Ios), Just(Platform::Web), Just(Platform::Android)];
    let login = (1..9u8, platform()).prop_map(|(conn, platform)| {
        Event::Connected(Login {
            conn: ConnId([conn; 16]),
            platform,
            token: TokenHash([conn; 16]),
            issued_at: Timestamp(1),
            background: false,
            address: None,
        })
    });
    let status = platform().prop_map(|platform| Event::StatusSet {
        platform,
        status: Status { availability: Availability::Online, ..Status::default() },
        by: Author::Admin,
    });
    prop_oneof![4 => login, 1 => status]
}

fn subject(connection: &Connection, scope: Scope) -> Subject {
    match scope {
        Scope::User => Subject::User,
        Scope::Platform => Subject::Platform(connection.platform),
        Scope::Connection => Subject::Connection(connection.told_id()),
    }
}

fn missed(of: &Connection) -> Change {
    Change {
        seq: of.told.connection,
        kind: Kind::Online,
        reason: Reason::Login,
        edges: Default::default(),
        online_scopes: presence::Edges::all(),
        platform: of.platform,
        conn: of.told_id(),
        background: false,
        at: Timestamp(1),
        status: None,
        address: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Where the App accepted an earlier online, a refusal of a later one that is told again leaves what the
    /// earlier one told of.
    #[test]
    fn a_refusal_of_what_is_told_again_ends_only_what_that_told_of(
        arrivals in prop::collection::vec(arrival(), 1..8),
        pick in any::<prop::sample::Index>(),
        (online, keeps) in (prop::sample::select(&SCOPES), prop::sample::select(&SCOPES)),
    ) {
        let mut user = User::default();
        for (n, arrival) in arrivals.into_iter().enumerate() {
            let _ = user.apply(arrival, now(1_000 * (n as u64 + 1)), &policy());
        }
        let untold = pick.get(user.connections()).clone();
        let event = Event::Untold { subject: subject(&untold, keeps), missed: missed(&untold), online };
        let Retold { change, mut speaks_for } = user.apply(event, now(20_000), &policy()).retold.unwrap();
        prop_assert_eq!(change.kind, Kind::Online);
        let before = user.clone();
        let named = |c: &&Connection| c.told_id() == change.conn && c.platform == change.platform;
        let named = before.connections().iter().find(named).unwrap();
        speaks_for.push(change.seq);
        let refused = Refused {
            seqs: speaks_for,
            scope: online,
            only_at_gate: false,
            refusal: Refusal { msg: "no".into(), detail: "".into() },
        };
        let _ = user.apply(Event::Refused(refused), now(21_000), &policy());
        let of_named = |c: &&Connection| c.told.at(online) == named.told.at(online);
        let others = before.connections().iter().filter(|c| !of_named(c));
        for other in others {
            prop_assert!(user.connections().contains(other), "{:?} was accepted", other);
        }
        // The place of a status may be held by another status, which was set later.
        let mut is_left = user.connections().iter().filter(|c| of_named(c) && c.told_id().is_some());
        prop_assert!(is_left.next().is_none(), "{:?} was refused", named);
    }
}
